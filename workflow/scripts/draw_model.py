"""Draw the figures of one model on one cohort."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from posttx.files import read_parquet
from posttx.logs import configure_logging
from posttx.reporting.figures_cases import draw_detection, draw_false_positives, draw_trajectories
from posttx.reporting.figures_model import (
    draw_confusion,
    draw_dice,
    draw_inter_class,
    draw_volume_dice,
    draw_volumes,
)
from posttx.reporting.figures_subgroups import draw_subgroups

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def draw_model(
    tables: Mapping[str, str | Path],
    outputs: Mapping[str, str],
    colors: Mapping[str, str],
    names: Mapping[int, str],
    convention: str,
) -> None:
    """Draw ``outputs`` from ``tables`` (metrics, inter_class, subgroups, lesions, and confusion where it is known).

    ``colors`` maps region to colour in the order to be drawn; ``names`` maps label to class; ``convention`` is that of
    the subgroups' Dice.
    """
    metrics = read_parquet(tables["metrics"])
    confusion = read_parquet(tables["confusion"]) if tables.get("confusion") else pd.DataFrame()
    lesions = read_parquet(tables["lesions"])
    draw_dice(metrics, colors, outputs["dice"])
    draw_volume_dice(metrics, colors, outputs["volume_dice"])
    draw_volumes(metrics, colors, outputs["volumes"])
    draw_inter_class(read_parquet(tables["inter_class"]), names, outputs["inter_class"])
    draw_confusion(confusion, names, outputs["confusion"])
    draw_trajectories(metrics, colors, outputs["trajectories"])
    draw_detection(lesions, colors, outputs["detection"])
    draw_subgroups(read_parquet(tables["subgroups"]), colors, convention, outputs["subgroups"])
    draw_false_positives(metrics, colors, outputs["false_positives"])


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    tables = {name: path for name, path in snakemake.input.items() if name != "code"}
    draw_model(
        tables,
        dict(snakemake.output.items()),
        snakemake.params.colors,
        snakemake.params.names,
        snakemake.params.convention,
    )

"""Draw the figures of the data: intensities, class shares, presence."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from posttx.files import read_parquet
from posttx.logs import configure_logging
from posttx.reporting.figures_cohort import draw_class_shares, draw_intensities, draw_presence

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def draw_cohorts(
    intensity: str | Path, labels: str | Path, outputs: Mapping[str, str], colors: Mapping[str, str]
) -> None:
    """Draw ``outputs`` (intensities, class_shares, presence) from the audit's tables."""
    volumes = read_parquet(labels)
    draw_intensities(read_parquet(intensity), outputs["intensities"])
    draw_class_shares(volumes, colors, outputs["class_shares"])
    draw_presence(volumes, colors, outputs["presence"])


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    draw_cohorts(
        snakemake.input.intensity, snakemake.input.labels, dict(snakemake.output.items()), snakemake.params.colors
    )

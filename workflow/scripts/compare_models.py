"""Compare the models of one cohort, two by two, from their metrics."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from posttx.analysis.comparison import compare_models
from posttx.csv_text import write_csv
from posttx.files import write_parquet
from posttx.logs import configure_logging
from posttx.schemas import CASE_METRICS, read_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def write_comparison(
    metrics: Sequence[str | Path],
    previous: Sequence[str | Path],
    parquet: str | Path,
    csv: str | Path,
    regions: Mapping[str, Sequence[int]],
    resamples: int,
    seed: int,
) -> None:
    """Write the comparison of all pairs of models, whose metrics files are called ``<model>.parquet``.

    ``previous`` are metrics of an earlier run, called ``<model> (previous)`` and taken as baselines only.
    """
    before = {f"{Path(path).stem} (previous)": read_table(path, CASE_METRICS) for path in previous}
    now = {Path(path).stem: read_table(path, CASE_METRICS) for path in metrics}
    comparison = compare_models(before | now, regions, resamples, seed, baselines_only=tuple(before))
    logger.info("%d models, %d of an earlier run, %d rows", len(now), len(before), len(comparison))
    write_parquet(comparison, parquet, {"seed": str(seed)})
    write_csv(comparison, csv)


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    settings = {key: value for key, value in snakemake.params.items() if key != "code"}
    write_comparison(
        snakemake.input.metrics,
        snakemake.input.get("previous", []),
        snakemake.output.parquet,
        snakemake.output.csv,
        **settings,
    )

"""Make the table of the spread over seeds of one model on one cohort from the metrics of all its seeds."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from posttx.analysis.seeds import seed_spread
from posttx.conventions import convention_of
from posttx.csv_text import write_csv
from posttx.files import write_parquet
from posttx.logs import configure_logging
from posttx.schemas import CASE_METRICS, read_table
from posttx.scoring.scores import scores_from

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def write_seeds(
    metrics: Sequence[str | Path],
    output: Mapping[str, str | Path],
    regions: Mapping[str, Sequence[int]],
    convention: str,
) -> None:
    """Write the table as ``parquet`` and ``csv``; see ``posttx.analysis.seeds``.

    ``metrics`` are the tables of the models that differ by their seed alone, called ``<model>.parquet``.
    """
    models = {Path(path).stem: scores_from(read_table(path, CASE_METRICS), regions) for path in metrics}
    table = seed_spread(models, convention_of(convention))
    logger.info("%d seeds, %d rows", len(models), len(table))
    write_parquet(table, output["parquet"], {"convention": convention})
    write_csv(table, output["csv"])


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    write_seeds(snakemake.input.metrics, snakemake.output, snakemake.params.regions, snakemake.params.convention)

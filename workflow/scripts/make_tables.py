"""Make the report's tables of one model on one cohort from its metrics."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from posttx.analysis.statistics import FEWEST_FOR_INTERVAL
from posttx.analysis.tables import make_tables
from posttx.csv_text import write_csv
from posttx.files import write_parquet
from posttx.logs import configure_logging
from posttx.schemas import CASE_METRICS, read_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def write_tables(
    metrics: str | Path,
    folder: str | Path,
    regions: Mapping[str, Sequence[int]],
    convention: str,
    extreme_cases: int,
    seed: int,
) -> None:
    """Write every table into ``folder``, as ``<table>.parquet`` and ``<table>.csv``; see ``posttx.analysis.tables``."""
    table = read_table(metrics, CASE_METRICS)
    patients = table["patient"].nunique()
    logger.info("%d cases of %d patients", table["case"].nunique(), patients)
    if patients < FEWEST_FOR_INTERVAL:
        logger.warning("all cases are of fewer than %d patients: no interval is given", FEWEST_FOR_INTERVAL)
    for name, content in make_tables(table, regions, convention, extreme_cases, seed).items():
        write_parquet(content, Path(folder) / f"{name}.parquet", {"convention": convention, "seed": str(seed)})
        write_csv(content, Path(folder) / f"{name}.csv")


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    settings = {key: value for key, value in snakemake.params.items() if key != "code"}
    write_tables(snakemake.input.metrics, **settings)

"""Put the shards of a cohort together in one table."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from posttx.logs import configure_logging
from posttx.schemas import COHORT, read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def gather_cohort(shards: Sequence[str | Path], table: str | Path) -> None:
    """Write the cohort table, sorted by case, from the tables of its shards (at least one)."""
    rows = pd.concat([read_table(path, COHORT) for path in shards])
    write_table(rows.sort_values("case", ignore_index=True), COHORT, table)


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    gather_cohort(snakemake.input.shards, snakemake.output.table)

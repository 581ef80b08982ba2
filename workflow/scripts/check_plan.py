"""Compare nnU-Net's plan with the published one, property by property."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from posttx.files import read_json, write_parquet
from posttx.logs import configure_logging
from posttx.networks.nnunet import compare_plan

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def check_plan(plans: str | Path, configuration: str, table: str | Path) -> None:
    """Write ``property, published, planned`` (as text) and ``equal``; a difference is reported, not refused."""
    rows = compare_plan(read_json(plans), configuration)
    different = [row["property"] for row in rows if not row["equal"]]
    logger.info("the plan differs from the published one in: %s", ", ".join(different) or "nothing")
    compared = pd.DataFrame(rows).astype({"property": str, "published": str, "planned": str, "equal": bool})
    write_parquet(compared, table)


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    check_plan(snakemake.input.plans, snakemake.params.configuration, snakemake.output.table)

"""Gather the report and all it links to in one folder, which `snakemake --report report.zip` packs."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from posttx.logs import configure_logging
from posttx.reporting.bundle import write_bundle

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    files = write_bundle(snakemake.params.results, Path(snakemake.output[0]))
    logger.info("%d files", len(files))

"""Draw the ranks of the models of one cohort."""

from typing import TYPE_CHECKING

from posttx.files import read_parquet
from posttx.logs import configure_logging
from posttx.reporting.figures_ranks import draw_ranks

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    draw_ranks(read_parquet(snakemake.input.ranks), snakemake.output[0])

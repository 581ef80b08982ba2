"""Draw the figures of the data, of a training, of one model on one cohort, or of a comparison."""

from typing import TYPE_CHECKING

from posttx.logs import configure_logging
from posttx.reporting.drawing import draw_figures

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    draw_figures(dict(snakemake.input.items()), dict(snakemake.output.items()), dict(snakemake.params.items()))

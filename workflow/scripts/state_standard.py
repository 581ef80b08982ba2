"""State what all cases are standardised to, for the shards to depend on."""

from typing import TYPE_CHECKING

from posttx.files import write_json
from posttx.logs import configure_logging

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    write_json(snakemake.output.standard, dict(snakemake.params))

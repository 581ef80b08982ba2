"""Write what made the results: versions, code, configuration, hardware, seeds."""

from pathlib import Path
from typing import TYPE_CHECKING

from posttx.files import write_json
from posttx.logs import configure_logging
from posttx.provenance import provenance

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    write_json(snakemake.output[0], provenance(snakemake.config, Path(snakemake.scriptdir).parents[1]))

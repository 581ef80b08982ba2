"""Copy a plan under another name: nnU-Net names a model's folder after its plans, the only place for a seed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from posttx.files import read_json, write_text
from posttx.logs import configure_logging

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def copy_plan(plans: str | Path, copy: str | Path) -> None:
    """Write ``plans`` to ``copy``, called as that file is; the preprocessed data stay those of ``plans``."""
    write_text(copy, json.dumps({**read_json(plans), "plans_name": Path(copy).stem}, indent=4) + "\n")


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    copy_plan(snakemake.input.plans, snakemake.output.plans)

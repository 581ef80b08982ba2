"""Copy a plan under another name, with the levers of training in it.

nnU-Net names a model's folder after its plans, the only place for levers and seeds.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posttx.files import read_json, write_text
from posttx.logs import configure_logging
from posttx.networks.nnunet import with_levers

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def copy_plan(
    plans: str | Path, copy: str | Path, levers: Mapping[str, Any] | None = None, configuration: str = ""
) -> None:
    """Write ``plans`` to ``copy``, called as that file is; the preprocessed data stay those of ``plans``.

    ``levers``, where there are any, are those of ``configuration``.
    """
    content = read_json(plans)
    if levers:
        content = with_levers(content, configuration, levers)
    write_text(copy, json.dumps({**content, "plans_name": Path(copy).stem}, indent=4) + "\n")


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    copy_plan(snakemake.input.plans, snakemake.output.plans, **dict(snakemake.params.items()))

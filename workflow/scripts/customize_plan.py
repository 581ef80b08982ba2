"""Write the config's changes into the plans that nnU-Net's planner has just made."""

import json
import sys
from pathlib import Path

from posttx.files import read_json, write_text
from posttx.networks.nnunet import customize_plan


def customize(plans: str | Path, configuration: str, overrides: str) -> None:
    """Change ``plans`` in place; ``overrides`` is the config's ``train.plan`` as JSON, ``{}`` for none."""
    changed = customize_plan(read_json(plans), configuration, json.loads(overrides))
    # nnU-Net's own order of keys is kept: the file is read by people too.
    write_text(plans, json.dumps(changed, indent=4) + "\n")


if __name__ == "__main__":
    customize(*sys.argv[1:])

"""Let nnU-Net plan the network, and write the plan once: with the config's changes in it."""

import json
import sys
from pathlib import Path

from nnunetv2 import experiment_planning
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.json_export import recursive_fix_for_json_export

from posttx.files import write_text
from posttx.networks.nnunet import customize_plan


def plan_experiment(dataset: int, planner: str, plans: str | Path, configuration: str, overrides: str) -> None:
    """Write the plan of nnU-Net's ``planner`` to ``plans``, ``<preprocessed>/<identifier>.json``, whole or not at all.

    ``overrides`` is the config's ``train.plan`` as JSON, ``{}`` for none. nnU-Net's own command writes its plan to that
    place before the changes: whoever went on after a kill in between would train another network than the config says.
    """
    kind = recursive_find_python_class(experiment_planning.__path__[0], planner, experiment_planning.__name__)
    planning = kind(dataset, plans_name=Path(plans).stem)
    planning.save_plans = lambda plans: None
    planned = planning.plan_experiment()
    recursive_fix_for_json_export(planned)
    changed = customize_plan(json.loads(json.dumps(planned)), configuration, json.loads(overrides))
    # nnU-Net's own order of keys is kept: the file is read by people too.
    write_text(plans, json.dumps(changed, indent=4) + "\n")


if __name__ == "__main__":
    plan_experiment(int(sys.argv[1]), *sys.argv[2:])

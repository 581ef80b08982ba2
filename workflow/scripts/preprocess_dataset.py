"""Let nnU-Net preprocess the train cohort, then write the marker, which stamps every training that starts from it."""

import sys
from pathlib import Path

from nnunetv2.experiment_planning.plan_and_preprocess_api import preprocess_dataset

from posttx.files import read_json, write_json
from posttx.networks.nnunet import preprocessed_digest


def mark(dataset: str | Path, folder: str | Path, marker: str | Path) -> None:
    """Write the digest of the data in ``folder``; fewer cases than ``dataset.json`` promises are an error."""
    content = preprocessed_digest(folder)
    promised = len(read_json(dataset)["dataset"])
    if content["cases"] != promised:
        raise SystemExit(f"{content['cases']} of {promised} cases were preprocessed: see the log above")
    write_json(marker, content)


def preprocess(
    number: int, plans: str | Path, configuration: str, processes: int, dataset: str | Path, marker: str | Path
) -> None:
    """Preprocess nnU-Net's dataset ``number``, described by ``dataset``, beside ``plans``; write ``marker`` last."""
    plans = Path(plans)
    preprocess_dataset(number, plans.stem, [configuration], [processes], show_progress_bar=False)
    mark(dataset, plans.with_name(f"{plans.stem}_{configuration}"), marker)


if __name__ == "__main__":
    number, plans, configuration, processes, dataset, marker = sys.argv[1:]
    preprocess(int(number), plans, configuration, int(processes), dataset, marker)

"""A fold of the demo, killed twenty times: one entry per epoch, and the weights of the fold that nothing disturbed."""

import os
import random
import shutil
from pathlib import Path

import pytest
import yaml
from test_killed_workflow import KILLS, SEED
from test_kills import assert_same_fold, curve, forking, kill_then_finish, planned_kills

from posttx.configuration import complete
from posttx.files import read_json
from posttx.networks.checkpoints import FINAL, STAMP
from workflow_runs import ROOT

# Twenty attempts that together cannot reach the end of the fold.
LONGEST_SHARE, MOST_WRITES = 1 / 20, 15
STAMPED = ("epochs", "iterations", "validation_iterations", "learning_rate", "foreground", "optimizer", "seed")


def environment(root: Path) -> dict[str, str]:
    """Return the environment of the rule ``train_fold`` with one thread, writing a checkpoint after every iteration."""
    defaults, given = (yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("config", "demo"))
    train = complete(given, defaults)["models"]["nnunet"]["train"]
    settings = {f"POSTTX_{key.upper()}": str(train[key]) for key in STAMPED if key in train}
    folders = {f"nnUNet_{name}": str(root / "preprocessed") for name in ("raw", "preprocessed")}
    return {
        **os.environ,
        **folders,
        **settings,
        "nnUNet_results": str(root / "results"),
        "nnUNet_extTrainer": str(ROOT / "workflow/trainers"),
        "nnUNet_n_proc_DA": "0",
        "nnUNet_def_n_proc": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT / "workflow/scripts"),
        "POSTTX_STAGE": "train",
        "POSTTX_THREADS": "1",
        "POSTTX_CHECKPOINT_MINUTES": "1e-6",
    }


def cpu_seconds(benchmark: Path) -> float:
    """Return the CPU seconds of a job from its benchmark."""
    header, values = benchmark.read_text().splitlines()
    return float(dict(zip(header.split("\t"), values.split("\t"), strict=True))["cpu_time"])


@pytest.mark.skipif(not KILLS, reason="takes longer than a fold of the demo: `make faults`")
@pytest.mark.parametrize("seed", [SEED])
def test_a_fold_of_the_demo_survives_twenty_kills(demo: Path, tmp_path: Path, seed: int) -> None:
    undisturbed = sorted((demo / "results/nnunet/models").glob(f"*/*/fold_*/{FINAL}"))[0].parent
    dataset, model, fold = undisturbed.parts[-3:]
    trainer_name, plans, configuration = model.split("__")
    number = fold.removeprefix("fold_")
    shutil.copytree(demo / "results/nnunet/preprocessed" / dataset, tmp_path / "preprocessed" / dataset)
    folder = tmp_path / "results" / dataset / model / fold
    arguments = [dataset, configuration, number, "-tr", trainer_name, "-p", plans, "-device", "cpu", "--c"]
    used = cpu_seconds(demo / "benchmarks/train_fold" / model / f"{number}.tsv")
    plan = planned_kills(used * LONGEST_SHARE, MOST_WRITES, random.Random(seed))
    assert len(plan) == 20
    with forking(tmp_path, folder, arguments, environment(tmp_path)) as trainer:
        kill_then_finish(trainer, plan)
    assert read_json(folder / STAMP) == read_json(undisturbed / STAMP), "not the same training"
    epochs = int(environment(tmp_path)["POSTTX_EPOCHS"])
    assert [row["epoch"] for row in curve(folder)] == list(range(epochs))
    assert_same_fold(folder, undisturbed)

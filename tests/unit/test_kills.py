"""Twenty SIGKILLs of one fold, at random moments and within checkpoint writes: it ends as if there had been none."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny_nnunet as tiny
import torch

from posttx.networks.checkpoints import FINAL, LATEST, check_checkpoint
from posttx.networks.training import read_progress_lines

EPOCHS, ITERATIONS = 8, 6
RANDOM_KILLS, WRITES_PER_STEP = 10, 2
# What a kill at each step of a checkpoint write leaves beside the checkpoint: a file that nobody may take for one.
TORN_WRITES = {"torn": 1, "unverified": 1, "unrecorded": 1, "unplaced": 1, "placed": 0}
LEFT_OUT = ("seconds", "eta_seconds", "finished")


class ForkingTrainer:
    """One process that trains a fold into ``folder`` in forks of itself; see forking_trainer.py."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, log: Path) -> None:
        self.process, self.folder, self.log = process, folder, log

    def start(self, place: str = "-") -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{place}\n")
        self.process.stdin.flush()
        return self._answer()

    def end(self) -> int:
        return self._answer()

    def _answer(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def said(self) -> str:
        return self.log.read_text()[-3000:]


def curve(folder: Path) -> list[dict]:
    rows = read_progress_lines(folder / "progress.jsonl")
    return [{key: value for key, value in row.items() if key not in LEFT_OUT} for row in rows]


@contextmanager
def forking(
    root: Path, folder: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> Iterator[ForkingTrainer]:
    """Start the process in ``root``, with the arguments and the environment of ``nnUNetv2_train``."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("forking_trainer.py")), *arguments],
        cwd=root,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield ForkingTrainer(process, folder, root / "attempts.log")
    finally:
        # Its last attempt may still be training where a check failed.
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        process.communicate(timeout=600)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for key, value in tiny.folders(tmp_path).items():
        monkeypatch.setenv(key, value)
    tiny.make_dataset(tmp_path)
    return tmp_path


def cpu_seconds(process: int) -> float | None:
    """Return the CPU time of a process, None where it has ended: moments on this clock do not move with the load."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kill_after(process: int, seconds: float) -> None:
    while (spent := cpu_seconds(process)) is not None and spent < seconds:
        time.sleep(0.002)
    if spent is not None:
        os.kill(process, signal.SIGKILL)


def train_in_one_go(trainer: ForkingTrainer, aside: Path) -> float:
    """Train the fold, move its folder to ``aside``, and return the CPU seconds that it took."""
    process, used = trainer.start(), 0.0
    while (spent := cpu_seconds(process)) is not None:
        used = spent
        time.sleep(0.02)
    assert trainer.end() == 0, trainer.said()
    trainer.folder.rename(aside)
    return used


def planned_kills(longest: float, most_writes: int, draw: random.Random) -> list[str | float]:
    """Return places within checkpoint writes, and random CPU seconds of an attempt, in random order."""
    steps = [step for step in TORN_WRITES for _ in range(WRITES_PER_STEP)]
    plan: list[str | float] = [f"{step} {draw.randint(1, most_writes)}" for step in steps]
    # From the first moments of an attempt (setting up, reading the checkpoint) into its training.
    plan += [draw.uniform(0, longest) for _ in range(RANDOM_KILLS)]
    draw.shuffle(plan)
    return plan


def kill_attempt(trainer: ForkingTrainer, moment: str | float) -> None:
    """Start an attempt that dies at a place or after CPU seconds, and look at what it left."""
    process = trainer.start(moment if isinstance(moment, str) else "-")
    if not isinstance(moment, str):
        kill_after(process, moment)
    assert trainer.end() == -signal.SIGKILL, f"{moment} came too late\n{trainer.said()}"
    if isinstance(moment, str):
        torn_writes = list(trainer.folder.glob(".*.checkpoint_*.pth"))
        assert len(torn_writes) == TORN_WRITES[moment.split()[0]], moment
    if (trainer.folder / LATEST).exists():
        check_checkpoint(trainer.folder / LATEST)


def test_twenty_kills_change_nothing(root: Path) -> None:
    settings = {"EPOCHS": EPOCHS, "ITERATIONS": ITERATIONS, "CHECKPOINT_MINUTES": 1e-6, "STAGE": "train"}
    folder, whole = tiny.model_folder(root) / "fold_0", root / "whole"
    with forking(root, folder, tiny.training_command()[1:], tiny.environment(root, **settings)) as trainer:
        used = train_in_one_go(trainer, whole)
        plan = planned_kills(min(1.0, used / 4), 3, random.Random(20))
        kill_then_finish(trainer, plan)
    assert len(plan) == 20
    assert [row["epoch"] for row in curve(folder)] == list(range(EPOCHS))
    assert_same_fold(folder, whole)


def kill_then_finish(trainer: ForkingTrainer, plan: Sequence[str | float]) -> None:
    for moment in plan:
        kill_attempt(trainer, moment)
    trainer.start()
    assert trainer.end() == 0, trainer.said()


def assert_same_fold(folder: Path, undisturbed: Path) -> None:
    """Compare curve, weights and optimizer of two trainings of one fold, to the bit."""
    assert curve(folder) == curve(undisturbed)
    check_checkpoint(folder / FINAL)
    survived, whole = (torch.load(path / FINAL, weights_only=False) for path in (folder, undisturbed))
    assert survived["network_weights"].keys() == whole["network_weights"].keys()
    for name, value in whole["network_weights"].items():
        assert torch.equal(survived["network_weights"][name], value), name
    for number, state in whole["optimizer_state"]["state"].items():
        for name, value in state.items():
            assert torch.equal(survived["optimizer_state"]["state"][number][name], value), (number, name)
    assert not list(folder.glob(".*.checkpoint_*"))

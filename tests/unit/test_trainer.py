"""The trainer against the real nnU-Net: kills at any moment, signals, stamps, resume, validation."""

import contextlib
import errno
import importlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny_nnunet as tiny
import torch

from copy_plan import copy_plan
from posttx.errors import PostTxError
from posttx.files import digest_of, read_json
from posttx.networks import loaders
from posttx.networks.checkpoints import FINAL, LATEST, STAMP, check_checkpoint, read_checkpoint
from posttx.networks.confidence import kept_files
from posttx.networks.loaders import NoBatchError
from posttx.networks.nnunet import image_name
from posttx.networks.predictor import load_ensemble
from posttx.networks.training import REQUEUE, read_progress_lines
from posttx.nifti import read_volume


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("tiny")
        for key, value in tiny.folders(root).items():
            patch.setenv(key, value)
        tiny.make_dataset(root)
        yield root


@pytest.fixture
def root(dataset: Path, tmp_path: Path) -> Path:
    """Return a root of its own results on the shared data."""
    for name in ("raw", "preprocessed"):
        (tmp_path / name).symlink_to(dataset / name)
    return tmp_path


@pytest.fixture(scope="module")
def uninterrupted(dataset: Path) -> Path:
    """Return the folder of a fold that was trained in one go."""
    run = tiny.start_training(dataset)
    text, _ = run.communicate(timeout=900)
    assert run.returncode == 0, text
    return tiny.model_folder(dataset) / "fold_0"


def finish(root: Path, attempts: int = 6, **changed: object) -> str:
    """Train until the fold is finished; return what the last attempt printed."""
    for _ in range(attempts):
        run = tiny.start_training(root, **changed)
        text, _ = run.communicate(timeout=900)
        if run.returncode == 0:
            return text
    raise AssertionError(text)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=False)["network_weights"]


def same_weights(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def wait_for(condition: str, run: subprocess.Popen[str], root: Path, limit: float = 900) -> None:
    """Wait until a file of the fold matches a pattern, or the run has ended."""
    begun = time.monotonic()
    while not any((tiny.model_folder(root) / "fold_0").glob(condition)) and run.poll() is None:
        assert time.monotonic() - begun < limit
        time.sleep(0.01)


def test_one_go(uninterrupted: Path) -> None:
    check_checkpoint(uninterrupted / FINAL)
    rows = read_progress_lines(uninterrupted / "progress.jsonl")
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert rows[0]["regions"] == ["X", "Y"]
    assert all(row["train_loss"] is not None for row in rows)
    assert rows[0]["lr"] > rows[-1]["lr"]
    assert rows[-1]["eta_seconds"] == 0
    assert not (uninterrupted / "validation").exists()


def test_a_further_seed_trains_beside_the_first_on_the_same_data(root: Path, uninterrupted: Path) -> None:
    """The plan is a copy under another name; the data and their marker are those that the first seed was trained on."""
    (root / "preprocessed").unlink()
    (root / "preprocessed" / tiny.DATASET).mkdir(parents=True)
    for path in (uninterrupted.parents[3] / "preprocessed" / tiny.DATASET).iterdir():
        (root / "preprocessed" / tiny.DATASET / path.name).symlink_to(path)
    plans = root / "preprocessed" / tiny.DATASET / f"{tiny.PLANS}.json"
    copy_plan(plans, plans.with_name(f"{tiny.PLANS}_seed7.json"))
    command = [part.replace(tiny.PLANS, f"{tiny.PLANS}_seed7") for part in tiny.training_command()]
    subprocess.run(command, env=tiny.environment(root, STAGE="train", SEED=7), check=True, capture_output=True)
    folder = uninterrupted.parent.name.replace(tiny.PLANS, f"{tiny.PLANS}_seed7")
    fold = root / "results" / tiny.DATASET / folder / "fold_0"
    assert not same_weights(fold / FINAL, uninterrupted / FINAL)
    ours, theirs = read_json(fold / STAMP), read_json(uninterrupted / STAMP)
    assert {name for name in ours if ours[name] != theirs[name]} == {"plans", "settings"}
    assert ours["data"] != digest_of({})


def test_sigkill_at_random_moments_ends_with_the_same_weights(root: Path, uninterrupted: Path) -> None:
    draw = random.Random(5)
    for _ in range(2):
        run = tiny.start_training(root, CHECKPOINT_MINUTES=0.0001)
        # Random moments after training began; an iteration and its checkpoint take about 50 ms each.
        wait_for("progress.jsonl", run, root)
        time.sleep(draw.uniform(0, 0.6))
        run.kill()
        run.communicate()
    finish(root, CHECKPOINT_MINUTES=0.0001)
    folder = tiny.model_folder(root) / "fold_0"
    assert [row["epoch"] for row in read_progress_lines(folder / "progress.jsonl")] == [0, 1, 2, 3]
    assert same_weights(folder / FINAL, uninterrupted / FINAL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signal_writes_a_checkpoint_and_asks_to_be_requeued(
    root: Path, uninterrupted: Path, number: signal.Signals
) -> None:
    run = tiny.start_training(root)
    wait_for("progress.jsonl", run, root)
    time.sleep(0.2)
    run.send_signal(number)
    text, _ = run.communicate(timeout=900)
    assert run.returncode == REQUEUE, text
    assert f"{number.name}: stopped in epoch" in text
    folder = tiny.model_folder(root) / "fold_0"
    check_checkpoint(folder / LATEST)
    if number is signal.SIGTERM:
        assert "Going on from" in finish(root, attempts=1)
        assert same_weights(folder / FINAL, uninterrupted / FINAL)
        assert len(read_progress_lines(folder / "progress.jsonl")) == 4


def processes_of(group: int) -> list[int]:
    """Return the living processes of a group."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, its_group = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:3]
                if int(its_group) == group and state != "Z":
                    found.append(int(folder.name))
    return found


def wait_until_gone(group: int, limit: float = 60) -> None:
    begun = time.monotonic()
    while processes_of(group):
        assert time.monotonic() - begun < limit, processes_of(group)
        time.sleep(0.05)


def children_of(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_a_signal_to_all_its_processes_writes_a_checkpoint_and_leaves_none(root: Path) -> None:
    run = tiny.start_training(root, workers=2, EPOCHS=500)
    wait_for("progress.jsonl", run, root)
    os.killpg(run.pid, signal.SIGTERM)
    text, _ = run.communicate(timeout=900)
    assert run.returncode == REQUEUE, text
    check_checkpoint(tiny.model_folder(root) / "fold_0" / LATEST)
    wait_until_gone(run.pid)


def test_loaders_that_die_lose_no_iteration(root: Path) -> None:
    run = tiny.start_training(root, workers=2, EPOCHS=500)
    wait_for("progress.jsonl", run, root)
    for child in children_of(run.pid):
        os.kill(child, signal.SIGKILL)
    text, _ = run.communicate(timeout=900)
    assert run.returncode not in (0, REQUEUE), text
    assert "no longer alive" in text
    path = tiny.model_folder(root) / "fold_0" / LATEST
    content, _ = read_checkpoint(path)
    rows = read_progress_lines(path.with_name("progress.jsonl"))
    assert content["current_epoch"] == len(rows)
    wait_until_gone(run.pid)


@pytest.mark.parametrize("at", [0, 2])
def test_a_batch_that_never_comes_ends_the_training_with_what_it_has(
    root: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Also where it is an epoch's first: the checkpoint of that one must not count the epoch as done."""
    monkeypatch.setattr(signal, "signal", lambda *given: None)
    trainer = tiny.make_trainer(monkeypatch, root)
    trainer.initialize()
    module = importlib.import_module("posttx_trainer")
    following, left = trainer._next, [at]

    class Stalled:
        def __next__(self) -> dict:
            raise NoBatchError("no batch came", remedy="look")

    def next_batch(loader: object) -> dict:
        if trainer.current_epoch == 1 and trainer._random is None:
            left[0] -= 1
            if left[0] < 0:
                return following(Stalled())
        return following(loader)

    monkeypatch.setattr(module, "time_limit", lambda seconds: contextlib.nullcontext())
    monkeypatch.setattr(trainer, "_next", next_batch)
    with pytest.raises(PostTxError, match="no batch came"):
        trainer.run_training()
    path = Path(trainer.output_folder) / LATEST
    content, _ = read_checkpoint(path)
    assert (content["current_epoch"], content["posttx"]["iteration"]) == (1, at)
    again = tiny.make_trainer(monkeypatch, root)
    again.load_checkpoint(str(path))
    again.run_training()
    assert same_weights(Path(again.output_folder) / FINAL, uninterrupted / FINAL)
    assert [row["epoch"] for row in read_progress_lines(path.with_name("progress.jsonl"))] == [0, 1, 2, 3]


def test_a_step_that_fails_after_the_signal_leaves_as_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler's processes get the signal too, and what they were to compile fails."""
    trainer = tiny.make_trainer(monkeypatch, root)
    trainer.initialize()
    trainer.on_epoch_start()

    class Left(BaseException):
        pass

    def leave(status: int) -> None:
        assert status == REQUEUE
        raise Left

    def fails(batch: object) -> None:
        raise RuntimeError("a subprocess died")

    monkeypatch.setattr(importlib.import_module("posttx_trainer"), "leave_at_once", leave)
    monkeypatch.setattr(trainer, "train_step", fails)
    with pytest.raises(RuntimeError, match="a subprocess died"):
        trainer._step({})
    trainer._on_signal(signal.SIGTERM, None)
    with pytest.raises(Left):
        trainer._step({})
    check_checkpoint(Path(trainer.output_folder) / LATEST)


def test_shared_memory_is_looked_at_before_loaders_start(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = tiny.make_trainer(monkeypatch, root)
    trainer.initialize()
    monkeypatch.setenv("nnUNet_n_proc_DA", "2")
    monkeypatch.setattr(loaders.os, "statvfs", lambda folder: type("Status", (), {"f_bavail": 1, "f_frsize": 4096}))
    with pytest.raises(PostTxError, match="0 MiB of shared memory are free"):
        trainer.get_dataloaders()


def test_without_a_compiler_training_is_not_compiled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    monkeypatch.setattr(nnUNetTrainer, "_do_i_compile", lambda self: True)
    module = importlib.import_module("posttx_trainer")
    for answer, compiled in ((False, False), (True, True)):
        monkeypatch.setattr(module, "can_compile", lambda kind, answer=answer: answer)
        trainer = tiny.make_trainer(monkeypatch, root)
        trainer.initialize()
        assert isinstance(trainer.network, torch._dynamo.OptimizedModule) is compiled
    # The validation goes the way of predict_shard, which compiles by itself.
    assert not tiny.make_trainer(monkeypatch, root, STAGE="validate")._do_i_compile()


def test_changed_settings_start_clean(
    root: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny.model_folder(root) / "fold_0"
    shutil.copytree(uninterrupted, folder)
    tiny.make_trainer(monkeypatch, root)
    assert "Going on from" in capsys.readouterr().out
    tiny.make_trainer(monkeypatch, root, CHECKPOINT_MINUTES=3, THREADS=2)
    assert "Going on from" in capsys.readouterr().out
    tiny.make_trainer(monkeypatch, root, EPOCHS=9)
    assert "Starting clean: changed since its checkpoints were written: settings" in capsys.readouterr().out
    assert not (folder / LATEST).exists()


def test_preprocessed_data_that_everybody_may_write_to_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder,) = (root / "preprocessed" / tiny.DATASET).glob(f"{tiny.PLANS}_*/")
    before = folder.stat().st_mode
    folder.chmod(before | 0o002)
    try:
        with pytest.raises(PostTxError, match="everybody on this machine may write"):
            tiny.make_trainer(monkeypatch, root)
    finally:
        folder.chmod(before)
    tiny.make_trainer(monkeypatch, root)


def test_unknown_fold_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PostTxError, match="there is no fold 7: the file holds folds 0 to 1"):
        tiny.make_trainer(monkeypatch, root, fold=7)


def test_missing_folds_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (root / "preprocessed").resolve() / tiny.DATASET
    (root / "preprocessed").unlink()
    (root / "preprocessed" / tiny.DATASET).mkdir(parents=True)
    for path in source.iterdir():
        if path.name != "splits_final.json":
            (root / "preprocessed" / tiny.DATASET / path.name).symlink_to(path)
    with pytest.raises(PostTxError, match="the folds are not written yet"):
        tiny.make_trainer(monkeypatch, root)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_cuda_that_is_absent_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PostTxError, match="no CUDA device is available"):
        tiny.make_trainer(monkeypatch, root, device="cuda")


def test_torn_checkpoint_is_refused_before_it_is_read(
    root: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tiny.make_trainer(monkeypatch, root)
    path = Path(trainer.output_folder) / FINAL
    path.write_bytes((uninterrupted / FINAL).read_bytes()[:-100])
    path.with_name(f"{FINAL}.sha256").write_text((uninterrupted / f"{FINAL}.sha256").read_text())
    with pytest.raises(PostTxError, match="torn or was changed"):
        trainer.load_checkpoint(str(path))


def test_full_disk_costs_a_warning_and_only_the_end_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = tiny.make_trainer(monkeypatch, root)
    trainer.initialize()
    trainer.on_epoch_start()

    def full(content: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch, "save", full)
    trainer.save_checkpoint(str(Path(trainer.output_folder) / LATEST))
    assert "No space left on device" in capsys.readouterr().out
    with pytest.raises(PostTxError, match="No space left on device"):
        trainer.save_checkpoint(str(Path(trainer.output_folder) / FINAL))
    assert not list(Path(trainer.output_folder).glob("*.pth"))


def test_neither_a_clock_set_back_nor_an_epoch_without_its_line_spoils_the_curve(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = tiny.make_trainer(monkeypatch, root)
    module = importlib.import_module("posttx_trainer")
    append, began = module.append_progress, time.time()
    # An hour back at every look at it.
    hours = itertools.count()
    for place in ("nnunetv2.training.nnUNetTrainer.nnUNetTrainer.time", "posttx_trainer.time"):
        monkeypatch.setattr(place, lambda: began - 3600 * next(hours))

    def append_unless_full(path: Path, row: dict) -> None:
        if row["epoch"] == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(path, row)

    monkeypatch.setattr(module, "append_progress", append_unless_full)
    # The handlers would outlive the test.
    monkeypatch.setattr(signal, "signal", lambda *given: None)
    trainer.initialize()
    trainer.run_training()
    assert "line of progress cannot be written" in capsys.readouterr().out
    rows = read_progress_lines(Path(trainer.output_folder) / "progress.jsonl")
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert all(isinstance(row["train_loss"], float) for row in rows)
    timed = [row for row in rows if row["epoch"] != 1]
    assert all(row["seconds"] > 0 and row["eta_seconds"] >= 0 for row in timed)


def test_validation_is_a_stage_of_its_own(dataset: Path, uninterrupted: Path) -> None:
    gone = kept_files(uninterrupted, "gone").values()
    for path in gone:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    done = tiny.run_training(dataset, STAGE="validate", MIRRORING=False)
    assert done.returncode == 0, done.stdout
    summary = read_json(uninterrupted / "validation" / "summary.json")
    assert [Path(row["prediction_file"]).name for row in summary["metric_per_case"]] == [
        f"{case}.nii.gz" for case in tiny.SPLITS[0]["val"]
    ]
    assert set(summary["mean"]) == {"1", "2"}
    assert not any(path.exists() for path in gone)
    metrics = summary["metric_per_case"][0]["metrics"]["1"]
    assert metrics["n_ref"] == metrics["TP"] + metrics["FN"]
    # The same segmentations as predict_shard's, by the same path.
    ensemble, _ = load_ensemble([uninterrupted / FINAL], "cpu", False)
    for case in tiny.SPLITS[0]["val"]:
        images = [read_volume(dataset / "images" / "images" / image_name(case, channel)) for channel in range(4)]
        found = ensemble.finish(*ensemble.prepare(images))
        for name, path in kept_files(uninterrupted, case).items():
            assert np.array_equal(getattr(found, name), read_volume(path).data)

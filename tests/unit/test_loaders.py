"""nnU-Net's loader processes: small shared memory, batches that never come, and a quick end of them all."""

import multiprocessing
import os
import subprocess
import sys
import time

import pytest

from posttx.errors import PostTxError
from posttx.networks import loaders
from posttx.networks.loaders import (
    NoBatchError,
    batch_bytes,
    batches_in_flight,
    leave_at_once,
    refuse_small_shared_memory,
    time_limit,
)

PUBLISHED = batch_bytes([128, 160, 112], 2, 4)


def free_memory(monkeypatch, mebibytes):
    status = type("Status", (), {"f_bavail": mebibytes * 256, "f_frsize": 4096})
    monkeypatch.setattr(loaders.os, "statvfs", lambda folder: status)


def test_a_batch_of_the_published_plan():
    images, targets = 128 * 160 * 112 * 2 * 4 * 4, 128 * 160 * 112 * 2 * 2
    assert images + targets < PUBLISHED < images + 1.2 * targets


def test_the_numbers_are_those_of_nnunet():
    """Its call of the loaders is read: a version that starts others must not go unnoticed."""
    import inspect

    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    source = " ".join(inspect.getsource(nnUNetTrainer.get_dataloaders).split())
    for text in (
        "num_cached=max(6, allowed_num_processes // 2)",
        "num_processes=max(1, allowed_num_processes // 2)",
        "num_cached=max(3, allowed_num_processes // 4)",
        "pin_memory=self.device.type == 'cuda'",
    ):
        assert text in source
    assert batches_in_flight(0, True) == 0
    assert batches_in_flight(11, True) == 6 + 3 + 11 + 5
    assert batches_in_flight(16, False) == 2 * (8 + 4) + 16 + 8


@pytest.mark.parametrize(
    ("mebibytes", "workers", "remedy"),
    [
        (64, 11, "--set-threads train_fold=2 (no loader processes)"),
        (1024, 11, "--set-threads train_fold=3)"),
        (4096, 11, None),
        (64, 0, None),
    ],
)
def test_shared_memory_that_is_too_small_is_refused_with_what_helps(monkeypatch, tmp_path, mebibytes, workers, remedy):
    free_memory(monkeypatch, mebibytes)
    if remedy is None:
        refuse_small_shared_memory(PUBLISHED, workers, True, tmp_path)
        return
    with pytest.raises(PostTxError, match=f"{mebibytes} MiB of shared memory are free") as caught:
        refuse_small_shared_memory(PUBLISHED, workers, True, tmp_path)
    assert remedy in caught.value.remedy
    assert "--shm-size=2g" in caught.value.remedy
    # Each of the two remedies is enough.
    threads = int(remedy.split("=")[1].split(")")[0].split()[0])
    refuse_small_shared_memory(PUBLISHED, 0 if threads < 3 else threads - 1, True, tmp_path)
    free_memory(monkeypatch, 2 * 1024)
    refuse_small_shared_memory(PUBLISHED, workers, True, tmp_path)


def test_where_there_is_no_such_folder_nothing_is_checked(tmp_path):
    refuse_small_shared_memory(10**15, 8, True, tmp_path / "absent")


def test_waiting_ends():
    begun = time.monotonic()
    with pytest.raises(NoBatchError, match="no batch came from the loaders within 0 s"), time_limit(0.1):
        time.sleep(60)
    assert time.monotonic() - begun < 30
    with time_limit(0.2):
        pass
    time.sleep(0.3)


def leaving() -> None:
    child = multiprocessing.Process(target=time.sleep, args=(600,), daemon=True)
    child.start()
    sys.stdout.write(f"{child.pid}")
    leave_at_once(75)


def test_a_process_leaves_with_its_children_and_all_it_said():
    done = subprocess.run(
        [sys.executable, "-c", "import test_loaders; test_loaders.leaving()"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 75, done.stderr
    for _ in range(600):
        if not os.path.exists(f"/proc/{done.stdout}"):  # noqa: PTH110
            return
        time.sleep(0.1)
    raise AssertionError(f"process {done.stdout} lives")

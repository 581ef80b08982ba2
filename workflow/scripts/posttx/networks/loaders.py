"""nnU-Net's loader processes: whether their batches fit into shared memory, a limit on waiting, a quick end."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from posttx.errors import PostTxError

SHARED_MEMORY = Path("/dev/shm")
IMAGE_BYTES, TARGET_BYTES = 4, 2
# Targets of deep supervision: 1 + 1/8 + 1/64 ... of the patch.
TARGET_SCALES = 8 / 7


class NoBatchError(PostTxError):
    """No batch came within the time that was allowed for it."""


def batch_bytes(patch: Sequence[int], batch: int, channels: int) -> int:
    """Return the size of a training batch in shared memory: float32 images and int16 targets of all resolutions."""
    return math.ceil(math.prod(patch) * batch * (channels * IMAGE_BYTES + TARGET_BYTES * TARGET_SCALES))


def batches_in_flight(workers: int, pinned: bool) -> int:
    """Return how many batches lie in shared memory when nnU-Net's queues for training and validation are full.

    Numbers of ``nnUNetTrainer.get_dataloaders`` (2.8): half as many workers for validation; a queue from the workers,
    and a second one behind it, whose batches leave shared memory only where they are copied to pinned memory. One more
    is in the making per worker. No worker, no shared memory: 0.
    """
    if not workers:
        return 0
    queued = max(6, workers // 2) + max(3, workers // 4)
    return queued * (1 if pinned else 2) + workers + max(1, workers // 2)


def refuse_small_shared_memory(one_batch: int, workers: int, pinned: bool, folder: Path = SHARED_MEMORY) -> None:
    """Raise an error where the batches of ``workers`` loader processes do not fit into what is free in ``folder``.

    They would wait for each other for ever, with the GPU held. Where there is no such folder nothing is checked.
    """
    if not workers or not folder.is_dir():
        return
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if batches_in_flight(workers, pinned) * one_batch <= free:
        return
    fitting = max((n for n in range(1, workers) if batches_in_flight(n, pinned) * one_batch <= free), default=0)
    wanted = math.ceil(batches_in_flight(workers, pinned) * one_batch / 2**30)
    fewer = f"--set-threads train_fold={fitting + 1}" if fitting else "--set-threads train_fold=2 (no loader processes)"
    raise PostTxError(
        f"{free / 2**20:.0f} MiB of shared memory are free, too few for the batches of {workers} loader processes: "
        f"training would wait for ever",
        remedy=f"Give the container more (`docker run --shm-size={wanted}g`), or fewer threads ({fewer})",
        file=folder,
    )


def untimed(augmentation: Any) -> Any:
    """Switch off, in place, nnU-Net's timing of two ways to blur; return the augmentation."""
    for transform in augmentation.transforms:
        inner = getattr(transform, "transform", transform)
        if hasattr(inner, "benchmark"):
            inner.benchmark = False
    return augmentation


def finish_loaders(*loaders: Any) -> None:
    """End the processes of nnU-Net's loaders; one that works in this process has none."""
    for loader in loaders:
        # the only name that batchgenerators has for it
        if hasattr(loader, "_finish"):
            loader._finish()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise a ``NoBatchError`` in the main thread where what is inside takes longer than ``seconds``."""

    def stop(number: int, frame: object) -> None:
        raise NoBatchError(
            f"no batch came from the loaders within {seconds:.0f} s",
            remedy=f"Read the log above for errors of loaders, look at {SHARED_MEMORY} (`df -h`) and at the disk "
            "of the preprocessed data; run again: training goes on from here. POSTTX_BATCH_SECONDS sets the limit",
        )

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def leave_at_once(status: int) -> NoReturn:
    """End this process and its children with ``status``, all that was said written out.

    An ordinary end waits for threads that pin memory and for loader processes, and can die of them.
    """
    for child in multiprocessing.active_children():
        child.kill()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

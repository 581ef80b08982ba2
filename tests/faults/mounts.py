"""Disks that are full and folders that nobody can write to, where root may mount."""

import gc
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FILLER = ".filler"
PAGE = 4096


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount an empty disk of a few megabytes at ``folder``; skip the test where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    if not _mounted("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)):
        pytest.skip("needs to mount a small disk, which only root may")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def read_only_if_allowed(folder: Path) -> Iterator[Path]:
    """Make ``folder`` read-only, also for root, where that is allowed; ``is_read_only`` tells."""
    if _mounted("--bind", str(folder), str(folder)):
        try:
            _mounted("-o", "remount,bind,ro", str(folder))
            yield folder
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
    else:
        yield folder


def is_read_only(folder: Path) -> bool:
    """Return whether the file system of a folder refuses every write."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def fill(disk: Path, leave: int) -> None:
    """Fill a small disk up to ``leave`` bytes."""
    # Else a removed file that an old traceback still holds open gives its space back later.
    gc.collect()
    with open(disk / FILLER, "wb", buffering=0) as filler:
        try:
            while filler.write(b"\0" * PAGE) == PAGE:
                pass
        except OSError:
            pass
        filler.truncate(filler.tell() // PAGE * PAGE - leave)


def free(disk: Path) -> None:
    """Free what ``fill`` took."""
    (disk / FILLER).unlink()


def _mounted(*arguments: str) -> bool:
    program = shutil.which("mount")
    return program is not None and subprocess.run([program, *arguments], capture_output=True).returncode == 0

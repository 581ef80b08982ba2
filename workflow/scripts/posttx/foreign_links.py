"""Links below the folders that a run writes to: through one that leads out of them, files elsewhere would be lost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from posttx.errors import PostTxError

# Read by us and replaced when written again, never written through; laboratories link models trained elsewhere.
READ_ALONE = ("checkpoint_*.pth", "checkpoint_*.pth.sha256")


def check_links(folders: Iterable[str | Path]) -> None:
    """Raise one error that names every link below ``folders`` that leads out of its folder, before anything is written.

    A folder itself may be a link, as to a scratch disk, if it belongs to whoever runs this. Links that stay inside are
    left alone, and so are those to checkpoints.
    """
    lines = [line for folder in folders if os.path.lexists(folder) for line in _leading_out(str(folder))]
    if lines:
        raise PostTxError(
            "links lead out of the folders that this run writes to: it would delete or overwrite files elsewhere",
            lines=lines,
            remedy="Delete these links, or make the whole folder a link of your own; "
            "another folder for all results is chosen by --directory",
        )


def _leading_out(folder: str) -> Iterator[str]:
    status = os.lstat(folder)
    if Path(folder).is_symlink() and status.st_uid != os.geteuid():
        yield f"{folder} is a link of another user (number {status.st_uid}) to {os.path.realpath(folder)}"
    root = os.path.realpath(folder)
    for path in _links(root):
        target = os.path.realpath(path)
        if target != root and not target.startswith(root + os.sep):
            yield f"{Path(folder) / os.path.relpath(path, root)} leads to {target}"


def _links(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:  # no folder, or one that nothing can be written to either
        return
    for entry in found:
        if entry.is_symlink():
            if not any(fnmatch(entry.name, pattern) for pattern in READ_ALONE) or entry.is_dir():
                yield entry.path
        elif entry.is_dir():
            yield from _links(entry.path)

"""Who may read what a run writes: it is of patients, so the group at most unless the configuration says otherwise."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from posttx.errors import command

# Setting -> the permissions that nothing has which a run writes.
CLOSED = {"group": stat.S_IRWXO, "owner": stat.S_IRWXG | stat.S_IRWXO, "as_umask": 0}
SIGNS = {"group": "o-rwx", "owner": "go-rwx"}


def restrict(setting: str) -> None:
    """Let this process and those that it starts write nothing more open than ``setting``; a stricter umask stays."""
    before = os.umask(stat.S_IRWXG | stat.S_IRWXO)
    os.umask(before | CLOSED[setting])


def close_fresh(folders: Iterable[str | Path], setting: str) -> None:
    """Close folders that hold nothing yet, hidden files apart, such as the empty one of a new checkout."""
    for folder in map(Path, folders):
        if not folder.is_symlink() and folder.is_dir() and not any(_shown(folder)):
            close(folder, setting)


def close(folder: str | Path, setting: str) -> None:
    """Take the permissions from a folder that ``setting`` does not grant; one of another user is left as it is."""
    if not Path(folder).is_dir():
        return
    status = Path(folder).stat()
    if status.st_uid == os.geteuid() and status.st_mode & CLOSED[setting]:
        Path(folder).chmod(stat.S_IMODE(status.st_mode) & ~CLOSED[setting])


def too_open(folders: Iterable[str | Path], setting: str) -> str:
    """Return a warning about those of the folders that are more open than ``setting``; nothing where none is."""
    found = [folder for folder in map(Path, folders) if folder.is_dir() and folder.stat().st_mode & CLOSED[setting]]
    if not found:
        return ""
    told = ", ".join(f"{folder} (mode {stat.S_IMODE(folder.stat().st_mode):03o})" for folder in found)
    return (
        f"more open than `permissions: {setting}` allows: {told}. What they hold may be of patients. "
        f"Run {command('chmod', '-R', SIGNS[setting], *found)}"
    )


def _shown(folder: Path) -> Iterable[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))

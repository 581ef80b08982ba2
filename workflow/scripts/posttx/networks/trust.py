"""Whose files may decide what runs: owner and mode of a file, of its folder, and of all that leads to it."""

from __future__ import annotations

import errno
import logging
import os
import pwd
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from posttx.errors import PostTxError, command

logger = logging.getLogger(__name__)
TRUSTED = "POSTTX_TRUST"
MOST_LINKS = 40
ROOT = 0


def refuse_foreign(*paths: Path) -> None:
    """Raise an error where somebody else could have laid one of ``paths``, which are going to decide what runs.

    A path, the folder it lies in, and what links on the way lead to must belong to this user, to root or to a user
    named in ``POSTTX_TRUST``, and must not be open to everybody; a folder further up may belong to anybody, but may be
    open to everybody only with the sticky bit, as /tmp is. Absent paths are passed over. A file system without owners
    or permissions (a Windows drive, some shares) cannot be closed: that is a warning.
    """
    for path in paths:
        if path.exists():
            for place, problem, remedy in _doubts(path):
                _refuse(place, problem, remedy)


def refuse_foreign_entries(folder: Path, suffix: str) -> None:
    """Raise an error where a file of ``folder`` with this suffix is somebody else's or open, or where the folder is."""
    refuse_foreign(folder)
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.endswith(suffix):
                continue
            if entry.is_symlink():
                refuse_foreign(Path(entry.path))
            for place, problem, remedy in _own_doubts(Path(entry.path), entry.stat(follow_symlinks=False)):
                _refuse(place, problem, remedy)


def _doubts(path: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield what speaks against a path: where, which problem, which remedy."""
    real = Path(os.path.realpath(path))
    for place in dict.fromkeys((path, path.parent, real, real.parent)):
        yield from _own_doubts(place, place.stat())
    for container, entry in _steps(path):
        mode = container.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            yield container, "everybody on this machine may write to it", f"run {command('chmod', 'o-w', container)}"
        elif mode & stat.S_IWOTH and not _is_trusted(entry.lstat().st_uid):
            yield entry, f"it lies in a folder open to all and belongs to {_name(entry.lstat().st_uid)}", _whose(entry)


def _own_doubts(place: Path, status: os.stat_result) -> Iterator[tuple[Path, str, str]]:
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_mode & stat.S_IWOTH and not stat.S_ISLNK(status.st_mode) and not sticky:
        yield (
            place,
            "everybody on this machine may write to it",
            f"run {command('chmod', 'o-w', place)} and `umask 022`",
        )
    if not _is_trusted(status.st_uid):
        yield place, f"it belongs to {_name(status.st_uid)}", _whose(place)


def _whose(place: Path) -> str:
    mine = command("cp", "-rL", place, f"{place.name}_mine")
    return f"copy it ({mine}) and use the copy, or set {TRUSTED} to the names of users you trust, with commas"


def _steps(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each folder on the way to a path with the entry that is looked up in it; links are followed."""
    here, left, links = Path("/"), list((Path.cwd() / path).parts[1:]), 0
    while left:
        name = left.pop(0)
        if name == os.pardir:
            here = here.parent
            continue
        entry = here / name
        yield here, entry
        if not entry.is_symlink():
            here = entry
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = entry.readlink()
        left[:0] = target.parts[1:] if target.is_absolute() else target.parts
        here = Path("/") if target.is_absolute() else here


def _is_trusted(uid: int) -> bool:
    return uid in (ROOT, os.geteuid()) or uid in _named(os.environ.get(TRUSTED, "").split(","))


def _named(names: Iterable[str]) -> Iterator[int]:
    for name in filter(None, map(str.strip, names)):
        try:
            yield pwd.getpwnam(name).pw_uid
        except KeyError as error:
            raise PostTxError(
                f"{TRUSTED} names {name!r}, whom this machine does not know", remedy="Give names of users, with commas"
            ) from error


def _name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def _refuse(place: Path, problem: str, remedy: str) -> None:
    if not _knows_permissions(place if place.is_dir() else place.parent):
        logger.warning("%s: the file system has no owners or permissions; nothing keeps others from changing it", place)
        return
    raise PostTxError(
        f"{problem}, and a forged file there would run as you",
        remedy=f"Make sure that it is what you expect, then {remedy}",
        file=place,
    )


def _knows_permissions(folder: Path) -> bool:
    """Say whether a new file in ``folder`` is ours and closed, as a file system with owners and permissions has it."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".permissions.") as probe:
            status = os.fstat(probe.fileno())
            return status.st_uid == os.geteuid() and not status.st_mode & stat.S_IWOTH
    except OSError:
        return True

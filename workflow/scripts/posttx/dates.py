"""Dates of files: which is the newest, and which lie in the future, by a clock that was wrong here or elsewhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from posttx.cases import Case
from posttx.errors import PostTxError, command

# A job lasts longer than clocks of one network differ.
TOLERATED_SECONDS = 10.0
MOST_FOLDERS = 5


def newest_file(paths: Iterable[str]) -> tuple[float, str]:
    """Return date (Unix seconds) and path of the file that was written last; 0 and the path of one that is absent.

    A link is as new as itself or as what it leads to, whichever is newer, as Snakemake sees it. Of files of one date
    the last by name is taken.
    """
    try:
        return max((_date(path), path) for path in paths)
    except FileNotFoundError as error:
        return 0.0, str(error.filename)


def _date(path: str) -> float:
    found = os.lstat(path)
    return max(found.st_mtime, Path(path).stat().st_mtime) if stat.S_ISLNK(found.st_mode) else found.st_mtime


def size_and_date(path: str | Path) -> tuple[int, int]:
    """Return size in bytes and date in whole seconds, which every copy keeps, of a file; zeros where there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return 0, 0
    return found.st_size, int(found.st_mtime)


def check_dates(cohorts: Mapping[str, Iterable[Case]], now: float) -> None:
    """Raise an error where files of cases are dated after ``now`` (Unix seconds).

    Snakemake takes what is made of such a file for outdated, and stops after each job that reads it.
    """
    dated = [
        (case.case, path, Path(path).stat().st_mtime)
        for cases in cohorts.values()
        for case in cases
        for path in case.files.values()
        if Path(path).exists()
    ]
    future = [entry for entry in dated if entry[2] > now + TOLERATED_SECONDS]
    if future:
        case, path, moment = future[0]
        folders = sorted({str(Path(path).parent) for _, path, _ in future})
        places = folders if len(folders) <= MOST_FOLDERS else [os.path.commonpath(map(os.path.abspath, folders))]
        # -L: the date of a link is not that of its file.
        touch = command("find", "-L", *places, "-name", "*.nii*", "-newermt", "now", "-exec", "touch", "{}", "+")
        raise PostTxError(
            f"{len(future)} of {len(dated)} files are dated in the future, this one {_text(moment)}, where this "
            f"machine's clock says {_text(now)}; Snakemake would take all that is made of them for outdated",
            remedy=f"Correct the clock of this machine, or date the files anew: {touch}",
            case=case,
            file=path,
        )


def _text(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment).isoformat(sep=" ", timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{moment:.0f} seconds after 1970"

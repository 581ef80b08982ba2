"""Files dated in the future, by a clock that was wrong here or where they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from posttx.cases import Case
from posttx.errors import PostTxError

# A job lasts longer than clocks of one network differ.
TOLERATED_SECONDS = 10.0


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
        raise PostTxError(
            f"{len(future)} of {len(dated)} files are dated in the future, this one {_text(moment)}, where this "
            f"machine's clock says {_text(now)}; Snakemake would take all that is made of them for outdated",
            remedy="Correct the clock of this machine, or date the files anew: "
            f"find {Path(path).parents[1]} -newermt now -exec touch {{}} +",
            case=case,
            file=path,
        )


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment).isoformat(sep=" ", timespec="seconds")

"""Every path of a configuration, checked before any work: a mistyped one must not end in the results of an earlier run.

A key of the schema that holds a path says so by ``x-path: file`` or ``x-path: folder``; such a key needs no code here.
``x-words`` lists words that it may hold instead.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators

from posttx.errors import PostTxError
from posttx.files import is_file, is_folder, is_there
from posttx.path_names import refusal_of

PATH = "x-path"
# Words that may stand where a path is asked for, and are none.
WORDS = "x-words"
IS_THERE = {"file": is_file, "folder": is_folder}
OTHER = {"file": "a folder", "folder": "no folder"}
SHOWN = 5
METRICS = "metrics/*/*.parquet"


def check_paths(config: Mapping[str, Any], schema: Mapping[str, Any], source: str | Path = "") -> None:
    """Raise one error with a line per key whose file or folder is not there: key, path, and what lies nearby.

    Paths are relative to the working directory; what is empty or null is not asked for.
    """
    checker = validators.extend(Draft202012Validator, {PATH: _problem})
    errors = [error for error in checker(schema).iter_errors(config) if error.validator == PATH]
    lines = [f"{'.'.join(map(str, error.path))}: {error.message}" for error in errors]
    if lines:
        raise PostTxError(
            "the configuration names what is not there or cannot be used",
            lines=sorted(lines),
            remedy=f"Correct these paths; relative ones begin in {Path.cwd()}",
            file=source,
        )


def _problem(_: Any, kind: str, value: Any, level: Mapping[str, Any]) -> Iterator[ValidationError]:
    if value in level.get(WORDS, ()):
        return
    if isinstance(value, str) and (why := refusal_of(value)):
        yield ValidationError(f"{value} holds {why}: rename it, or give a link to it with another name (ln -s)")
    elif isinstance(value, str) and value and not IS_THERE[kind](value):
        seen = f"{value} is {OTHER[kind]}" if is_there(value) else f"there is no {kind} {value}{nearby(value, kind)}"
        yield ValidationError(seen)


def nearby(path: str | Path, kind: str = "file") -> str:
    """Return `` (<folder> holds <names>)``: names in the deepest folder of ``path`` that is there, close ones first."""
    path = Path(path)
    wanted, folder = path.name, path.parent
    while not is_folder(folder) and folder != folder.parent:
        wanted, folder, kind = folder.name, folder.parent, "folder"
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return ""
    close = difflib.get_close_matches(wanted, names, SHOWN)
    holds = ", ".join(close) or _some([name for name in names if IS_THERE[kind](folder / name)])
    return f" ({'the working directory' if folder == Path() else folder} holds {holds})"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "nothing of the kind"


def check_previous(config: Mapping[str, Any], results: str | Path) -> None:
    """Raise an error where ``statistics.previous`` has no metrics of a configured cohort, or is this run's folder."""
    previous = config["statistics"]["previous"]
    if not previous:
        return
    found = sorted({path.parent.name for path in Path(previous).glob(METRICS)})
    if Path(previous).resolve() == Path(results).resolve():
        problem = "is the folder that this run writes to: nothing in it is of an earlier run"
    elif not found:
        problem = f"holds no metrics ({METRICS})"
    elif not set(found) & set(config["cohorts"]):
        problem = f"holds metrics of {', '.join(found)}, and of no cohort that is configured"
    else:
        return
    raise PostTxError(
        f"statistics.previous: {previous} {problem}",
        remedy="Give the results folder of a finished run on the same cohorts, or leave it empty",
    )

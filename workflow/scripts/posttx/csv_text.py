"""Tables as CSV that a spreadsheet may open: no text of ours runs there as a formula."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posttx.files import write_text

if TYPE_CHECKING:
    import pandas as pd

# What spreadsheets take for the beginning of a formula, after OWASP's page on CSV injection.
BEGINNINGS = tuple("=+-@\t\r\n＝＋－＠")
GUARD = "'"
NUMBER = re.compile(r"[+-]?(\d[\d,]*\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def guarded(text: str) -> str:
    """Return a text as it may stand in a CSV cell: with ``'`` before it where a spreadsheet would run it.

    A number stays a number. ``csv.js`` does the same to what the pages save.
    """
    return GUARD + text if text.startswith(BEGINNINGS) and not NUMBER.fullmatch(text) else text


def unguarded(text: str) -> str:
    """Return what ``guarded`` was given."""
    return text[1:] if text.startswith(GUARD) and guarded(text[1:]) == text else text


def csv_of(table: pd.DataFrame) -> str:
    """Return a table as CSV without its index, texts and names of columns guarded."""
    safe = table.rename(columns=_cell)
    for name in safe.columns:
        if safe[name].dtype.kind not in "biuf":
            safe[name] = safe[name].map(_cell)
    return safe.to_csv(index=False, lineterminator="\n")


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as ``csv_of`` has it, whole or not at all."""
    write_text(path, csv_of(table))


def _cell(value: Any) -> Any:
    return guarded(value) if isinstance(value, str) else value

"""Tables as the templates show them: cells with text, sort value and interval, nothing marked up."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from posttx.csv_text import csv_of

DASH = "–"
# As many columns as A4 has room for.
PRINTED = 7


@dataclass(frozen=True)
class Cell:
    """One cell: what is shown, what it sorts by, the interval below it, a mark (colour) and a class for the look.

    ``low`` and ``high`` are the ends of the interval as numbers, for what is saved as CSV.
    """

    text: str
    sort: float | str | None = None
    interval: str = ""
    color: str = ""
    kind: str = ""
    title: str = ""
    link: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class View:
    """A table ready to be shown; ``files`` are (name, relative link) of its data, ``note`` a sentence below it.

    ``plain``: all rows in their order; others are sorted, searched and shown in pages. ``minor`` names the columns that
    are left out on paper, where no more than ``PRINTED`` stand. ``csv`` is the pipeline's file behind the table, which
    the page saves; without one it saves the cells.
    """

    id: str
    caption: str
    headers: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Cell]]
    files: Sequence[tuple[str, str]] = field(default_factory=tuple)
    note: str = ""
    large: bool = False
    plain: bool = False
    minor: Sequence[str] = field(default_factory=tuple)
    csv: str = ""

    def of(self, table: pd.DataFrame) -> View:
        """Return the same with the pipeline's CSV of ``table`` to be saved."""
        return replace(self, csv=csv_of(table))

    @property
    def on_screen_only(self) -> frozenset[int]:
        """Return the places of the columns that paper has no room for: the minor ones, then from the right."""
        minor = [place for place, (name, _) in enumerate(self.headers) if name in self.minor]
        kept = [place for place in range(len(self.headers)) if place not in minor]
        return frozenset([*minor, *kept[PRINTED:]])


NOTHING = Cell("")


def slug(name: str) -> str:
    """Return ``name`` as part of an HTML id, another one for every name: ``-x42-`` for a B; as the scripts do."""
    return re.sub(r"[^a-z0-9_]", lambda sign: f"-x{ord(sign[0]):x}-", str(name))


def number(value: Any, digits: int = 4, low: Any = None, high: Any = None, title: str = "") -> Cell:
    """Return a cell of a number with its interval; undefined is a dash, an interval that is none is left out."""
    known = finite(value)
    text = DASH if known is None else f"{known:,.{digits}f}"
    low, high = finite(low), finite(high)
    interval = "" if low is None or high is None else f"{low:,.{digits}f} to {high:,.{digits}f}"
    ends = (low, high) if interval else (None, None)
    return Cell(text, -math.inf if known is None else known, interval, "", "number", title, "", *ends)


def count(value: Any) -> Cell:
    """Return a cell of a whole number."""
    known = finite(value)
    return Cell(DASH if known is None else f"{int(known):,}", -1 if known is None else known, kind="number")


def finite(value: Any) -> float | None:
    """Return a finite number, None for anything that is not known."""
    if value is None or value is pd.NA:
        return None
    return float(value) if math.isfinite(float(value)) else None


def text(value: Any, color: str = "", kind: str = "") -> Cell:
    """Return a cell of text; nothing known is a dash."""
    known = "" if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)) else str(value)
    return Cell(known or DASH, known.lower(), color=color, kind=kind or ("name" if color else ""))


def estimate(row: Any, name: str, digits: int = 4) -> Cell:
    """Return a cell of a table's estimate with the interval in its ``_ci_low`` and ``_ci_high`` columns."""
    get = row.get if isinstance(row, Mapping) else row.to_dict().get
    return number(get(name), digits, get(f"{name}_ci_low"), get(f"{name}_ci_high"))

"""Facts about cases: what a table says of each scan or patient beside its files (site, scanner, age, ...).

A cohort's facts come from its `facts` table, from further columns of its sheet, and from the sites of a phantom. They
group cases in tables and figures; they never name a file and are never part of an exported model.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttx.case_ids import IMAGE_COLUMNS
from posttx.cases import Listing
from posttx.errors import PostTxError
from posttx.phantom_patients import phantom_sites
from posttx.sheets import sheet_facts

KEYS = ("case", "patient")
# Columns of a table of facts that say who a case is, or what the tables find out by themselves.
MISSING = "missing modality"
RESERVED = (*KEYS, "timepoint", "cohort", "shard", "visit", "volume", MISSING, *IMAGE_COLUMNS)
SITE = "site"  # of phantoms
CATEGORICAL, NUMERIC = "categorical", "numeric"
LONGEST = 80
# A numeric column with fewer values than this holds codes (0/1, a grade): each is a group of its own.
FEWEST_NUMBERS = 6
UNKNOWN = ("", "na", "n/a", "nan", "none", "null", "unknown", "-")


@dataclass(frozen=True)
class Fact:
    """One column: its name, what it is keyed by (case or patient), its kind, and id -> value as it was written."""

    name: str
    key: str
    kind: str
    values: Mapping[str, str]

    def of(self, cases: Sequence[str], patients: Sequence[str]) -> list[str]:
        """Return the value of each case, "" where the table does not say it."""
        return [self.values.get(name, "") for name in (cases if self.key == "case" else patients)]


def read_facts(path: str | Path) -> list[Fact]:
    """Return the facts of a table, one per column beside its key, in their order.

    ``path`` is a .csv (commas) or else a table with tabs, UTF-8, with a header; it is keyed by ``case`` where it has
    that column, else by ``patient``. Columns of ``RESERVED`` are passed over, and empty lines, too. Values are text of
    at most 80 characters; ``unknown``, ``NA`` and the like count as not said. A column whose values are all numbers,
    six different ones or more, is numeric. A table without a key, two columns of one name, a line of another length,
    two lines of one key with different values: an error that names the line.
    """
    path = Path(path)
    names, lines = _lines(path)
    key = next((name for name in KEYS if name in names), "")
    if not key or len(set(names)) < len(names):
        raise _error(path, f"the columns are {names}", "Give each column once, `case` or `patient` among them")
    kept = [name for name in names if name and name not in RESERVED]
    columns: dict[str, dict[str, str]] = {name: {} for name in kept}
    for number, cells in lines:
        if not any(cells):
            continue
        if len(cells) != len(names):
            raise _error(path, f"line {number} has {len(cells)} cells, not {len(names)}", "Fill or remove cells")
        row = dict(zip(names, cells, strict=True))
        if not row[key]:
            raise _error(path, f"line {number} names no {key}", f"Give the {key}, or remove the line")
        for name in kept:
            value = _value(row[name], path, f"line {number}")
            known = columns[name].setdefault(row[key], value)
            if known != value:
                raise _error(
                    path,
                    f"line {number}: {name} of {row[key]} is {value!r}, an earlier line says {known!r}",
                    "Keep one of the lines",
                )
    return [Fact(name, key, kind_of(values.values()), _said(values)) for name, values in columns.items()]


def kind_of(values: Iterable[str]) -> str:
    """Return ``numeric`` where all values said are numbers, and there are at least six different ones."""
    numbers = {_number(value) for value in values if value}
    return NUMERIC if None not in numbers and len(numbers) >= FEWEST_NUMBERS else CATEGORICAL


def numbers_of(values: Sequence[str]) -> list[float]:
    """Return the numbers that values of a numeric fact stand for, NaN where none is said."""
    return [math.nan if (number := _number(value)) is None else number for value in values]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _said(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _value(text: str, path: Path, place: str) -> str:
    if len(text) > LONGEST or not text.isprintable():
        raise _error(
            path, f"{place} has a value of {len(text)} characters", f"Use {LONGEST} printable characters at most"
        )
    return "" if text.lower() in UNKNOWN else text


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    delimiter = "," if path.suffix.lower() == ".csv" else "\t"
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            names = [name.strip() for name in next(reader, [])]
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _error(path, f"the table cannot be read as text: {error}", "Save it as UTF-8 text") from error
    if any(len(name) > LONGEST or not name.isprintable() for name in names):
        raise _error(path, "a column's name is no plain text", f"Use {LONGEST} printable characters at most")
    return names, lines


def _error(path: Path, problem: str, remedy: str) -> PostTxError:
    return PostTxError(f"the table of facts cannot be used: {problem}", remedy=remedy, file=path, code="COH004")


def cohort_facts(cohort: Mapping[str, Any]) -> list[Fact]:
    """Return the facts about a cohort of the config: of its table, its sheet's further columns, its phantom's sites.

    A fact that two of them have is an error.
    """
    return _all_facts(cohort, sheet_facts(cohort["sheet"]) if cohort.get("sheet") else {})


def _all_facts(cohort: Mapping[str, Any], rows: Mapping[str, Mapping[str, str]]) -> list[Fact]:
    """Return the facts of a cohort of the config whose sheet says ``rows``, case -> column -> cell."""
    found = {fact.name: fact for fact in _phantom_facts(cohort.get("phantom"))}
    if rows:
        path = Path(cohort["sheet"])
        names = list(dict.fromkeys(name for row in rows.values() for name in row))
        for name in (name for name in names if name not in RESERVED):
            values = {case: _value(row.get(name, ""), path, f"case {case}") for case, row in rows.items()}
            found[name] = Fact(name, "case", kind_of(values.values()), _said(values))
    if cohort.get("facts"):
        path = Path(cohort["facts"])
        for fact in read_facts(path):
            if fact.name in found:
                other = "sheet has a column" if rows else "phantom has a fact"
                raise _error(path, f"the cohort's {other} {fact.name!r}, too", "Keep one of them")
            found[fact.name] = fact
    return list(found.values())


def _phantom_facts(phantom: Mapping[str, Any] | None) -> list[Fact]:
    """Return the site of each patient of a phantom cohort (settings of the config) that has several sites."""
    sites = phantom_sites(phantom["cases"], phantom["seed"], phantom["sites"]) if phantom else {}
    return [Fact(SITE, "patient", CATEGORICAL, sites)] if sites else []


def fact_sources(cohort: Mapping[str, Any]) -> dict[str, str]:
    """Return the tables with facts about a cohort of the config: its ``facts`` and its ``sheet``, where it has them."""
    return {key: str(cohort[key]) for key in ("facts", "sheet") if cohort.get(key)}


def known_facts(cohorts: Mapping[str, Mapping[str, Any]], listings: Mapping[str, Listing]) -> dict[str, list[Fact]]:
    """Return the facts of each cohort of the config, or raise the error of the first table that cannot be used.

    ``listings`` are what listing them found: their sheets were read for that, and are not read again.
    """
    return {name: _all_facts(cohort, listings[name].facts) for name, cohort in cohorts.items()}

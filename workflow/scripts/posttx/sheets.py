"""Sheets: a cohort described by a table of paths, for every layout that is not BraTS's."""

from __future__ import annotations

import codecs
import csv
import difflib
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from posttx.case_ids import (
    BRATS_ID,
    IMAGE_COLUMNS,
    IMAGE_NAMES,
    Problem,
    Reading,
    Row,
    check_case_id,
    patients_unknown,
)
from posttx.errors import PostTxError
from posttx.files import is_file, is_there

COLUMNS = ("case", "patient", "timepoint", *IMAGE_COLUMNS)
# A date with its time, such as 20190312143000.
MOST_DIGITS = 14
REFERENCE_NAMES = ("reference", "segmentation", "mask", "label", "labels", "groundtruth", "gt", "tumormask")
OTHER_NAMES = (
    {name: column for name, column in IMAGE_NAMES.items() if name not in COLUMNS}
    | dict.fromkeys(REFERENCE_NAMES, "seg")
    | {
        "id": "case",
        "caseid": "case",
        "patientid": "patient",
        "subject": "patient",
        "tp": "timepoint",
        "time": "timepoint",
    }
)
# Where a line has more cells than columns, one of them; empty where it has fewer.
ODD = "\0"


def read_sheet(path: Path) -> Reading:
    """Return the rows of a sheet (tabs in .tsv, commas in .csv), what is wrong with others, and what the audit tells.

    Paths are absolute or relative to the sheet's folder, and may lead anywhere: whoever writes the sheet may read the
    files. Patient and timepoint follow from a BraTS id where they are left out; else every case is a patient of its own
    at timepoint 0. Further columns are facts (``sheet_facts``). A sheet without any column of files is of people alone.
    """
    reading, users = Reading(), defaultdict(list)
    table = _table(path)
    alone = []
    for line, cells in table.lines:
        try:
            row = _row(cells, path)
        except PostTxError as error:
            reading.problems.append(Problem(error.code, f"line {line}: {error}"))
            continue
        reading.rows.append(row)
        reading.facts[row[0]] = _facts(table, cells)
        if not cells.get("patient") and not BRATS_ID.fullmatch(row[0]):
            alone.append(row[0])
        for column, file in row[3].items():
            users[os.path.normpath(file)].append(f"{row[0]} {column}")
            if not is_there(file):
                text = f"line {line}: case {row[0]} {column}: {file} does not exist"
                reading.problems.append(Problem("FIL001", text, row[0]))
    for file, names in users.items():
        if len(names) > 1:
            reading.problems.append(Problem("COH004", f"{file} is named for {', '.join(names)}"))
    if alone:
        reading.notes.append(patients_unknown(alone))
    if table.facts:
        reading.notes.append(("COH017", f"columns of the sheet kept as facts: {', '.join(table.facts)}"))
    reading.people_only = not set(table.columns) & set(IMAGE_COLUMNS)
    return reading


def sheet_facts(path: str | Path) -> dict[str, dict[str, str]]:
    """Return case -> the cells of a sheet's further columns, such as site or scanner, as text; '' where one is empty.

    A sheet that cannot be read, or a line that cannot, is an error, as in ``read_sheet``.
    """
    table = _table(Path(path))
    return {check_case_id(cells["case"], path): _facts(table, cells) for _, cells in table.lines}


@dataclass(frozen=True)
class _Table:
    """A sheet as text: its columns in our spelling, the further ones as they are, and (line number, cells)."""

    columns: tuple[str, ...]
    facts: tuple[str, ...]
    lines: list[tuple[int, dict[str, str]]]


def _facts(table: _Table, cells: Mapping[str, str]) -> dict[str, str]:
    return {name: cells[name] for name in table.facts}


def _table(path: Path) -> _Table:
    """Return the cells of a sheet after a check of its columns; lines without any text are left out."""
    if not is_file(path):
        raise PostTxError("the cohort's sheet does not exist", remedy="Set `sheet` to it", file=path, code="COH003")
    try:
        text = _decoded(path.read_bytes())
        reader = csv.reader(text.splitlines(keepends=True), delimiter=_delimiter(text, path), strict=True)
        lines = [(reader.line_num, cells) for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PostTxError(
            f"the sheet cannot be read as text: {error}", remedy="Save it as UTF-8 text", file=path, code="COH004"
        ) from error
    filled = [(number, [cell.strip() for cell in cells]) for number, cells in lines if any(map(str.strip, cells))]
    header = filled[0][1] if filled else []
    while header and not header[-1]:
        header.pop()
    names = [name.lower() if name.lower() in COLUMNS else name for name in header]
    _check_columns(names, path)
    rows = []
    for number, cells in filled[1:]:
        # A spreadsheet ends lines in empty cells; a line that ends early may have lost some.
        surplus = [cell for cell in cells[len(names) :] if cell]
        odd = {ODD: surplus[0]} if surplus else {ODD: ""} if len(cells) < len(names) else {}
        rows.append((number, dict(zip(names, cells, strict=False)) | odd))
    facts = tuple(name for name in names if name not in COLUMNS)
    return _Table(tuple(name for name in names if name in COLUMNS), facts, rows)


def _decoded(content: bytes) -> str:
    """Return a sheet's text; what spreadsheets call Unicode is UTF-16 with a mark in front."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    return content.decode("utf-8-sig")


def _delimiter(text: str, path: Path) -> str:
    """Return what separates the cells: tabs in .tsv, commas in .csv, or the semicolons of a spreadsheet's locale."""
    if path.suffix.lower() != ".csv":
        return "\t"
    first = text.partition("\n")[0]
    return ";" if ";" in first and "," not in first else ","


def _check_columns(names: Sequence[str], path: Path) -> None:
    further = {name: _likely_column(name) for name in names if name not in COLUMNS}
    # A second id beside the first is a fact, a second image is not.
    meant = {
        name: likely
        for name, likely in further.items()
        if likely in IMAGE_COLUMNS or likely in set(COLUMNS) - set(names)
    }
    if "case" in names and len({name.lower() for name in names}) == len(names) and all(names) and not meant:
        return
    hints = "".join(f"; {name!r} looks like {likely}" for name, likely in meant.items())
    raise PostTxError(
        f"the sheet's columns are {list(names)}{hints}",
        remedy=f"Use {', '.join(COLUMNS)}, each once, and further names for facts alone; tabs in .tsv, commas in .csv",
        file=path,
        code="COH004",
    )


def _likely_column(name: str) -> str:
    """Return which column a name is another name of, '' where it is none: an image must not become a fact."""
    plain = re.sub(r"[^a-z0-9]+", "", name.lower())
    known = {re.sub(r"[^a-z0-9]+", "", other): column for other, column in OTHER_NAMES.items()}
    return known.get(plain, "") or "".join(difflib.get_close_matches(plain, COLUMNS[1:3], 1, 0.85))


def _row(cells: Mapping[str, str], path: Path) -> Row:
    if ODD in cells:
        surplus = f", such as {cells[ODD]!r:.60}" if cells[ODD] else ""
        raise PostTxError(
            f"the line has too many or too few cells{surplus}", remedy="Fill or remove cells", code="COH004"
        )
    case = check_case_id(cells["case"])
    match = BRATS_ID.fullmatch(case)
    patient = check_case_id(cells.get("patient") or (match["patient"] if match else case))
    timepoint = cells.get("timepoint") or (match["timepoint"] if match else "0")
    if not (timepoint.isascii() and timepoint.isdecimal() and len(timepoint) <= MOST_DIGITS):
        raise PostTxError(
            f"timepoint {timepoint!r} is no number",
            remedy=f"Use whole numbers of {MOST_DIGITS} digits at most, such as 100 or 20190312",
            case=case,
            code="COH004",
        )
    files = {name: str(path.parent / cells[name]) for name in IMAGE_COLUMNS if cells.get(name)}
    if any("\0" in file or "\n" in file for file in files.values()):
        raise PostTxError("a path holds control characters", remedy="Correct the path", case=case, code="COH004")
    return case, patient, int(timepoint), files

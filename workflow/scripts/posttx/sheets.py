"""Sheets: a cohort described by a table of paths, for every layout that is not BraTS's."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from posttx.case_ids import BRATS_ID, IMAGE_COLUMNS, Problem, Row, check_case_id
from posttx.errors import PostTxError
from posttx.files import is_file, is_there

COLUMNS = ("case", "patient", "timepoint", *IMAGE_COLUMNS)
MOST_DIGITS = 6


def read_sheet(path: Path, problems: list[Problem]) -> list[Row]:
    """Return the rows of a sheet (tabs in .tsv, commas in .csv), and add what is wrong with others to ``problems``.

    Paths are absolute or relative to the sheet's folder, and may lead anywhere: whoever writes the sheet may read the
    files. Patient and timepoint follow from a BraTS id where they are left out; else every case is a patient of its own
    at timepoint 0.
    """
    if not is_file(path):
        raise PostTxError("the cohort's sheet does not exist", remedy="Set `sheet` to it", file=path, code="COH003")
    rows, users = [], defaultdict(list)
    for line, cells in _lines(path):
        try:
            row = _row(cells, path)
        except PostTxError as error:
            problems.append(Problem(error.code, f"line {line}: {error}"))
            continue
        rows.append(row)
        for column, file in row[3].items():
            users[os.path.normpath(file)].append(f"{row[0]} {column}")
            if not is_there(file):
                problems.append(
                    Problem("FIL001", f"line {line}: case {row[0]} {column}: {file} does not exist", row[0])
                )
    for file, names in users.items():
        if len(names) > 1:
            problems.append(Problem("COH004", f"{file} is named for {', '.join(names)}"))
    return rows


def _lines(path: Path) -> list[tuple[int, Mapping[str | None, str | None]]]:
    """Return (line number, cells by column) after a check of the columns."""
    delimiter = "," if path.suffix.lower() == ".csv" else "\t"
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, delimiter=delimiter, strict=True)
            names = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            if "case" not in names or set(names) - set(COLUMNS) or len(set(names)) < len(names):
                raise PostTxError(
                    f"the sheet's columns are {names}",
                    remedy=f"Use {', '.join(COLUMNS)}, each once; tabs in .tsv, commas in .csv",
                    file=path,
                    code="COH004",
                )
            return [(reader.line_num, cells) for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PostTxError(
            f"the sheet cannot be read as text: {error}", remedy="Save it as UTF-8 text", file=path, code="COH004"
        ) from error


def _row(cells: Mapping[str | None, str | None], path: Path) -> Row:
    if None in cells or None in cells.values():
        raise PostTxError("the line has too many or too few cells", remedy="Fill or remove cells", code="COH004")
    text = {name: (value or "").strip() for name, value in cells.items() if name is not None}
    case = check_case_id(text["case"])
    match = BRATS_ID.fullmatch(case)
    patient = check_case_id(text.get("patient") or (match["patient"] if match else case))
    timepoint = text.get("timepoint") or (match["timepoint"] if match else "0")
    if not (timepoint.isascii() and timepoint.isdecimal() and len(timepoint) <= MOST_DIGITS):
        raise PostTxError(f"timepoint {timepoint!r} is no number", remedy="Use whole numbers", case=case, code="COH004")
    files = {name: str(path.parent / text[name]) for name in IMAGE_COLUMNS if text.get(name)}
    if any("\0" in file or "\n" in file for file in files.values()):
        raise PostTxError("a path holds control characters", remedy="Correct the path", case=case, code="COH004")
    return case, patient, int(timepoint), files

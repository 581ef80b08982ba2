"""A sheet proposed from any folder, for a user to check: what names suggest is written down, never acted upon."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from posttx.case_ids import BRATS_ID, IMAGE_COLUMNS, IMAGE_NAMES
from posttx.errors import PostTxError
from posttx.file_names import stem_of
from posttx.files import is_folder
from posttx.folders import read_folder, walk
from posttx.sheets import COLUMNS

REFERENCE_NAMES = ("seg", "segmentation", "mask", "label", "labels", "tumormask", "tumor_segmentation", "gt", "truth")
COLUMN_OF = IMAGE_NAMES | dict.fromkeys(REFERENCE_NAMES, "seg")
LAST = re.compile(rf"(?P<case>.*?)(?:^|[-_. ])(?P<name>{'|'.join(sorted(COLUMN_OF, key=len, reverse=True))})", re.I)
SCAN = re.compile(
    r"(?P<patient>.+?)[-_. ]*(?:tp|time ?point|timepoint|visit|ses|session|week|scan)[-_. ]*(?P<time>\d+)", re.I
)
DATED = re.compile(r"(?P<patient>.+?)[-_. ](?P<time>(?:19|20)\d{6})")
MOST_LEVELS_OF_ID = 2
DEPTH = 20


@dataclass
class Proposal:
    """A sheet to check: its rows in ``COLUMNS``, the volumes that found no place, and reasons."""

    rows: list[dict[str, str]] = field(default_factory=list)
    unplaced: list[tuple[str, str]] = field(default_factory=list)

    def sheet(self) -> str:
        """Return the text of the sheet, tabs between cells."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()


def propose_sheet(folder: str | Path, beside: str | Path) -> Proposal:
    """Propose a sheet for all volumes below ``folder``, its paths relative to ``beside``, where it will lie.

    A layout that is certain gives the rows. Else the last word of a file's name is looked up among the names of
    modalities and references; what stands before it is the case, or the folders above where nothing does. Patient and
    timepoint are a guess from the id, and ids are made valid. What fits no column, or one that is taken, is in
    ``unplaced``.
    """
    root = Path(folder)
    if not is_folder(root):
        raise PostTxError("the folder does not exist", remedy="Give the folder of the cohort", file=root, code="COH003")
    proposal = Proposal()
    try:
        reading = read_folder(root)
    except PostTxError:
        reading = None
    whole = reading and not any(code == "COH015" for code, _ in reading.notes)
    if reading and whole and reading.rows and not reading.problems and not reading.others:
        for case, patient, timepoint, files in reading.rows:
            proposal.rows.append(_row(case, patient, str(timepoint), files, beside))
        return proposal
    cases: dict[str, dict[str, str]] = defaultdict(dict)
    for directory in walk(str(root), DEPTH).folders:
        above = Path(os.path.relpath(directory.path, root)).parts
        for entry in directory.volumes:
            path = f"{directory.path}/{entry.name}"
            match = LAST.fullmatch(stem_of(entry.name))
            if not match:
                proposal.unplaced.append((path, "its name ends in no modality"))
                continue
            case = valid_id(match["case"] or "_".join(above[-MOST_LEVELS_OF_ID:]))
            column = COLUMN_OF[match["name"].lower()]
            if column in cases[case]:
                proposal.unplaced.append((path, f"case {case} has {column} already: {cases[case][column]}"))
            else:
                cases[case][column] = path
    for case, files in sorted(cases.items()):
        if files:
            proposal.rows.append(_row(case, *guess(case), files, beside))
    return proposal


def _row(case: str, patient: str, timepoint: str, files: dict[str, str], beside: str | Path) -> dict[str, str]:
    paths = {column: os.path.relpath(files[column], beside) for column in IMAGE_COLUMNS if column in files}
    return {"case": case, "patient": patient, "timepoint": timepoint, **paths}


def valid_id(text: str) -> str:
    """Return a text as a case id: other signs become ``_``, and it begins and ends with a letter or digit."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", text)
    return re.sub(r"\.{2,}", ".", plain).strip("_.-")[:200].strip("_.-") or "case"


def guess(case: str) -> tuple[str, str]:
    """Return (patient, timepoint) that an id suggests; the id itself and 0 where it suggests none."""
    if match := BRATS_ID.fullmatch(case):
        return match["patient"], match["timepoint"]
    if match := SCAN.fullmatch(case) or DATED.fullmatch(case):
        return valid_id(match["patient"]), match["time"]
    return case, "0"

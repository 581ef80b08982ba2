"""Ids of cases, and what a listing of cases is made of: rows, and the reasons why one cannot be used."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from posttx.errors import PostTxError

MODALITIES = ("t1n", "t1c", "t2w", "t2f")
IMAGE_COLUMNS = (*MODALITIES, "seg")
# What else the modalities are called in file names, columns of sheets and nnU-Net's channel names, in lower case.
IMAGE_NAMES = {
    "t1": "t1n", "t1w": "t1n", "t1n": "t1n", "t1pre": "t1n",
    "t1c": "t1c", "t1ce": "t1c", "t1gd": "t1c", "t1wce": "t1c", "ct1": "t1c", "t1post": "t1c", "t1km": "t1c",
    "t2": "t2w", "t2w": "t2w",
    "t2f": "t2f", "flair": "t2f", "t2flair": "t2f", "t2-flair": "t2f", "t2_flair": "t2f",
}  # fmt: skip
CASE_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,198}[A-Za-z0-9])?")
BRATS_ID = re.compile(r"(?P<patient>[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*-\d{5})-(?P<timepoint>\d{3,14})")
# case, patient, timepoint, modality -> path
Row = tuple[str, str, int, dict[str, str]]


@dataclass(frozen=True)
class Problem:
    """One reason why a cohort cannot be used; ``code`` is a finding code, ``case`` the case it is about, if one.

    ``remedy`` is what to do where that is not the usual.
    """

    code: str
    text: str
    case: str = ""
    remedy: str = ""


@dataclass
class Reading:
    """The rows of a folder or sheet, what is wrong with others, and (code, message) of what the audit tells of it.

    ``others`` are volumes that are of no case; ``people_only``: a sheet that names no file at all; ``facts``: case ->
    the cells of the sheet's further columns.
    """

    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    people_only: bool = False
    facts: dict[str, Mapping[str, str]] = field(default_factory=dict)


def patients_unknown(cases: Sequence[str]) -> tuple[str, str]:
    """Return what is told of cases whose ids tell no patient."""
    return "COH016", f"the ids tell no patients: each of {len(cases)} cases counts as one, such as {cases[0]}"


def check_case_id(case: str, source: str | Path = "") -> str:
    """Return ``case`` if it can safely name a file: letters, digits and ``_ . -`` inside, 200 characters at most."""
    if not CASE_ID.fullmatch(case) or ".." in case:
        raise PostTxError(
            f"{case[:210]!r} is no case id",
            remedy="Use letters, digits, '-', '_' and single '.', beginning and ending with a letter or digit",
            file=source,
            code="COH001",
        )
    return case


def split_brats_id(case: str, source: str | Path = "") -> tuple[str, int]:
    """Return (patient, timepoint) of ``<name>-<patient, 5 digits>-<timepoint, 3 digits or a date>``."""
    match = BRATS_ID.fullmatch(case)
    if not match:
        raise PostTxError(
            f"{case[:210]!r} is not in the form BraTS-GLI-00005-100",
            remedy="Rename folder and files, or describe the cohort by a sheet with case, patient and timepoint",
            file=source,
            code="COH001",
        )
    return match["patient"], int(match["timepoint"])

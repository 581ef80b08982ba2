"""Cases of a cohort: who they are and which files they have, found without opening one of them."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posttx.case_ids import BRATS_ID, IMAGE_COLUMNS, MODALITIES, Problem, Row, check_case_id, split_brats_id
from posttx.errors import PostTxError
from posttx.files import is_folder, is_there
from posttx.shards import shard_of
from posttx.sheets import read_sheet

SUFFIXES = (".nii.gz", ".nii")
# what follows the id in the name of a case's file -> modality
IMAGE_ENDS = {f"-{column}{suffix}": column for column in IMAGE_COLUMNS for suffix in SUFFIXES}
FOLDER_DEPTH = 3
__all__ = [
    "BRATS_ID", "IMAGE_COLUMNS", "MODALITIES", "Case", "Listing", "check_case_id", "find_cases", "list_cases",
    "phantom_ids", "split_brats_id", "usable_cases",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One scan of one patient; ``files`` maps t1n, t1c, t2w, t2f and seg to paths, absent ones left out."""

    case: str
    patient: str
    timepoint: int
    cohort: str
    shard: str
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """What was found of a cohort before anybody judged it: its cases, and what is wrong with their files or ids."""

    cases: list[Case]
    problems: list[Problem]

    def without(self, excluded: Collection[str]) -> Listing:
        """Return the listing without some cases and without what is wrong with them."""
        return Listing(
            [case for case in self.cases if case.case not in excluded],
            [problem for problem in self.problems if problem.case not in excluded],
        )


def list_cases(cohort: str, settings: Mapping[str, Any], shards: int, phantoms: str | Path) -> list[Case]:
    """List the cases of a cohort of the config, sorted by id; every problem found is in the one error raised."""
    return usable_cases(find_cases(cohort, settings, shards, phantoms), cohort, settings)


def find_cases(cohort: str, settings: Mapping[str, Any], shards: int, phantoms: str | Path) -> Listing:
    """Find the cases of a cohort of the config.

    ``settings`` is the cohort's config entry (``path``, ``sheet`` or ``phantom``, and ``use``); files of phantom cases
    are named below ``phantoms`` whether or not they exist yet. A cohort with none of the three (its models are counts)
    gives an empty listing. No file is opened but the sheet.
    """
    labelled = settings["use"] != "predict"
    problems: list[Problem] = []
    rows: Iterable[Row] = ()
    if "path" in settings:
        rows = list(_brats_folder(Path(settings["path"]), problems))
    elif "sheet" in settings:
        rows = read_sheet(Path(settings["sheet"]), problems)
    elif "phantom" in settings:
        rows = _phantom(Path(phantoms) / cohort, settings["phantom"], labelled)
    cases = [Case(case, patient, time, cohort, shard_of(patient, shards), files) for case, patient, time, files in rows]
    return Listing(cases, problems)


def usable_cases(listing: Listing, cohort: str, settings: Mapping[str, Any]) -> list[Case]:
    """Return the cases of a listing, sorted by id, or raise one error with everything that is wrong with them."""
    cases = listing.cases
    problems = [*listing.problems, *_incomplete(cases, settings)]
    if problems:
        raise PostTxError(
            f"cohort {cohort!r} cannot be used",
            lines=[problem.text for problem in problems],
            remedy="Correct these cases, take them out, or name them in the file of `exclude`",
            file=_source(settings),
            code=problems[0].code,
        )
    if not cases and any(source in settings for source in ("path", "sheet", "phantom")):
        raise PostTxError(
            f"cohort {cohort!r} has no cases",
            remedy="Give the folder that holds one folder per case, <id>/<id>-t1n.nii.gz and so on, or a sheet",
            file=_source(settings),
            code="COH003",
        )
    return sorted(cases, key=lambda case: case.case)


def _incomplete(cases: Iterable[Case], settings: Mapping[str, Any]) -> list[Problem]:
    """Return what is missing for the cohort's use, and the ids that stand twice."""
    problems, places = [], defaultdict(list)
    for case in cases:
        anchor = _anchor(case.files, settings)
        places[case.case].append(anchor)
        missing = [name for name in MODALITIES if name not in case.files]
        # A cohort of references alone is enough to score somebody's predictions.
        if missing and not (len(missing) == len(MODALITIES) and "seg" in case.files and settings["use"] == "test"):
            problems.append(Problem("COH002", f"case {case.case} has no {', '.join(missing)} (looked in {anchor})"))
        if "seg" not in case.files and settings["use"] == "train":
            text = f"case {case.case} has no reference (seg), which a cohort with `use: train` needs"
            problems.append(Problem("COH002", text))
    for name, anchors in places.items():
        if len(anchors) > 1:
            problems.append(Problem("COH002", f"case {name} stands twice: {', '.join(anchors)}"))
    return problems


def phantom_ids(count: int, seed: int) -> list[tuple[str, str, int]]:
    """Draw (case, patient, timepoint) of ``count`` phantom scans; the first n of a larger draw are the smaller draw.

    About as many scans per patient as in BraTS 2024 (1,621 scans of 731 patients, up to ten), timepoints from 100 with
    gaps. The seed is in the patient's number, so that two phantom cohorts share nobody.
    """
    draw = random.Random(seed)
    ids: list[tuple[str, str, int]] = []
    patient = 0
    while len(ids) < count:
        name = f"BraTS-GLI-{seed:02d}{patient:03d}"
        timepoint = 100
        for _ in range(draw.choices((1, 2, 3, 4, 6), (24, 52, 15, 6, 3))[0]):
            ids.append((f"{name}-{timepoint}", name, timepoint))
            timepoint += draw.choices((1, 2), (9, 1))[0]
        patient += 1
    return ids[:count]


def _brats_folder(root: Path, problems: list[Problem]) -> Iterator[Row]:
    if not is_folder(root):
        raise PostTxError("the cohort's folder does not exist", remedy="Set `path` to it", file=root, code="COH003")
    try:
        for case, folder, entries in _leaf_folders(str(root), FOLDER_DEPTH):
            try:
                patient, timepoint = split_brats_id(case, folder)
            except PostTxError as error:
                problems.append(Problem(error.code, str(error), case))
                continue
            yield case, patient, timepoint, _case_files(case, folder, entries, problems)
    except OSError as error:
        raise PostTxError(
            f"a folder cannot be listed: {error}", remedy="Check its permissions", file=root, code="COH003"
        ) from error


def _case_files(case: str, folder: str, entries: Iterable[os.DirEntry[str]], problems: list[Problem]) -> dict[str, str]:
    """Return modality -> path of the files that belong to the case; links are followed, broken ones are a problem."""
    files: dict[str, str] = {}
    for entry in entries:
        column = IMAGE_ENDS.get(entry.name[len(case) :]) if entry.name.startswith(case) else None
        if column is None:
            continue
        # Only a link costs a look at its target: planning 1,621 cases must not touch 8,105 files.
        if entry.is_symlink() and not is_there(entry.path):
            problems.append(Problem("FIL001", f"{entry.path} is a link to nothing", case))
        elif column in files:
            text = f"case {case} has {column} twice: {Path(files[column]).name} and {entry.name} in {folder}"
            problems.append(Problem("COH002", text, case))
        files[column] = f"{folder}/{entry.name}"
    return files


def _leaf_folders(root: str, depth: int) -> Iterator[tuple[str, str, list[os.DirEntry[str]]]]:
    """Yield name and path of every folder that holds images, or is named like a case, with entries named like images.

    ``depth`` levels are searched, which also ends a loop of links. Paths are text: thousands of ``Path`` take more time
    than the listing.
    """
    with os.scandir(root) as entries:
        folders = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for folder in folders:
        if not folder.is_dir():
            continue
        with os.scandir(folder.path) as inner:
            images = sorted((one for one in inner if one.name.endswith(SUFFIXES)), key=lambda one: one.name)
        images = [one for one in images if not one.name.startswith(".")]
        path = folder.path.removeprefix("./")
        if images or BRATS_ID.fullmatch(folder.name):
            yield folder.name, path, images
        elif depth > 1:
            yield from _leaf_folders(path, depth - 1)


def _phantom(root: Path, settings: Mapping[str, Any], labelled: bool) -> Iterator[Row]:
    for case, patient, timepoint in phantom_ids(settings["cases"], settings["seed"]):
        columns: Iterable[str] = IMAGE_COLUMNS if labelled else MODALITIES
        yield case, patient, timepoint, {name: str(root / case / f"{case}-{name}.nii.gz") for name in columns}


def _source(settings: Mapping[str, Any]) -> str:
    return str(settings.get("path") or settings.get("sheet") or "phantom")


def _anchor(files: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    return str(Path(next(iter(files.values()))).parent) if files else _source(settings)

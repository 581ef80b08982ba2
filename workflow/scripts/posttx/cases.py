"""Cases of a cohort: who they are and which files they have, found without opening one of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from posttx.case_ids import BRATS_ID, IMAGE_COLUMNS, MODALITIES, Problem, Reading, Row, check_case_id, split_brats_id
from posttx.errors import PostTxError
from posttx.file_names import shortened
from posttx.folders import DEPTH, read_folder
from posttx.phantom_patients import phantom_ids
from posttx.shards import shard_of
from posttx.sheets import read_sheet

REMEDY = "Correct these cases, take them out, or name them in the file of `exclude`"
DROPOUT = "Models trained here with `train.channel_dropout` of a modality segment held-out cases that lack it"
# Not `exclude`: it knows cases by their ids, and would leave out both.
TWICE = "Move one folder of a doubled case out of the cohort's, or give it and its files another id"
__all__ = [
    "BRATS_ID", "IMAGE_COLUMNS", "MODALITIES", "Case", "Listing", "check_case_id", "find_cases", "list_cases",
    "listing_notes", "people_of", "phantom_ids", "split_brats_id", "usable_cases",
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
    """What was found of a cohort before anybody judged it: its cases, and what is wrong with their files or ids.

    ``notes`` are (code, message) of what the audit tells of it; ``others`` the volumes that are of no case;
    ``people_only``: a sheet of ids, patients and timepoints without files, for counts; ``facts``: case -> the cells of
    the sheet's further columns.
    """

    cases: list[Case]
    problems: list[Problem]
    notes: Sequence[tuple[str, str]] = ()
    others: Sequence[str] = ()
    people_only: bool = False
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def without(self, excluded: Collection[str]) -> Listing:
        """Return the listing without some cases and without what is wrong with them."""
        return replace(
            self,
            cases=[case for case in self.cases if case.case not in excluded],
            problems=[problem for problem in self.problems if problem.case not in excluded],
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
    reading = Reading()
    if "path" in settings:
        reading = read_folder(Path(settings["path"]), settings.get("layout", "auto"))
    elif "sheet" in settings:
        reading = read_sheet(Path(settings["sheet"]))
    elif "phantom" in settings:
        reading.rows = list(_phantom(Path(phantoms) / cohort, settings["phantom"], labelled))
    cases = [
        Case(case, patient, time, cohort, shard_of(patient, shards), files)
        for case, patient, time, files in reading.rows
    ]
    return Listing(cases, reading.problems, reading.notes, reading.others, reading.people_only, reading.facts)


def listing_notes(listings: Mapping[str, Listing]) -> list[dict[str, str]]:
    """Return what the audit tells of how cohorts were listed, as keywords of findings: layout, what was passed over."""
    return [
        {"cohort": cohort, "code": code, "message": text}
        for cohort, listing in listings.items()
        for code, text in listing.notes
    ]


def people_of(cases: Iterable[Case]) -> dict[str, tuple[str, int]]:
    """Return case -> (patient, timepoint)."""
    return {case.case: (case.patient, case.timepoint) for case in cases}


def usable_cases(
    listing: Listing, cohort: str, settings: Mapping[str, Any], optional: Collection[str] = ()
) -> list[Case]:
    """Return the cases of a listing, sorted by id, or raise one error with everything that is wrong with them.

    ``optional``: modalities that a case may lack, as long as it has another.
    """
    cases = listing.cases
    problems = [*listing.problems, *_incomplete(listing, settings, optional)]
    if problems:
        remedies = dict.fromkeys(problem.remedy or REMEDY for problem in problems)
        raise PostTxError(
            f"cohort {cohort!r} cannot be used",
            lines=[problem.text for problem in problems],
            remedy=". ".join(remedies),
            file=_source(settings),
            code=problems[0].code,
        )
    if not cases and any(source in settings for source in ("path", "sheet", "phantom")):
        raise PostTxError(
            f"cohort {cohort!r} has no cases" + "".join(f"; {text}" for _, text in listing.notes),
            remedy="Give the folder that holds one folder per case, <id>/<id>-t1n.nii.gz and so on, at most "
            f"{DEPTH} levels deep, or a sheet",
            file=_source(settings),
            code="COH003",
        )
    return sorted(cases, key=lambda case: case.case)


def _incomplete(listing: Listing, settings: Mapping[str, Any], optional: Collection[str]) -> list[Problem]:
    """Return what is missing for the cohort's use, and the ids that stand twice."""
    problems, places = [], defaultdict(list)
    needed = () if listing.people_only else MODALITIES
    nobodys = defaultdict(list)
    for path in listing.others:
        nobodys[str(Path(path).parent)].append(Path(path).name)
    for case in listing.cases:
        anchor = _anchor(case.files, settings)
        places[case.case].append(anchor)
        missing = [name for name in needed if name not in case.files]
        if len(missing) < len(MODALITIES):
            missing = [name for name in missing if name not in optional]
        # A cohort of references alone is enough to score somebody's predictions.
        if missing and not (len(missing) == len(MODALITIES) and "seg" in case.files and settings["use"] == "test"):
            there = f"; also there: {shortened(nobodys[anchor])}" if anchor in nobodys else ""
            text = f"case {case.case} has no {', '.join(missing)} (looked in {anchor}{there})"
            held_out = settings["use"] != "train" and len(missing) < len(MODALITIES)
            problems.append(Problem("COH002", text, remedy=f"{REMEDY}. {DROPOUT}" if held_out else ""))
        if "seg" not in case.files and settings["use"] == "train":
            text = f"case {case.case} has no reference (seg), which a cohort with `use: train` needs"
            problems.append(Problem("COH002", text))
    for name, anchors in places.items():
        if len(anchors) > 1:
            problems.append(Problem("COH002", f"case {name} stands twice: {', '.join(anchors)}", remedy=TWICE))
    return problems


def _phantom(root: Path, settings: Mapping[str, Any], labelled: bool) -> Iterator[Row]:
    for case, patient, timepoint in phantom_ids(settings["cases"], settings["seed"]):
        columns: Iterable[str] = IMAGE_COLUMNS if labelled else MODALITIES
        yield case, patient, timepoint, {name: str(root / case / f"{case}-{name}.nii.gz") for name in columns}


def _source(settings: Mapping[str, Any]) -> str:
    return str(settings.get("path") or settings.get("sheet") or "phantom")


def _anchor(files: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    return str(Path(next(iter(files.values()))).parent) if files else _source(settings)

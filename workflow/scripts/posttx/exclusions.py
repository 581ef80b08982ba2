"""Ratings of cases, as the pages export them: which cases a run leaves out, and which somebody wanted mended."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from posttx.cases import Listing
from posttx.csv_text import unguarded
from posttx.errors import PostTxError

COLUMNS = ("cohort", "case", "rating", "comment")
# What the pages write behind them: the audit's two more, the review all four. Files of before have the first four.
FURTHER = ("model", "rater", "reasons", "run")
HEADERS = tuple([*COLUMNS, *FURTHER[:count]] for count in (0, 2, 4))
# From what weighs least to what weighs most: the audit's (keep, fix, exclude) and the review's, which rates a model's
# segmentation (accept, edit, redo), the reference or the scan.
RATINGS = ("", "keep", "accept", "edit", "redo", "fix", "reference", "exclude")
# What the audit is told of as to be mended: the data. A segmentation to be edited is none of it.
MENDED = {"fix": "rated as to be mended", "reference": "its reference is rated as wrong"}


@dataclass(frozen=True)
class Rating:
    """What somebody said of one case; ``rating`` is empty where only a comment was left."""

    cohort: str
    case: str
    rating: str
    comment: str


def read_ratings(path: str | Path) -> list[Rating]:
    """Return one rating per case of a ratings file: UTF-8, tabs, a header of ``HEADERS``.

    Where a case is rated under several models or by several raters, what weighs most holds (the last of ``RATINGS``);
    comments are joined, each with the reasons before it. A case that stands twice for one model and rater, another
    rating or another header raises one error that names every line concerned. Blank lines are skipped.
    """
    path = Path(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            lines = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PostTxError(
            f"the ratings cannot be read: {error}", remedy="Set `exclude` to the exported file, or to null", file=path,
            code="COH008",
        ) from error  # fmt: skip
    header = [name.strip() for name in lines[0]] if lines else []
    if header not in HEADERS:
        raise PostTxError(
            f"the columns are {header}",
            remedy=f"Use {', '.join(COLUMNS)}, separated by tabs, as the page exports them",
            file=path,
            code="COH008",
        )
    return _joined(_checked(lines[1:], path, len(header)))


def _joined(ratings: Sequence[Rating]) -> list[Rating]:
    """Return one rating per case: the one that weighs most, with all comments on the case."""
    cases: dict[tuple[str, str], list[Rating]] = {}
    for rating in ratings:
        cases.setdefault((rating.cohort, rating.case), []).append(rating)
    return [
        Rating(
            *who,
            max((one.rating for one in known), key=RATINGS.index),
            "; ".join(dict.fromkeys(one.comment for one in known if one.comment)),
        )
        for who, known in cases.items()
    ]


def _checked(lines: Sequence[Sequence[str]], path: Path, columns: int) -> list[Rating]:
    ratings: list[Rating] = []
    problems: list[str] = []
    seen: dict[tuple[str, ...], int] = {}
    for number, cells in enumerate(lines, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if not 3 <= len(cells) <= columns:
            problems.append(f"line {number}: {len(cells)} cells instead of {columns}")
            continue
        padded = [*cells, *[""] * (len(COLUMNS) + len(FURTHER) - len(cells))]
        cohort, case, rating, comment, model, rater, reasons, _ = (unguarded(cell.strip()) for cell in padded)
        if rating not in RATINGS:
            problems.append(f"line {number}: rating {rating[:40]!r} is none of {', '.join(RATINGS[1:])}")
        if (first := seen.setdefault((cohort, case, model, rater), number)) != number:
            problems.append(f"line {number}: case {case[:60]!r} of cohort {cohort[:40]!r} stands in line {first} too")
        ratings.append(Rating(cohort, case, rating, ". ".join(filter(None, (reasons, comment)))))
    if problems:
        raise PostTxError(
            "the ratings cannot be used",
            lines=problems,
            remedy="Correct these lines", file=path, code="COH008",
        )  # fmt: skip
    return ratings


def without_excluded(listings: Mapping[str, Listing], ratings: Sequence[Rating]) -> dict[str, Listing]:
    """Return cohort -> its listing without the cases rated ``exclude``; a cohort that loses all of them is an error."""
    kept = {
        cohort: listing.without(
            {rating.case for rating in ratings if rating.cohort == cohort and rating.rating == "exclude"}
        )
        for cohort, listing in listings.items()
    }
    for cohort, listing in kept.items():
        if listings[cohort].cases and not listing.cases:
            raise PostTxError(
                f"all {len(listings[cohort].cases)} cases of cohort {cohort!r} are excluded",
                remedy="Keep some of them in the file that `exclude` names, or take the cohort out of the config",
                code="COH003",
            )
    return kept


def rating_notes(listings: Mapping[str, Listing], ratings: Sequence[Rating]) -> list[dict[str, str]]:
    """Return what the audit tells of the ratings, as keywords of findings: nothing is left out in silence.

    ``listings``: cohort -> all that was found of it, excluded cases among them.
    """
    known = {(cohort, case.case) for cohort, listing in listings.items() for case in listing.cases}
    notes = []
    for rating in ratings:
        said = f": {rating.comment}" if rating.comment else ""
        who = {"cohort": rating.cohort, "case": rating.case}
        if (rating.cohort, rating.case) not in known:
            notes.append({**who, "code": "COH011", "message": f"rated {rating.rating or 'nothing'}{said}"})
        elif rating.rating == "exclude":
            notes.append({**who, "code": "COH009", "message": f"left out of this run{said}"})
        elif rating.rating in MENDED:
            notes.append({**who, "code": "COH010", "message": f"{MENDED[rating.rating]}{said}"})
    return notes

"""How a model fails a scan: kinds of failure as data, the scans of each, the most frequent first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from posttx.analysis.interpretation_rules import RULES
from posttx.conventions import ABSENT, HALLUCINATED, MISSED, PRESENT
from posttx.scoring.scores import Scores

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

LOW_DICE = RULES["failure"].thresholds["poor"]
SMALL_ML = RULES["failure"].thresholds["small"]


@dataclass(frozen=True)
class CaseArrays:
    """What failures are counted from, each (cases, regions).

    ``states`` are those of ``conventions.STATES`` or None, ``dice`` is NaN where undefined; ``small_missed`` and
    ``small_present`` count the reference lesions below ``SMALL_ML`` that were missed and that there are.
    """

    cases: tuple[str, ...]
    regions: tuple[str, ...]
    states: npt.NDArray[np.object_]
    dice: npt.NDArray[np.float64]
    small_missed: IntArray
    small_present: IntArray


@dataclass(frozen=True)
class Failure:
    """A kind of failure: which scans it can befall and which it does, arrays (cases, regions) of ``CaseArrays``."""

    id: str
    title: str
    exposed: Callable[[CaseArrays], BoolArray]
    affected: Callable[[CaseArrays], BoolArray]


def _in(arrays: CaseArrays, *states: str) -> BoolArray:
    return np.asarray(np.isin(arrays.states.astype(str), states), dtype=bool)


FAILURES: Mapping[str, Failure] = {
    failure.id: failure
    for failure in (
        Failure(
            "invented",
            "invented",
            lambda arrays: _in(arrays, HALLUCINATED, ABSENT),
            lambda arrays: _in(arrays, HALLUCINATED),
        ),
        Failure("missed", "missed", lambda arrays: _in(arrays, PRESENT, MISSED), lambda arrays: _in(arrays, MISSED)),
        Failure(
            "low",
            f"Dice below {LOW_DICE:g}",
            lambda arrays: _in(arrays, PRESENT, MISSED),
            lambda arrays: _in(arrays, PRESENT) & (arrays.dice < LOW_DICE),
        ),
        Failure(
            "small",
            f"lesion below {SMALL_ML:g} ml missed",
            lambda arrays: arrays.small_present > 0,
            lambda arrays: arrays.small_missed > 0,
        ),
    )
}


@dataclass(frozen=True)
class Failed:
    """A kind of failure in one region: the ids of the scans, and how many it could have befallen."""

    failure: Failure
    region: str
    cases: tuple[str, ...]
    of: int

    @property
    def key(self) -> str:
        """Return what the pages' filter calls it: region and kind."""
        return f"{self.region}:{self.failure.id}"

    @property
    def affected(self) -> int:
        """Return the number of scans."""
        return len(self.cases)

    @property
    def share(self) -> float:
        """Return the share of the scans that it could have befallen, 0 where there are none."""
        return self.affected / self.of if self.of else 0.0


def failures(arrays: CaseArrays) -> list[Failed]:
    """Return every kind of failure of every region that befell a scan, by scans, then share, then order of regions.

    No case, or nothing wrong: an empty list.
    """
    found = []
    for failure in FAILURES.values():
        exposed, affected = failure.exposed(arrays), failure.affected(arrays)
        for column, region in enumerate(arrays.regions):
            cases = tuple(arrays.cases[row] for row in np.flatnonzero(affected[:, column]))
            if cases:
                found.append(Failed(failure, region, cases, int(exposed[:, column].sum())))
    return sorted(found, key=lambda one: (-one.affected, -one.share, arrays.regions.index(one.region)))


def case_arrays(scores: Scores, lesions: pd.DataFrame | None = None) -> CaseArrays:
    """Return what failures are counted from: single labels alone; without a lesion table no small lesion is known."""
    single = scores.per_label
    missed, present = small_lesions(lesions, single.cases, single.regions)
    return CaseArrays(single.cases, single.regions, single.states, single["dice"], missed, present)


def small_lesions(
    lesions: pd.DataFrame | None, cases: Sequence[str], regions: Sequence[str]
) -> tuple[IntArray, IntArray]:
    """Return how many reference lesions below ``SMALL_ML`` were missed, and there are, each (cases, regions).

    ``lesions`` follows ``schemas.LESIONS``, of one model on one cohort; lesions that the scoring scheme ignores do not
    count.
    """
    missed, present = (np.zeros((len(cases), len(regions)), dtype=np.int64) for _ in range(2))
    if lesions is None or lesions.empty:
        return missed, present
    small = lesions[(lesions["source"] == "reference") & (lesions["volume_mm3"] < 1000 * SMALL_ML)]
    place: dict[str, dict[Any, int]] = {
        "case": {case: row for row, case in enumerate(cases)},
        "region": {region: column for column, region in enumerate(regions)},
    }
    for states, counts in ((("missed",), missed), (("matched", "missed"), present)):
        part = small[small["state"].isin(states)]
        rows, columns = (part[name].map(places) for name, places in place.items())
        known = (rows.notna() & columns.notna()).to_numpy(bool)
        np.add.at(counts, (rows[known].to_numpy(int), columns[known].to_numpy(int)), 1)
    return missed, present

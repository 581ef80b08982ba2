"""What an undefined value counts as: every convention of every table, as data, in this one place.

A label of a case is in one of four states. Where the reference has no voxel of it, or the prediction has none, some of
Dice, IoU, precision and recall are 0/0. The metrics tables hold NaN there; a convention says what a mean makes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posttx import measures
from posttx.errors import PostTxError
from posttx.measures import Measure, measure_of

FloatArray = npt.NDArray[np.float64]

PRESENT, ABSENT, HALLUCINATED, MISSED = "present", "absent", "hallucinated", "missed"
STATES: Mapping[str, str] = {
    PRESENT: "in the reference and predicted (touching it or not)",
    ABSENT: "in neither the reference nor the prediction",
    HALLUCINATED: "predicted, but the reference has no voxel of it",
    MISSED: "in the reference, but not one voxel is predicted",
}
SKIP = float("nan")
POOLED, PER_CASE = "pooled", "per case"


@dataclass(frozen=True)
class Convention:
    """What each state counts as in a mean over cases, and how precision and recall are averaged.

    ``voxel_wise`` conventions put in values by state: a label absent in both counts as the best value where
    ``absent_counts``, else it is left out; a hallucinated one as the worst where ``hallucinated_counts``, else it is
    left out; a missed one as the worst. Where the measure itself is undefined (precision of a missed, recall of a
    hallucinated label) the case is left out. The others average columns as they stand. ``same_cases`` says that which
    cases enter depends on the reference alone: only then can two models be compared. ``penalties`` are the columns that
    count what the measure's own penalties were given for. ``case_absent`` and
    ``case_hallucinated`` are what such labels count as in the mean Dice of a case.
    """

    name: str
    description: str
    voxel_wise: bool = True
    absent_counts: bool = False
    hallucinated_counts: bool = True
    pools: bool = False
    same_cases: bool = True
    penalties: tuple[str, ...] = ()
    case_absent: float = SKIP
    case_hallucinated: float = 0.0

    @property
    def precision_recall(self) -> str:
        """Return how precision and recall are averaged."""
        return POOLED if self.pools else PER_CASE

    def column(self, measure: Measure) -> str:
        """Return the metrics column that holds a measure under this convention."""
        return measure.columns[self.name]

    def measures(self, columns: Iterable[str] = ()) -> list[Measure]:
        """Return the measures that obey this convention; ``columns`` of a metrics table may name further ones."""
        return measures.obeying(self.name, columns)

    def value_of(self, state: str, measure: Measure) -> float:
        """Return what a case in this state (not a present one) counts as; NaN: it is left out."""
        if state == ABSENT:
            return measure.best if self.absent_counts else SKIP
        if state == HALLUCINATED:
            return measure.worst if self.hallucinated_counts and measure.defined(0, 1, 0) else SKIP
        return measure.worst if measure.defined(0, 0, 1) else SKIP


PUBLISHED = Convention(
    measures.PUBLISHED,
    "Dice and IoU: mean over the cases where the label is in the reference or predicted (absent in both: left out; "
    "hallucinated or missed: 0). Precision and recall: pooled over the voxels of all cases, and over the labels too in "
    "the global value. Mean Dice of a case: over all labels, one absent in both counting 1.",
    pools=True,
    same_cases=False,
    case_absent=1.0,
)
PRESENT_ONLY = Convention(
    measures.PRESENT_ONLY,
    "Mean over the cases whose reference has the label (missed: 0, its precision left out). Hallucinations do not "
    "count and must be read beside it. Mean Dice of a case: over the labels that its reference has.",
    hallucinated_counts=False,
    case_hallucinated=SKIP,
)
ABSENT_IS_ONE = Convention(
    measures.ABSENT_IS_ONE,
    "Mean over all cases, a label absent in both counting 1 and a hallucinated or missed one 0 (precision of a missed "
    "and recall of a hallucinated one are left out). Mean Dice of a case: likewise over all labels.",
    absent_counts=True,
    case_absent=1.0,
)
LESION_WISE = Convention(
    measures.LESION_WISE,
    "Mean over cases of the lesion-wise Dice, which already follows the rules of the evaluation scheme for absent, "
    "hallucinated and missed lesions.",
    voxel_wise=False,
    penalties=("lesions_fp", "lesions_fn"),
)
WHERE_DEFINED = Convention(
    measures.WHERE_DEFINED,
    "Mean over the cases where both the reference and the prediction have the region: a distance to a surface that is "
    "not there is undefined. Missed and hallucinated cases do not count and must be read beside it.",
    voxel_wise=False,
    same_cases=False,
)
CONVENTIONS: Mapping[str, Convention] = {
    convention.name: convention for convention in (PUBLISHED, PRESENT_ONLY, ABSENT_IS_ONE, LESION_WISE, WHERE_DEFINED)
}
# Those by which the voxel-wise tables can be made.
VOXEL_WISE = tuple(name for name, convention in CONVENTIONS.items() if convention.voxel_wise)


def convention_of(name: str) -> Convention:
    """Return the convention called ``name``; an unknown name is refused with the known ones."""
    if name not in CONVENTIONS:
        raise PostTxError(
            f"there is no convention {name!r}", remedy=f"Set `report: convention` to one of: {', '.join(VOXEL_WISE)}"
        )
    return CONVENTIONS[name]


def states_of(n_ref: FloatArray, n_pred: FloatArray) -> npt.NDArray[np.object_]:
    """Return the state of each voxel count pair (any shape); None where the reference or the prediction is unknown."""
    states = np.full(n_ref.shape, None, dtype=object)
    known = ~np.isnan(n_ref) & ~np.isnan(n_pred)
    states[known & (n_ref > 0) & (n_pred > 0)] = PRESENT
    states[known & (n_ref == 0) & (n_pred == 0)] = ABSENT
    states[known & (n_ref == 0) & (n_pred > 0)] = HALLUCINATED
    states[known & (n_ref > 0) & (n_pred == 0)] = MISSED
    return states


def apply(convention: Convention, measure: str, values: FloatArray, states: npt.NDArray[np.object_]) -> FloatArray:
    """Return ``values`` of a measure with the convention's values put in by state; NaN is what a mean leaves out."""
    result = np.array(values, dtype=np.float64)
    if convention.voxel_wise:
        for state in (ABSENT, HALLUCINATED, MISSED):
            result[states == state] = convention.value_of(state, measure_of(measure))
    return result


def case_means(convention: Convention, dice: FloatArray, states: npt.NDArray[np.object_]) -> FloatArray:
    """Return the mean Dice of each case, shape (cases,), from (cases, labels); NaN where the case has nothing to score.

    A case of which any label's state is unknown (no reference) has no mean.
    """
    values = np.array(dice, dtype=np.float64)
    values[states == ABSENT] = convention.case_absent
    values[states == HALLUCINATED] = convention.case_hallucinated
    values[states == MISSED] = 0.0
    defined = ~np.isnan(values)
    count = defined.sum(axis=1)
    known = (states != None).all(axis=1)  # noqa: E711 - elementwise on an object array
    total = np.where(defined, values, 0.0).sum(axis=1)
    return np.where(known & (count > 0), total / np.maximum(count, 1), np.nan)

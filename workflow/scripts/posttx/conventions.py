"""What an undefined value counts as: every convention of every table, as data, in this one place.

A label of a case is in one of four states. Where the reference has no voxel of it, or the prediction has none, some of
Dice, IoU, precision and recall are 0/0. The metrics tables hold NaN there; a convention says what a mean makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from posttx.errors import PostTxError

FloatArray = npt.NDArray[np.float64]

PRESENT, ABSENT, HALLUCINATED, MISSED = "present", "absent", "hallucinated", "missed"
STATES: Mapping[str, str] = {
    PRESENT: "in the reference and predicted (touching it or not)",
    ABSENT: "in neither the reference nor the prediction",
    HALLUCINATED: "predicted, but the reference has no voxel of it",
    MISSED: "in the reference, but not one voxel is predicted",
}
METRICS = ("dice", "iou", "precision", "recall")
SKIP = float("nan")
POOLED, PER_CASE = "pooled", "per case"


def _rule(dice: float, iou: float, precision: float, recall: float) -> Mapping[str, float]:
    return {"dice": dice, "iou": iou, "precision": precision, "recall": recall}


@dataclass(frozen=True)
class Convention:
    """What each state counts as in a mean over cases, and how precision and recall are averaged.

    ``undefined`` maps state -> metric -> value, NaN meaning that the case is left out of that metric's mean; states it
    does not list keep the measured value. ``case_absent`` is what a label absent in both counts as in the mean Dice of
    a case. ``source`` names the columns that are averaged where they are not the metric's own.
    """

    name: str
    description: str
    undefined: Mapping[str, Mapping[str, float]]
    precision_recall: str = PER_CASE
    case_absent: float = SKIP
    case_hallucinated: float = 0.0
    source: Mapping[str, str] = field(default_factory=dict)

    def column(self, metric: str) -> str:
        """Return the metrics column that holds ``metric`` under this convention."""
        return self.source.get(metric, metric)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics this convention speaks of: all four, or those it has a source for."""
        return tuple(self.source) or METRICS


PUBLISHED = Convention(
    "published",
    "Dice and IoU: mean over the cases where the label is in the reference or predicted (absent in both: left out; "
    "hallucinated or missed: 0). Precision and recall: pooled over the voxels of all cases, and over the labels too in "
    "the global value. Mean Dice of a case: over all labels, one absent in both counting 1.",
    {
        ABSENT: _rule(SKIP, SKIP, SKIP, SKIP),
        HALLUCINATED: _rule(0.0, 0.0, 0.0, SKIP),
        MISSED: _rule(0.0, 0.0, SKIP, 0.0),
    },
    precision_recall=POOLED,
    case_absent=1.0,
)
PRESENT_ONLY = Convention(
    "present-only",
    "Mean over the cases whose reference has the label (missed: 0, its precision left out). Hallucinations do not "
    "count and must be read beside it. Mean Dice of a case: over the labels that its reference has.",
    {
        ABSENT: _rule(SKIP, SKIP, SKIP, SKIP),
        HALLUCINATED: _rule(SKIP, SKIP, SKIP, SKIP),
        MISSED: _rule(0.0, 0.0, SKIP, 0.0),
    },
    case_hallucinated=SKIP,
)
ABSENT_IS_ONE = Convention(
    "absent-is-one",
    "Mean over all cases, a label absent in both counting 1 and a hallucinated or missed one 0 (precision of a missed "
    "and recall of a hallucinated one are left out). Mean Dice of a case: likewise over all labels.",
    {
        ABSENT: _rule(1.0, 1.0, 1.0, 1.0),
        HALLUCINATED: _rule(0.0, 0.0, 0.0, SKIP),
        MISSED: _rule(0.0, 0.0, SKIP, 0.0),
    },
    case_absent=1.0,
)
LESION_WISE = Convention(
    "lesion-wise",
    "Mean over cases of the lesion-wise Dice, which already follows the rules of the evaluation scheme for absent, "
    "hallucinated and missed lesions.",
    {},
    source={
        "dice": "lesion_dice",
        "hd95_mm": "lesion_hd95_mm",
        "nsd_0.5": "lesion_nsd_0.5",
        "nsd_1.0": "lesion_nsd_1.0",
    },
)
WHERE_DEFINED = Convention(
    "where-defined",
    "Mean over the cases where both the reference and the prediction have the region: a distance to a surface that is "
    "not there is undefined. Missed and hallucinated cases do not count and must be read beside it.",
    {},
    source={"hd95_mm": "hd95_mm", "nsd_0.5": "nsd_0.5", "nsd_1.0": "nsd_1.0"},
)
CONVENTIONS: Mapping[str, Convention] = {
    convention.name: convention for convention in (PUBLISHED, PRESENT_ONLY, ABSENT_IS_ONE, LESION_WISE, WHERE_DEFINED)
}
# Those by which the voxel-wise tables can be made.
VOXEL_WISE = tuple(name for name, convention in CONVENTIONS.items() if not convention.source)


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


def apply(convention: Convention, metric: str, values: FloatArray, states: npt.NDArray[np.object_]) -> FloatArray:
    """Return ``values`` of a metric with the convention's values put in by state; NaN is what a mean leaves out."""
    result = np.array(values, dtype=np.float64)
    for state, rule in convention.undefined.items():
        result[states == state] = rule[metric]
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

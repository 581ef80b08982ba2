"""Estimate + interval + number of patients of any measure under any convention, for any subset of cases.

    estimate(scores, convention, measure)                     # per region, of all cases
    estimate(scores.select(cases), convention, measure)       # of a subset of cases
    estimate(scores, convention, measure, over_labels=True)   # the mean over labels, one value

``case_values`` gives what enters case by case, for tests between subsets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posttx.analysis.statistics import (
    POSITIVE,
    SHARE,
    Estimate,
    Patients,
    Scale,
    Statistic,
    average,
    divide,
    intraclass,
    means,
    ratios,
)
from posttx.conventions import HALLUCINATED, MISSED, Convention, apply
from posttx.measures import Measure
from posttx.scoring.scores import Scores, parts_of

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def measured(scores: Scores, convention: Convention) -> list[Measure]:
    """Return the measures of a convention; of those read from surfaces and lesions, the ones with any value."""
    return [
        measure
        for measure in convention.measures(scores.columns)
        if convention.voxel_wise or scores.measured(convention.column(measure))
    ]


def pooled(convention: Convention, measure: Measure) -> bool:
    """Return whether the convention sums the parts of this measure over all cases before it divides."""
    return convention.pools and measure.pooled


def case_values(scores: Scores, convention: Convention, measure: Measure) -> FloatArray:
    """Return (cases, regions): what each case counts as; NaN where it is left out, infinite distances among that."""
    values = apply(convention, measure.id, scores[convention.column(measure)], scores.states)
    return np.where(np.isfinite(values), values, np.nan)


def statistic_of(
    scores: Scores, convention: Convention, measure: Measure, *, over_labels: bool = False
) -> tuple[Statistic, BoolArray]:
    """Return the statistic of a measure per region (or the mean over them) and the cases x regions it rests on."""
    if pooled(convention, measure):
        above, below = parts_of(measure, scores.values)
        used = np.nan_to_num(below) > 0
        if over_labels:
            above, below = (np.where(used, part, 0.0).sum(axis=1, keepdims=True) for part in (above, below))
        return ratios(above, below), used
    values = case_values(scores, convention, measure)
    statistic = means(values)
    return (average(statistic) if over_labels else statistic), ~np.isnan(values)


def scale_of(measure: Measure) -> Scale:
    """Return the scale on which the intervals of a measure are taken."""
    return SHARE if measure.bounded else POSITIVE


def estimate(
    scores: Scores,
    convention: Convention,
    measure: Measure,
    *,
    over_labels: bool = False,
    patients: Patients | None = None,
) -> Estimate:
    """Return a measure under a convention with intervals by patient: one value per region, or the mean over them.

    ``patients`` saves their making where many measures of the same scores are estimated.
    """
    statistic, used = statistic_of(scores, convention, measure, over_labels=over_labels)
    weights = np.nan_to_num(parts_of(measure, scores.values)[1]) if pooled(convention, measure) else None
    if over_labels:
        used = used.any(axis=1).reshape(-1, 1)
        weights = None if weights is None else weights.sum(axis=1).reshape(-1, 1)
    return (patients or Patients.of(scores.patients)).estimate(statistic, used, scale_of(measure), weights)


@dataclass(frozen=True)
class Spread:
    """What a mean hides, per region: quartiles and extremes of the cases, penalties, weights of patients and scans."""

    median: FloatArray
    q1: FloatArray
    q3: FloatArray
    lowest: FloatArray
    highest: FloatArray
    penalised_percent: FloatArray
    patient_weighted: FloatArray
    first_scan: FloatArray
    icc: FloatArray
    n_effective: FloatArray


def spread(scores: Scores, convention: Convention, measure: Measure, patients: Patients) -> Spread:
    """Return the spread of a measure over cases, NaN where nothing counts.

    ``penalised_percent`` is the share of the cases that count with a value the convention or the lesion-wise scheme put
    in (missed, hallucinated, unmatched lesions). ``patient_weighted`` weighs every patient alike, ``first_scan`` takes
    only the first scan of each. For pooled measures quartiles and the intraclass correlation are those of the cases.
    """
    values = case_values(scores, convention, measure)
    statistic, _ = statistic_of(scores, convention, measure)
    correlation, effective = intraclass(values, patients)
    quartiles = quantiles(values, (0.0, 0.25, 0.5, 0.75, 1.0))
    first = statistic(first_scans(scores)[None, :].astype(np.float64))[0] if scores.cases else quartiles[0]
    return Spread(
        median=quartiles[2],
        q1=quartiles[1],
        q3=quartiles[3],
        lowest=quartiles[0],
        highest=quartiles[4],
        penalised_percent=_penalised(scores, convention, values),
        patient_weighted=_patient_weighted(scores, convention, measure, values, patients),
        first_scan=first,
        icc=correlation,
        n_effective=effective,
    )


def quantiles(values: FloatArray, shares: tuple[float, ...]) -> FloatArray:
    """Return quantiles (shares, k) of each column over the values that are not NaN; NaN where there are none."""
    result = np.full((len(shares), values.shape[1]), np.nan)
    for k, column in enumerate(values.T):
        known = column[~np.isnan(column)]
        if len(known):
            result[:, k] = np.quantile(known, shares)
    return result


def first_scans(scores: Scores) -> BoolArray:
    """Return which cases are the first scan of their patient, shape (cases,)."""
    _, index = np.unique(np.array(scores.patients, dtype=object).astype(str), return_inverse=True)
    timepoints = np.array(scores.timepoints, dtype=np.int64)
    earliest = np.full(int(index.max()) + 1 if len(index) else 0, np.iinfo(np.int64).max)
    np.minimum.at(earliest, index, timepoints)
    return timepoints == earliest[index]


def _penalised(scores: Scores, convention: Convention, values: FloatArray) -> FloatArray:
    if convention.voxel_wise:
        put_in = (scores.states == HALLUCINATED) | (scores.states == MISSED)
    elif convention.penalties and all(map(scores.measured, convention.penalties)):
        put_in = np.any([scores[name] > 0 for name in convention.penalties], axis=0)
    else:
        return np.full(values.shape[1], np.nan)
    counted = ~np.isnan(values)
    return divide(100.0 * (put_in & counted).sum(axis=0), counted.sum(axis=0).astype(np.float64))


def _patient_weighted(
    scores: Scores, convention: Convention, measure: Measure, values: FloatArray, patients: Patients
) -> FloatArray:
    if pooled(convention, measure):
        above, below = (patients.sums(part) for part in parts_of(measure, scores.values))
    else:
        above, below = patients.sums(values), patients.sums((~np.isnan(values)).astype(np.float64))
    each = divide(above, below)
    known = ~np.isnan(each)
    return divide(np.where(known, each, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64))

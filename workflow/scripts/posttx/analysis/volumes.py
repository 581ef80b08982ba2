"""Predicted against reference volumes: their agreement, and that of their changes between scans of a patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from posttx.analysis.agreement import absolute_agreement, log_limits
from posttx.analysis.coefficients import spearman
from posttx.analysis.frames import frame, intervals, keys, values
from posttx.analysis.statistics import CORRELATION, SHARE, Estimate, Patients, means
from posttx.scoring.scores import Scores

FloatArray = npt.NDArray[np.float64]
# Relative differences of volume up to this are none: below what a voxel changes, above the rounding of headers.
NO_CHANGE = 1e-6
# Volumes have long tails: with fewer patients the intervals of ICC and mean ratio cover 73 to 89 % instead of 95 %
# (`make statistics`), because the few that carry them are not among those seen. None is given then.
FEWEST_FOR_VOLUMES = 60


def volume_agreement(scores: Scores, patients: Patients) -> pd.DataFrame:
    """Return per label how predicted and reference volume agree.

    ``icc`` is ICC(A,1) (``agreement.absolute_agreement``) over all ``n`` cases, those without the label counting as
    volume 0; a few large volumes carry it, so that no interval holds (70 % coverage at 118 patients) and none is given.
    ``icc_diameter`` is the same of the diameters of spheres of these volumes. ``ratio`` is the geometric mean of
    predicted / reference volume over the ``n_ratio`` cases where both are above 0, ``limit_low`` and ``limit_high``
    hold 95 % of these ratios (``agreement.log_limits``). Intervals are empty below ``FEWEST_FOR_VOLUMES`` patients.
    Volumes are in mm3, or in voxels for all where a voxel size is unknown. No reference: n = 0, NaN.
    """
    reference, predicted = _volumes(scores)
    used = ~np.isnan(reference) & ~np.isnan(predicted)
    both = used & (reference > 0) & (predicted > 0)
    # The ICC does not depend on the scale: the cube root of a volume stands for its diameter.
    diameter = _from_many(
        patients.estimate(absolute_agreement(np.cbrt(reference), np.cbrt(predicted), used), used, CORRELATION)
    )
    icc = absolute_agreement(reference, predicted, used)(np.ones((1, len(used))))[0]
    logs = np.log(np.divide(predicted, reference, out=np.full(reference.shape, np.nan), where=both))
    ratio = _from_many(patients.estimate(means(logs), both))
    names = np.array(scores.patients, dtype=object)
    limits = [log_limits(reference[:, k], predicted[:, k], names) for k in range(len(scores.regions))]
    return frame({
        **keys(scores), "icc": icc, **values({"icc_diameter": diameter}), **intervals({"icc_diameter": diameter}),
        "n": diameter.n, "n_patients": diameter.n_patients,
        "ratio": np.exp(ratio.value), "ratio_ci_low": np.exp(ratio.low), "ratio_ci_high": np.exp(ratio.high),
        "limit_low": np.array([found.low for found in limits], dtype=np.float64),
        "limit_high": np.array([found.high for found in limits], dtype=np.float64),
        "n_ratio": ratio.n, "n_patients_ratio": ratio.n_patients,
    })  # fmt: skip


def _from_many(found: Estimate) -> Estimate:
    """Return the estimates without the intervals that rest on too few patients."""
    many = found.n_patients >= FEWEST_FOR_VOLUMES
    return replace(found, low=np.where(many, found.low, np.nan), high=np.where(many, found.high, np.nan))


def change(scores: Scores, seed: int) -> pd.DataFrame:
    """Return per label whether its predicted volume changes as the reference does from one scan to the patient's next.

    ``n`` counts pairs of consecutive scans by timepoint. ``sign_agreement`` is the share of them in which both volumes
    grow, both shrink or both stay as they are (absent in both scans among that); ``sign_agreement_changed`` is that
    share of the ``n_changed`` pairs whose reference volume changes. ``spearman_r`` correlates predicted with reference
    changes over all pairs. Scans of a patient with the same timepoint make no pair. No pair: n = 0, NaN.
    """
    reference, predicted = _volumes(scores)
    first, second = consecutive(scores)
    used = ~np.isnan(reference[first] + reference[second] + predicted[first] + predicted[second])
    true, found = (_direction(volumes[first], volumes[second]) for volumes in (reference, predicted))
    same = (true == found).astype(np.float64)
    changed = used & (true != 0)
    patients = Patients.of([scores.patients[row] for row in first], seed)
    grown = [np.where(used, volumes[second] - volumes[first], 0.0) for volumes in (reference, predicted)]
    estimates = {
        "sign_agreement": patients.estimate(means(np.where(used, same, np.nan)), used, SHARE),
        "sign_agreement_changed": patients.estimate(means(np.where(changed, same, np.nan)), changed, SHARE),
        "spearman_r": patients.estimate(spearman(grown[0], grown[1], used), used, CORRELATION),
    }
    every, where_changed = estimates["sign_agreement"], estimates["sign_agreement_changed"]
    return frame({
        **keys(scores), **values(estimates), **intervals(estimates), "n": every.n, "n_patients": every.n_patients,
        "n_changed": where_changed.n, "n_patients_changed": where_changed.n_patients,
    })  # fmt: skip


def _volumes(scores: Scores) -> tuple[FloatArray, FloatArray]:
    """Return reference and predicted volumes (cases, regions) in one unit: mm3, or voxels where one is unknown."""
    reference, predicted = scores["volume_ref_mm3"], scores["volume_pred_mm3"]
    unknown = (np.isnan(reference) & ~np.isnan(scores["n_ref"])) | (np.isnan(predicted) & ~np.isnan(scores["n_pred"]))
    return (scores["n_ref"], scores["n_pred"]) if unknown.any() else (reference, predicted)


def consecutive(scores: Scores) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the rows of the earlier and the later scan of all pairs of consecutive scans of a patient."""
    patients, timepoints = np.array(scores.patients, dtype=str), np.array(scores.timepoints, dtype=np.int64)
    order = np.lexsort((timepoints, patients))
    first, second = order[:-1], order[1:]
    pairs = (patients[first] == patients[second]) & (timepoints[first] < timepoints[second])
    return first[pairs], second[pairs]


def _direction(before: FloatArray, after: FloatArray) -> FloatArray:
    """Return 1 where a volume grows, -1 where it shrinks, 0 where it stays, NaN where it is unknown."""
    stays = np.abs(after - before) <= NO_CHANGE * np.maximum(before, after)
    return np.where(stays, 0.0, np.sign(after - before))

"""Agreement of predicted with reference volumes on the log scale, with the variance within patients counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
# Of 95 % of the differences, were they normal.
REACH = 1.959964


@dataclass(frozen=True)
class Limits:
    """The mean ratio of predicted to reference volume and the limits within which 95 % of the ratios lie."""

    ratio: float
    low: float
    high: float
    n: int
    n_patients: int


def log_limits(reference: FloatArray, predicted: FloatArray, patients: npt.NDArray[np.object_]) -> Limits:
    """Return the limits of agreement of log ratios with several scans of a patient (Bland and Altman 2007).

    The variance is that between patients plus that within them, from a one-way analysis of variance, so that a patient
    with many scans does not make the limits narrow; every scan counts in the mean. Only cases where both volumes are
    above 0 have a ratio. Fewer than two patients with one: NaN limits.
    """
    both = (reference > 0) & (predicted > 0)
    logs = np.log(predicted[both] / reference[both])
    names, group = np.unique(patients[both].astype(str), return_inverse=True)
    count, groups = len(logs), len(names)
    if not count:
        return Limits(np.nan, np.nan, np.nan, 0, 0)
    mean = float(logs.mean())
    if groups < 2:
        return Limits(float(np.exp(mean)), np.nan, np.nan, count, groups)
    scans = np.bincount(group).astype(np.float64)
    own = np.bincount(group, logs) / scans
    between = float((scans * (own - mean) ** 2).sum()) / (groups - 1)
    within = float(((logs - own[group]) ** 2).sum()) / (count - groups) if count > groups else 0.0
    usual = (count - float((scans**2).sum()) / count) / (groups - 1)
    variance = within + max(0.0, (between - within) / usual)
    half = REACH * float(np.sqrt(variance))
    return Limits(float(np.exp(mean)), float(np.exp(mean - half)), float(np.exp(mean + half)), count, groups)

"""Agreement of predicted with reference volumes: limits on the log scale, and the intraclass correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posttx.analysis.statistics import Statistic

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
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


def absolute_agreement(x: FloatArray, y: FloatArray, used: BoolArray) -> Statistic:
    """Return the statistic "ICC(A,1) of column k of x with column k of y over the cases ``used[:, k]``".

    x, y and used are (cases, k). Two-way, absolute agreement, single measurement (McGraw and Wong 1996,
    doi:10.1037/1082-989X.1.1.30, case 2A): a constant difference lowers it, as it does not lower Pearson's r. Undefined
    (NaN) with fewer than three distinct cases or where all values are the same.
    """
    middle, apart = np.where(used, (x + y) / 2, 0.0), np.where(used, x - y, 0.0)
    middle = np.where(used, middle - middle.sum(axis=0) / np.maximum(used.sum(axis=0), 1), 0.0)
    size = np.maximum(np.abs(middle).max(axis=0, initial=0.0), np.abs(apart).max(axis=0, initial=0.0))
    middle, apart = (values / np.where(size > 0, size, 1.0) for values in (middle, apart))
    columns = np.hstack([used.astype(np.float64), middle, middle**2, apart, apart**2])

    def statistic(weights: FloatArray) -> FloatArray:
        distinct = (weights > 0).astype(np.float64) @ used.astype(np.float64)
        n, m, mm, d, dd = np.split(weights @ columns, 5, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            cases = 2 * (mm - m**2 / n) / (n - 1)
            raters = d**2 / n / 2
            rest = (dd - d**2 / n) / 2 / (n - 1)
            below = cases + rest + 2 / n * (raters - rest)
            icc = (cases - rest) / below
        return np.where((distinct >= 3) & (below > 1e-12), np.clip(icc, -1.0, 1.0), np.nan)

    return statistic

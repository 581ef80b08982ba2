"""Estimates with intervals by patient: jackknife with Student's t, sign-flip tests, Holm, variance within patients.

Scans of one patient resemble each other, so patients are left out or flipped, never scans. A statistic takes rows of
weights (how often each case counts) and returns one row of estimates for each: the row of ones gives the estimate, rows
with one patient at 0 the jackknife. Why these intervals: `make statistics` simulates them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Statistic = Callable[[FloatArray], FloatArray]

SEED = 12345
LEVEL = 0.95
# Intervals below so many patients with a value, and p-values below so many, would not be what they say.
FEWEST_FOR_INTERVAL = 4
FEWEST_FOR_P = 6
# Random patterns of signs; up to so many patients all patterns are tried instead.
FLIPS = 19_999
EXACT_PATIENTS = 14
# Patterns multiplied at a time: small enough to stay in a core's cache.
FLIPS_AT_ONCE = 2048


@dataclass(frozen=True)
class Scale:
    """The scale on which a jackknife takes its symmetric interval, and the range that the quantity can have."""

    forward: Callable[[Any], Any]
    backward: Callable[[Any], Any]
    low: float = -np.inf
    high: float = np.inf


def _same(values: Any) -> Any:
    return values


IDENTITY = Scale(_same, _same)
SHARE = Scale(special.logit, special.expit, 0.0, 1.0)
CORRELATION = Scale(np.arctanh, np.tanh, -1.0, 1.0)
POSITIVE = Scale(np.log, np.exp, 0.0)


@dataclass(frozen=True)
class Estimate:
    """Estimates of k quantities with their intervals and the cases and patients behind each; all of shape (k,).

    ``error`` is the jackknife's standard error of the value itself.
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray
    n: IntArray
    n_patients: IntArray
    error: FloatArray


@dataclass(frozen=True)
class Patients:
    """Whose scan each case is: ``index`` (cases,) counts patients from 0 in the order of their sorted names."""

    index: IntArray
    seed: int = SEED

    @classmethod
    def of(cls, names: Sequence[str], seed: int = SEED) -> Patients:
        """Return the patients named case by case; results depend on the sorted names, not on the order of cases."""
        _, index = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)
        return cls(index.astype(np.int64).reshape(-1), seed)

    @property
    def count(self) -> int:
        """Return the number of patients."""
        return int(self.index.max()) + 1 if len(self.index) else 0

    @cached_property
    def without(self) -> FloatArray:
        """Return the weights (patients, cases) of the cohort without each patient in turn."""
        return (self.index[None, :] != np.arange(self.count)[:, None]).astype(np.float64)

    @cached_property
    def signs(self) -> npt.NDArray[np.int8]:
        """Return random signs (``FLIPS``, patients), the same for every quantity tested on these patients."""
        drawn = np.random.default_rng(self.seed).integers(0, 2, size=(FLIPS, self.count), dtype=np.int8)
        return 1 - 2 * drawn

    def sums(self, values: FloatArray) -> FloatArray:
        """Return the sums (patients, k) of values (cases, k) over the cases of each patient, NaN counting 0."""
        summed = np.zeros((self.count, values.shape[1]))
        np.add.at(summed, self.index, np.nan_to_num(values))
        return summed

    def having(self, used: BoolArray) -> BoolArray:
        """Return which patients have a case used, (patients, k) from (cases, k)."""
        return self.sums(used.astype(np.float64)) > 0

    def estimate(
        self, statistic: Statistic, used: BoolArray, scale: Scale = IDENTITY, weights: FloatArray | None = None
    ) -> Estimate:
        """Return ``statistic`` with the intervals of a jackknife over patients and Student's t.

        ``used`` (cases, k) says which cases each of the k estimates rests on; m counts their patients. ``weights``
        (cases, k) are what the cases weigh in it, by default alike. The degrees of freedom are one less than the number
        of patients of equal weight that those amount to (Kish), m - 1 where all have as many scans. The jackknife
        works on ``scale``; at an end of the range, where the logit is infinite, Wilson's interval is taken with the
        number of patients that the jackknife's error amounts to, and Fisher's for a correlation of 1. No interval (NaN)
        where m is below ``FEWEST_FOR_INTERVAL`` or the quantity is undefined without one of the patients.
        """
        value = statistic(np.ones((1, len(self.index))))[0]
        having = self.having(used) if len(self.index) else np.zeros((0, used.shape[1]), bool)
        n_patients = having.sum(axis=0).astype(np.int64)
        low, high, error = (np.full(value.shape, np.nan) for _ in range(3))
        wanted = (n_patients >= FEWEST_FOR_INTERVAL) & ~np.isnan(value)
        if wanted.any():
            without = statistic(self.without)
            carried = self.sums(used.astype(np.float64) if weights is None else np.where(used, weights, 0.0))
            equal = divide(carried.sum(axis=0) ** 2, (carried**2).sum(axis=0))
            for k in np.flatnonzero(wanted):
                parts = without[having[:, k], k]
                low[k], high[k], error[k] = interval(float(value[k]), parts, scale, float(equal[k]) - 1)
        return Estimate(value, low, high, used.sum(axis=0).astype(np.int64), n_patients, error)

    def flip_p(self, values: FloatArray) -> FloatArray:
        """Return two-sided p-values (k,) of "the mean is 0" by flipping the signs of values (cases, k) by patient.

        NaN where a value is undefined. Up to ``EXACT_PATIENTS`` patients with a value all patterns of signs are tried
        and p is exact; above, ``FLIPS`` random ones and the observed one. Below ``FEWEST_FOR_P``: NaN, because
        no pattern could be rarer than 2 of 32.
        """
        having, sums = self.having(~np.isnan(values)), self.sums(values)
        count = having.sum(axis=0)
        p = np.full(values.shape[1], np.nan)
        for k in np.flatnonzero((count >= FEWEST_FOR_P) & (count <= EXACT_PATIENTS)):
            p[k] = _extreme(_all_signs(int(count[k])), sums[having[:, k], k, None])[0]
        many = np.flatnonzero(count > EXACT_PATIENTS)
        if len(many):
            p[many] = (_extreme(self.signs, sums[:, many]) * FLIPS + 1) / (FLIPS + 1)
        return p

    def groups_p(self, values: FloatArray, member: IntArray) -> float:
        """Return the p of "all groups have the same mean" from values (cases,) and each case's group, -1 for none.

        The sum over groups of squared deviations from the common mean, each over its number of cases, is compared with
        what it is where the signs of each patient's share in it are flipped: a patient may have scans in several
        groups. NaN where fewer than ``FEWEST_FOR_P`` patients or two groups have a value.
        """
        used = ~np.isnan(values) & (member >= 0)
        groups, place = np.unique(member[used], return_inverse=True)
        _, whose = np.unique(self.index[used], return_inverse=True)
        count = int(whose.max()) + 1 if used.any() else 0
        if len(groups) < 2 or count < FEWEST_FOR_P:
            return float("nan")
        inside = np.eye(len(groups))[place]
        sizes = inside.sum(axis=0)
        centred = values[used] - values[used].mean()
        shares = np.zeros((count, len(groups)))
        np.add.at(shares, whose, centred[:, None] * (inside - sizes / sizes.sum()) / np.sqrt(sizes))
        if count <= EXACT_PATIENTS:
            return _share_as_far(_all_signs(count), shares)
        drawn = self.signs[:, np.unique(self.index[used])]
        return float((_share_as_far(drawn, shares) * FLIPS + 1) / (FLIPS + 1))


def _share_as_far(signs: npt.NDArray, shares: FloatArray) -> float:
    """Return the share of the patterns of signs whose squared length is at least that of the observed sum."""
    bound = float((shares.sum(axis=0) ** 2).sum()) * (1 - 1e-9) - 1e-12 * float((shares**2).max(initial=0.0))
    return float(np.mean(((signs.astype(np.float64) @ shares) ** 2).sum(axis=1) >= bound))


def interval(
    value: float, without: FloatArray, scale: Scale = IDENTITY, freedom: float | None = None
) -> tuple[float, float, float]:
    """Return low, high and standard error from the value and the values without each of its m patients in turn."""
    count = len(without)
    if np.isnan(without).any() or np.isnan(value):
        return np.nan, np.nan, np.nan
    reach = float(stats.t.ppf((1 + LEVEL) / 2, max(1.0, count - 1 if freedom is None else freedom)))
    error = _jackknife_error(without)
    ends = np.append(without, value)
    varies = bool(np.ptp(ends) > 1e-12 * max(1.0, float(np.abs(ends).max())))
    if scale is SHARE and (not varies or ends.min() <= 0 or ends.max() >= 1):
        return (*_wilson(value, error if varies else 0.0, count, reach), error)
    if scale is CORRELATION and np.abs(ends).max() > 1 - 1e-9:
        return (*_fisher(value, count, reach), error)
    if np.any(ends <= scale.low) or np.any(ends >= scale.high):
        half = reach * error
        return max(value - half, scale.low), min(value + half, scale.high), error
    middle, half = float(scale.forward(value)), reach * _jackknife_error(scale.forward(without))
    return float(scale.backward(middle - half)), float(scale.backward(middle + half)), error


def _jackknife_error(without: FloatArray) -> float:
    count = len(without)
    return float(np.sqrt((count - 1) / count * np.sum((without - without.mean()) ** 2)))


def _wilson(share: float, error: float, count: int, reach: float) -> tuple[float, float]:
    """Return Wilson's interval of a share for as many independent patients as its error amounts to (Wilson 1927)."""
    share = min(max(share, 0.0), 1.0)
    n = share * (1 - share) / error**2 if error and 0 < share < 1 else float(count)
    middle = (share + reach**2 / (2 * n)) / (1 + reach**2 / n)
    half = reach * np.sqrt(share * (1 - share) / n + reach**2 / (4 * n**2)) / (1 + reach**2 / n)
    return max(float(middle - half), 0.0), min(float(middle + half), 1.0)


def _fisher(r: float, count: int, reach: float) -> tuple[float, float]:
    """Return Fisher's interval of a correlation of so many independent pairs, which reaches 1 where ``r`` does."""
    z = np.arctanh(np.clip(r, -1 + 1 / count, 1 - 1 / count))
    half = reach / np.sqrt(count - 3)
    return min(float(np.tanh(z - half)), r), max(float(np.tanh(z + half)), r)


def _all_signs(count: int) -> npt.NDArray[np.int8]:
    return (1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)).astype(np.int8)


def _extreme(signs: npt.NDArray[np.int8], sums: FloatArray) -> FloatArray:
    """Return the share of the patterns of signs whose total is as far from 0 as the observed one."""
    observed = np.abs(sums.sum(axis=0))
    # The tolerance counts patterns that equal the observed one but for rounding.
    bound = observed * (1 - 1e-9) - 1e-12 * np.abs(sums).max(axis=0, initial=0.0)
    extreme = np.zeros(sums.shape[1])
    for start in range(0, len(signs), FLIPS_AT_ONCE):
        extreme += (np.abs(signs[start : start + FLIPS_AT_ONCE].astype(np.float64) @ sums) >= bound).sum(axis=0)
    return extreme / len(signs)


def divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return the quotient, NaN where the denominator is 0 or undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def means(values: FloatArray) -> Statistic:
    """Return the statistic "mean of each column of ``values`` (cases, k) over the cases where it is not NaN"."""
    defined = ~np.isnan(values)
    filled, counted = np.where(defined, values, 0.0), defined.astype(np.float64)
    return lambda weights: divide(weights @ filled, weights @ counted)


def ratios(numerator: FloatArray, denominator: FloatArray) -> Statistic:
    """Return the statistic "sum of the numerators / sum of the denominators", column by column (cases, k)."""
    defined = ~np.isnan(numerator) & ~np.isnan(denominator)
    top, bottom = np.where(defined, numerator, 0.0), np.where(defined, denominator, 0.0)
    return lambda weights: divide(weights @ top, weights @ bottom)


def average(statistic: Statistic) -> Statistic:
    """Return the statistic "mean of the k estimates that are defined", one column."""

    def averaged(weights: FloatArray) -> FloatArray:
        estimates = statistic(weights)
        defined = ~np.isnan(estimates)
        total = np.where(defined, estimates, 0.0).sum(axis=1)
        return divide(total, defined.sum(axis=1).astype(np.float64))[:, None]

    return averaged


def holm(p: FloatArray) -> FloatArray:
    """Return p-values adjusted by Holm's step-down method for the number of those that are defined; NaN stays NaN."""
    adjusted = np.full(p.shape, np.nan)
    defined = np.flatnonzero(~np.isnan(p))
    order = defined[np.argsort(p[defined], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return adjusted


def intraclass(values: FloatArray, patients: Patients) -> tuple[FloatArray, FloatArray]:
    """Return the intraclass correlation of scans within patients and the effective number of scans, both (k,).

    ``values`` is (cases, k), NaN where a case does not count. The correlation is that of a one-way analysis of variance
    with unequal groups (Donner 1986), not below 0; the effective number is that of independent scans with the same
    error of a mean (Kish 1965). NaN without two patients or without a second scan of any.
    """
    used = ~np.isnan(values)
    scans = patients.sums(used.astype(np.float64))
    total, squares = scans.sum(axis=0), (scans**2).sum(axis=0)
    groups = (scans > 0).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.nansum(values, axis=0) / total
        centred = np.where(used, values - mean, 0.0)
        sums = patients.sums(centred)
        between = np.where(scans > 0, sums**2 / np.maximum(scans, 1), 0.0).sum(axis=0)
        within = (centred**2).sum(axis=0) - between
        usual = (total - squares / total) / (groups - 1)
        between, within = between / (groups - 1), within / (total - groups)
        correlation = (between - within) / (between + (usual - 1) * within)
        correlation = np.where((groups > 1) & (total > groups), np.clip(correlation, 0.0, 1.0), np.nan)
        effective = total / (1 + (squares / total - 1) * correlation)
    return correlation, effective

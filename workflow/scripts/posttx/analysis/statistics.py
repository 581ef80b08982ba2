"""Estimates with intervals: a bootstrap over patients, weighted correlations, Holm and sign-flip tests.

Scans of one patient resemble each other, so patients are drawn, never scans. A resample is a row of weights (how often
each case is drawn), and every statistic here takes such rows and returns one row of estimates for each: one pass of
matrix products instead of thousands of loops. The row of ones gives the estimate itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Statistic = Callable[[FloatArray], FloatArray]

RESAMPLES = 2000
SEED = 12345
LEVEL = 0.95
# Rows of weights ranked at a time: small enough to stay in a core's cache.
BLOCK = 128
EXACT_PATIENTS = 12


@dataclass(frozen=True)
class Estimate:
    """Estimates of k quantities with their intervals and the cases and patients behind each; all of shape (k,)."""

    value: FloatArray
    low: FloatArray
    high: FloatArray
    n: npt.NDArray[np.int64]
    n_patients: npt.NDArray[np.int64]
    spread: FloatArray


@dataclass(frozen=True)
class Bootstrap:
    """Resamples of patients: ``weights`` (resamples, cases) and ``patients``, the index of each case's patient."""

    weights: FloatArray
    patients: npt.NDArray[np.int64]

    def estimate(self, statistic: Statistic, used: BoolArray, transform: Callable | None = None) -> Estimate:
        """Return ``statistic`` with percentile intervals over the resamples.

        ``used`` (cases, k) says which cases each of the k estimates rests on. Fewer than two patients among them: the
        interval is NaN, because a resample of one patient is the same patient again. Resamples in which an estimate is
        undefined are left out of its percentiles. ``spread`` is the standard deviation over the resamples, of
        ``transform`` of the estimates where one is given.
        """
        value = statistic(np.ones((1, len(self.patients))))[0]
        n = used.sum(axis=0)
        n_patients = np.array([len(np.unique(self.patients[column])) for column in used.T], dtype=np.int64)
        low, high, spread = (np.full(value.shape, np.nan) for _ in range(3))
        if len(self.weights) and len(self.patients):
            resampled = statistic(self.weights)
            for k in np.flatnonzero((n_patients > 1) & ~np.isnan(value)):
                column = resampled[:, k][~np.isnan(resampled[:, k])]
                if len(column):
                    low[k], high[k] = np.quantile(column, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
                    spread[k] = np.std(column if transform is None else transform(column))
        return Estimate(value, low, high, n.astype(np.int64), n_patients, spread)


def bootstrap(patients: Sequence[str], resamples: int = RESAMPLES, seed: int = SEED) -> Bootstrap:
    """Draw ``resamples`` times as many patients as there are, with replacement; every scan comes with its patient.

    ``patients`` names the patient of each case. The draw depends on the seed and on the sorted patient names only, not
    on the order of the cases. No case: weights of shape (resamples, 0).
    """
    names, index = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)
    if not len(names):
        return Bootstrap(np.zeros((resamples, 0)), np.zeros(0, dtype=np.int64))
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return Bootstrap(draws[:, index].astype(np.float64), index.astype(np.int64))


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


def pearson(x: FloatArray, y: FloatArray, used: BoolArray) -> Statistic:
    """Return the statistic "Pearson's r of column k of x with column k of y over the cases ``used[:, k]``".

    x, y and used are (cases, k). Undefined (NaN) with fewer than three distinct cases or without any spread.
    """
    x, y = _standardised(x, used), _standardised(y, used)
    mask = used.astype(np.float64)
    columns = np.hstack([mask, x, y, x * x, y * y, x * y])

    def statistic(weights: FloatArray) -> FloatArray:
        distinct = (weights > 0).astype(np.float64) @ mask
        w, sx, sy, xx, yy, xy = np.split(weights @ columns, 6, axis=1)
        spread_x, spread_y = xx * w - sx * sx, yy * w - sy * sy
        defined = (distinct >= 3) & (spread_x > 1e-12 * w * w) & (spread_y > 1e-12 * w * w)
        with np.errstate(divide="ignore", invalid="ignore"):
            r = (xy * w - sx * sy) / np.sqrt(spread_x * spread_y)
        return np.where(defined, np.clip(r, -1.0, 1.0), np.nan)

    return statistic


def spearman(x: FloatArray, y: FloatArray, used: BoolArray) -> Statistic:
    """Return the statistic "Spearman's rho of column k of x with column k of y over the cases ``used[:, k]``".

    Each resample is ranked anew, ties sharing their mid-rank, a case drawn w times being w tied cases: exactly the
    coefficient of the drawn cases written out one by one.
    """
    orders = [(np.flatnonzero(column), index) for index, column in enumerate(used.T)]
    ranked = [(rows, _ranker(x[rows, k]), _ranker(y[rows, k])) for rows, k in orders]

    def statistic(weights: FloatArray) -> FloatArray:
        result = np.full((len(weights), len(ranked)), np.nan)
        for start in range(0, len(weights), BLOCK):
            block = weights[start : start + BLOCK]
            for k, (rows, rank_x, rank_y) in enumerate(ranked):
                if len(rows) >= 3:
                    drawn = block[:, rows]
                    result[start : start + BLOCK, k] = _rank_correlation(rank_x(drawn), rank_y(drawn), drawn)
        return result

    return statistic


def correlation_p(r: FloatArray, n: npt.NDArray[np.int64]) -> FloatArray:
    """Return the two-sided p-value of correlations from n independent pairs (Student's t); NaN below three pairs.

    That is what ``scipy.stats.pearsonr`` (and, as an approximation, ``spearmanr``) prints. It takes scans of one
    patient for independent; ``spread_p`` does not.
    """
    freedom = np.where(n > 2, n - 2, np.nan).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(r) * np.sqrt(freedom / ((1 - r) * (1 + r)))
    return np.where(np.isnan(r), np.nan, 2 * stats.t.sf(t, freedom))


def spread_p(r: FloatArray, spread: FloatArray) -> FloatArray:
    """Return the two-sided p-value of correlations from the bootstrap spread of Fisher's z: patients, not scans."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(fisher_z(r)) / spread
    return np.where(spread > 0, 2 * special.ndtr(-z), np.nan)


def fisher_z(r: FloatArray) -> FloatArray:
    """Return the inverse hyperbolic tangent of correlations, kept finite at 1 and -1."""
    return np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))


def holm(p: FloatArray) -> FloatArray:
    """Return p-values adjusted by Holm's step-down method for the number of those that are defined; NaN stays NaN."""
    adjusted = np.full(p.shape, np.nan)
    defined = np.flatnonzero(~np.isnan(p))
    order = defined[np.argsort(p[defined], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return adjusted


def sign_flip_p(
    differences: FloatArray, patients: npt.NDArray[np.int64], resamples: int = RESAMPLES, seed: int = SEED
) -> FloatArray:
    """Return two-sided p-values of "the mean difference is 0", shape (k,), by flipping the signs patient by patient.

    ``differences`` is (cases, k), NaN where a pair is undefined. With up to 12 patients all sign patterns are tried
    and the p-value is exact; above, ``resamples`` random ones and the observed pattern. Fewer than two patients: NaN.
    """
    count = int(patients.max()) + 1 if len(patients) else 0
    sums = np.zeros((count, differences.shape[1]))
    np.add.at(sums, patients, np.nan_to_num(differences))
    if count <= EXACT_PATIENTS:
        signs = 1.0 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
    else:
        drawn = np.random.default_rng(seed).integers(0, 2, size=(resamples, count))
        signs = np.vstack([np.ones((1, count)), 1.0 - 2.0 * drawn])
    observed = np.abs(sums.sum(axis=0))
    # The tolerance counts patterns that equal the observed one but for rounding.
    extreme = np.abs(signs @ sums) >= observed * (1 - 1e-9) - 1e-12
    p = extreme.mean(axis=0)
    defined = ~np.isnan(differences)
    enough = np.array([len(np.unique(patients[column])) > 1 for column in defined.T], dtype=bool)
    return np.where(enough, p, np.nan)


def _standardised(values: FloatArray, used: BoolArray) -> FloatArray:
    """Centre and scale each column over its used cases (the sums of squares would lose digits), 0 elsewhere."""
    filled = np.where(used, values, 0.0)
    count = np.maximum(used.sum(axis=0), 1)
    centred = np.where(used, filled - filled.sum(axis=0) / count, 0.0)
    scale = np.sqrt((centred**2).sum(axis=0) / count)
    tiny = np.abs(filled).max(axis=0, initial=0.0) * 1e-13
    return np.where(scale > tiny, centred / np.where(scale > tiny, scale, 1.0), 0.0)


def _ranker(values: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Return a function from weights (b, n) to the weighted mid-ranks (b, n) of ``values``."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))

    def ranks(weights: FloatArray) -> FloatArray:
        drawn = np.add.reduceat(weights[:, order], starts, axis=1)
        below = np.cumsum(drawn, axis=1) - drawn
        return (below + (drawn + 1) / 2)[:, group]

    return ranks


def _rank_correlation(x: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    total = weights.sum(axis=1)
    middle = (total[:, None] + 1) / 2
    x, y = x - middle, y - middle
    weighted = weights * x
    xy = np.einsum("bn,bn->b", weighted, y)
    xx = np.einsum("bn,bn->b", weighted, x)
    yy = np.einsum("bn,bn,bn->b", weights, y, y)
    defined = ((weights > 0).sum(axis=1) >= 3) & (xx > 0.01) & (yy > 0.01)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = xy / np.sqrt(xx * yy)
    return np.where(defined, np.clip(r, -1.0, 1.0), np.nan)

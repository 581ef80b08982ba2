"""Pearson's r and Spearman's rho as statistics of weighted cases, and the products of cases that their tests flip."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from posttx.analysis.statistics import Statistic

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Rows of weights ranked at a time: small enough to stay in a core's cache.
BLOCK = 128


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


def products(x: FloatArray, y: FloatArray, used: BoolArray) -> FloatArray:
    """Return (x - mean) (y - mean) per case and column, NaN where not used: what flipping signs by patient tests."""
    x, y = _standardised(x, used), _standardised(y, used)
    return np.where(used, x * y, np.nan)


def rank_products(x: FloatArray, y: FloatArray, used: BoolArray) -> FloatArray:
    """Return the same of the mid-ranks of each column over its used cases."""
    return products(_midranks(x, used), _midranks(y, used), used)


def _midranks(values: FloatArray, used: BoolArray) -> FloatArray:
    ranks = np.zeros(values.shape)
    for k, column in enumerate(used.T):
        ranks[column, k] = stats.rankdata(values[column, k])
    return ranks


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

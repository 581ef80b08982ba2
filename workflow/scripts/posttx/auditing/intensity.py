"""Intensities of one image: exact percentiles over the head, and what is wrong with its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from isal import isal_zlib

from posttx.auditing.findings import Finding
from posttx.auditing.heads import Head
from posttx.clipping import exact_percentiles

NEAR_EMPTY = 0.005
MANY_NEGATIVE = 0.01
SATURATED = 0.01
FEW_LEVELS = 64
LEVELS_FROM = 4000
PERCENTS = (0, 1, 50, 99, 100)
BLOCK = 2**17


@dataclass(frozen=True)
class ImageStats:
    """What a few passes over an image tell.

    ``count`` finite non-zero voxels of ``size``; of these, ``negative`` are below 0, ``saturated`` have the highest
    value, and ``levels`` differ (counted up to ``FEW_LEVELS``). ``percentiles``: percent -> value for ``PERCENTS``.
    ``head`` is the set of their flat Fortran-order places, ``content`` a digest of them in array order: equal for the
    same scan under another header, type or padding.
    """

    count: int
    percentiles: Mapping[int, float]
    mean: float
    std: float
    negative: int
    saturated: int
    levels: int
    head: Head
    content: str
    size: int
    nan_count: int
    inf_count: int
    dtype: str

    @property
    def nonzero_fraction(self) -> float:
        """Return the share of non-zero voxels in the volume."""
        return self.count / self.size if self.size else 0.0

    @property
    def negative_fraction(self) -> float:
        """Return the share of negative voxels among the non-zero ones."""
        return self.negative / self.count if self.count else 0.0


def summarise(data: np.ndarray, dtype: str) -> tuple[ImageStats, np.ndarray, np.ndarray]:
    """Measure an image (any real type, Fortran-ordered).

    Returned are the statistics, the values inside the head in array order (float32) and the head as a flat mask; an
    image of zeros gives empty values.
    """
    flat = data.ravel(order="K")
    mask, inside = _head(flat)
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(inside.sum(dtype=np.float64))
    nan_count = inf_count = 0
    if not np.isfinite(total):
        finite = np.isfinite(inside)
        nan_count = int(np.isnan(inside).sum())
        inf_count = int(inside.size - np.count_nonzero(finite)) - nan_count
        mask[np.flatnonzero(mask)[~finite]] = False
        inside = inside[finite]
        total = float(inside.sum(dtype=np.float64))
    low, high = (float(inside.min()), float(inside.max())) if inside.size else (float("nan"), float("nan"))
    middle = exact_percentiles(inside, PERCENTS[1:-1])
    stats = ImageStats(
        count=int(inside.size),
        percentiles=dict(zip(PERCENTS, (low, *middle, high), strict=True)),
        mean=total / inside.size if inside.size else float("nan"),
        std=_deviation(inside, total),
        negative=int(np.count_nonzero(inside < 0)) if low < 0 else 0,
        saturated=int(np.count_nonzero(inside == np.float32(high))),
        levels=_levels(inside),
        head=Head(mask),
        content=f"{isal_zlib.crc32(inside):08x}-{inside.size}",
        size=flat.size,
        nan_count=nan_count,
        inf_count=inf_count,
        dtype=dtype,
    )
    return stats, inside, mask


def _head(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which values are not 0, and these values as float32.

    Only they are converted, in blocks that stay in the processor's cache: a float32 copy of a float64 volume costs as
    much as all the rest.
    """
    mask = np.empty(flat.size, bool)
    parts = [np.empty(0, np.float32)]
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, flat.size, BLOCK):
            block = flat[start : start + BLOCK]
            inside = np.not_equal(block, 0, out=mask[start : start + BLOCK])
            parts.append(block[inside].astype(np.float32, copy=False))
    return mask, np.concatenate(parts)


def _levels(values: np.ndarray) -> int:
    """Return how many values differ, ``FEW_LEVELS`` where there are as many or more; mostly a few values tell."""
    if np.unique(values[:: max(1, values.size // LEVELS_FROM)]).size >= FEW_LEVELS:
        return FEW_LEVELS
    return min(FEW_LEVELS, int(np.unique(values).size))


def _deviation(values: np.ndarray, total: float) -> float:
    """Return the standard deviation of values with that sum; NaN for no values.

    In blocks that stay in the processor's cache: fresh memory for all of it at once costs more than the sums.
    """
    if not values.size:
        return float("nan")
    mean = total / values.size
    near, squares = np.float32(mean), 0.0
    for start in range(0, values.size, BLOCK):
        off = values[start : start + BLOCK] - near
        squares += float(np.dot(off, off))
    return float(max(squares / values.size - (mean - float(near)) ** 2, 0.0) ** 0.5)


def intensity_row(stats: ImageStats, cohort: str, case: str, modality: str) -> dict[str, Any]:
    """Return the image's row of the intensity table; percentiles, mean and standard deviation over non-zero voxels."""
    return {
        "cohort": cohort,
        "case": case,
        "modality": modality,
        "dtype": stats.dtype,
        "min": stats.percentiles[0],
        "p01": stats.percentiles[1],
        "p50": stats.percentiles[50],
        "p99": stats.percentiles[99],
        "max": stats.percentiles[100],
        "mean": stats.mean,
        "std": stats.std,
        "nonzero_fraction": stats.nonzero_fraction,
        "negative_fraction": stats.negative_fraction,
        "nan_count": stats.nan_count,
    }


def intensity_findings(stats: ImageStats, cohort: str, case: str, modality: str) -> list[Finding]:
    """Return what is wrong with the values of one image."""
    found: list[Finding] = []

    def add(code: str, message: str) -> None:
        found.append(Finding(code, cohort, message, case, modality))

    if stats.nan_count or stats.inf_count:
        add("INT001", f"{stats.nan_count} NaN and {stats.inf_count} infinite voxels")
    low, high = stats.percentiles[0], stats.percentiles[100]
    if not stats.count or low == high:
        what = f"all {stats.count} non-zero voxels are {low:g}" if stats.count else "there is no non-zero voxel"
        add("INT002", what)
        return found
    if stats.nonzero_fraction < NEAR_EMPTY:
        add("INT006", f"{stats.count} of {stats.size} voxels are not zero ({stats.nonzero_fraction:.2%})")
    negative = stats.negative_fraction
    if negative:
        code = "INT004" if negative > MANY_NEGATIVE else "INT003"
        add(code, f"{negative:.3%} of the non-zero voxels are negative, the lowest is {low:g}")
    top = stats.saturated / stats.count
    if top > SATURATED:
        add("INT005", f"{top:.1%} of the non-zero voxels have the highest value {high:g}")
    if stats.levels < FEW_LEVELS:
        add("INT011", f"only {stats.levels} different non-zero values")
    return found

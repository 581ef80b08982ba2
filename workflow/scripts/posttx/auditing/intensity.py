"""Intensities of one image: exact percentiles over the head, and what is wrong with its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from isal import isal_zlib

from posttx.auditing.findings import Finding
from posttx.auditing.heads import Head

NEAR_EMPTY = 0.005
MANY_NEGATIVE = 0.01
SATURATED = 0.01
FEW_LEVELS = 64
BLOCK = 2**16


@dataclass(frozen=True)
class ImageStats:
    """What one pass over an image tells.

    ``values`` are the finite non-zero voxels in ascending order (float32), ``head`` is the set of their flat
    Fortran-order places, ``content`` a digest of the non-zero voxels in array order: equal for the same scan under
    another header, type or padding.
    """

    values: np.ndarray
    head: Head
    content: str
    size: int
    nan_count: int
    inf_count: int
    dtype: str

    @property
    def nonzero_fraction(self) -> float:
        """Return the share of non-zero voxels in the volume."""
        return self.values.size / self.size if self.size else 0.0

    @property
    def negative_fraction(self) -> float:
        """Return the share of negative voxels among the non-zero ones."""
        return float(np.searchsorted(self.values, 0.0)) / self.values.size if self.values.size else 0.0

    def percentile(self, percent: float) -> float:
        """Return a percentile over the non-zero voxels, linearly interpolated; NaN where there are none."""
        if not self.values.size:
            return float("nan")
        place = percent / 100 * (self.values.size - 1)
        low = int(place)
        high = min(low + 1, self.values.size - 1)
        a, b = float(self.values[low]), float(self.values[high])
        return a + (b - a) * (place - low)


def summarise(data: np.ndarray, dtype: str) -> tuple[ImageStats, np.ndarray, np.ndarray]:
    """Measure an image (any real type, Fortran-ordered) in one go.

    Returned are the statistics, the values inside the head in array order (float32) and the head as a flat mask; an
    image of zeros gives empty values. Sorting gives every percentile exactly and is faster than numpy's partition.
    """
    flat = data.ravel(order="K")
    mask = flat != 0
    # Only the head's voxels are converted: a float32 copy of a float64 volume costs as much as all the rest.
    with np.errstate(over="ignore", invalid="ignore"):
        inside = flat[mask].astype(np.float32, copy=False)
        total = float(inside.sum(dtype=np.float64))
    nan_count = inf_count = 0
    if not np.isfinite(total):
        finite = np.isfinite(inside)
        nan_count = int(np.isnan(inside).sum())
        inf_count = int(inside.size - np.count_nonzero(finite)) - nan_count
        mask[np.flatnonzero(mask)[~finite]] = False
        inside = inside[finite]
    content = f"{isal_zlib.crc32(inside):08x}-{inside.size}"
    return ImageStats(np.sort(inside), Head(mask), content, flat.size, nan_count, inf_count, dtype), inside, mask


def intensity_row(stats: ImageStats, cohort: str, case: str, modality: str) -> dict[str, Any]:
    """Return the image's row of the intensity table; percentiles, mean and standard deviation over non-zero voxels."""
    mean, std = _moments(stats.values)
    return {
        "cohort": cohort,
        "case": case,
        "modality": modality,
        "dtype": stats.dtype,
        "min": stats.percentile(0),
        "p01": stats.percentile(1),
        "p50": stats.percentile(50),
        "p99": stats.percentile(99),
        "max": stats.percentile(100),
        "mean": mean,
        "std": std,
        "nonzero_fraction": stats.nonzero_fraction,
        "negative_fraction": stats.negative_fraction,
        "nan_count": stats.nan_count,
    }


def _moments(values: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation; NaN for no values.

    In blocks that stay in the processor's cache: fresh memory for all of it at once costs more than the sums.
    """
    if not values.size:
        return float("nan"), float("nan")
    mean = float(values.sum(dtype=np.float64)) / values.size
    near, squares = np.float32(mean), 0.0
    for start in range(0, values.size, BLOCK):
        off = values[start : start + BLOCK] - near
        squares += float(np.dot(off, off))
    return mean, max(squares / values.size - (mean - float(near)) ** 2, 0.0) ** 0.5


def intensity_findings(stats: ImageStats, cohort: str, case: str, modality: str) -> list[Finding]:
    """Return what is wrong with the values of one image."""
    found: list[Finding] = []

    def add(code: str, message: str) -> None:
        found.append(Finding(code, cohort, message, case, modality))

    if stats.nan_count or stats.inf_count:
        add("INT001", f"{stats.nan_count} NaN and {stats.inf_count} infinite voxels")
    values = stats.values
    if not values.size or values[0] == values[-1]:
        what = f"all {values.size} non-zero voxels are {values[0]:g}" if values.size else "there is no non-zero voxel"
        add("INT002", what)
        return found
    if stats.nonzero_fraction < NEAR_EMPTY:
        add("INT006", f"{values.size} of {stats.size} voxels are not zero ({stats.nonzero_fraction:.2%})")
    negative = stats.negative_fraction
    if negative:
        code = "INT004" if negative > MANY_NEGATIVE else "INT003"
        add(code, f"{negative:.3%} of the non-zero voxels are negative, the lowest is {values[0]:g}")
    top = values.size - int(np.searchsorted(values, values[-1]))
    if top > SATURATED * values.size:
        add("INT005", f"{top / values.size:.1%} of the non-zero voxels have the highest value {values[-1]:g}")
    levels = int(np.count_nonzero(values[1:] != values[:-1])) + 1
    if levels < FEW_LEVELS:
        add("INT011", f"only {levels} different non-zero values")
    return found

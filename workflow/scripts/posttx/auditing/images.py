"""An image of a case in the form the audit works on, and what normal-appearing brain looks like in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posttx.auditing.heads import Head
from posttx.auditing.intensity import ImageStats
from posttx.geometry.grids import Grid

SAMPLE_FROM = 150_000
STEPS = (1, 3, 5, 7, 11, 17, 23, 29, 37, 47, 59)


@dataclass(frozen=True)
class Image:
    """One image: the values inside its head in array order (float32), their statistics with the head, and its grid."""

    inside: np.ndarray
    stats: ImageStats
    grid: Grid

    def at(self, places: np.ndarray) -> np.ndarray:
        """Return the values at flat places, clipped to the 1st and 99th percentile; NaN outside the volume or head."""
        known = self.stats.head.has(places)
        values = np.full(places.shape, np.nan)
        picked = self.inside[self.stats.head.rank(places[known])]
        values[known] = np.clip(picked, self.stats.percentiles[1], self.stats.percentiles[99])
        return values

    def raw_at(self, places: np.ndarray) -> np.ndarray:
        """Return the values at those flat places that lie in the volume and the head, unclipped."""
        known = self.stats.head.has(places)
        return self.inside[self.stats.head.rank(places if known.all() else places[known])]


@dataclass(frozen=True)
class Normal:
    """Normal-appearing brain of one image: its median, and half the range of its middle 68 %, a standard deviation."""

    median: float
    scale: float

    def normalise(self, values: np.ndarray) -> np.ndarray:
        """Return values in standard deviations from the median of normal-appearing brain."""
        return (values - self.median) / self.scale


def normal_of(values: np.ndarray) -> Normal | None:
    """Return the normal-appearing brain of values sampled outside the lesion; None without spread or with too few."""
    values = values[np.isfinite(values)]
    if values.size < 100:
        return None
    low, median, high = np.percentile(values, [16, 50, 84])
    return Normal(float(median), float(high - low) / 2) if high > low else None


def sample_places(head: Head) -> np.ndarray:
    """Return flat places inside a head mask, regularly spaced, some ten thousand of them at any voxel size."""
    wanted = head.size / SAMPLE_FROM
    step = next((step for step in STEPS if step >= wanted), STEPS[-1])
    # An odd prime step meets every row of voxels at another offset.
    places = np.arange(step // 2, head.size, step)
    return places[head.has(places)]

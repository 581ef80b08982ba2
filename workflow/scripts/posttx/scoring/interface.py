"""Agreement where two classes touch: the normalised surface distance of each near their interface in the reference."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

Spacing = tuple[float, float, float]


def interface_nsd(
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing: Spacing,
    between: tuple[int, int],
    near_mm: float = 5.0,
    tolerance_mm: float = 1.0,
) -> tuple[float, float]:
    """Return the normalised surface distance of each of two labels within ``near_mm`` of their interface.

    ``reference`` and ``prediction`` are label maps of one shape, ``spacing`` in mm. The interface are the reference's
    voxels of either label with a face neighbour of the other. Borders are voxels of a label with a face neighbour
    outside of it, as the ``border`` definition of ``surfaces``; of both maps those near the interface count, and are
    measured against the whole border of the other map. The mean of the two fractions within the tolerance; a label
    that is not predicted near the interface has 0. NaN for both where the reference has no interface.
    """
    first, second = (reference == label for label in between)
    touching = (ndimage.binary_dilation(first) & second) | (ndimage.binary_dilation(second) & first)
    if not touching.any():
        return float("nan"), float("nan")
    box = _box(reference > 0, prediction > 0)
    reference, prediction, touching = reference[box], prediction[box], touching[box]
    near = _distance(touching, spacing) <= near_mm
    values = [
        _within(_border(reference == label), _border(prediction == label), near, spacing, tolerance_mm)
        for label in between
    ]
    return values[0], values[1]


def _within(expected: np.ndarray, found: np.ndarray, near: np.ndarray, spacing: Spacing, tolerance: float) -> float:
    if not (found & near).any():
        return 0.0
    fractions = [
        float((_distance(other, spacing)[border & near] <= tolerance).mean())
        for border, other in ((expected, found), (found, expected))
    ]
    return sum(fractions) / 2


def _border(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)


def _distance(mask: np.ndarray, spacing: Spacing) -> np.ndarray:
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=spacing))


def _box(*masks: np.ndarray) -> tuple[slice, ...]:
    """Return the box around all that the masks hold, with a voxel to spare within the volume."""
    found = ndimage.find_objects(np.logical_or.reduce(masks).view(np.uint8))[0]
    return tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in found)

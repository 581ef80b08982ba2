"""How well the files of a case agree under one reading of their geometry: the evidence behind a geometry decision.

Two files agree where knowing the one tells something about the other: the share of an image's variance that a grouping
of its voxels explains (eta squared, 0 to 1), the groups being the labels of a reference and the tissue just outside it,
or grey levels of another image. A wrong reading leaves next to nothing of it. Points that leave the head count as lost.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from posttx.geometry.grids import Grid

POINTS_PER_LABEL = 800
MOST_LABELS = 20
SHELL_MM = (3.0, 8.0)
GREY_LEVELS = 12
READINGS = ("voxels", "affine")


def carry(points: np.ndarray, source: Grid, target: Grid, reading: str) -> np.ndarray:
    """Return the flat Fortran-order places in ``target`` of voxel indices (n, 3) of ``source``; -1 where outside.

    ``voxels`` keeps the indices; ``affine`` maps them through world space to the nearest voxel.
    """
    if reading == "affine" and source.affine is not target.affine:
        matrix = np.linalg.inv(target.affine) @ source.affine
        points = np.rint(points @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.int64)
    return flat_places(points, target.shape)


def flat_places(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return flat Fortran-order places of voxel indices (n, 3), -1 where they leave the volume."""
    inside = ((points >= 0) & (points < shape)).all(axis=1)
    places = points[:, 0] + shape[0] * (points[:, 1] + shape[1] * points[:, 2])
    return np.where(inside, places, -1)


def unravel(places: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return voxel indices (n, 3) of flat Fortran-order places."""
    i, rest = places % shape[0], places // shape[0]
    return np.stack([i, rest % shape[1], rest // shape[1]], axis=1)


def eta_squared(groups: np.ndarray, values: np.ndarray) -> float:
    """Return the share of the variance of ``values`` that ``groups`` (integers from 0) explain; NaN is left out.

    0 with fewer than two groups or without variance. The values' far tails should be clipped before.
    """
    known = np.isfinite(values)
    groups, values = groups[known], values[known]
    if values.size < 3:
        return 0.0
    counts = np.bincount(groups)
    sums = np.bincount(groups, weights=values)
    filled = counts > 0
    mean = values.mean()
    total = float(((values - mean) ** 2).sum())
    between = float((counts[filled] * (sums[filled] / counts[filled] - mean) ** 2).sum())
    return between / total if total > 0 else 0.0


def label_points(
    places: np.ndarray, labels: np.ndarray, shape: tuple[int, ...], spacing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return voxel indices (n, 3) and groups of a reference: about 800 per label, and group 0 from its surroundings.

    ``places`` ascending. The surroundings are labelled voxels moved by 3 to 8 mm that end up unlabelled; the draw is
    fixed by a seed.
    """
    chosen = [np.flatnonzero(labels == label) for label in np.unique(labels)[:MOST_LABELS]]
    chosen = [own[:: max(1, own.size // POINTS_PER_LABEL)] for own in chosen]
    groups = np.repeat(np.arange(1, len(chosen) + 1), [own.size for own in chosen])
    points = unravel(places[np.concatenate([np.zeros(0, np.int64), *chosen])], shape)
    draw = np.random.default_rng(0)
    direction = draw.standard_normal(points.shape)
    direction *= draw.uniform(*SHELL_MM, (len(points), 1)) / np.linalg.norm(direction, axis=1, keepdims=True)
    around = np.rint(points + direction / spacing).astype(np.int64)
    landed = flat_places(around, shape)
    free = (landed >= 0) & ~among(landed, places)
    return np.concatenate([points, around[free]]), np.concatenate([groups, np.zeros(int(free.sum()), np.int64)])


def among(places: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Say which of ``places`` are among the ascending ``known`` ones."""
    if not known.size:
        return np.zeros(places.shape, bool)
    return known[np.minimum(np.searchsorted(known, places), known.size - 1)] == places


def grey_groups(values: np.ndarray) -> np.ndarray:
    """Return values sorted into twelve groups of equal size; NaN goes into the first."""
    edges = np.nanquantile(values, np.linspace(0, 1, GREY_LEVELS + 1)[1:-1])
    return np.searchsorted(edges, np.nan_to_num(values, nan=-np.inf))


def score(groups: np.ndarray, values: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Return (score, inside): mean eta squared over images times the share of labelled points inside the head.

    ``values``: image -> values at the points, NaN outside its head. No image or no point: (0, 0).
    """
    labelled = groups > 0
    if not values or not labelled.any():
        return 0.0, 0.0
    inside = float(np.mean([np.isfinite(part[labelled]).mean() for part in values.values()]))
    return inside * float(np.mean([eta_squared(groups, part) for part in values.values()])), inside

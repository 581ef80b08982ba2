"""Planted pitfalls: what resembles tumour on some modalities and is none, each voxel's cause known.

Five causes, as the published report and readers name them. Each is planted outside the reference's enhancing tissue,
core and cavity, and differs from the class that it resembles by what readers go by: the other modalities, the place,
the shape, its like on the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from scipy import ndimage

from posttx.phantom.anatomy import CENTRE_MM, Anatomy, smooth_field
from posttx.phantom.draw import ET, RC, SNFH, rng_of


class Cause(IntEnum):
    """The integers of a cause map: what was planted in a voxel."""

    NONE = 0
    VESSELS = 1
    PLEXUS = 2
    BLOOD = 3
    ISCHAEMIA = 4
    CSF_POCKETS = 5

    @property
    def key(self) -> str:
        """Return the name in the configuration."""
        return self.name.lower()


# The class that a network may take each for.
RESEMBLES: Mapping[Cause, int] = {
    Cause.VESSELS: ET,
    Cause.PLEXUS: ET,
    Cause.BLOOD: ET,
    Cause.ISCHAEMIA: SNFH,
    Cause.CSF_POCKETS: RC,
}
# Signal relative to white matter (T1, T1c) or grey matter (T2, FLAIR), as the tables of tissues and lesions.
SIGNALS: Mapping[Cause, Mapping[str, float]] = {
    Cause.VESSELS: {"t1n": 0.62, "t1c": 1.80, "t2w": 0.40, "t2f": 0.40},
    Cause.PLEXUS: {"t1n": 0.60, "t1c": 1.70, "t2w": 1.55, "t2f": 0.95},
    Cause.BLOOD: {"t1n": 1.65, "t1c": 1.75, "t2w": 1.05, "t2f": 1.15},
    Cause.ISCHAEMIA: {"t1n": 0.70, "t1c": 0.71, "t2w": 1.40, "t2f": 1.70},
    Cause.CSF_POCKETS: {"t1n": 0.24, "t1c": 0.25, "t2w": 2.28, "t2f": 0.22},
}
ROUGH = 0.05  # as the lesions', part of the signal that the patient's texture changes
# Enhancing choroid plexus: (|x|, y, z) in mm of the template's atria, temporal horns and bodies, taken in this order.
PLEXUS_PLACES = ((23.0, -39.0, 8.0), (30.0, -26.0, -10.0), (12.0, -16.0, 22.0))
ON_OTHER_SIDE = 0.8  # share of ischaemic foci and CSF pockets that have their like on the other side
BESIDE_LESION = 0.7  # share of blood that lies at the border of the lesion
FAR_MM, APART_MM = 10.0, 4.0  # distance of ischaemic foci and of CSF pockets to all that the reference labels
FLUID = 0.5


@dataclass(frozen=True)
class Blob:
    """An ellipsoid: centre and half axes in mm (RAS)."""

    centre: np.ndarray
    axes: np.ndarray


@dataclass(frozen=True)
class Planted:
    """Shares of each cause in every voxel of the brain, (n,), and the map of causes (uint8, the grid's shape)."""

    shares: Mapping[Cause, np.ndarray]
    causes: np.ndarray


def plant(
    anatomy: Anatomy, labels: np.ndarray, numbers: Mapping[str, float], head: Sequence[object], scan: Sequence[object]
) -> Planted:
    """Plant pitfalls in one scan; ``numbers`` is the mean number of each cause by its key, Poisson distributed.

    Vessels, plexus, ischaemia and CSF pockets belong to the head, blood to the scan: ``head`` and ``scan`` are what
    their random numbers follow from. A voxel has a cause where at least half of it was planted; none has one where
    ``labels`` say ET, NETC or RC, and only vessels and blood may lie in SNFH.
    """
    shares: dict[Cause, np.ndarray] = {}
    causes = np.zeros(labels.shape, np.uint8)
    rough = smooth_field(rng_of(*head, "pitfalls"), anatomy.grid, 6.0) if numbers else np.zeros(labels.shape)
    for cause in (cause for cause in Cause if numbers.get(cause.key)):
        draw = rng_of(*(scan if cause is Cause.BLOOD else head), cause.key)
        share = np.zeros(labels.shape, np.float32)
        DRAWN[cause](share, anatomy, labels, rough, draw, int(draw.poisson(numbers[cause.key])))
        allowed = anatomy.mask & (labels == 0)
        if cause in (Cause.VESSELS, Cause.BLOOD):
            allowed |= labels == SNFH
        share *= allowed & (causes == 0)
        causes[share >= 0.5] = cause
        shares[cause] = share[anatomy.mask]
    return Planted(shares, causes)


def show(signal: np.ndarray, modality: str, planted: Planted, texture: np.ndarray, draw: np.random.Generator) -> None:
    """Change the signal of every voxel of the brain, (n,), in place, to what was planted there."""
    for cause, share in planted.shares.items():
        value = np.float32(SIGNALS[cause][modality] * np.exp(0.04 * draw.standard_normal()))
        signal += share * (value * (1 + ROUGH * texture) - signal)


def _vessels(
    share: np.ndarray, anatomy: Anatomy, labels: np.ndarray, rough: np.ndarray, draw: np.random.Generator, count: int
) -> None:
    """Draw curved tubes along sulci: from a voxel of CSF near the surface on, at an even depth."""
    starts = np.flatnonzero(anatomy.mask & (anatomy.csf > 0.4) & (anatomy.depth > 2) & (anatomy.depth < 18))
    for _ in range(count if starts.size else 0):
        uniforms, normals = draw.random(3), draw.standard_normal((64, 3))
        path = _path(anatomy, _place(anatomy, starts, uniforms[0]), int(18 + 30 * uniforms[1]), normals)
        radius = max(1.1 + 0.9 * uniforms[2], 0.6 * anatomy.grid.spacing)
        _tube(share, anatomy, path, radius)


def _plexus(
    share: np.ndarray, anatomy: Anatomy, labels: np.ndarray, rough: np.ndarray, draw: np.random.Generator, count: int
) -> None:
    """Draw enhancing choroid plexus: irregular bodies in the ventricles' fluid, on both sides first of all."""
    fluid = np.flatnonzero(anatomy.mask & (anatomy.csf > FLUID) & (anatomy.depth > 15))
    x, y, z = (axis.ravel()[fluid] for axis in anatomy.template)
    places = [(side * place[0], *place[1:]) for place in PLEXUS_PLACES for side in (-1, 1)]
    for place in places[: count if fluid.size else 0]:
        away = (x - place[0]) ** 2 + (y - place[1]) ** 2 + (z - place[2]) ** 2
        nearest = _centre(anatomy, fluid[int(np.argmin(away))])
        _ellipsoid(share, anatomy, Blob(nearest, draw.uniform((2.5, 4.0, 3.0), (4.5, 7.5, 6.0))), rough)


def _blood(
    share: np.ndarray, anatomy: Anatomy, labels: np.ndarray, rough: np.ndarray, draw: np.random.Generator, count: int
) -> None:
    """Draw blood: most of it at the border of cavity, core and enhancing tissue, the rest anywhere in the brain."""
    solid = (labels > 0) & (labels != SNFH)
    away = max(1, round(3 / anatomy.grid.spacing))
    border = np.flatnonzero(_grown(solid, away) & ~solid & anatomy.mask)
    anywhere = np.flatnonzero((anatomy.depth > 8) & (anatomy.csf < FLUID) & ~solid)
    for _ in range(count):
        uniforms, axes = draw.random(2), draw.uniform(2.0, 6.0, 3)
        places = border if border.size and uniforms[0] < BESIDE_LESION else anywhere
        if places.size:
            _ellipsoid(share, anatomy, Blob(_place(anatomy, places, uniforms[1]), axes), rough)


def _ischaemia(
    share: np.ndarray, anatomy: Anatomy, labels: np.ndarray, rough: np.ndarray, draw: np.random.Generator, count: int
) -> None:
    """Draw foci in white matter, every other one at a ventricle's wall; most have their like on the other side."""
    white = anatomy.mask & (anatomy.wm > 0.5) & (anatomy.depth > 12)
    wall = white & _grown(anatomy.mask & (anatomy.csf > FLUID) & (anatomy.depth > 20), round(6 / anatomy.grid.spacing))
    for number in range(count):
        places = np.flatnonzero(wall if number % 2 else white & ~wall)
        uniforms, axes, off = draw.random(2), draw.uniform(2.0, 4.5, 3), 2.0 * draw.standard_normal(3)
        if places.size:
            blob = Blob(_place(anatomy, places, uniforms[0]), axes)
            for each in _sides(blob, off, uniforms[1] < ON_OTHER_SIDE):
                _apart(share, anatomy, labels, rough, each, FAR_MM)


def _csf_pockets(
    share: np.ndarray, anatomy: Anatomy, labels: np.ndarray, rough: np.ndarray, draw: np.random.Generator, count: int
) -> None:
    """Draw pockets of fluid at the cortex (two of three) or a ventricle's wall, some on both sides."""
    x, _, z = anatomy.template
    cortex = np.flatnonzero(anatomy.mask & (anatomy.depth <= 3 + anatomy.grid.spacing) & (z > -30) & (np.abs(x) > 12))
    inner = anatomy.mask & (anatomy.csf > FLUID) & (anatomy.depth > 20)
    wall = np.flatnonzero(_grown(inner, 1) & ~inner)
    for number in range(count):
        uniforms, axes, off = draw.random(2), draw.uniform(5.0, 12.0, 3), 2.0 * draw.standard_normal(3)
        places = wall if number % 3 == 2 else cortex
        if places.size:
            blob = Blob(_place(anatomy, places, uniforms[0]), axes)
            for each in _sides(blob, off, uniforms[1] < ON_OTHER_SIDE / 2):
                _apart(share, anatomy, labels, rough, each, APART_MM)


Drawing = Callable[[np.ndarray, Anatomy, np.ndarray, np.ndarray, np.random.Generator, int], None]
DRAWN: Mapping[Cause, Drawing] = {
    Cause.VESSELS: _vessels,
    Cause.PLEXUS: _plexus,
    Cause.BLOOD: _blood,
    Cause.ISCHAEMIA: _ischaemia,
    Cause.CSF_POCKETS: _csf_pockets,
}


def _sides(blob: Blob, off: np.ndarray, both: bool) -> Iterator[Blob]:
    """Yield a body and, where it has its like on the other side, that one, a bit off the mirrored place."""
    yield blob
    if both:
        yield Blob(blob.centre * (-1, 1, 1) + off, blob.axes)


def _apart(
    share: np.ndarray, anatomy: Anatomy, labels: np.ndarray, rough: np.ndarray, blob: Blob, distance: float
) -> None:
    """Draw a body unless anything labelled lies within ``distance`` mm of the box around it."""
    if not labels[_box(anatomy, blob.centre, blob.axes.max() + distance)].any():
        _ellipsoid(share, anatomy, blob, rough)


def _ellipsoid(share: np.ndarray, anatomy: Anatomy, blob: Blob, rough: np.ndarray) -> None:
    """Raise the share to that of an ellipsoid with an uneven surface, one voxel's partial volume at its border."""
    axes = np.maximum(blob.axes, 0.6 * anatomy.grid.spacing)
    box = _box(anatomy, blob.centre, 1.5 * axes.max())
    away = np.zeros((1, 1, 1))
    for axis, (part, centre, half) in enumerate(zip(box, blob.centre, axes, strict=True)):
        along = [-1 if other == axis else 1 for other in range(3)]
        away = away + (((anatomy.grid.axes[axis][part] - centre) / half) ** 2).reshape(along)
    inside = (1 - np.sqrt(away) - 0.18 * rough[box]) * axes.mean() / anatomy.grid.spacing
    share[box] = np.maximum(share[box], np.clip(inside + 0.5, 0, 1))


def _tube(share: np.ndarray, anatomy: Anatomy, path: np.ndarray, radius: float) -> None:
    """Raise the share to that of a tube of ``radius`` mm round points (n, 3) 1 mm apart."""
    from scipy.spatial import cKDTree

    reach = (path.max(axis=0) - path.min(axis=0)) / 2 + 3 * radius
    box = _box(anatomy, (path.max(axis=0) + path.min(axis=0)) / 2, reach)
    axes = [axis[part] for axis, part in zip(anatomy.grid.axes, box, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    away, _ = cKDTree(path).query(points, distance_upper_bound=2.5 * radius)
    inside = (radius - np.minimum(away, 9 * radius)) / anatomy.grid.spacing
    share[box] = np.maximum(share[box], np.clip(inside + 0.5, 0, 1))


def _path(anatomy: Anatomy, start: np.ndarray, length: int, normals: np.ndarray) -> np.ndarray:
    """Return a smooth curve of ``length`` mm, points (length, 3) 1 mm apart, across the brain at the start's depth."""
    points = [start]
    direction = normals[0]
    depth = _at(anatomy, anatomy.depth, start)
    for step in range(1, length):
        outward = points[-1] - np.array(CENTRE_MM)
        outward /= np.linalg.norm(outward)
        direction = direction + 0.25 * normals[step]
        direction = direction - outward * (direction @ outward)
        direction /= np.linalg.norm(direction)
        drift = np.clip(0.15 * (_at(anatomy, anatomy.depth, points[-1]) - depth), -0.7, 0.7)
        points.append(points[-1] + direction + drift * outward)
    return np.array(points)


def _at(anatomy: Anatomy, volume: np.ndarray, point: np.ndarray) -> float:
    index = np.rint((point - anatomy.grid.affine[:3, 3]) / np.diag(anatomy.grid.affine)[:3]).astype(int)
    return float(volume[tuple(np.clip(index, 0, np.array(volume.shape) - 1))])


def _place(anatomy: Anatomy, places: np.ndarray, uniform: float) -> np.ndarray:
    """Return the centre in mm of one of the voxels ``places`` (flat indices), chosen by a number in [0, 1)."""
    return _centre(anatomy, int(places[int(uniform * places.size)]))


def _centre(anatomy: Anatomy, flat: int) -> np.ndarray:
    index = np.unravel_index(flat, anatomy.grid.shape)
    return np.array([axis[at] for axis, at in zip(anatomy.grid.axes, index, strict=True)])


def _box(anatomy: Anatomy, centre: np.ndarray, reach: float | np.ndarray) -> tuple[slice, ...]:
    """Return the slices of the grid within ``reach`` mm of a point, per axis; at least one voxel, within the grid."""
    grid = anatomy.grid
    middle = (centre - grid.affine[:3, 3]) / np.diag(grid.affine)[:3]
    around = np.broadcast_to(np.asarray(reach) / grid.spacing, 3)
    low = np.clip(np.floor(middle - around), 0, np.array(grid.shape) - 1).astype(int)
    high = np.clip(np.ceil(middle + around) + 1, low + 1, grid.shape).astype(int)
    return tuple(slice(first, last) for first, last in zip(low, high, strict=True))


def _grown(mask: np.ndarray, voxels: int) -> np.ndarray:
    """Return a mask grown by some voxels (at least one), within the box around it."""
    found = ndimage.find_objects(mask.view(np.uint8))
    grown = mask.copy()
    if found and found[0]:
        box = tuple(slice(max(part.start - voxels, 0), part.stop + voxels) for part in found[0])
        grown[box] = ndimage.binary_dilation(mask[box], iterations=max(voxels, 1))
    return grown

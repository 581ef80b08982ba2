"""The phantom's lesions: a cavity at the cortex, an enhancing rim round a core, a halo along the white matter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from posttx.phantom.anatomy import Anatomy, Grid, distance_inside, smooth_field
from posttx.phantom.draw import ET, NETC, RC, SNFH

SIGHT_MM = (0.0, -17.0, 10.0)  # a point near the thalami; lesion sites are seen from here
SATELLITE_SHARE = 0.3
RIM_GROWTH = 0.06
FLUID = 0.5  # share of CSF from which a voxel belongs to a ventricle or a sulcus: no tumour, no oedema grows there


Places = tuple[np.ndarray, ...]  # indices along i, j and k, as numpy's nonzero gives them


@dataclass(frozen=True)
class Site:
    """Where a patient's lesion sits, in mm (RAS), and the noise that gives it its shape; shared by all the scans."""

    surface: np.ndarray
    inward: np.ndarray
    growth: np.ndarray
    satellite: np.ndarray | None
    stretch: np.ndarray
    fields: Mapping[int, np.ndarray]


def make_site(anatomy: Anatomy, draw: np.random.Generator, flip: bool) -> Site:
    """Choose the point of the cerebral surface where the surgeon went in, and how the lesion grows from there.

    Anywhere from the frontal to the occipital lobe and from the temporal lobe to near the vertex, on the side that
    ``flip`` says (True: right).
    """
    uniforms = draw.random(3)
    angle = math.radians(25 + 130 * uniforms[0])
    outward = np.array([math.sin(angle) * (1 if flip else -1), math.cos(angle), -0.25 + 1.1 * uniforms[1]])
    outward /= np.linalg.norm(outward)
    steps = np.arange(0.0, 120.0, 0.5)
    inside = _sample(anatomy.grid, anatomy.mask, np.array(SIGHT_MM) + steps[:, None] * outward)
    surface = np.array(SIGHT_MM) + steps[inside].max() * outward
    tangent = np.cross(outward, draw.standard_normal(3))
    growth = -outward + (0.3 + 0.9 * uniforms[2]) * tangent / np.linalg.norm(tangent)
    satellite = draw.standard_normal(3) - outward
    return Site(
        surface=surface,
        inward=-outward,
        growth=growth / np.linalg.norm(growth),
        satellite=satellite / np.linalg.norm(satellite) if draw.random() < SATELLITE_SHARE else None,
        stretch=np.exp(0.15 * draw.standard_normal(3)),
        fields={label: smooth_field(draw, anatomy.grid, knot) for label, knot in ((RC, 14), (ET, 10), (SNFH, 22))},
    )


def make_labels(
    anatomy: Anatomy, site: Site, voxels: Mapping[int, int], jitter: np.ndarray, rim: bool = False
) -> np.ndarray:
    """Return the label map (uint8, the grid's shape) with exactly ``voxels`` per class where the brain has the room.

    ``jitter`` (3) moves the lesion by some mm, as repositioning and healing do between two scans. Each class takes the
    voxels with the lowest score among those that are free, so volumes are met to the voxel. With ``rim``, ET and NETC
    line the wall of the cavity, where there is one, instead of growing from one place of it.
    """
    labels = np.zeros(anatomy.grid.shape, np.uint8)
    radius = {label: _radius(count, anatomy.grid.spacing) for label, count in voxels.items()}
    cavity = site.surface + jitter + 0.6 * radius.get(RC, 0.0) * site.inward
    if RC in voxels:
        score = _ellipsoid(anatomy.grid, cavity, site.stretch) + 0.16 * radius[RC] * site.fields[RC]
        _open_to_surface(anatomy, score, radius[RC])
        labels[_lowest(score, anatomy.mask, voxels[RC])] = RC
    core = voxels.get(ET, 0) + voxels.get(NETC, 0)
    if core:
        chosen = _core(anatomy, site, labels == RC, cavity, radius.get(RC, 0.0), core, rim)
        labels[chosen] = ET
        inner = distance_inside(_mask_of(chosen, labels.shape), anatomy.grid.spacing)
        labels[_lowest(-inner - 0.3 * site.fields[SNFH], labels == ET, voxels.get(NETC, 0))] = NETC
    if SNFH in voxels:
        labels[_halo(anatomy, site, labels, voxels[SNFH])] = SNFH
    return labels


def _core(
    anatomy: Anatomy, site: Site, hole: np.ndarray, cavity: np.ndarray, reach: float, count: int, rim: bool
) -> Places:
    """Return the places of ET and NETC together: at the cavity's wall, or deep below the surface without one."""
    radius = _radius(count, anatomy.grid.spacing)
    if hole.any():
        centre = cavity + (reach + 0.75 * radius) * site.growth
        # Recurrence creeps along the wall of the cavity.
        wall = 0.7 * distance_inside(~hole, anatomy.grid.spacing)
    else:
        centre, wall = site.surface + (16.0 + 0.7 * radius) * site.inward, np.zeros(1)
    score = _ellipsoid(anatomy.grid, centre, site.stretch[::-1])
    if site.satellite is not None:
        second = _ellipsoid(anatomy.grid, centre + (1.9 * radius + 9.0) * site.satellite, site.stretch)
        score = np.minimum(score, 2.0 * second)
    score = score + wall.astype(np.float32) + 0.22 * radius * site.fields[ET]
    if rim and hole.any():
        # Even along the wall, a bit thicker where the recurrence grows.
        score = wall.astype(np.float32) + RIM_GROWTH * score
    return _lowest(score, anatomy.mask & ~hole & (anatomy.csf < FLUID), count)


def _halo(anatomy: Anatomy, site: Site, labels: np.ndarray, count: int) -> Places:
    """Return the places of SNFH: around all the rest, far along white matter, hardly into cortex or across."""
    if labels.any():
        away = distance_inside(labels == 0, anatomy.grid.spacing)
    else:
        away = _ellipsoid(anatomy.grid, site.surface + 22.0 * site.inward, site.stretch)
    slow = 1.3 * np.minimum(away, 14.0) + 4.0
    other_side = np.clip(-np.sign(site.surface[0]) * anatomy.grid.axes[0], 0, None).astype(np.float32)
    score = away + slow * anatomy.gm + 4.0 * site.fields[SNFH] + 0.6 * other_side[:, None, None]
    return _lowest(score, anatomy.mask & (labels == 0) & (anatomy.csf < FLUID), count)


def _open_to_surface(anatomy: Anatomy, score: np.ndarray, radius: float) -> None:
    """Lower the score towards the outermost voxel nearest to the cavity, so that even a small cavity touches cortex."""
    grid = anatomy.grid
    rim = np.flatnonzero(anatomy.mask & (anatomy.depth <= 1.01 * grid.spacing))
    seed = np.array(np.unravel_index(rim[np.argmin(score.ravel()[rim])], grid.shape))
    place = np.array([axis[index] for axis, index in zip(grid.axes, seed, strict=True)])
    score[tuple(seed)] = -1e6
    np.minimum(score, _ellipsoid(grid, place, np.ones(3)) + 0.35 * radius, out=score, where=score > 0)


def _ellipsoid(grid: Grid, centre: np.ndarray, stretch: np.ndarray) -> np.ndarray:
    x, y, z = (((axis - centre[n]) / stretch[n]).astype(np.float32) ** 2 for n, axis in enumerate(grid.axes))
    return np.sqrt(x[:, None, None] + y[None, :, None] + z[None, None, :])


def _lowest(score: np.ndarray, allowed: np.ndarray, count: int) -> Places:
    """Return the places of the ``count`` allowed voxels of lowest score, or all there are."""
    places = np.flatnonzero(allowed)
    if count < places.size:
        places = places[np.argpartition(score.ravel()[places], count)[:count]]
    return np.unravel_index(places, score.shape)


def _mask_of(places: Places, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[places] = True
    return mask


def _radius(count: int, spacing: float) -> float:
    return spacing * (3 * count / (4 * math.pi)) ** (1 / 3)


def _sample(grid: Grid, volume: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the voxels of a volume at points (n, 3) in mm; points outside take the nearest voxel of the edge."""
    index = np.rint((points - grid.affine[:3, 3]) / np.diag(grid.affine)[:3]).astype(int)
    return volume[tuple(np.clip(index, 0, np.array(grid.shape) - 1).T)]

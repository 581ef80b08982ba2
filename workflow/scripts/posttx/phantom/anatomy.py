"""The phantom's healthy brain: MNI152 tissue maps of nilearn's wheel, warped for one patient onto one grid."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from posttx.errors import PostTxError
from posttx.nifti import read_volume

# BraTS writes 182 x 218 x 182 voxels of 1 mm, x falling: outer edges of the field of view in mm, RAS.
EDGES_MM = ((90.5, -91.5), (-126.5, 91.5), (-72.5, 109.5))
TEMPLATE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
# With the displacements, brings the template's extent (145 x 181 x 149 mm above the cut) to the median crop of BraTS,
# 142 x 175 x 136.
SIZE = (0.95, 0.962, 0.90)
FORAMEN_MM = -66.0
CENTRE_MM = (0.0, -17.0, 8.0)


@dataclass(frozen=True)
class Grid:
    """Voxel grid L-A-S in MNI space; ``axes`` are the world coordinates in mm along i (falling), j and k."""

    spacing: float
    shape: tuple[int, int, int]
    affine: np.ndarray
    axes: tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Anatomy:
    """One patient's brain on one grid: mask and tissue shares (adding up to 1 inside), float32 of the grid's shape.

    ``template`` holds the template's coordinates (3, x, y, z) in mm at every voxel, ``depth`` the distance in mm to the
    outside of the brain, ``t1`` the template's own T1 relative to its white matter.
    """

    grid: Grid
    mask: np.ndarray
    csf: np.ndarray
    gm: np.ndarray
    wm: np.ndarray
    t1: np.ndarray
    depth: np.ndarray
    template: np.ndarray


def make_grid(spacing: float) -> Grid:
    """Return BraTS's field of view in voxels of ``spacing`` mm (>= 1); at 1 mm exactly BraTS's grid."""
    if not 1.0 <= spacing <= 10.0:
        raise PostTxError(f"a phantom cannot have voxels of {spacing} mm", remedy="Set `spacing` between 1 and 10")
    shape, axes = [], []
    affine = np.eye(4)
    for axis, (first, last) in enumerate(EDGES_MM):
        count = math.ceil(abs(last - first) / spacing - 1e-9)
        step = math.copysign(spacing, last - first)
        affine[axis, axis], affine[axis, 3] = step, first + step / 2
        axes.append(affine[axis, 3] + step * np.arange(count))
        shape.append(count)
    return Grid(spacing, (shape[0], shape[1], shape[2]), affine, (axes[0], axes[1], axes[2]))


def smooth_field(draw: np.random.Generator, grid: Grid, knot_mm: float) -> np.ndarray:
    """Return a smooth random field on the grid, mean 0 and variance about 1, float32, varying over ``knot_mm``.

    A cubic B-spline with standard normal coefficients on a lattice fixed in the world: the same generator gives the
    same field at any voxel size. Sums of four slices per axis, not a matrix product, whose last bits would depend on
    the number of threads.
    """
    lattices = [math.ceil(abs(last - first) / knot_mm) + 4 for first, last in EDGES_MM]
    field = draw.standard_normal(lattices, dtype=np.float32)
    for axis in (2, 1, 0):
        at = (grid.axes[axis] - min(EDGES_MM[axis])) / knot_mm
        cell = np.floor(at).astype(int)
        t = (at - cell).astype(np.float32)
        weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
        along = [-1 if other == axis else 1 for other in range(3)]
        # 0.692 is the root mean square of a cubic B-spline over one cell.
        field = sum(
            field.take(cell + step, axis=axis) * (weight / np.float32(6 * 0.692)).reshape(along)
            for step, weight in enumerate(weights)
        )
    return field


def make_anatomy(grid: Grid, draw: np.random.Generator, flip: bool) -> Anatomy:
    """Warp the template for one patient: size, small rotation, smooth displacement, and left for right if ``flip``."""
    maps, start, step = _template(max(1, int(grid.spacing)))
    template = _warp(grid, draw, flip)
    index = np.stack([(template[axis] - start[axis]) / step for axis in range(3)])
    brain, gm, wm, t1 = (
        ndimage.map_coordinates(volume, index, order=1, mode="constant", prefilter=False) for volume in maps
    )
    mask = _largest((brain >= 0.5) & (template[2] > FORAMEN_MM))
    dark = np.clip((0.62 - t1) / 0.28, 0, 1)
    csf = np.where(mask, np.maximum(np.clip(1 - gm - wm, 0, 1), dark), 0)
    # Averaging 152 brains blurred the tissue borders; a power brings back contrast.
    shares = np.stack([csf, gm * mask, wm * mask]) ** 1.4 + np.float32(1e-6)
    shares /= shares.sum(axis=0)
    depth = distance_inside(mask, grid.spacing)
    return Anatomy(grid, mask, shares[0], shares[1], shares[2], t1, depth, template)


def distance_inside(mask: np.ndarray, spacing: float) -> np.ndarray:
    """Return the Euclidean distance in mm of every voxel of ``mask`` to the nearest voxel outside, float32."""
    import edt

    return edt.edt(np.ascontiguousarray(mask), anisotropy=(spacing,) * 3, black_border=True, parallel=1)


@cache
def _template(factor: int) -> tuple[list[np.ndarray], np.ndarray, int]:
    """Return brain, GM, WM and T1 averaged over ``factor``^3 mm, the world position of voxel 0 and the voxel size."""
    spec = importlib.util.find_spec("nilearn")  # finds the folder without the seconds that importing nilearn takes
    if spec is None or not spec.submodule_search_locations:
        raise PostTxError("nilearn, which carries the MNI152 template, is not installed", remedy="Run `make demo`")
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "data"
    volumes = {name: read_volume(folder / TEMPLATE.format(name)) for name in ("t1", "gm", "wm")}
    t1, gm, wm = (volume.data for volume in volumes.values())
    maps = [_block_mean(data, factor) for data in ((t1 > 0).view(np.uint8), gm, wm, t1)]
    maps = [maps[0], maps[1] / 255, maps[2] / 255, maps[3] / 222]
    return maps, volumes["t1"].affine[:3, 3] + (factor - 1) / 2, factor


def _block_mean(data: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return np.ascontiguousarray(data, dtype=np.float32)
    x, y, z = (length // factor for length in data.shape)
    blocks = data[: x * factor, : y * factor, : z * factor].reshape(x, factor, y, factor, z, factor, order="A")
    return np.ascontiguousarray(blocks.mean(axis=(1, 3, 5), dtype=np.float32))


def _warp(grid: Grid, draw: np.random.Generator, flip: bool) -> np.ndarray:
    size = np.array(SIZE) * (1 + 0.02 * draw.standard_normal(3))
    angles = np.deg2rad(1.5) * draw.standard_normal(3)
    rotation = np.eye(3) + np.array(
        [[0, -angles[2], angles[1]], [angles[2], 0, -angles[0]], [-angles[1], angles[0], 0]]
    )
    matrix = rotation / size
    axes = [
        np.reshape(at - centre, [-1 if other == axis else 1 for other in range(3)])
        for axis, (at, centre) in enumerate(zip(grid.axes, CENTRE_MM, strict=True))
    ]
    if flip:
        axes[0] = -axes[0]
    template = np.empty((3, *grid.shape), np.float32)
    for axis in range(3):
        template[axis] = CENTRE_MM[axis] + sum(matrix[axis, other] * axes[other] for other in range(3))
        template[axis] += 2.0 * smooth_field(draw, grid, 30.0) + 1.0 * smooth_field(draw, grid, 10.0)
    return template


def _largest(mask: np.ndarray) -> np.ndarray:
    parts, count = ndimage.label(mask)
    return mask if count <= 1 else parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])

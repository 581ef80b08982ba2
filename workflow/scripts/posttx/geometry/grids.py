"""Voxel grids: where voxels lie, when two grids are one, and the standard grid of a case."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes

from posttx.errors import PostTxError
from posttx.nifti import MAX_VOXELS, Volume

# Two grids are one when no corner differs by more than this part of the shortest voxel edge: headers round to 1e-3.
TOLERANCE_VOXELS = 0.05
# Some programs write voxel edges with three decimals. Grids that differ by nothing else are one, as long as every voxel
# is still nearest to the voxel of its own index.
ROUNDED_MM = 0.0005
ROUNDED_VOXELS = 0.5
# A voxel edge this close to the asked one is left alone: below half a voxel over a whole head, so no voxel is due.
TOLERANCE_SPACING = 1e-3
SPACING_MM = (0.05, 20.0)


@dataclass(frozen=True)
class Grid:
    """Where voxels lie: ``affine`` maps indices (i, j, k) below ``shape`` to mm in RAS+ world space."""

    shape: tuple[int, ...]
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Return the voxel edges in mm along i, j, k."""
        return voxel_sizes(self.affine)

    @property
    def orientation(self) -> str:
        """Return the axis codes, such as ``LAS``."""
        return "".join(code or "?" for code in nib.aff2axcodes(self.affine))

    @property
    def voxel_mm3(self) -> float:
        """Return the volume of a voxel in mm³."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def tolerance_mm(self) -> float:
        """Return by how many mm the corners of another grid may differ that counts as the same."""
        return TOLERANCE_VOXELS * float(self.spacing.min())


def grid_of(volume: Volume) -> Grid:
    """Return the grid of a volume as its header gives it."""
    i, j, k = volume.data.shape
    return Grid((i, j, k), np.asarray(volume.affine, float))


def valid_affine(affine: np.ndarray) -> bool:
    """Say whether an affine is finite, invertible and has voxel edges between 0.05 and 20 mm."""
    if not np.isfinite(affine).all():
        return False
    spacing = voxel_sizes(affine)
    if not ((spacing >= SPACING_MM[0]) & (spacing <= SPACING_MM[1])).all():
        return False
    return abs(np.linalg.det(affine[:3, :3] / spacing)) > 1e-3


def corners_of(shape: Sequence[int]) -> np.ndarray:
    """Return the indices of the eight corner voxels below ``shape`` as homogeneous coordinates (8, 4)."""
    return np.array([(*corner, 1) for corner in itertools.product(*((0, n - 1) for n in shape))], float)


def displacement(a: np.ndarray, b: np.ndarray, shape: Sequence[int]) -> float:
    """Return by how many mm two affines place the corners of a volume differently, at most."""
    difference = corners_of(shape) @ (a - b).T
    return float(np.sqrt((difference[:, :3] ** 2).sum(axis=1)).max())


def same_grid(one: Grid, other: Grid) -> bool:
    """Tell whether two grids have the same shape and place their voxels alike.

    Corners agree within ``TOLERANCE_VOXELS``, or the voxel edges of one are those of the other rounded
    (``differs_by_rounding``).
    """
    if one.shape != other.shape:
        return False
    if displacement(one.affine, other.affine, one.shape) <= one.tolerance_mm:
        return True
    return differs_by_rounding(one, other)


def differs_by_rounding(one: Grid, other: Grid) -> bool:
    """Tell whether two grids differ by more than the tolerance, but by nothing than rounded voxel edges.

    That is: one shape, edges within ``ROUNDED_MM``, with equal edges the corners would agree, and none lies as far off
    as ``ROUNDED_VOXELS`` of the shortest edge. Index by index is then what the nearest voxel would be, too.
    """
    if one.shape != other.shape:
        return False
    apart = displacement(one.affine, other.affine, one.shape)
    if not one.tolerance_mm < apart < ROUNDED_VOXELS * float(one.spacing.min()):
        return False
    edges, others = one.spacing, other.spacing
    if float(np.abs(edges - others).max()) > ROUNDED_MM * 1.01:
        return False
    scaled = one.affine * [*(others / edges), 1.0]
    return displacement(scaled, other.affine, one.shape) <= one.tolerance_mm


def difference_text(one: Grid, other: Grid) -> str:
    """Return in words all that ``one`` has otherwise than ``other``: shape, voxel edges, axes, origin, corners.

    Distances are in mm; edges have as many digits as it takes to tell them apart.
    """
    parts = []
    if one.shape != other.shape:
        parts.append(f"{_times(one.shape)} voxels against {_times(other.shape)}")
    if not np.allclose(one.spacing, other.spacing, rtol=1e-5):
        first, second = _edges_apart(one.spacing, other.spacing)
        parts.append(f"voxels of {first} mm against {second} mm")
    if one.orientation != other.orientation:
        parts.append(f"axes {one.orientation} against {other.orientation}")
    elif not np.allclose(one.affine[:3, :3] / one.spacing, other.affine[:3, :3] / other.spacing, atol=1e-4):
        parts.append(f"axes turned by {_degrees_apart(one, other):.2g} degrees")
    if float(np.abs(one.affine[:3, 3] - other.affine[:3, 3]).max()) > 1e-3:
        parts.append(f"origin {_origin(one)} against {_origin(other)} mm")
    if one.shape == other.shape:
        apart = displacement(one.affine, other.affine, one.shape)
        parts.append(f"a corner lies {apart:.3g} mm off, {other.tolerance_mm:.2g} mm are tolerated")
    return ", ".join(parts)


def standard_grid(grid: Grid, orientation: str, spacing: float) -> Grid:
    """Return the grid that ``grid`` is brought to: its axes permuted and flipped, its voxels of edge ``spacing`` (mm).

    Oblique axes stay oblique: they become the nearest axes of ``orientation``. Axes whose voxel edge is within
    ``TOLERANCE_SPACING`` of ``spacing`` keep their voxels; the others get as many voxels as fill the same extent, about
    the same centre. An impossible affine, or one that promises more voxels than a file may have, is an error.
    """
    if not valid_affine(grid.affine):
        edges = " x ".join(f"{edge:.3g}" for edge in grid.spacing)
        raise PostTxError(
            f"the affine is impossible (voxels of {edges} mm)", remedy="Export the image again", code="GEO007"
        )
    turned = turned_grid(grid, orientation)
    scale = spacing / turned.spacing
    if np.all(np.abs(scale - 1) < TOLERANCE_SPACING):
        return turned
    scale[np.abs(scale - 1) < TOLERANCE_SPACING] = 1.0
    shape = tuple(max(1, round(n / s)) for n, s in zip(turned.shape, scale, strict=True))
    if math.prod(shape) > MAX_VOXELS:
        raise PostTxError(
            f"at {spacing:g} mm the image would have {_times(shape)} voxels",
            remedy="Correct the voxel size in the header, or raise standardize.spacing",
            code="FIL006",
        )
    step = np.diag([*scale, 1.0])
    step[:3, 3] = [(n - 1) / 2 - s * (m - 1) / 2 for n, m, s in zip(turned.shape, shape, scale, strict=True)]
    return Grid(shape, turned.affine @ step)


def turned_grid(grid: Grid, orientation: str) -> Grid:
    """Return the grid of the same voxels, its axes permuted and flipped to be the nearest to ``orientation``."""
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(grid.affine), nib.orientations.axcodes2ornt(tuple(orientation))
    )
    shape = tuple(int(grid.shape[axis]) for axis in np.argsort(turn[:, 0]))
    return Grid(shape, grid.affine @ nib.orientations.inv_ornt_aff(turn, grid.shape))


def moved(affine: np.ndarray, start: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the affine of an array that begins at the index ``start`` of another."""
    result = affine.copy()
    result[:3, 3] += affine[:3, :3] @ np.asarray(start, float)
    return result


def columns_of(grid: Grid, name: str) -> dict[str, str]:
    """Return a grid as two columns of a table: ``<name>_shape`` (``ixjxk``), ``<name>_affine`` (JSON, rows of 4)."""
    return {f"{name}_shape": "x".join(map(str, grid.shape)), f"{name}_affine": json.dumps(grid.affine.tolist())}


def grid_from(row: Mapping[str, Any], name: str) -> Grid:
    """Return the grid of two columns of a row that ``columns_of`` made; its numbers are the same."""
    i, j, k = map(int, row[f"{name}_shape"].split("x"))
    return Grid((i, j, k), np.array(json.loads(row[f"{name}_affine"]), float))


def _times(numbers: Sequence[int]) -> str:
    return " x ".join(map(str, numbers))


def _origin(grid: Grid) -> str:
    return "(" + ", ".join(f"{place + 0.0:.5g}" for place in grid.affine[:3, 3]) + ")"


def _edges_apart(first: np.ndarray, second: np.ndarray) -> tuple[str, str]:
    """Return edges in mm with the fewest digits, three at least, that tell them apart."""
    for digits in range(3, 9):
        texts = [" x ".join(f"{edge:.{digits}g}" for edge in edges) for edges in (first, second)]
        if texts[0] != texts[1]:
            break
    return texts[0], texts[1]


def _degrees_apart(one: Grid, other: Grid) -> float:
    cosines = (one.affine[:3, :3] / one.spacing * (other.affine[:3, :3] / other.spacing)).sum(axis=0)
    return float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).max())

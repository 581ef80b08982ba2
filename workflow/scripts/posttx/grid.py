"""Voxel grids: the standard grid of a case, the way there for images and label maps, and the way back."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

from posttx.errors import PostTxError
from posttx.nifti import MAX_VOXELS, Volume

# Two grids are one when no corner differs by more than this part of the shortest voxel edge: headers round to 1e-3.
TOLERANCE_VOXELS = 0.05
# A voxel edge this close to the asked one is left alone: below half a voxel over a whole head, so no voxel is due.
TOLERANCE_SPACING = 1e-3
SPACING_MM = (0.05, 20.0)
INTERPOLATION = {"linear": 1, "cubic": 3}


@dataclass(frozen=True)
class Grid:
    """Where voxels lie: ``affine`` maps indices (i, j, k) below ``shape`` to mm in RAS+ world space."""

    shape: tuple[int, ...]
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Return the voxel edges in mm along i, j, k."""
        return np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))

    @property
    def orientation(self) -> str:
        """Return the axis codes, such as ``LAS``."""
        return "".join(code or "?" for code in nib.aff2axcodes(self.affine))

    @property
    def voxel_mm3(self) -> float:
        """Return the volume of a voxel in mm³."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))


def grid_of(volume: Volume) -> Grid:
    """Return the grid of a volume as its header gives it."""
    i, j, k = volume.data.shape
    return Grid((i, j, k), np.asarray(volume.affine, float))


def valid_affine(affine: np.ndarray) -> bool:
    """Say whether an affine is finite, invertible and has voxel edges between 0.05 and 20 mm."""
    if not np.isfinite(affine).all():
        return False
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    if not ((spacing >= SPACING_MM[0]) & (spacing <= SPACING_MM[1])).all():
        return False
    return abs(np.linalg.det(affine[:3, :3] / spacing)) > 1e-3


def displacement(a: np.ndarray, b: np.ndarray, shape: tuple[int, ...]) -> float:
    """Return by how many mm two affines place the corners of a volume differently, at most."""
    corners = np.array([(*corner, 1) for corner in itertools.product(*((0, n - 1) for n in shape))], float)
    difference = corners @ (a - b).T
    return float(np.sqrt((difference[:, :3] ** 2).sum(axis=1)).max())


def same_grid(one: Grid, other: Grid) -> bool:
    """Tell whether two grids have the same shape and their corners agree within ``TOLERANCE_VOXELS``."""
    tolerance = TOLERANCE_VOXELS * float(one.spacing.min())
    return one.shape == other.shape and displacement(one.affine, other.affine, one.shape) <= tolerance


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
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(grid.affine), nib.orientations.axcodes2ornt(tuple(orientation))
    )
    affine = grid.affine @ nib.orientations.inv_ornt_aff(turn, grid.shape)
    order = np.argsort(turn[:, 0])
    turned = Grid(tuple(int(grid.shape[axis]) for axis in order), affine)
    scale = spacing / turned.spacing
    if np.all(np.abs(scale - 1) < TOLERANCE_SPACING):
        return turned
    scale[np.abs(scale - 1) < TOLERANCE_SPACING] = 1.0
    shape = tuple(max(1, round(n / s)) for n, s in zip(turned.shape, scale, strict=True))
    if math.prod(shape) > MAX_VOXELS:
        raise PostTxError(
            f"at {spacing:g} mm the image would have {' x '.join(map(str, shape))} voxels",
            remedy="Correct the voxel size in the header, or raise standardize.spacing",
            code="FIL006",
        )
    step = np.diag([*scale, 1.0])
    step[:3, 3] = [(n - 1) / 2 - s * (m - 1) / 2 for n, m, s in zip(turned.shape, shape, scale, strict=True)]
    return Grid(shape, affine @ step)


def needs_resampling(source: Grid, target: Grid) -> bool:
    """Tell whether voxels of ``target`` lie between those of ``source``, so that values must be interpolated."""
    return _exact_map(source, target) is None


def same_voxels(source: Grid, target: Grid) -> bool:
    """Tell whether two grids are the same voxels, in another order of axes or directions at most."""
    exact = _exact_map(source, target)
    if exact is None or sorted(source.shape) != sorted(target.shape):
        return False
    ends = np.array([(0, 0, 0, 1), (*(n - 1 for n in target.shape), 1)]) @ exact.T[:, :3]
    return bool(np.all((ends >= 0) & (ends < source.shape)))


def image_on_grid(data: np.ndarray, source: Grid, target: Grid, interpolation: str = "linear") -> np.ndarray:
    """Return an image of grid ``source`` on grid ``target``; voxels of ``target`` outside ``source`` are 0.

    Where the grids agree up to axis order, flips and whole-voxel shifts, the values are the same bits (a view where
    possible). Otherwise they are interpolated (``linear`` or ``cubic``, centres on centres, no smoothing before a
    reduction) in float32, and what is nearest to a voxel of exactly 0 stays 0, so that background stays background.
    """
    exact = _exact_map(source, target)
    if exact is not None:
        return _copied(data, exact, target.shape)
    result = _interpolated(data.astype(np.float32), source, target, INTERPOLATION[interpolation])
    inside = _interpolated((data != 0).astype(np.uint8), source, target, 0)
    result[inside == 0] = 0
    return _cut(result, source, target)


def labels_on_grid(data: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Return a label map of grid ``source`` on grid ``target``, in the type of ``data``; outside is 0.

    Exact where ``image_on_grid`` is exact. Otherwise each label's mask is interpolated linearly and a voxel takes the
    label with the largest share, 0 among them, so that no in-between integer arises. An empty map stays empty.
    """
    exact = _exact_map(source, target)
    if exact is not None:
        return _copied(data, exact, target.shape)
    result = np.zeros(target.shape, data.dtype, order="F")
    largest = np.zeros(target.shape, np.float32, order="F")
    rest = np.ones(target.shape, np.float32, order="F")
    boxes = {value: _box(data == value) for value in np.unique(data[data != 0])}
    shares = {value: _share(data, value, box, source, target) for value, box in boxes.items()}
    for where, share in shares.values():
        rest[where] -= share
    for value, (where, share) in shares.items():
        wins = (share > largest[where]) & (share > rest[where])
        result[where][wins] = value
        np.maximum(largest[where], share, out=largest[where])
    return _cut(result, source, target)


def read_grid(volume: Volume, leader: Grid, decision: str) -> Grid:
    """Return the grid on which a file of a case is to be read, by the audit's recorded decision.

    ``leader`` is the grid of the case, that of one of its images. ``trust_voxels``: the arrays of the case are aligned
    index by index, so that this file lies on the leader's grid whatever its own affine says. ``agree`` and
    ``trust_affine``: it lies where its affine says. ``fail`` raises where the two differ.
    """
    own = grid_of(volume)
    if decision in ("agree", "trust_affine") or same_grid(own, leader):
        return own
    if decision != "trust_voxels":
        raise PostTxError(
            "the affines of the case contradict each other",
            remedy="Read the audit's finding, then set audit.geometry to trust_affine or trust_voxels",
            file=volume.path,
            code="GEO001",
        )
    if own.shape != leader.shape:
        raise PostTxError(
            f"the array has shape {own.shape}, that of the case is {leader.shape}: no index-by-index reading",
            remedy="Set audit.geometry to trust_affine, or export the file on the grid of the others",
            file=volume.path,
            code="GEO001",
        )
    return leader


def grid_columns(original: Grid, standard: Grid) -> dict[str, Any]:
    """Return the columns of a transforms row that ``restore_labels`` reads; affines as JSON, rows of 4 numbers."""
    return {
        "original_shape": _shape_text(original),
        "original_affine": json.dumps(original.affine.tolist()),
        "original_orientation": original.orientation,
        "standard_shape": _shape_text(standard),
        "standard_affine": json.dumps(standard.affine.tolist()),
        "standard_orientation": standard.orientation,
        "resampled": needs_resampling(original, standard),
    }


def grids_of_row(row: Mapping[str, Any]) -> tuple[Grid, Grid]:
    """Return the original and the standard grid of a transforms row (a dictionary or a row of the table)."""
    return (
        Grid(_shape_from(row["original_shape"]), np.array(json.loads(row["original_affine"]), float)),
        Grid(_shape_from(row["standard_shape"]), np.array(json.loads(row["standard_affine"]), float)),
    )


def restore_labels(label_map: np.ndarray, row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return a label map (or counts per voxel) of a case's standard grid on its original grid, and that grid's affine.

    ``row`` is the case's row of ``transforms.parquet``. The result is identical to what was standardised where no
    resampling was needed. A map of another shape than the row's standard grid raises an error.
    """
    original, standard = grids_of_row(row)
    if label_map.shape != standard.shape:
        raise PostTxError(
            f"the label map has shape {label_map.shape}, its standard grid {standard.shape}",
            remedy="Predict the case again from its standardised images",
            case=str(row.get("case", "")),
        )
    return np.asfortranarray(labels_on_grid(label_map, standard, original)), original.affine


def _shape_text(grid: Grid) -> str:
    return "x".join(map(str, grid.shape))


def _shape_from(text: str) -> tuple[int, ...]:
    i, j, k = map(int, text.split("x"))
    return i, j, k


def _index_map(source: Grid, target: Grid) -> np.ndarray:
    """Return the 4 x 4 matrix from indices of ``target`` to (fractional) indices of ``source``."""
    return np.linalg.solve(source.affine, target.affine)


def _largest_shift(matrix: np.ndarray, shape: tuple[int, ...]) -> float:
    corners = np.array([(*corner, 1) for corner in itertools.product(*((0, n - 1) for n in shape))], float)
    return float(np.abs((corners @ matrix.T)[:, :3]).max())


def _exact_map(source: Grid, target: Grid) -> np.ndarray | None:
    """Return the index map in whole numbers where it permutes, flips and shifts by whole voxels, else None."""
    matrix = _index_map(source, target)
    whole = np.rint(matrix)
    permutes = np.abs(whole[:3, :3])
    if not (np.all(permutes.sum(axis=0) == 1) and np.all(permutes.sum(axis=1) == 1)):
        return None
    # The linear part is judged where it acts, at the far corner; a shift of its own must be whole at every corner.
    if _largest_shift(matrix - whole, target.shape) > TOLERANCE_VOXELS:
        return None
    return whole.astype(int)


def _copied(data: np.ndarray, exact: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return ``data[exact @ index]`` for every index below ``shape``: a view where all of them exist, else 0 padded."""
    axes = [int(np.flatnonzero(exact[:3, axis])[0]) for axis in range(3)]
    take, put = [], []
    for axis, length in zip(axes, shape, strict=True):
        sign, shift = int(exact[axis, :3].sum()), int(exact[axis, 3])
        extent = data.shape[axis]
        # The indices of the target whose source index sign * index + shift exists.
        first, last = (-shift, extent - 1 - shift) if sign > 0 else (shift - extent + 1, shift)
        first, last = max(first, 0), min(last, length - 1)
        if last < first:
            return np.zeros(shape, data.dtype, order="F")
        put.append(slice(first, last + 1))
        begin, end = sign * first + shift, sign * last + shift
        take.append(slice(begin, end + sign if end + sign >= 0 else None, sign))
    part = data.transpose(axes)[tuple(take)]
    if part.shape == shape:
        return part
    result = np.zeros(shape, data.dtype, order="F")
    result[tuple(put)] = part
    return result


def _interpolated(data: np.ndarray, source: Grid, target: Grid, order: int) -> np.ndarray:
    """Interpolate at the centres of ``target``; beyond the outermost centres the nearest value goes on."""
    matrix = _index_map(source, target)
    axes = [int(np.argmax(np.abs(matrix[:3, axis]))) for axis in range(3)]
    separate = np.zeros((4, 4))
    for axis, origin in enumerate(axes):
        separate[origin, axis] = matrix[origin, axis]
    separate[:, 3] = matrix[:, 3]
    if sorted(axes) == [0, 1, 2] and _largest_shift(matrix - separate, target.shape) < TOLERANCE_VOXELS:
        lines = [(matrix[origin, axis], matrix[origin, 3]) for axis, origin in enumerate(axes)]
        return _axis_by_axis(data.transpose(axes), lines, target.shape, order)
    return ndimage.affine_transform(
        data, matrix[:3, :3], matrix[:3, 3], output_shape=target.shape, order=order, mode="nearest"
    )


def _axis_by_axis(data: np.ndarray, lines: list[tuple[float, float]], shape: tuple[int, ...], order: int) -> np.ndarray:
    """Interpolate index * factor + shift, of ``lines``, along each axis: several times faster than a general map."""
    if order > 1:
        factors, shifts = zip(*lines, strict=True)
        return ndimage.affine_transform(data, factors, shifts, output_shape=shape, order=order, mode="nearest")
    if data.flags.f_contiguous and not data.flags.c_contiguous:
        # numpy takes from C order to C order without striding through memory.
        return _axis_by_axis(data.T, lines[::-1], shape[::-1], order).T
    # Axes that lose voxels come first: the others then have less to do.
    for axis in sorted(range(3), key=lambda axis: shape[axis] / data.shape[axis]):
        factor, shift = lines[axis]
        last = data.shape[axis] - 1
        place = np.clip(factor * np.arange(shape[axis]) + shift, 0, last)
        if order == 0:
            data = np.take(data, np.rint(place).astype(int), axis)
            continue
        low = np.minimum(place.astype(int), max(0, last - 1))
        part = (place - low).astype(np.float32).reshape([-1 if other == axis else 1 for other in range(3)])
        near, far = np.take(data, low, axis), np.take(data, np.minimum(low + 1, last), axis)
        far -= near
        far *= part
        near += far
        data = near
    return data


def _cut(result: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Set to 0, in place, what lies outside the voxels of ``source``."""
    matrix = _index_map(source, target)
    if _largest_shift(matrix - np.eye(4), target.shape) < 0.5 and source.shape == target.shape:
        return result
    index = np.ogrid[tuple(slice(n) for n in target.shape)]
    for axis, length in enumerate(source.shape):
        where = matrix[axis, 3] + sum(matrix[axis, n] * index[n] for n in range(3) if abs(matrix[axis, n]) > 1e-9)
        outside = (where < -0.5 - TOLERANCE_VOXELS) | (where > length - 0.5 + TOLERANCE_VOXELS)
        if outside.any():
            np.copyto(result, 0, where=outside)
    return result


Box = tuple[slice, slice, slice]


def _box(mask: np.ndarray) -> Box:
    """Return the bounding box of a mask that holds a voxel, one voxel wider where the array goes on."""
    sides = []
    for axis in range(3):
        hits = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        sides.append(slice(max(int(hits[0]) - 1, 0), min(int(hits[-1]) + 2, mask.shape[axis])))
    return sides[0], sides[1], sides[2]


def _share(data: np.ndarray, value: Any, box: Box, source: Grid, target: Grid) -> tuple[Box, np.ndarray]:
    """Return the part of ``target`` that a label can reach, and the label's share of each voxel there."""
    corners = np.array([(*c, 1) for c in itertools.product(*((s.start - 0.5, s.stop - 0.5) for s in box))], float)
    reached = (corners @ np.linalg.inv(_index_map(source, target)).T)[:, :3]
    low = np.clip(np.floor(reached.min(axis=0)).astype(int), 0, target.shape)
    high = np.clip(np.ceil(reached.max(axis=0)).astype(int) + 1, 0, target.shape)
    where = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    if np.any(high <= low):
        return where, np.zeros(tuple(np.maximum(high - low, 0)), np.float32)
    near = Grid(tuple(s.stop - s.start for s in box), _moved(source.affine, [s.start for s in box]))
    far = Grid(tuple(int(n) for n in high - low), _moved(target.affine, low))
    return where, _interpolated((data[box] == value).astype(np.float32), near, far, 1)


def _moved(affine: np.ndarray, start: Any) -> np.ndarray:
    moved = affine.copy()
    moved[:3, 3] = affine[:3, :3] @ np.asarray(start, float) + affine[:3, 3]
    return moved

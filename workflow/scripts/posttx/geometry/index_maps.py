"""Index maps between grids, and exact copies: axes permuted and flipped, shifts by whole voxels, no interpolation."""

from __future__ import annotations

import numpy as np

from posttx.geometry.grids import TOLERANCE_VOXELS, Grid, corners_of


def index_map(source: Grid, target: Grid) -> np.ndarray:
    """Return the 4 x 4 matrix from indices of ``target`` to (fractional) indices of ``source``."""
    return np.linalg.solve(source.affine, target.affine)


def largest_shift(matrix: np.ndarray, shape: tuple[int, ...]) -> float:
    """Return by how many voxels a difference of two index maps moves a corner of ``shape``, at most along one axis."""
    return float(np.abs((corners_of(shape) @ matrix.T)[:, :3]).max())


def exact_map(source: Grid, target: Grid) -> np.ndarray | None:
    """Return the index map in whole numbers where it permutes, flips and shifts by whole voxels, else None."""
    try:
        matrix = index_map(source, target)
    except np.linalg.LinAlgError:
        return None
    whole = np.rint(matrix)
    permutes = np.abs(whole[:3, :3])
    if not (np.all(permutes.sum(axis=0) == 1) and np.all(permutes.sum(axis=1) == 1)):
        return None
    # The linear part is judged where it acts, at the far corner; a shift of its own must be whole at every corner.
    if largest_shift(matrix - whole, target.shape) > TOLERANCE_VOXELS:
        return None
    return whole.astype(int)


def needs_resampling(source: Grid, target: Grid) -> bool:
    """Tell whether voxels of ``target`` lie between those of ``source``, so that values must be interpolated."""
    return exact_map(source, target) is None


def same_voxels(source: Grid, target: Grid) -> bool:
    """Tell whether two grids are the same voxels, in another order of axes or directions at most."""
    exact = exact_map(source, target)
    if exact is None or sorted(source.shape) != sorted(target.shape):
        return False
    ends = np.array([(0, 0, 0, 1), (*(n - 1 for n in target.shape), 1)]) @ exact.T[:, :3]
    return bool(np.all((ends >= 0) & (ends < source.shape)))


def copied(data: np.ndarray, exact: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
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

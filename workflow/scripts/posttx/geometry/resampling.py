"""Images and label maps of one grid brought onto another: exact where voxels coincide, else interpolated."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from posttx.geometry.boxes import Box, bounding_box, widened
from posttx.geometry.grids import TOLERANCE_VOXELS, Grid, moved
from posttx.geometry.index_maps import copied, exact_map, index_map, largest_shift

# What is less comes from rounding: a voxel that takes a label has a larger share of it.
LEAST_WEIGHT = 1e-3
INTERPOLATION = {"linear": 1, "cubic": 3}


def image_on_grid(data: np.ndarray, source: Grid, target: Grid, interpolation: str = "linear") -> np.ndarray:
    """Return an image of grid ``source`` on grid ``target``; voxels of ``target`` outside ``source`` are 0.

    Where the grids agree up to axis order, flips and whole-voxel shifts, the values are the same bits (a view where
    possible). Otherwise they are interpolated (``linear`` or ``cubic``, centres on centres, no smoothing before a
    reduction) in float32, and what is nearest to a voxel of exactly 0 stays 0, so that background stays background.
    """
    exact = exact_map(source, target)
    if exact is not None:
        return copied(data, exact, target.shape)
    result = _interpolated(data.astype(np.float32), source, target, INTERPOLATION[interpolation])
    inside = _interpolated((data != 0).astype(np.uint8), source, target, 0)
    result[inside == 0] = 0
    return _cut(result, source, target)


def labels_on_grid(data: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Return a label map of grid ``source`` on grid ``target``, in the type of ``data``; outside is 0.

    Exact where ``image_on_grid`` is exact. Otherwise each label's mask is interpolated linearly and a voxel takes the
    label with the largest share, 0 among them, so that no in-between integer arises. An empty map stays empty.
    """
    exact = exact_map(source, target)
    if exact is not None:
        return copied(data, exact, target.shape)
    result = np.zeros(target.shape, data.dtype, order="F")
    largest = np.zeros(target.shape, np.float32, order="F")
    rest = np.ones(target.shape, np.float32, order="F")
    boxes = {value: _reach(data == value) for value in np.unique(data[data != 0])}
    shares = {value: _share(data, value, box, source, target) for value, box in boxes.items()}
    for where, share in shares.values():
        rest[where] -= share
    for value, (where, share) in shares.items():
        wins = (share > largest[where]) & (share > rest[where])
        result[where][wins] = value
        np.maximum(largest[where], share, out=largest[where])
    return _cut(result, source, target)


def means_on_grid(values: Sequence[np.ndarray], mask: np.ndarray, source: Grid, target: Grid) -> list[np.ndarray]:
    """Return uint8 arrays that are 0 outside a mask, all of grid ``source``, on grid ``target``; outside is 0.

    Exact where ``image_on_grid`` is exact. Otherwise a voxel has the mean of the voxels of the mask among those that it
    lies between, by their weights in linear interpolation: values at the edge of the mask are not drawn towards 0.
    """
    exact = exact_map(source, target)
    if exact is not None:
        return [copied(data, exact, target.shape) for data in values]
    results = [np.zeros(target.shape, np.uint8, order="F") for _ in values]
    if mask.any():
        box = _reach(mask)
        where, weights = _reached(mask[box], box, source, target)
        for result, data in zip(results, values, strict=True):
            _, sums = _reached(data[box], box, source, target)
            result[where] = np.rint(np.divide(sums, weights, out=np.zeros_like(sums), where=weights > LEAST_WEIGHT))
    return results


def _interpolated(data: np.ndarray, source: Grid, target: Grid, order: int) -> np.ndarray:
    """Interpolate at the centres of ``target``; beyond the outermost centres the nearest value goes on."""
    matrix = index_map(source, target)
    axes = [int(np.argmax(np.abs(matrix[:3, axis]))) for axis in range(3)]
    separate = np.zeros((4, 4))
    for axis, origin in enumerate(axes):
        separate[origin, axis] = matrix[origin, axis]
    separate[:, 3] = matrix[:, 3]
    if sorted(axes) == [0, 1, 2] and largest_shift(matrix - separate, target.shape) < TOLERANCE_VOXELS:
        lines = [(matrix[origin, axis], matrix[origin, 3]) for axis, origin in enumerate(axes)]
        return _axis_by_axis(data.transpose(axes), lines, target.shape, order)
    return _affine(data, matrix[:3, :3], matrix[:3, 3], target.shape, order)


def _affine(data: np.ndarray, matrix: np.ndarray, offset: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    # Here, because importing scipy takes as long as counting the voxels of twenty pairs, most of which need none of it.
    from scipy import ndimage

    return ndimage.affine_transform(data, matrix, offset, output_shape=shape, order=order, mode="nearest")


def _axis_by_axis(data: np.ndarray, lines: list[tuple[float, float]], shape: tuple[int, ...], order: int) -> np.ndarray:
    """Interpolate index * factor + shift, of ``lines``, along each axis: several times faster than a general map."""
    if order > 1:
        factors, shifts = zip(*lines, strict=True)
        return _affine(data, np.array(factors), np.array(shifts), shape, order)
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
    matrix = index_map(source, target)
    if largest_shift(matrix - np.eye(4), target.shape) < 0.5 and source.shape == target.shape:
        return result
    index = np.ogrid[tuple(slice(n) for n in target.shape)]
    for axis, length in enumerate(source.shape):
        where = matrix[axis, 3] + sum(matrix[axis, n] * index[n] for n in range(3) if abs(matrix[axis, n]) > 1e-9)
        outside = (where < -0.5 - TOLERANCE_VOXELS) | (where > length - 0.5 + TOLERANCE_VOXELS)
        if outside.any():
            np.copyto(result, 0, where=outside)
    return result


def _reach(mask: np.ndarray) -> Box:
    """Return the bounding box of a mask that holds a voxel, one voxel wider where the array goes on."""
    return widened(bounding_box(mask) or (), (1,) * 3, mask.shape)


def _share(data: np.ndarray, value: Any, box: Box, source: Grid, target: Grid) -> tuple[Box, np.ndarray]:
    """Return the part of ``target`` that a label can reach, and the label's share of each voxel there."""
    return _reached(data[box] == value, box, source, target)


def _reached(part: np.ndarray, box: Box, source: Grid, target: Grid) -> tuple[Box, np.ndarray]:
    """Return the part of ``target`` that a box of ``source`` can reach, and the box's content interpolated there."""
    corners = np.array([(*c, 1) for c in itertools.product(*((s.start - 0.5, s.stop - 0.5) for s in box))], float)
    reached = (corners @ np.linalg.inv(index_map(source, target)).T)[:, :3]
    low = np.clip(np.floor(reached.min(axis=0)).astype(int), 0, target.shape)
    high = np.clip(np.ceil(reached.max(axis=0)).astype(int) + 1, 0, target.shape)
    where = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    if np.any(high <= low):
        return where, np.zeros(tuple(np.maximum(high - low, 0)), np.float32)
    near = Grid(tuple(s.stop - s.start for s in box), moved(source.affine, [s.start for s in box]))
    far = Grid(tuple(int(n) for n in high - low), moved(target.affine, low))
    return where, _interpolated(part.astype(np.float32), near, far, 1)

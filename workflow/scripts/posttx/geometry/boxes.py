"""Boxes of voxels: the smallest one around what is set, and wider ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

Box = tuple[slice, ...]


def bounding_box(*arrays: np.ndarray) -> Box | None:
    """Return the smallest box that holds every voxel set in any of some arrays of one shape; None where none is set.

    The arrays are masks (bool) or uint8, of any number of axes. Fast where they are contiguous in any order of axes:
    two passes of whole-array maxima along memory, no index arrays.
    """
    union = arrays[0]
    for other in arrays[1:]:
        union = np.maximum(union, other)
    if not union.size:
        return None
    order = sorted(range(union.ndim), key=lambda axis: -abs(union.strides[axis]))
    memory = union.transpose(order)
    memory = memory.view(np.uint8) if memory.dtype == bool else memory
    sides: dict[int, slice] = {}
    for axis in order:
        filled = np.flatnonzero(memory if memory.ndim == 1 else memory.reshape(len(memory), -1).max(axis=1))
        if not filled.size:
            return None
        sides[axis] = slice(int(filled[0]), int(filled[-1]) + 1)
        memory = memory.max(axis=0)
    return tuple(sides[axis] for axis in range(union.ndim))


def hull_of(boxes: Iterable[Sequence[slice]]) -> Box:
    """Return the smallest box that holds all of some boxes; an empty tuple for none."""
    return tuple(
        slice(min(side.start for side in sides), max(side.stop for side in sides)) for sides in zip(*boxes, strict=True)
    )


def widened(box: Sequence[slice], margins: Sequence[int], shape: Sequence[int]) -> Box:
    """Return a box that is wider by ``margins`` (voxels per axis) on either side, but not beyond ``shape``."""
    return tuple(
        slice(max(0, side.start - margin), min(size, side.stop + margin))
        for side, margin, size in zip(box, margins, shape, strict=True)
    )

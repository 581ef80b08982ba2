"""Segmentations from anywhere, laid onto the reference's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from posttx.errors import PostTxError

if TYPE_CHECKING:
    from posttx.nifti import Volume

# Corners of two grids are the same point within this many voxels, as for the audit; headers store float32.
CORNER_TOLERANCE = 0.05


@dataclass(frozen=True)
class Grid:
    """Shape and affine (voxel indices to mm, RAS+) of a volume."""

    shape: tuple[int, int, int]
    affine: np.ndarray


def grid_of(volume: Volume) -> Grid:
    """Return the grid of a volume."""
    return Grid(volume.data.shape, volume.affine)


@dataclass(frozen=True)
class AxisMap:
    """How to reorder and flip the axes of an array so that it is index-aligned with another grid."""

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, data: np.ndarray) -> np.ndarray:
        """Return a view of ``data`` in the target's axis order and directions."""
        return data.transpose(self.axes)[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]


IDENTITY = AxisMap((0, 1, 2), (False, False, False))


def axis_map(source: Grid, target: Grid) -> AxisMap | None:
    """Return the axis order and flips that map ``source`` onto ``target`` voxel for voxel; None for another grid.

    Corners must meet within ``CORNER_TOLERANCE`` voxels.
    """
    if source.shape == target.shape and np.array_equal(source.affine, target.affine):
        return IDENTITY
    try:
        between = np.linalg.inv(target.affine) @ source.affine
    except np.linalg.LinAlgError:
        return None
    axes = tuple(int(axis) for axis in np.abs(between[:3, :3]).argmax(axis=1))
    if sorted(axes) != [0, 1, 2] or tuple(source.shape[axis] for axis in axes) != tuple(target.shape):
        return None
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in source.shape], indexing="ij")).reshape(3, -1)
    mapped = between[:3, :3] @ corners + between[:3, 3:]
    flips = tuple(bool(between[row, axis] < 0) for row, axis in enumerate(axes))
    expected = np.array(
        [target.shape[row] - 1 - corners[axis] if flips[row] else corners[axis] for row, axis in enumerate(axes)]
    )
    if not np.all(np.abs(mapped - expected) <= CORNER_TOLERANCE):
        return None
    return AxisMap(axes, flips)  # type: ignore[arg-type]


def alignment(prediction: Grid, reference: Grid, image: Grid | None = None, decision: str = "agree") -> AxisMap | None:
    """Return how a prediction's array becomes index-aligned with the reference's; None where it lies on another grid.

    ``decision`` is the audit's on the geometry of reference and images. Under ``trust_voxels`` the reference's array is
    aligned with the images index by index and its affine is known to be wrong: a prediction that carries that same
    affine was made from it and is index-aligned; one that lies on the images' grid is mapped there by its affine, and
    so is index-aligned with the reference. Otherwise affines are right and map the prediction onto the reference.
    """
    direct = axis_map(prediction, reference)
    if decision != "trust_voxels" or image is None or direct == IDENTITY:
        return direct
    onto_image = axis_map(prediction, image) if image.shape == reference.shape else None
    return onto_image or direct


def aligned(data: np.ndarray, mapping: AxisMap | None, prediction: Volume, reference: Grid, case: str) -> np.ndarray:
    """Return ``data`` index-aligned with the reference, or raise an error that names both grids."""
    if mapping is None:
        shapes = f"{_shape(prediction.data.shape)} {prediction.orientation}, reference {_shape(reference.shape)}"
        origin = ", ".join(f"{value:g}" for value in prediction.affine[:3, 3])
        other = ", ".join(f"{value:g}" for value in reference.affine[:3, 3])
        raise PostTxError(
            f"the prediction lies on another grid than the reference ({shapes}; origins {origin} and {other} mm)",
            remedy="Resample the prediction onto the case's original grid with nearest-neighbour interpolation, or set "
            "`audit.geometry: trust_voxels` where headers are known to be wrong",
            case=case,
            file=prediction.path,
            code="EVA002",
        )
    return data if mapping == IDENTITY else np.asfortranarray(mapping.apply(data))


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))

"""What pictures and viewer show of a case: slices through its lesions, averaged images, its labels; all R-A-S."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.affines import voxel_sizes

from posttx.geometry.boxes import Box, bounding_box, hull_of, widened
from posttx.geometry.grids import Grid, grid_of, turned_grid
from posttx.geometry.reading import Reading, reference_on_grid
from posttx.geometry.resampling import image_on_grid
from posttx.label_maps import values_of
from posttx.nifti import Scratch, read_volume
from posttx.scoring.placement import prediction_on_grid
from posttx.scoring.segmentation_files import read_segmentation

COARSE_MM = 2.0
HEAD_MARGIN_MM = 4.0
SMALLEST_VIEW_MM, VIEW_MARGIN = 70.0, 1.4


@dataclass(frozen=True)
class Labels:
    """The label maps of a case, ``ref`` and ``pred`` where there is one, in the box that holds all their labels."""

    maps: Mapping[str, np.ndarray]
    box: Box
    shape: tuple[int, ...]

    @cached_property
    def lesion(self) -> np.ndarray:
        """Return where any map holds a label, within the box."""
        masks = [labels > 0 for labels in self.maps.values()]
        return np.logical_or.reduce(masks) if masks else np.zeros([side.stop - side.start for side in self.box], bool)

    @cached_property
    def slices(self) -> tuple[int, int, int]:
        """Return the index of the slice with the largest lesion area across each axis."""
        first, second, third = (self.box[axis].start + slice_with_most(self.lesion, axis) for axis in range(3))
        return first, second, third

    def plane(self, kind: str, axis: int) -> np.ndarray:
        """Return the slice of a map with the largest lesion area, as wide as the scan."""
        result = np.zeros(_without(self.shape, axis), self.maps[kind].dtype)
        result[_without(self.box, axis)] = _plane(self.maps[kind], self.slices[axis] - self.box[axis].start, axis)
        return result


@dataclass(frozen=True)
class CaseImage:
    """One image: the slice to be shown across each axis, and blocks of voxels averaged to about ``COARSE_MM``.

    ``head`` bounds what is not 0 (None: nothing); ``coarse`` is the whole blocks around it, in ``coarse_box`` counted
    in blocks.
    """

    planes: tuple[np.ndarray, ...]
    head: Box | None
    coarse: np.ndarray
    coarse_box: Box


@dataclass(frozen=True)
class CaseVolumes:
    """One case in R-A-S order; ``affine`` leads from the indices of the scan to mm, ``spacing`` is in mm."""

    case: str
    images: Mapping[str, CaseImage]
    labels: Labels
    affine: np.ndarray

    @cached_property
    def spacing(self) -> tuple[float, ...]:
        """Return the edges of a voxel in mm."""
        return tuple(voxel_sizes(self.affine).tolist())

    @property
    def factors(self) -> tuple[int, ...]:
        """Return how many voxels along each axis make a block."""
        return block_sizes(self.affine)

    @cached_property
    def head(self) -> Box:
        """Return the box of what is not 0 in any image, and of all labels, a little wider within the scan."""
        boxes = [image.head for image in self.images.values() if image.head]
        if self.labels.lesion.any() or not boxes:
            boxes.append(self.labels.box)
        margins = [math.ceil(HEAD_MARGIN_MM / mm) for mm in self.spacing]
        return widened(hull_of(boxes), margins, self.labels.shape)


def read_case(
    case: str,
    images: Mapping[str, str | Path],
    reference: str | Path | None,
    prediction: str | Path | None,
    reading: Reading,
    scratch: Scratch | None = None,
) -> CaseVolumes:
    """Read a case once and keep what is shown of it, on the case's grid turned to R-A-S.

    Every file is laid there by the audit's ``reading`` of the case, as it is standardised and scored; images that lie
    between the voxels of that grid are interpolated. One volume at a time is whole, in the memory of ``scratch``.
    Raises a ``PostTxError`` that names the file where the reading has no place for one.
    """
    scratch, maps = scratch or Scratch(), {}
    shown = turned_grid(reading.grid, "RAS")
    drawn: Grid | None = None
    if reference is not None:
        volume = read_volume(reference, scratch)
        drawn = grid_of(volume)
        maps["ref"] = cropped(reference_on_grid(whole_labels(volume.data), drawn, reading, shown, reference))
    if prediction is not None:
        volume = read_segmentation(prediction, scratch)
        maps["pred"] = cropped(prediction_on_grid(whole_labels(volume.data), volume, reading, drawn, shown, case))
    volumes = ((name, read_volume(path, scratch)) for name, path in images.items())
    arrays = ((name, image_on_grid(v.data, reading.place(grid_of(v), v.path), shown)) for name, v in volumes)
    return assembled(case, arrays, maps, shown.shape, shown.affine)


def assembled(
    case: str,
    images: Iterable[tuple[str, np.ndarray]],
    maps: Mapping[str, tuple[np.ndarray, Box | None]],
    shape: tuple[int, ...],
    affine: np.ndarray,
) -> CaseVolumes:
    """Return a case from whole images, taken one after another, and ``cropped`` label maps ``ref`` and ``pred``."""
    # Without labels one voxel in the middle stands for the lesion
    box = hull_of(own for _, own in maps.values() if own) or tuple(slice(n // 2, n // 2 + 1) for n in shape)
    labels = Labels({kind: _placed(part, own, box) for kind, (part, own) in maps.items()}, box, shape)
    kept = {name: _kept(image, labels.slices, block_sizes(affine)) for name, image in images}
    return CaseVolumes(case, kept, labels, affine)


def whole_labels(data: np.ndarray) -> np.ndarray:
    """Return labels as whole numbers of an integer type; what is none of a label scheme's (0 to 255) becomes 0."""
    whole = values_of(data).whole
    if whole.dtype == np.uint8:
        return whole
    return np.where((whole >= 0) & (whole <= 255), whole, 0).astype(np.uint8)


def cropped(labels: np.ndarray) -> tuple[np.ndarray, Box | None]:
    """Return a copy of the labels in the box that holds them, and that box; None: there are none."""
    box = bounding_box(labels != 0)
    return labels[box or (slice(0, 0),) * 3].astype(np.int16), box


def _kept(image: np.ndarray, slices: Sequence[int], factors: Sequence[int]) -> CaseImage:
    head = bounding_box(image != 0)
    box = head or (slice(0, 0),) * 3
    blocks = tuple(slice(part.start // n, -(-part.stop // n)) for part, n in zip(box, factors, strict=True))
    around = tuple(slice(part.start * n, part.stop * n) for part, n in zip(blocks, factors, strict=True))
    planes = tuple(_plane(image, index, axis).copy() for axis, index in enumerate(slices))
    return CaseImage(planes, head, averaged(image[around], factors), blocks)


def _plane(volume: np.ndarray, index: int, axis: int) -> np.ndarray:
    # not np.take, which first copies a volume that lies in Fortran order
    return volume[(slice(None),) * axis + (index,)]


def averaged(image: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """Return the means of blocks of ``factors`` voxels as float32; beyond the image's end is 0."""
    # Axes far apart in memory first: what is left for the near ones is then less
    for axis in sorted(range(3), key=lambda axis: -abs(image.strides[axis])):
        parts = [image[(slice(None),) * axis + (slice(first, None, factors[axis]),)] for first in range(factors[axis])]
        image = parts[0].astype(np.float32)
        for part in parts[1:]:
            # sums of strided views: numpy's mean over a reshaped axis is several times slower
            image[(slice(None),) * axis + (slice(part.shape[axis]),)] += part
    image /= np.float32(np.prod(factors))
    return image


def block_sizes(affine: np.ndarray) -> tuple[int, ...]:
    """Return how many voxels along each axis fit into ``COARSE_MM``, at least one."""
    return tuple(max(1, int(factor)) for factor in np.floor(COARSE_MM / voxel_sizes(affine) + 1e-3))


def _placed(part: np.ndarray, own: Box | None, box: Box) -> np.ndarray:
    """Return the voxels of ``box``: ``part`` at ``own``, which lies in it, and 0 around."""
    result = np.zeros([side.stop - side.start for side in box], part.dtype, order="F")
    if own:
        places = zip(own, box, strict=True)
        result[tuple(slice(side.start - outer.start, side.stop - outer.start) for side, outer in places)] = part
    return result


def slice_with_most(mask: np.ndarray, axis: int) -> int:
    """Return the index along ``axis`` where ``mask`` has the largest area; the middle slice of an empty mask."""
    area = mask.sum(axis=tuple(other for other in range(3) if other != axis))
    return int(area.argmax()) if area.any() else mask.shape[axis] // 2


def upright(plane: np.ndarray, axis: int) -> np.ndarray:
    """Return a slice across ``axis`` as rows x columns: radiological (patient's right on the left), up is up."""
    rows = plane.T[::-1]
    return rows[:, ::-1] if axis != 0 else rows


@dataclass(frozen=True)
class Tile:
    """One slice ready to be shown: grey values, label maps by ``ref`` and ``pred``, height over width of a voxel."""

    case: str
    image: np.ndarray
    maps: Mapping[str, np.ndarray]
    aspect: float


def tile(volumes: CaseVolumes, modality: str, axis: int = 2, *, near: bool = False) -> Tile:
    """Cut the slice across ``axis`` with the largest lesion area, in radiological view, cropped to the head.

    ``near`` crops to a square around the lesion in that slice instead, so that its outlines can be judged.
    """
    labels = volumes.labels
    maps = {kind: labels.plane(kind, axis) for kind in labels.maps}
    box = _near(maps, volumes, axis) if near else _without(volumes.head, axis)
    across, up = _without(volumes.spacing, axis)
    return Tile(
        volumes.case,
        upright(volumes.images[modality].planes[axis][box], axis),
        {kind: upright(plane[box], axis) for kind, plane in maps.items()},
        up / across,
    )


def _near(maps: Mapping[str, np.ndarray], volumes: CaseVolumes, axis: int) -> Box:
    """Return the square around the lesion of one slice, at least ``SMALLEST_VIEW_MM`` wide, moved inside the scan."""
    lesion = np.logical_or.reduce([plane > 0 for plane in maps.values()]) if maps else np.zeros(1, bool)
    found = np.nonzero(lesion)
    tight = (
        [(int(line.min()), int(line.max()) + 1) for line in found]
        if len(found[0])
        else [(part.start, part.stop) for part in _without(volumes.head, axis)]
    )
    spacing = _without(volumes.spacing, axis)
    longest = max((stop - start) * mm for (start, stop), mm in zip(tight, spacing, strict=True))
    side = max(SMALLEST_VIEW_MM, VIEW_MARGIN * longest)
    box = []
    for (start, stop), mm, size in zip(tight, spacing, _without(volumes.labels.shape, axis), strict=True):
        width = min(size, round(side / mm))
        first = min(max(0, (start + stop - width) // 2), size - width)
        box.append(slice(first, first + width))
    return tuple(box)


def _without(items: Sequence[Any], axis: int) -> tuple[Any, ...]:
    return tuple(item for other, item in enumerate(items) if other != axis)

"""What pictures and review show of a case: its images and labels, and slices through a lesion; all R-A-S."""

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

HEAD_MARGIN_MM = 4.0
SMALLEST_VIEW_MM, VIEW_MARGIN = 70.0, 1.4
# Indices of a voxel of the scan.
Place = tuple[int, int, int]


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

    def plane(self, kind: str, axis: int, index: int) -> np.ndarray:
        """Return a slice of a map, as wide as the scan."""
        return _wide_plane(self.maps[kind], self.box, self.shape, axis, index)


@dataclass(frozen=True)
class CaseImage:
    """One image: its voxels in the box of what is not 0, as the file has them (nothing at all: an empty box)."""

    voxels: np.ndarray
    box: Box
    shape: tuple[int, ...]

    @property
    def empty(self) -> bool:
        """Return whether every voxel of the image is 0."""
        return not self.voxels.size

    def plane(self, axis: int, index: int) -> np.ndarray:
        """Return a slice of the image, as wide as the scan."""
        return _wide_plane(self.voxels, self.box, self.shape, axis, index)


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

    @cached_property
    def head(self) -> Box:
        """Return the box of what is not 0 in any image, and of all labels, a little wider within the scan."""
        boxes = [image.box for image in self.images.values() if not image.empty]
        if self.labels.lesion.any() or not boxes:
            boxes.append(self.labels.box)
        margins = [math.ceil(HEAD_MARGIN_MM / mm) for mm in self.spacing]
        return widened(hull_of(boxes), margins, self.labels.shape)

    def world(self, place: Sequence[float]) -> list[float]:
        """Return where voxel indices of the scan lie in the world (mm, R-A-S)."""
        return [round(float(value), 2) for value in (self.affine @ [*place, 1.0])[:3]]


@dataclass(frozen=True)
class Scan:
    """Images and reference of a case, read once for the predictions of all models; on the case's grid in R-A-S."""

    case: str
    images: Mapping[str, CaseImage]
    reference: tuple[np.ndarray, Box | None] | None
    drawn: Grid | None
    reading: Reading
    grid: Grid

    def with_prediction(self, prediction: str | Path | None, scratch: Scratch | None = None) -> CaseVolumes:
        """Return the case with what a model predicted, or without any prediction.

        Raises a ``PostTxError`` that names the file where the case's reading has no place for it.
        """
        maps = {} if self.reference is None else {"ref": self.reference}
        if prediction is not None:
            volume = read_segmentation(prediction, scratch or Scratch())
            whole = whole_labels(volume.data)
            maps["pred"] = cropped(
                prediction_on_grid(whole, volume, self.reading, self.drawn, self.grid, self.case)
            )  # fmt: skip
        return CaseVolumes(self.case, self.images, labels_of(maps, self.grid.shape), self.grid.affine)


def read_scan(
    case: str,
    images: Mapping[str, str | Path],
    reference: str | Path | None,
    reading: Reading,
    scratch: Scratch | None = None,
) -> Scan:
    """Read a case once and keep what is shown of it, on the case's grid turned to R-A-S.

    Every file is laid there by the audit's ``reading`` of the case, as it is standardised and scored; images that lie
    between the voxels of that grid are interpolated. One volume at a time is whole, in the memory of ``scratch``.
    Raises a ``PostTxError`` that names the file where the reading has no place for one.
    """
    scratch = scratch or Scratch()
    shown = turned_grid(reading.grid, "RAS")
    drawn, known = None, None
    if reference is not None:
        volume = read_volume(reference, scratch)
        drawn = grid_of(volume)
        known = cropped(reference_on_grid(whole_labels(volume.data), drawn, reading, shown, reference))
    kept = {}
    for name, path in images.items():
        volume = read_volume(path, scratch)
        kept[name] = kept_image(image_on_grid(volume.data, reading.place(grid_of(volume), path), shown))
    return Scan(case, kept, known, drawn, reading, shown)


def assembled(
    case: str,
    images: Iterable[tuple[str, np.ndarray]],
    maps: Mapping[str, tuple[np.ndarray, Box | None]],
    shape: tuple[int, ...],
    affine: np.ndarray,
) -> CaseVolumes:
    """Return a case from whole images, taken one after another, and ``cropped`` label maps ``ref`` and ``pred``."""
    kept = {name: kept_image(image) for name, image in images}
    return CaseVolumes(case, kept, labels_of(maps, shape), affine)


def labels_of(maps: Mapping[str, tuple[np.ndarray, Box | None]], shape: tuple[int, ...]) -> Labels:
    """Return ``cropped`` label maps in the one box that holds them all; without labels, a voxel in the middle."""
    box = hull_of(own for _, own in maps.values() if own) or tuple(slice(n // 2, n // 2 + 1) for n in shape)
    return Labels({kind: _placed(part, own, box) for kind, (part, own) in maps.items()}, box, shape)


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


def kept_image(image: np.ndarray) -> CaseImage:
    """Return a copy of what of a whole image is not 0."""
    box = bounding_box(image != 0) or (slice(0, 0),) * 3
    return CaseImage(image[box].copy(order="K"), box, image.shape)


def _wide_plane(part: np.ndarray, box: Box, shape: Sequence[int], axis: int, index: int) -> np.ndarray:
    """Return a slice of a volume of which ``part`` lies at ``box``, and 0 elsewhere."""
    result = np.zeros(_without(shape, axis), part.dtype)
    if box[axis].start <= index < box[axis].stop:
        result[_without(box, axis)] = _plane(part, index - box[axis].start, axis)
    return result


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


def block_sizes(spacing: Sequence[float], size: Sequence[int], finest: float, most: int) -> tuple[int, ...]:
    """Return how many voxels along each axis make a block of at most ``finest`` mm, at least one.

    Where ``size`` voxels make more than ``most`` blocks, the finest axes are averaged further.
    """
    factors = [max(1, math.floor(finest / mm + 1e-3)) for mm in spacing]
    while math.prod(-(-n // factor) for n, factor in zip(size, factors, strict=True)) > most:
        edges = [mm * factor for mm, factor in zip(spacing, factors, strict=True)]
        factors[edges.index(min(edges))] += 1
    return tuple(factors)


def _placed(part: np.ndarray, own: Box | None, box: Box) -> np.ndarray:
    """Return the voxels of ``box``: ``part`` at ``own``, which lies in it, and 0 around."""
    result = np.zeros([side.stop - side.start for side in box], part.dtype, order="F")
    if own:
        places = zip(own, box, strict=True)
        result[tuple(slice(side.start - outer.start, side.stop - outer.start) for side, outer in places)] = part
    return result


def placed_in(image: CaseImage, box: Box) -> np.ndarray:
    """Return the voxels of an image in a box that holds all of it."""
    return _placed(image.voxels, None if image.empty else image.box, box)


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


def tile(volumes: CaseVolumes, modality: str, axis: int, place: Place, near_mm: float | None = None) -> Tile:
    """Cut the slice across ``axis`` through a voxel of the scan, in radiological view, cropped to the head.

    ``near_mm`` crops to a square of about that edge around the voxel instead, so that outlines can be judged.
    """
    labels = volumes.labels
    box = _without(volumes.head, axis) if near_mm is None else _around(place, near_mm, volumes, axis)
    across, up = _without(volumes.spacing, axis)
    return Tile(
        volumes.case,
        upright(volumes.images[modality].plane(axis, place[axis])[box], axis),
        {kind: upright(labels.plane(kind, axis, place[axis])[box], axis) for kind in labels.maps},
        up / across,
    )


def _around(place: Place, edge_mm: float, volumes: CaseVolumes, axis: int) -> Box:
    """Return the square around a voxel in its slice, moved inside the scan."""
    box = []
    items = zip(
        _without(place, axis), _without(volumes.spacing, axis), _without(volumes.labels.shape, axis), strict=True
    )
    for middle, mm, size in items:
        width = min(size, round(edge_mm / mm))
        first = min(max(0, middle - width // 2), size - width)
        box.append(slice(first, first + width))
    return tuple(box)


def view_mm(radius_mm: float) -> float:
    """Return the edge of the square in which a lesion of this radius is shown from near."""
    return max(SMALLEST_VIEW_MM, VIEW_MARGIN * 2 * radius_mm)


def _without(items: Sequence[Any], axis: int) -> tuple[Any, ...]:
    return tuple(item for other, item in enumerate(items) if other != axis)

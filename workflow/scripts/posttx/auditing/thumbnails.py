"""One axial slice of a case with its reference, kept for the audit's page while the audit has the voxels in hand."""

from __future__ import annotations

import io
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image as Picture

from posttx.auditing.agreement import carry, unravel
from posttx.auditing.appearance import Appearance
from posttx.auditing.images import Image, sample_places
from posttx.geometry.boxes import bounding_box, widened

# FLAIR shows the largest class, by which a misplaced reference is seen at once.
PREFERRED = ("t2f", "t1c", "t2w", "t1n")
AREA_FROM = 20_000
MARGIN = 2
STRANGE = 255


def thumbnail(look: Appearance | None, cohort: str, case: str) -> dict[str, Any]:
    """Return the case's row of the thumbnails table: PNGs of a slice and of its labels, and the pixel edges in mm.

    The slice is the axial one with the largest labelled area, without labels the middle of the head; rows run from
    anterior to posterior, columns from the patient's right to the left. Values are clipped to the 1st and 99th
    percentile, 0 is outside the head; labels beyond 0..254 are 255. ``image`` is None where no image can be shown,
    ``labels`` where there is no reference. No file is read.
    """
    row: dict[str, Any] = {"cohort": cohort, "case": case, "modality": None, "image": None, "labels": None}
    row |= {"row_mm": float("nan"), "column_mm": float("nan")}
    name = next((name for name in PREFERRED if look is not None and name in look.images), None)
    if look is None or name is None:
        return row
    image = look.images[name]
    places, (rows, columns) = _slice_places(image, _labelled_places(look, image))
    values = image.at(places.ravel()).reshape(places.shape)
    labels = _labels_at(look, image, places)
    shown = np.isfinite(values) if labels is None else np.isfinite(values) | (labels != 0)
    tight = bounding_box(shown)
    box = widened(tight, (MARGIN, MARGIN), shown.shape) if tight else (slice(None), slice(None))
    spacing = image.grid.spacing
    return row | {
        "modality": name,
        "image": _png(_grey(values[box], image.stats.percentiles[1], image.stats.percentiles[99])),
        "labels": None if labels is None else _png(labels[box]),
        "row_mm": float(spacing[rows]),
        "column_mm": float(spacing[columns]),
    }


def _labelled_places(look: Appearance, image: Image) -> np.ndarray:
    """Return flat places in the image of a sample of the labelled voxels, those outside the volume left out."""
    reference, grid = look.reference, look.reference_grid
    if reference is None or grid is None:
        return np.zeros(0, np.int64)
    places = reference.places[:: max(1, reference.places.size // AREA_FROM)]
    at = carry(unravel(places, reference.shape), grid, image.grid, look.geometry.aligned_by)
    return at[at >= 0]


def _slice_places(image: Image, labelled: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the flat places of the slice, (rows, columns), and which voxel axes rows and columns are."""
    turn = nib.io_orientation(image.grid.affine)
    columns, rows, up = (int(np.flatnonzero(turn[:, 0] == axis)[0]) for axis in range(3))
    if labelled.size:
        level = int(np.bincount(unravel(labelled, image.grid.shape)[:, up]).argmax())
    else:
        levels = unravel(sample_places(image.stats.head), image.grid.shape)[:, up]
        level = int(np.median(levels)) if levels.size else image.grid.shape[up] // 2
    index: list[Any] = [level] * 3
    for axis, kind in ((rows, np.s_[:, None]), (columns, np.s_[None, :])):
        line = np.arange(image.grid.shape[axis])
        # An axis that grows towards anterior or right is walked backwards.
        index[axis] = (line[::-1] if turn[axis, 1] > 0 else line)[kind]
    i, j, k = index
    return i + image.grid.shape[0] * (j + image.grid.shape[1] * k), (rows, columns)


def _labels_at(look: Appearance, image: Image, places: np.ndarray) -> np.ndarray | None:
    """Return the labels (uint8) at places of the image; None without a reference."""
    reference, grid = look.reference, look.reference_grid
    if reference is None or grid is None:
        return None
    labels = np.zeros(places.shape, np.uint8)
    if reference.places.size:
        at = carry(unravel(places.ravel(), image.grid.shape), image.grid, grid, look.geometry.aligned_by)
        found = np.minimum(np.searchsorted(reference.places, at), reference.places.size - 1)
        values = reference.labels[found]
        values = np.where((values < 0) | (values > STRANGE), STRANGE, values)
        labels.ravel()[:] = np.where(reference.places[found] == at, values, 0)
    return labels


def _grey(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return values between two limits as 1..255, NaN as 0."""
    scale = 254 / (high - low) if high > low else 0.0
    return np.nan_to_num(1 + (values - low) * scale, nan=0.0).round().astype(np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()

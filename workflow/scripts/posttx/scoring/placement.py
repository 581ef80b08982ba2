"""Where a prediction lies in its case, and why one lies nowhere there, with the remedy that its voxels support."""

from __future__ import annotations

import numpy as np

from posttx.errors import PostTxError
from posttx.geometry.arrangements import Arrangement, arrangements
from posttx.geometry.grids import Grid, difference_text, grid_of
from posttx.geometry.index_maps import index_map
from posttx.geometry.reading import Reading
from posttx.geometry.resampling import labels_on_grid
from posttx.nifti import Volume

# Another order of the axes must overlap by so much more than the array as it is to be believed.
GAIN = 0.1


def prediction_on_grid(
    data: np.ndarray,
    volume: Volume,
    reading: Reading,
    reference: Grid | None,
    target: Grid,
    case: str,
    labels: np.ndarray | None = None,
) -> np.ndarray:
    """Return a prediction's labels on ``target``, read by the case's reading; the same array where it lies there.

    ``volume`` is its file, whose header says where it lies, ``reference`` the grid in the header of the reference. One
    that lies on no grid of the case raises EVA002, with the difference and a remedy; ``labels``, those of the
    reference on the case's grid, are then the evidence for it.
    """
    own = grid_of(volume)
    source = reading.place_prediction(own, reference)
    if source is None:
        raise _elsewhere(data, volume, own, reading, case, labels)
    return data if source is target else labels_on_grid(data, source, target)


def _elsewhere(
    data: np.ndarray, volume: Volume, own: Grid, reading: Reading, case: str, labels: np.ndarray | None
) -> PostTxError:
    """Return the error of a prediction on another grid, with the remedy that its header and its voxels support."""
    grid, image = reading.grid, f"the case's {'reference' if reading.grid_file == 'seg' else reading.grid_file}"
    points = np.argwhere(data != 0)
    affine = _overlap(_nearest(points, own, grid), len(points), labels, own.voxel_mm3 / grid.voxel_mm3)
    arranged = _best_arrangement(points, own, grid, labels)
    problem = f"the prediction lies on another grid than {image}: {difference_text(own, grid)}"
    remedy = f"Resample the prediction onto the grid of {image} with nearest-neighbour interpolation"
    lost = _lost_header(volume)
    if arranged and (lost or (arranged[1] or 0.0) > (affine or 0.0) + GAIN):
        arrangement, overlap = arranged
        problem += f"; {lost or 'its header does not fit its voxels'}"
        if overlap is not None:
            how = "index by index" if arrangement.plain else f"index by index, when you {arrangement.text()},"
            problem += f"; {how} its labels overlap with those of the reference by a Dice of {overlap:.2f}, "
            problem += f"by its affine by {affine or 0.0:.2f}"
        copy = f"opy the header of {image} into the prediction; do not resample it"
        remedy = f"C{copy}" if arrangement.plain else f"{arrangement.text().capitalize()}, then c{copy}"
    return PostTxError(problem, remedy=remedy, case=case, file=volume.path, code="EVA002")


def _lost_header(volume: Volume) -> str:
    """Return by what a header shows that it no longer says where the voxels lie; empty where it may say so."""
    if not int(volume.header["sform_code"]) and not int(volume.header["qform_code"]):
        return "its header says nothing of orientation (sform and qform are not set)"
    linear, origin = np.abs(volume.affine[:3, :3]), volume.affine[:3, 3]
    if np.allclose(linear, np.diag(np.diag(linear)), atol=1e-6) and np.allclose(origin, 0.0, atol=1e-6):
        return "its affine is the identity" if np.allclose(linear, np.eye(3)) else "its affine has no origin"
    return ""


def _best_arrangement(
    points: np.ndarray, own: Grid, grid: Grid, labels: np.ndarray | None
) -> tuple[Arrangement, float | None] | None:
    """Return the order of axes and directions by which a prediction's array fits the reference's best, and its Dice.

    The array as it is goes before others that are not clearly better, then the order nearest to it. Without labels to
    compare with (Dice None) it is the first that has the shape; None where no order has it.
    """
    fitting = arrangements(own.shape, grid.shape)
    if not fitting:
        return None
    scores = [_overlap(way.points(points, grid.shape), len(points), labels) for way in fitting]
    known = [score or 0.0 for score in scores]
    best = int(np.argmax(known))
    chosen = best if known[best] > known[0] + GAIN else 0
    return fitting[chosen], scores[chosen]


def _nearest(points: np.ndarray, own: Grid, grid: Grid) -> np.ndarray:
    matrix = index_map(grid, own)
    places = points @ matrix[:3, :3].T + matrix[:3, 3]
    return np.rint(np.clip(places, -1, np.array(grid.shape))).astype(np.int64)


def _overlap(places: np.ndarray, count: int, labels: np.ndarray | None, volume: float = 1.0) -> float | None:
    """Return the Dice of labelled voxels, the ``count`` of a prediction being at ``places``; None without any.

    ``volume`` is that of a voxel of the prediction, in voxels of the reference.
    """
    if labels is None or not count or not labels.any():
        return None
    within = places[((places >= 0) & (places < labels.shape)).all(axis=1)]
    shared = volume * np.count_nonzero(labels[tuple(within.T)])
    return float(2 * shared / (volume * count + np.count_nonzero(labels)))

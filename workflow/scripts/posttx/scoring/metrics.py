"""Voxel metrics of a segmentation pair, all labels and regions from one joint histogram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Box = tuple[slice, slice, slice]


def bounding_box(*volumes: np.ndarray) -> Box | None:
    """Return the smallest box that holds every non-zero voxel of label arrays of one shape; None where all are zero.

    Made for uint8 arrays in any contiguous order: two passes of whole-array maxima along memory, no index arrays.
    """
    union = volumes[0]
    for other in volumes[1:]:
        union = np.maximum(union, other)
    fortran = union.flags.f_contiguous and not union.flags.c_contiguous
    memory = union.T if fortran else union
    slowest = memory.reshape(memory.shape[0], -1).max(axis=1)
    plane = memory.max(axis=0)
    extents = []
    for profile in (slowest, plane.max(axis=1), plane.max(axis=0)):
        filled = np.flatnonzero(profile)
        if not filled.size:
            return None
        extents.append(slice(int(filled[0]), int(filled[-1]) + 1))
    first, second, third = extents[::-1] if fortran else extents
    return first, second, third


def joint_histogram(reference: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Count voxels by (reference label, predicted label): an int64 array of shape (classes, classes).

    Both arrays are uint8 of one shape with values below ``classes`` (background 0 included); row and column 0 are the
    background, and the sum is the number of voxels. Only the box around either's labels is counted voxel by voxel.
    """
    histogram = np.zeros((classes, classes), np.int64)
    box = bounding_box(reference, prediction)
    if box is not None:
        code_type = np.uint8 if classes <= 16 else np.uint16
        code = np.add(np.multiply(reference[box], code_type(classes), dtype=code_type), prediction[box])
        histogram += np.bincount(code.ravel(order="K"), minlength=classes * classes).reshape(classes, classes)
    histogram[0, 0] += reference.size - histogram.sum()
    return histogram


def region_counts(histogram: np.ndarray, regions: Mapping[str, Sequence[int]]) -> dict[str, dict[str, int]]:
    """Return tp, fp, fn, tn, n_ref, n_pred per region (a set of labels scored as one mask) in voxels."""
    counts = {}
    for region, labels in regions.items():
        members = list(labels)
        tp = int(histogram[np.ix_(members, members)].sum())
        n_ref, n_pred = int(histogram[members].sum()), int(histogram[:, members].sum())
        counts[region] = {
            "tp": tp,
            "fp": n_pred - tp,
            "fn": n_ref - tp,
            "tn": int(histogram.sum()) - n_ref - n_pred + tp,
            "n_ref": n_ref,
            "n_pred": n_pred,
        }
    return counts


def overlap(tp: int, fp: int, fn: int) -> dict[str, float]:
    """Return dice, iou, precision and recall; NaN where the denominator is 0 (conventions are the tables' business).

    Absent in reference and prediction: all NaN. Absent in the reference but predicted: Dice, IoU and precision 0,
    recall NaN. Present but missed completely: Dice, IoU and recall 0, precision NaN.
    """
    return {
        "dice": _ratio(2 * tp, 2 * tp + fp + fn),
        "iou": _ratio(tp, tp + fp + fn),
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
    }


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")

"""Voxel metrics of a segmentation pair, all labels and regions from one joint histogram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

WORD_BYTES = 8
BLOCK = 2**19
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
    background, and the sum is the number of voxels.
    """
    order: Literal["C", "F"] = "F" if reference.flags.f_contiguous else "C"
    ours, theirs = (data.ravel(order=order) for data in (reference, prediction))
    histogram = np.zeros(classes * classes, np.int64)
    # In blocks that stay in the processor's cache: a case's two volumes as a whole do not.
    for start in range(0, ours.size, BLOCK):
        histogram += _labelled_pairs(ours[start : start + BLOCK], theirs[start : start + BLOCK], classes)
    histogram[0] = reference.size - histogram[1:].sum()
    return histogram.reshape(classes, classes)


def _labelled_pairs(ours: np.ndarray, theirs: np.ndarray, classes: int) -> np.ndarray:
    """Count pairs of labels by ``ours * classes + theirs``; of the pairs of background some are left out.

    Most voxels are background on both sides: they are passed over eight at a time, as zeros of 64-bit words.
    """
    whole = ours.size - ours.size % WORD_BYTES
    words = [side[:whole].view(np.uint64) for side in (ours, theirs)]
    labelled = np.flatnonzero((words[0] | words[1]) != 0)
    code_type = np.uint8 if classes <= 16 else np.uint16
    first, second = (
        np.concatenate([word[labelled].view(np.uint8), side[whole:]])
        for word, side in zip(words, (ours, theirs), strict=True)
    )
    code = np.add(np.multiply(first, code_type(classes), dtype=code_type), second)
    return np.bincount(code, minlength=classes * classes)


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

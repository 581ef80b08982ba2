"""Voxel metrics of a segmentation pair, all labels and regions from one joint histogram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from posttx.measures import CATALOGUE, CONTRACT

WORD_BYTES = 8
BLOCK = 2**16  # words
MOST_IN_BYTE = 16  # so many classes squared are the values of a byte


def joint_histogram(reference: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Count voxels by (reference label, predicted label): an int64 array of shape (classes, classes).

    Both arrays are uint8 of one shape with values below ``classes`` (background 0 included); row and column 0 are the
    background, and the sum is the number of voxels. Most voxels are background on both sides: they are passed over
    eight at a time, as zeros of 64-bit words.
    """
    order: Literal["C", "F"] = "F" if reference.flags.f_contiguous else "C"
    sides = [data.ravel(order=order) for data in (reference, prediction)]
    whole = reference.size - reference.size % WORD_BYTES
    words = [side[:whole].view(np.uint64) for side in sides]
    labelled = _labelled(*words)
    rest = [np.append(side[whole:], np.zeros(WORD_BYTES - side[whole:].size, np.uint8)) for side in sides]
    first, second = (np.append(side[labelled], end.view(np.uint64)) for side, end in zip(words, rest, strict=True))
    histogram = _counted(first, second, classes)
    histogram[0] = reference.size - histogram[1:].sum()
    return histogram.reshape(classes, classes)


def _labelled(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return where one of two arrays of words is not 0."""
    either, filled = np.empty(min(BLOCK, first.size), np.uint64), np.empty(first.size, bool)
    # In blocks that stay in the processor's cache: a case's two volumes as a whole do not.
    for start in range(0, first.size, BLOCK):
        block = slice(start, start + BLOCK)
        union = np.bitwise_or(first[block], second[block], out=either[: filled[block].size])
        np.not_equal(union, 0, out=filled[block])
    return np.flatnonzero(filled)


def _counted(first: np.ndarray, second: np.ndarray, classes: int) -> np.ndarray:
    """Count the pairs of bytes of two arrays of words by ``first * classes + second``."""
    if classes > MOST_IN_BYTE:
        code = first.view(np.uint8) * np.uint16(classes) + second.view(np.uint8)
        return np.bincount(code, minlength=classes * classes)
    # Eight codes in one multiplication, none of which reaches into the next byte; then counted two at a time.
    code = first * np.uint64(classes) + second
    codes = classes * classes
    twos = np.bincount(code.view(np.uint16), minlength=codes * 2**8).reshape(codes, 2**8)
    return twos.sum(axis=1) + twos.sum(axis=0)[:codes]


def region_counts(histogram: np.ndarray, regions: Mapping[str, Sequence[int]]) -> dict[str, dict[str, int]]:
    """Return tp, fp, fn, tn, n_ref, n_pred per region (a set of labels scored as one mask) in voxels."""
    # As plain numbers: numpy takes longer to begin with so few.
    pairs, by_ref, by_pred = histogram.tolist(), histogram.sum(axis=1).tolist(), histogram.sum(axis=0).tolist()
    counts = {}
    for region, labels in regions.items():
        tp = sum(pairs[i][j] for i in labels for j in labels)
        n_ref, n_pred = sum(by_ref[label] for label in labels), sum(by_pred[label] for label in labels)
        counts[region] = {
            "tp": tp,
            "fp": n_pred - tp,
            "fn": n_ref - tp,
            "tn": sum(by_ref) - n_ref - n_pred + tp,
            "n_ref": n_ref,
            "n_pred": n_pred,
        }
    return counts


_OVERLAPS = [(name, parts) for name in CONTRACT if (parts := CATALOGUE[name].parts)]


def overlap(tp: int, fp: int, fn: int) -> dict[str, float]:
    """Return dice, iou, precision and recall; NaN where the denominator is 0 (conventions are the tables' business).

    Absent in reference and prediction: all NaN. Absent in the reference but predicted: Dice, IoU and precision 0,
    recall NaN. Present but missed completely: Dice, IoU and recall 0, precision NaN.
    """
    return {name: _ratio(*parts(tp, fp, fn)) for name, parts in _OVERLAPS}


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")

"""Whether a prediction is what it says: labels in another order, mirrored arrays, segmentations outside the head.

Each check states its evidence, and fires only where one simple change explains a bad score: no poor model is accused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from posttx.geometry.arrangements import arrangements

# Voxels on either side below which a Dice is chance.
LEAST_VOXELS = 100
# Dice of everything labelled, below which axes and head are looked at.
SUSPICIOUS = 0.3
# An array that fits after a flip or transpose has at least this Dice, and gains at least so much.
FITS, GAINS = 0.6, 0.3
# A label that is another one has at least this Dice with it; the mean over all labels gains so much.
SAME_LABEL, MEAN_GAINS = 0.3, 0.15
# Share of a prediction outside the head, and of an image that is one value, its background.
MOSTLY, BACKGROUND = 0.5, 0.05
AXES = ("1st", "2nd", "3rd")


def exchanged_labels(counts: np.ndarray) -> str:
    """Return what is told where predicted labels fit other labels far better than their own; '' where they do not.

    ``counts`` are voxels by (reference label, predicted label), background first. Pairs are matched greedily by Dice;
    the mean Dice over the labels of the reference must gain ``MEAN_GAINS`` by it.
    """
    size = len(counts)
    n_ref, n_pred = counts.sum(axis=1), counts.sum(axis=0)
    present = [label for label in range(1, size) if n_ref[label]]
    dice = np.zeros((size, size))
    np.divide(2.0 * counts, n_ref[:, None] + n_pred[None], out=dice, where=(n_ref[:, None] + n_pred[None]) > 0)
    pairs = sorted(
        ((dice[ref, pred], ref, pred) for ref in present for pred in range(1, size) if counts[ref, pred]), reverse=True
    )
    match: dict[int, int] = {}
    for _, ref, pred in pairs:
        if ref not in match and pred not in match.values():
            match[ref] = pred
    moved = {ref: pred for ref, pred in match.items() if ref != pred and dice[ref, pred] >= SAME_LABEL}
    if sum(counts[ref, pred] for ref, pred in moved.items()) < LEAST_VOXELS:
        return ""
    before = sum(dice[label, label] for label in present) / len(present)
    # A label that gave its place to another one counts nothing.
    own = {label: label for label in present if label not in moved and label not in moved.values()}
    after = sum(dice[ref, pred] for ref, pred in (own | moved).items()) / len(present)
    if after - before < MEAN_GAINS:
        return ""
    told = ", ".join(
        f"predicted {pred} is {ref} (Dice {dice[ref, ref]:.2f} as its own label, {dice[ref, pred]:.2f} so)"
        for ref, pred in sorted(moved.items())
    )
    means = f"mean Dice over the labels {before:.2f}, then {after:.2f}"
    return f"labels look exchanged or of another scheme: {told}; {means}"


def misplaced(reference: np.ndarray, prediction: np.ndarray, dice: float) -> str:
    """Return what is told where everything labelled fits far better after one flip or transpose of the array.

    ``dice`` is that of everything labelled as it stands. Only the predicted voxels are moved, not the array.
    """
    voxels = np.argwhere(prediction)
    truth = reference > 0
    total = len(voxels) + int(np.count_nonzero(truth))
    best, change = dice, ""
    for way in arrangements(prediction.shape, reference.shape):
        found = 2 * int(np.count_nonzero(truth[tuple(way.points(voxels, reference.shape).T)])) / total
        # The simplest change comes first where several fit alike, as with a ball.
        if found > best + 1e-9 and not way.plain:
            best, change = found, _change(way.axes, way.flips)
    if best < FITS or best - dice < GAINS:
        return ""
    return f"the array looks {change}: the Dice of everything labelled is {dice:.2f}, and {best:.2f} with that undone"


def _change(axes: Sequence[int], flips: Sequence[bool]) -> str:
    parts = []
    if tuple(axes) != (0, 1, 2):
        parts.append(f"transposed (axes in the order {', '.join(AXES[axis] for axis in axes)})")
    if any(flips):
        parts.append(f"mirrored along its {' and '.join(AXES[n] for n in range(3) if flips[n])} axis")
    return " and ".join(parts)


def outside_head(prediction: np.ndarray, image: np.ndarray) -> str:
    """Return what is told where most of a prediction lies in the background of an image of the same grid.

    The background is the value of the first voxel, if enough of the image has it; else nothing is told.
    """
    background = image == image.flat[0]
    if prediction.shape != image.shape or background.mean() < BACKGROUND:
        return ""
    labelled = prediction > 0
    count = int(np.count_nonzero(labelled))
    share = np.count_nonzero(labelled & background) / count if count else 0.0
    return f"{share:.0%} of the {count} predicted voxels lie outside the head" if share >= MOSTLY else ""


def counts_of(confusion: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Return voxels by (reference label, predicted label) of rows of the table of confusions."""
    size = 1 + max((max(row["label_ref"], row["label_pred"]) for row in confusion), default=0)
    counts = np.zeros((size, size), np.int64)
    for row in confusion:
        counts[row["label_ref"], row["label_pred"]] += row["voxels"]
    return counts


def overlap_of_all(counts: np.ndarray) -> float | None:
    """Return the Dice of everything labelled; None where either side has too few voxels to tell."""
    n_ref, n_pred = int(counts[1:].sum()), int(counts[:, 1:].sum())
    if min(n_ref, n_pred) < LEAST_VOXELS:
        return None
    return 2 * int(counts[1:, 1:].sum()) / (n_ref + n_pred)

"""Logits as a label map and how sure the networks are of it, per voxel and in one pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posttx.geometry.transforms import restore_labels, restore_values
from posttx.label_maps import of_scheme, scheme_of_row
from posttx.networks.nnunet import FILE_ENDING

if TYPE_CHECKING:
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

# Beside the out-of-fold label maps of a fold (validation/) lies a folder for each of these, below confidence/.
KEPT = ("probability", "entropy")
STEPS = 255
# Logits that are looked at together: what is made of them on the way stays small beside them.
SLAB_VALUES = 2**22


@dataclass(frozen=True)
class Votes:
    """Per voxel of a case how many of ``folds`` networks alone would label it otherwise than all together (uint8)."""

    dissent: np.ndarray
    folds: int

    def disagreement(self, label_map: np.ndarray) -> float:
        """Return the share of votes against the ensemble's label, over the voxels where any fold sees a lesion.

        0: all folds draw the same; NaN where none draws anything.
        """
        concerned = (label_map > 0) | (self.dissent > 0)
        voxels = int(concerned.sum())
        return float(self.dissent[concerned].sum(dtype=np.int64)) / (self.folds * voxels) if voxels else math.nan


@dataclass(frozen=True)
class Segmentation:
    """The label map of a case and how sure the networks are of it: uint8 arrays on one grid.

    ``probability`` of the label that a voxel was given and ``entropy`` over all labels (1: nothing is known) are in
    steps of 1/255, and 0 in background.
    """

    label_map: np.ndarray
    probability: np.ndarray
    entropy: np.ndarray
    votes: Votes | None = None

    def mapped(self, function: Callable[[np.ndarray], np.ndarray]) -> Segmentation:
        """Return the segmentation, without votes, with each array as a function returns it."""
        return Segmentation(function(self.label_map), function(self.probability), function(self.entropy))


def kept_folders(fold: Path) -> dict[str, Path]:
    """Return where a fold keeps the arrays of its out-of-fold segmentations, by their names in ``Segmentation``."""
    return {"label_map": fold / "validation", **{name: fold / "confidence" / name for name in KEPT}}


def kept_files(fold: Path, case: str) -> dict[str, Path]:
    """Return the files of a case in ``kept_folders``."""
    return {name: folder / f"{case}{FILE_ENDING}" for name, folder in kept_folders(fold).items()}


def decided(logits: np.ndarray, labels: LabelManager) -> Segmentation:
    """Return logits (classes, x, y, z) as the label map that nnU-Net makes of them, with probabilities and entropies.

    Both are those of ``sureness``, 0 in background.
    """
    shape = logits.shape[1:]
    whole = Segmentation(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
    thickness = max(1, SLAB_VALUES // max(1, logits[:, :1].size))
    for first in range(0, shape[0], thickness):
        slab = slice(first, first + thickness)
        label_map = np.asarray(labels.convert_logits_to_segmentation(logits[:, slab]), np.uint8)
        inside = label_map > 0
        probability, entropy = sureness(logits[:, slab][:, inside].astype(np.float32), label_map[inside], labels)
        whole.label_map[slab] = label_map
        whole.probability[slab][inside] = np.rint(probability * STEPS)
        whole.entropy[slab][inside] = np.rint(entropy * STEPS)
    return whole


def sureness(logits: np.ndarray, given: np.ndarray, labels: LabelManager) -> tuple[np.ndarray, np.ndarray]:
    """Return probability and entropy (0..1) of voxels with logits (classes, n) and the labels given to them.

    ``logits`` may be overwritten. Networks of labels end in a softmax; those of regions in a sigmoid each: there a
    voxel's probability is that of the region that gave it its label, and its entropy the mean of the regions' (of two
    outcomes each).
    """
    return (_of_regions if labels.has_regions else _of_labels)(logits, given, labels)


def restored(found: Segmentation, row: Mapping[str, Any]) -> tuple[Segmentation, np.ndarray]:
    """Return a segmentation of a case's standard grid on its original grid with the scheme's labels, and the affine.

    ``row`` is the case's row of ``transforms.parquet``.
    """
    label_map, affine = restore_labels(of_scheme(found.label_map, scheme_of_row(row)), row)
    probability, entropy = restore_values([found.probability, found.entropy], found.label_map > 0, row)
    votes = found.votes and Votes(restore_labels(found.votes.dissent, row)[0], found.votes.folds)
    return Segmentation(label_map, probability, entropy, votes), affine


def _of_labels(logits: np.ndarray, given: np.ndarray, labels: LabelManager) -> tuple[np.ndarray, np.ndarray]:
    """Return the softmax of the labels given, and the entropy of all labels as a share of the largest, per voxel."""
    logits -= logits.max(axis=0)
    logits -= np.log(np.exp(logits).sum(axis=0))
    probabilities = np.exp(logits)
    entropy = -(probabilities * logits).sum(axis=0) / math.log(len(logits))
    return np.take_along_axis(probabilities, given[None].astype(np.intp), axis=0)[0], entropy.clip(0, 1)


def _of_regions(logits: np.ndarray, given: np.ndarray, labels: LabelManager) -> tuple[np.ndarray, np.ndarray]:
    """Return the sigmoid of the regions that gave the labels, and the mean entropy of all regions, per voxel."""
    region_of = np.zeros(STEPS + 1, np.intp)
    region_of[list(labels.regions_class_order)] = range(len(logits))
    # The logarithms of the probabilities of both outcomes, without overflow.
    inside, outside = -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
    probabilities = np.exp(inside)
    entropy = -(probabilities * inside + np.exp(outside) * outside).mean(axis=0) / math.log(2)
    return np.take_along_axis(probabilities, region_of[given][None], axis=0)[0], entropy.clip(0, 1)

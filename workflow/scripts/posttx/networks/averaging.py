"""The mean of several models' probabilities on the standard grid of a case, one model after the other.

Each model is the mean of its folds' logits, as when it predicts alone; softmax, or sigmoid for regions, makes
probabilities of them. A case's logits of one model and the weighted sum are in memory, never more: probabilities exist
in slabs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from posttx.errors import PostTxError
from posttx.networks.confidence import STEPS, Segmentation, sureness
from posttx.networks.predictor import Ensemble, Slices, load_ensemble, ready

logger = logging.getLogger(__name__)
T = TypeVar("T")
# Slices along the slowest axis whose probabilities are in memory at once.
SLAB = 16
# Share of a GPU's memory that the networks of all members may fill together; images and sums need the rest.
SHARE_OF_NETWORKS = 0.4
# Logarithms of probabilities end here.
LEAST = 1e-12
# A probability this close to 0 or 1 is taken for it where candidates of weights are compared.
CERTAIN = 1e-4


@dataclass(frozen=True)
class Slab:
    """What a model says of a part of a case: probabilities (heads, z, y, x), its own labels, and where that lies."""

    place: Slices
    probabilities: np.ndarray
    labels: np.ndarray


@dataclass
class Members:
    """The models of an ensemble; where their networks do not fit on the device together, they take turns on it."""

    ensembles: Sequence[Ensemble]
    digests: Sequence[Sequence[str]]
    take_turns: bool = False

    @property
    def manager(self) -> LabelManager:
        """Return nnU-Net's reading of the labels, which is the same for all members."""
        return label_manager(self.ensembles[0])

    def called(self, number: int) -> Ensemble:
        """Return a member with its networks on the device, and those of all others off it where they take turns."""
        if self.take_turns:
            for other, ensemble in enumerate(self.ensembles):
                place = ensemble.device if other == number else torch.device("cpu")
                for network in ensemble.networks:
                    network.to(place)
            torch.cuda.empty_cache()
        return self.ensembles[number]


def load_members(checkpoints: Sequence[Sequence[str | Path]], device: str, mirroring: Sequence[bool]) -> Members:
    """Load the folds of every member; ``checkpoints`` and ``mirroring`` are by member.

    Members whose label maps do not mean the same are an error. Nothing is compiled yet.
    """
    members = Members([], [])
    for paths, mirrored in zip(checkpoints, mirroring, strict=True):
        ensemble, digests = load_ensemble(paths, device, mirrored)
        members = Members([*members.ensembles, ensemble], [*members.digests, digests], members.take_turns)
        if not members.take_turns and _is_full(ensemble.device):
            logger.info("the members' networks do not fit on the device together: they take turns")
            members.take_turns = True
        members.called(len(members.ensembles) - 1)
    meanings = [(one.dataset["labels"], one.dataset.get("regions_class_order")) for one in members.ensembles]
    if any(meaning != meanings[0] for meaning in meanings):
        raise PostTxError(
            "the members of the ensemble learnt different labels or regions: their probabilities have no mean",
            remedy="Name members with the same `targets`, trained on the same dataset",
        )
    return members


def compiled_members(members: Members) -> Members:
    """Return members as fast as the device allows; those that take turns are not compiled."""
    if members.take_turns:
        return members
    return Members([ready(ensemble) for ensemble in members.ensembles], members.digests)


def _is_full(device: torch.device) -> bool:
    if device.type != "cuda":
        return False
    return (
        torch.cuda.memory_allocated(device) > SHARE_OF_NETWORKS * torch.cuda.get_device_properties(device).total_memory
    )


def label_manager(ensemble: Ensemble) -> LabelManager:
    """Return nnU-Net's reading of a model's labels."""
    manager: LabelManager = ensemble.plans.get_label_manager(ensemble.dataset)
    return manager


def whole_shape(ensemble: Ensemble, properties: dict[str, Any]) -> tuple[int, ...]:
    """Return the shape (z, y, x) of a prepared case before nnU-Net cropped it."""
    return tuple(int(properties["shape_before_cropping"][axis]) for axis in ensemble.plans.transpose_backward)


def slabs(ensemble: Ensemble, logits: torch.Tensor, properties: dict[str, Any]) -> Iterator[Slab]:
    """Yield a model's probabilities and labels by slabs along z, within the box that nnU-Net cropped to.

    ``logits`` (heads, ...) are those of a prepared case. Labels are the model's own, as it would predict alone.
    """
    manager, back = label_manager(ensemble), ensemble.plans.transpose_backward
    cropped = ensemble.on_case_grid(logits, properties).transpose(0, *(axis + 1 for axis in back))
    (first, _), *others = (properties["bbox_used_for_cropping"][axis] for axis in back)
    for start in range(0, cropped.shape[1], SLAB):
        part = cropped[:, start : start + SLAB]
        place = (slice(first + start, first + start + part.shape[1]), *(slice(*bounds) for bounds in others))
        labels = np.asarray(manager.convert_logits_to_segmentation(part), np.uint8)
        yield Slab(place, np.asarray(manager.apply_inference_nonlin(np.ascontiguousarray(part))), labels)


class Average:
    """The weighted mean of the probabilities of models on one case, and where all of them draw the same label."""

    def __init__(self, manager: LabelManager) -> None:
        self.manager = manager
        self.total: np.ndarray = np.zeros(0, np.float32)
        self._labels: np.ndarray = np.zeros(0, np.uint8)
        self._agreed: np.ndarray = np.zeros(0, bool)

    def add(self, parts: Iterable[Slab], shape: tuple[int, ...], weight: float) -> None:
        """Add a model's slabs to the mean; ``shape`` is that of the whole case, outside the slabs lies background."""
        labels, outside = np.zeros(shape, np.uint8), np.ones(shape, bool)
        first = not self.total.size
        if first:
            self.total = np.zeros((self.manager.num_segmentation_heads, *shape), np.float32)
        for slab in parts:
            self.total[(slice(None), *slab.place)] += np.float32(weight) * slab.probabilities
            labels[slab.place], outside[slab.place] = slab.labels, False
        if not self.manager.has_regions:
            self.total[0][outside] += np.float32(weight)
        self._agreed = np.ones(shape, bool) if first else self._agreed & (self._labels == labels)
        self._labels = labels

    def segmentation(self) -> Segmentation:
        """Return the label map, and how sure the mean is of it, in NIfTI array order.

        Where all models draw one label, that is the label: no mean of theirs has another one, but rounding may.
        """
        shape = self._labels.shape
        whole = Segmentation(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
        for start in range(0, len(self._labels), SLAB):
            part = slice(start, start + SLAB)
            drawn = self.manager.convert_probabilities_to_segmentation(self.total[:, part])
            whole.label_map[part] = np.where(self._agreed[part], self._labels[part], drawn)
            inside = whole.label_map[part] > 0
            logits = _logits(self.total[:, part][:, inside], self.manager)
            probability, entropy = sureness(logits, whole.label_map[part][inside], self.manager)
            whole.probability[part][inside] = np.rint(probability * STEPS)
            whole.entropy[part][inside] = np.rint(entropy * STEPS)
        return whole.mapped(lambda values: np.asfortranarray(values.transpose(2, 1, 0)))


def _logits(probabilities: np.ndarray, manager: LabelManager) -> np.ndarray:
    """Return logits with these probabilities by softmax, or by sigmoid for regions."""
    known = np.clip(probabilities, LEAST, 1)
    return np.log(known) - np.log(np.clip(1 - known, LEAST, 1)) if manager.has_regions else np.log(known)


@dataclass(frozen=True)
class Opinion:
    """A model's labels of a whole case (z, y, x), and its probabilities (heads, n) at flat indices ``uncertain``."""

    labels: np.ndarray
    uncertain: np.ndarray
    values: np.ndarray

    def at(self, voxels: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Return the probabilities (heads, n) at flat indices: what its label stands for where the model is certain.

        ``expected`` (labels, heads) are the probabilities that stand for each label.
        """
        known: np.ndarray = expected[self.labels.ravel()[voxels]].T.copy()
        if self.uncertain.size:
            found = np.searchsorted(self.uncertain, voxels).clip(max=self.uncertain.size - 1)
            uncertain = self.uncertain[found] == voxels
            known[:, uncertain] = self.values[:, found[uncertain]]
        return known


def opinion_of(parts: Iterable[Slab], shape: tuple[int, ...], expected: np.ndarray) -> Opinion:
    """Return what a model says of a case; probabilities only where one is over ``CERTAIN`` off what its label means."""
    labels, indices, values = np.zeros(shape, np.uint8), [], []
    for slab in parts:
        labels[slab.place] = slab.labels
        uncertain = np.abs(slab.probabilities - np.moveaxis(expected[slab.labels], -1, 0)).max(0) > CERTAIN
        inside = np.nonzero(uncertain)
        corner = [bounds.start for bounds in slab.place]
        whole = tuple(index + start for index, start in zip(inside, corner, strict=True))
        indices.append(np.ravel_multi_index(whole, shape))
        values.append(slab.probabilities[:, uncertain])
    if not indices:
        return Opinion(labels, np.zeros(0, np.int64), np.zeros((expected.shape[1], 0), np.float32))
    return Opinion(labels, np.concatenate(indices), np.concatenate(values, axis=1))


def expected_probabilities(manager: LabelManager) -> np.ndarray:
    """Return what a label stands for (labels, heads): 1 for its own head, or for every region that holds it."""
    labels = range(max(manager.all_labels) + 1)
    heads = manager.foreground_regions if manager.has_regions else manager.all_labels
    held = [head if isinstance(head, tuple) else (head,) for head in heads]
    return np.array([[float(label in members) for members in held] for label in labels], np.float32)


def begun_ahead(pool: ThreadPoolExecutor, tasks: Iterable[Callable[[], T]]) -> Iterator[Future[T]]:
    """Yield the futures of tasks in order; while one is used the next is computed, and no other."""
    coming: list[Future[T]] = []
    for task in tasks:
        coming.append(pool.submit(task))
        if len(coming) > 1:
            yield coming.pop(0)
    yield from coming

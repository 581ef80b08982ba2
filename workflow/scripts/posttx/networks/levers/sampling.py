"""What the patches of a training are centred on, where a lever decides it instead of nnU-Net.

A plan of sampling is a function that draws, for each patch, a ``Centre`` or None (as nnU-Net would). It draws from
numpy's global generator, as nnU-Net's loaders do, whose state checkpoints hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer


@dataclass(frozen=True)
class Centre:
    """A patch's case, and what it is centred on: a voxel of its preprocessed array, or any voxel of a label."""

    case: str
    label: int
    voxel: tuple[int, ...] | None = None


Draw = Callable[[], Centre | None]


@contextmanager
def sampled_by(draw: Draw | None, cases: Iterable[str]) -> Iterator[None]:
    """Let nnU-Net's trainer make, inside, the loader of ``cases`` (the training part) by a plan of sampling.

    The loader of the held-out part, whose pseudo Dice is compared between trainings, stays nnU-Net's; None changes
    nothing.
    """
    if draw is None:
        yield
        return
    training = sorted(cases)

    def loader(data: nnUNetBaseDataset, *settings: Any, **named: Any) -> nnUNetDataLoader:
        if list(data.identifiers) != training:
            return nnUNetDataLoader(data, *settings, **named)
        return PlannedLoader(data, *settings, draw=draw, **named)

    # nnU-Net's trainer finds its loader by this name of its module, and offers no other place to change it.
    nnUNetTrainer.nnUNetDataLoader = loader
    try:
        yield
    finally:
        nnUNetTrainer.nnUNetDataLoader = nnUNetDataLoader


class PlannedLoader(nnUNetDataLoader):
    """nnU-Net's loader, whose cases and centres are those of a plan; augmentation and cropping stay nnU-Net's."""

    def __init__(self, *settings: Any, draw: Draw, **named: Any) -> None:
        super().__init__(*settings, **named)
        self._draw = draw
        self._centres: list[Centre | None] = []

    def get_indices(self) -> list[str]:
        """Return the cases of a batch, those that nnU-Net drew where the plan leaves it to it."""
        self._centres = [self._draw() for _ in range(self.batch_size)]
        drawn = super().get_indices()
        return [case if centre is None else centre.case for case, centre in zip(drawn, self._centres, strict=True)]

    def get_bbox(
        self,
        data_shape: np.ndarray,
        force_fg: bool,
        class_locations: dict[Any, Any] | None,
        overwrite_class: Any = None,
        verbose: bool = False,
    ) -> tuple[list[int], list[int]]:
        """Return lower and upper corner of the next patch of the batch; nnU-Net asks once per patch, in order."""
        centre = self._centres.pop(0)
        if centre is None:
            return super().get_bbox(data_shape, force_fg, class_locations, overwrite_class, verbose)
        if centre.voxel is not None:
            # nnU-Net's locations begin with the channel
            class_locations = {centre.label: np.array([[0, *centre.voxel]])}
        return super().get_bbox(data_shape, True, class_locations, centre.label, verbose)


class Rarity:
    """Draw a class with a probability inverse to its volume over the training part, then a case that has it.

    ``volumes`` are voxels by case and label. All cases with the class are equally likely, however small it is there.
    """

    def __init__(self, volumes: Mapping[str, Mapping[int, int]]) -> None:
        totals: dict[int, int] = {}
        for counted in volumes.values():
            for label, voxels in counted.items():
                totals[label] = totals.get(label, 0) + voxels
        self.labels = sorted(label for label, voxels in totals.items() if voxels)
        inverse = np.array([1 / totals[label] for label in self.labels])
        self.probabilities = inverse / inverse.sum() if len(inverse) else inverse
        self.cases = {
            label: sorted(case for case, counted in volumes.items() if counted.get(label)) for label in self.labels
        }

    def __call__(self) -> Centre | None:
        """Return what the next patch is centred on; None where no case has any class."""
        if not self.labels:
            return None
        label = self.labels[int(np.random.choice(len(self.labels), p=self.probabilities))]
        cases = self.cases[label]
        return Centre(cases[int(np.random.randint(len(cases)))], label)


def class_volumes(dataset: nnUNetBaseDataset, labels: Sequence[int]) -> dict[str, dict[int, int]]:
    """Return the voxels of every label in the preprocessed cases of a dataset, by case."""
    volumes = {}
    for case in dataset.identifiers:
        label_map = np.asarray(dataset.load_case(case)[1][:])
        # -1 is outside of the brain
        counts = np.bincount(label_map[label_map > 0], minlength=max(labels) + 1)
        volumes[case] = {label: int(counts[label]) for label in labels}
    return volumes

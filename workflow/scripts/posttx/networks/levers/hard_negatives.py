"""Hard negatives: what a fold's network invents in its own training part is the centre of patches in a further round.

A component is mined where the network predicts a class and no voxel of the component has it in the reference. The
network is the fold's own, the cases are those that it was trained on: a held-out case has no place to come in, and one
that is named all the same is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cc3d
import numpy as np
import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler

from posttx.errors import PostTxError
from posttx.files import digest_of, read_json, write_json
from posttx.networks.levers.sampling import Centre, Draw
from posttx.networks.predictor import on_device
from posttx.networks.training import ROUND_RATE, append_line, read_lines

Row = dict[str, Any]
Mined = list[Row]


class RoundsScheduler(PolyLRScheduler):
    """nnU-Net's polynomial schedule over ``first`` epochs, and the same from a tenth of its rate over every round."""

    def __init__(self, optimizer: torch.optim.Optimizer, initial_lr: float, first: int, length: int) -> None:
        self.first, self.length, self.rate = first, length, initial_lr
        super().__init__(optimizer, initial_lr, first)

    def step(self, current_step: int | None = None) -> None:
        """Set the learning rate of an epoch, counted over all rounds from 0."""
        if current_step is not None and current_step >= self.first:
            self.initial_lr, self.max_steps = self.rate * ROUND_RATE, self.length
            current_step = (current_step - self.first) % self.length
        else:
            self.initial_lr, self.max_steps = self.rate, self.first
        super().step(current_step)


class HardNegatives:
    """Centre a share of the patches on mined components, each equally likely; leave the others to ``otherwise``.

    A mined component of a case outside of ``training`` is an error: the fold must not see what it is scored on.
    """

    def __init__(self, mined: Mined, share: float, training: Iterable[str], otherwise: Draw | None) -> None:
        foreign = sorted({row["case"] for row in mined} - set(training))
        if foreign:
            raise PostTxError(
                f"hard negatives were mined in {foreign[0]}, which is no case that this fold is trained on",
                remedy="Delete the folder of the fold and train it again; if you did not write this, find out who did",
            )
        self.centres = [Centre(row["case"], row["label"], tuple(row["voxel"])) for row in mined]
        self.share = share
        self.otherwise = otherwise

    def __call__(self) -> Centre | None:
        """Return what the next patch is centred on; None leaves it to nnU-Net."""
        if self.centres and np.random.uniform() < self.share:
            return self.centres[int(np.random.randint(len(self.centres)))]
        return self.otherwise() if self.otherwise is not None else None


def invented(predicted: np.ndarray, reference: np.ndarray, label: int) -> list[tuple[int, tuple[int, ...]]]:
    """Return (voxels, centre) of every 26-connected component of a predicted label that the reference has no voxel of.

    The centre is the component's voxel nearest to its centroid, so that it lies inside of a curved one.
    """
    components, count = cc3d.connected_components(predicted == label, connectivity=26, return_N=True)
    met = set(np.unique(components[reference == label]).tolist())
    boxes = cc3d.statistics(components)["bounding_boxes"]
    found = []
    for number in range(1, count + 1):
        if number not in met:
            voxels = np.argwhere(components[boxes[number]] == number) + [side.start for side in boxes[number]]
            nearest = np.square(voxels - voxels.mean(0)).sum(1).argmin()
            found.append((len(voxels), tuple(map(int, voxels[nearest]))))
    return found


def mine_round(trainer: Any, network: torch.nn.Module, number: int, between: Callable[[], None]) -> Mined:
    """Return what a trainer's network invents in its training part, as rows of round ``number``.

    ``network`` is the trainer's, not compiled: tiles of another batch would be compiled anew. ``between`` is called
    after each case.
    """
    lever = trainer.levers["hard_negatives"]
    # Of the data, whatever the trainer makes of them.
    learnt = read_json(Path(trainer.preprocessed_dataset_folder_base) / "dataset.json")["labels"]
    labels = {name: learnt[name] for name in lever["classes"]}
    trainer.set_deep_supervision_enabled(False)
    plans, settings, described = trainer.plans_manager, trainer.configuration_manager, trainer.dataset_json
    ensemble = on_device([network], plans, settings, described, trainer.device, ())

    def segment(image: np.ndarray) -> np.ndarray:
        logits = ensemble.logits(torch.from_numpy(image))
        return np.asarray(trainer.label_manager.convert_logits_to_segmentation(logits))

    def told(case: str) -> None:
        trainer.print_to_log_file(f"looked for hard negatives in {case}")
        between()

    training, _ = trainer.get_tr_and_val_datasets()
    path = Path(trainer.output_folder) / f"mined_{number}.json"
    mined = mine(training, segment, labels, mining_stamp(network, lever, number), path, told)
    trainer.set_deep_supervision_enabled(trainer.enable_deep_supervision)
    trainer.print_to_log_file(f"{len(mined)} hard negatives for round {number}")
    return [{"round": number, **row} for row in mined]


def mine(
    dataset: Any,
    segment: Callable[[np.ndarray], np.ndarray],
    labels: Mapping[str, int],
    stamp: str,
    path: Path,
    between: Callable[[str], None],
) -> Mined:
    """Return the mined components of all cases of a dataset (the training part), and write them whole to ``path``.

    ``segment`` turns a preprocessed image into a label map on its grid, ``labels`` are the classes to mine. What a kill
    interrupted goes on: finished cases stand, a line each, beside ``path``; where that or ``path`` holds another stamp
    (of the network and of the classes), it begins anew. ``between`` is called with each finished case.
    """
    if path.is_file() and (whole := read_json(path))["stamp"] == stamp:
        return list(whole["mined"])
    partial = path.with_suffix(".jsonl")
    done = {row["case"]: row["mined"] for row in read_lines(partial, "case") if row["stamp"] == stamp}
    if not done:
        partial.unlink(missing_ok=True)
    for case in dataset.identifiers:
        if case not in done:
            data, reference, _, properties = dataset.load_case(case)
            predicted = segment(np.asarray(data[:], np.float32))
            done[case] = mined_of(case, predicted, np.asarray(reference[0]), labels, properties)
            append_line(partial, {"stamp": stamp, "case": case, "mined": done[case]})
        between(case)
    mined = [row for case in dataset.identifiers for row in done[case]]
    write_json(path, {"stamp": stamp, "mined": mined})
    partial.unlink(missing_ok=True)
    return mined


def mined_of(
    case: str,
    predicted: np.ndarray,
    reference: np.ndarray,
    labels: Mapping[str, int],
    properties: Mapping[str, Any],
) -> Mined:
    """Return the rows of one case: where its invented components lie in the preprocessed array and in the image."""
    return [
        {
            "case": case,
            "class": name,
            "label": label,
            "component": number,
            "voxels": voxels,
            "voxel": list(voxel),
            "centre": in_image(voxel, predicted.shape, properties),
        }
        for name, label in labels.items()
        for number, (voxels, voxel) in enumerate(invented(predicted, reference, label), 1)
    ]


def in_image(voxel: Sequence[int], shape: Sequence[int], properties: Mapping[str, Any]) -> list[float]:
    """Return a voxel of a preprocessed array as (i, j, k) of the standardised image.

    nnU-Net cropped and resampled that; its axes run from the slowest in the file.
    """
    cropped = properties["shape_after_cropping_and_before_resampling"]
    box = properties["bbox_used_for_cropping"]
    place = [
        (at + 0.5) * before / after - 0.5 + low
        for at, before, after, (low, _) in zip(voxel, cropped, shape, box, strict=True)
    ]
    return [round(float(axis), 1) for axis in reversed(place)]


def mining_stamp(network: torch.nn.Module, lever: Mapping[str, Any], number: int) -> str:
    """Return a digest of a network's weights, of the lever and of the number of the round."""
    digest = hashlib.sha256()
    for name, part in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(part.detach().cpu().contiguous().numpy().tobytes())
    return digest_of([digest.hexdigest(), lever, number])

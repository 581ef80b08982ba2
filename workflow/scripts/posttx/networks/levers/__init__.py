"""Levers of training: what a configuration changes in nnU-Net's training, each in a module of its own.

A plan holds them (``posttx.networks.nnunet.with_levers``). What of them changes the network is in the plan already; the
trainer asks for the rest here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from torch import nn

from posttx.errors import PostTxError
from posttx.missing_modalities import dropout_of
from posttx.networks.levers.boundary import with_boundary
from posttx.networks.levers.channel_dropout import without_modalities
from posttx.networks.levers.hard_negatives import HardNegatives, Mined, RoundsScheduler
from posttx.networks.levers.sampling import Draw, Rarity, class_volumes, sampled_by
from posttx.networks.nnunet import OURS
from posttx.networks.training import round_epochs
from posttx.networks.trainings import levers_suffix

Levers = Mapping[str, Any]


def planned_levers(plans: Mapping[str, Any], configuration: str) -> dict[str, Any]:
    """Return the levers that a plan holds; an error where they are not those that the plan is named after.

    The name of a copy is that of the data, a digest of the levers, and the seed: a copy that lost its levers, or has
    those of another one, would train in silence what the configuration does not say.
    """
    levers = dict(plans.get(OURS, {}).get("levers", {}))
    name = plans["plans_name"]
    of_data = plans["configurations"][configuration].get("data_identifier", name).removesuffix(f"_{configuration}")
    suffix = name.removeprefix(of_data) if name.startswith(of_data) else ""
    if not re.fullmatch(rf"{levers_suffix(levers)}(_seed\d+)?", suffix):
        raise PostTxError(
            f"the levers in the plan {name} ({', '.join(levers) or 'none'}) are not those that it is named after",
            remedy=f"Delete {name}.json and run again: it is copied anew",
        )
    return levers


def with_terms(loss: nn.Module, levers: Levers, labels: Mapping[str, int]) -> nn.Module:
    """Return nnU-Net's loss with the terms that levers add; ``labels`` are the dataset's, integers by name."""
    return with_boundary(loss, levers["boundary"], labels) if "boundary" in levers else loss


def with_missing(batch: dict[str, Any], levers: Mapping[str, Any], channels: Mapping[str, str]) -> dict[str, Any]:
    """Return a batch of training; where a lever says so, its patches lack modalities at random.

    ``channels`` are the dataset's, names by their number as text. The patches are changed in place.
    """
    if "channel_dropout" not in levers:
        return batch
    names = [channels[number] for number in sorted(channels, key=int)]
    return {**batch, "data": without_modalities(batch["data"], names, dropout_of(levers["channel_dropout"]))}


def sampling(trainer: Any, mined: Mined) -> AbstractContextManager[None]:
    """Return a context in which a trainer's loader of its training part draws as its levers say."""
    if not {"sampling", "hard_negatives"} & set(trainer.levers):
        return nullcontext()
    training, _ = trainer.get_tr_and_val_datasets()
    draw = sampling_plan(trainer.levers, training, trainer.label_manager.foreground_labels, mined)
    return sampled_by(draw, training.identifiers)


def sampling_plan(levers: Levers, dataset: Any, labels: Sequence[int], mined: Mined) -> Draw | None:
    """Return what the patches of the training part, ``dataset``, are centred on; None leaves it to nnU-Net."""
    draw = Rarity(class_volumes(dataset, labels)) if "sampling" in levers else None
    if "hard_negatives" not in levers:
        return draw
    return HardNegatives(mined, levers["hard_negatives"]["share"], dataset.identifiers, draw)


def total_epochs(levers: Levers, epochs: int) -> int:
    """Return the epochs of a training with all of its rounds; ``epochs`` are those of the first."""
    return epochs + (levers["hard_negatives"]["rounds"] * round_epochs(epochs) if "hard_negatives" in levers else 0)


def round_that_begins(levers: Levers, epochs: int, epoch: int) -> int:
    """Return the number of the round with hard negatives whose first epoch this is, from 1; 0 for none."""
    since, length = epoch - epochs, round_epochs(epochs)
    return since // length + 1 if "hard_negatives" in levers and since >= 0 and since % length == 0 else 0


def schedule(levers: Levers, optimizer: torch.optim.Optimizer, rate: float, epochs: int) -> PolyLRScheduler:
    """Return nnU-Net's schedule of the learning rate over ``epochs``, and over the rounds that follow."""
    if "hard_negatives" not in levers:
        return PolyLRScheduler(optimizer, rate, epochs)
    return RoundsScheduler(optimizer, rate, epochs, round_epochs(epochs))

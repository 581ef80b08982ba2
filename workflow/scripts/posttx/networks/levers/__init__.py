"""Levers of training: what a configuration changes in nnU-Net's training, each in a module of its own.

A plan holds them (``posttx.networks.nnunet.with_levers``). What of them changes the network is in the plan already; the
trainer asks for the rest here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from posttx.errors import PostTxError
from posttx.missing_modalities import dropout_of
from posttx.networks.nnunet import OURS
from posttx.networks.trainings import levers_suffix

if TYPE_CHECKING:
    from torch import nn


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


def with_terms(loss: nn.Module, levers: Mapping[str, Any], labels: Mapping[str, int]) -> nn.Module:
    """Return nnU-Net's loss with the terms that levers add; ``labels`` are the dataset's, integers by name."""
    from posttx.networks.levers.boundary import with_boundary

    return with_boundary(loss, levers["boundary"], labels) if "boundary" in levers else loss


def with_missing(batch: dict[str, Any], levers: Mapping[str, Any], channels: Mapping[str, str]) -> dict[str, Any]:
    """Return a batch of training; where a lever says so, its patches lack modalities at random.

    ``channels`` are the dataset's, names by their number as text. The patches are changed in place.
    """
    if "channel_dropout" not in levers:
        return batch
    from posttx.networks.levers.channel_dropout import without_modalities

    names = [channels[number] for number in sorted(channels, key=int)]
    return {**batch, "data": without_modalities(batch["data"], names, dropout_of(levers["channel_dropout"]))}

"""Regions as targets: nnU-Net learns each of them by a sigmoid, from the same preprocessed label maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from posttx.networks.nnunet import OURS

if TYPE_CHECKING:
    from nnunetv2.utilities.label_handling.label_handling import LabelManager


def with_regions(dataset: Mapping[str, Any], plans: Mapping[str, Any]) -> dict[str, Any]:
    """Return nnU-Net's description of a dataset with the regions that a plan's lever ``targets`` holds for its labels.

    nnU-Net keeps it beside the folds, so that its own commands predict with the model. Without that lever it comes back
    as it is.
    """
    targets = plans.get(OURS, {}).get("levers", {}).get("targets")
    if not targets:
        return dict(dataset)
    # nnU-Net compares keys of summaries: a single label is an integer to it, no list of one.
    regions = {one["name"]: one["labels"] if len(one["labels"]) > 1 else one["labels"][0] for one in targets}
    order = [one["label"] for one in targets]
    return {**dataset, "labels": {"background": 0, **regions}, "regions_class_order": order}


def learnt_names(dataset: Mapping[str, Any], manager: LabelManager) -> list[str]:
    """Return the names of the classes or regions that have a pseudo Dice, in its order."""
    heads = manager.foreground_regions if manager.has_regions else manager.foreground_labels
    names = {tuple(held) if isinstance(held, list) else held: name for name, held in dataset["labels"].items()}
    return [str(names.get(head, head)) for head in heads]

"""A loss term at the interface of two classes: cross-entropy, the heavier the closer a voxel is to both of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from posttx.networks.training import REACH


class BoundaryLoss(nn.Module):
    """nnU-Net's loss, and ``weight`` times the weighted mean cross-entropy at the interface of ``between``.

    It takes what nnU-Net's loss takes, outputs and targets of all scales of deep supervision, and looks at the finest
    alone: on a coarser grid an interface of a voxel or two is gone. A batch without interface costs two searches of the
    label map and adds nothing.
    """

    def __init__(self, loss: nn.Module, between: Sequence[int], weight: float) -> None:
        super().__init__()
        self.loss = loss
        self.between = tuple(between)
        self.weight = weight

    def forward(self, output: Sequence[torch.Tensor], target: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the loss of logits (batch, classes, x, y, z) and label maps (batch, 1, x, y, z), lists by scale."""
        loss = self.loss(output, target)
        term = interface_cross_entropy(output[0], target[0][:, 0], self.between)
        return loss if term is None else loss + self.weight * term


def interface_cross_entropy(logits: torch.Tensor, labels: torch.Tensor, between: Sequence[int]) -> torch.Tensor | None:
    """Return the mean cross-entropy of the voxels near both classes, weighted by nearness; None where there are none.

    ``logits`` are (batch, classes, x, y, z), ``labels`` (batch, x, y, z). Gradients reach the voxels near the interface
    alone.
    """
    weights = interface_weights(labels, between)
    if weights is None:
        return None
    near = weights > 0
    chosen = weights[near]
    losses = nn.functional.cross_entropy(logits.movedim(1, -1)[near].float(), labels[near].long(), reduction="none")
    return (losses * chosen).sum() / chosen.sum()


def interface_weights(labels: torch.Tensor, between: Sequence[int]) -> torch.Tensor | None:
    """Return the weight of every voxel (batch, x, y, z), None where no voxel is near both classes.

    It is 1 where both classes are within one step (to one of the 26 neighbours), falls by ``1 / REACH`` per step to the
    further of the two, and is 0 beyond ``REACH``.
    """
    grown = []
    for label in between:
        mask = labels == label
        if not bool(mask.any()):
            return None
        grown.append(mask[:, None].to(torch.float16 if labels.is_cuda else torch.float32))
    weights = torch.zeros(labels.shape, device=labels.device)
    for _ in range(REACH):
        grown = [nn.functional.max_pool3d(mask, 3, 1, 1) for mask in grown]
        weights += (grown[0] * grown[1])[:, 0]
    return weights / REACH if bool(weights.any()) else None


def with_boundary(loss: nn.Module, lever: Mapping[str, Any], labels: Mapping[str, int]) -> nn.Module:
    """Return a loss with the term of the lever ``boundary``; ``labels`` are the dataset's, integers by name."""
    return BoundaryLoss(loss, [labels[name] for name in lever["between"]], lever["weight"])

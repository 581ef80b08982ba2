"""Patches of a training lack modalities at random, so that its network learns to do without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from posttx.case_ids import MODALITIES


def channels_without(names: Sequence[str]) -> torch.Tensor:
    """Return which channels (modalities, channels) a missing modality leaves without content.

    ``names`` are the dataset's channels in order: modalities, and differences such as ``t1c-t1n``, which need both.
    """
    return torch.tensor([[modality in name.split("-") for name in names] for modality in MODALITIES])


def drawn(probabilities: Mapping[str, float], patches: int) -> torch.Tensor:
    """Draw which modalities each patch lacks, (patches, modalities), from torch's own random numbers.

    Modalities are drawn independently, those without a probability are never missing. Of a patch that would lack all
    four, one of them stays, each as likely. As many numbers are drawn whatever they are, so that a resumed training
    goes on as one that was not stopped.
    """
    chances = torch.tensor([probabilities.get(name, 0.0) for name in MODALITIES])
    lacks = torch.rand(patches, len(MODALITIES)) < chances
    stays = torch.nn.functional.one_hot(torch.randint(len(MODALITIES), (patches,)), len(MODALITIES)).bool()
    return lacks & ~(stays & lacks.all(dim=1, keepdim=True))


def without_modalities(data: torch.Tensor, names: Sequence[str], probabilities: Mapping[str, float]) -> torch.Tensor:
    """Set to 0, in place, the channels of the modalities that patches (batch, channels, x, y, z) lack; return them.

    The patches are augmented already: noise or brightness would give the missing scan a content. Zeros are what
    nnU-Net's z-score makes of the zeros that stand in for a missing scan.
    """
    lost = (drawn(probabilities, len(data)).float() @ channels_without(names).float()).bool()
    for patch, channels in enumerate(lost):
        data[patch, channels.to(data.device)] = 0
    return data

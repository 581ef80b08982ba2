"""nnU-Net's networks with additive attention gates on the skip connections of the decoder.

Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas", 2018. A plan names these classes
(``posttx.networks.architectures.GATED``), so that nnU-Net's own commands load them where ``posttx`` is on
``PYTHONPATH``. The parameters that they share with nnU-Net's networks have the same names and shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from dynamic_network_architectures.building_blocks.helper import convert_conv_op_to_dim
from dynamic_network_architectures.building_blocks.unet_decoder import UNetDecoder
from torch import nn

# Of the gates before training: sigmoid(2) = 0.88 of every voxel passes, and gradients are still large.
OPEN = 2.0
INTERPOLATIONS = {1: "linear", 2: "bilinear", 3: "trilinear"}


class AttentionGate(nn.Module):
    """Scale a skip connection, voxel by voxel, by how much it agrees with the coarser features of the decoder.

    Both are mapped to half as many channels on the coarse grid and added; a ReLU, a convolution to one channel and a
    sigmoid give the coefficients (0 to 1), which are interpolated to the grid of the skip connection.
    """

    def __init__(self, conv: type[nn.Module], channels: int, channels_coarse: int, stride: Sequence[int]) -> None:
        super().__init__()
        inner = max(1, channels // 2)
        self.of_skip = conv(channels, inner, tuple(stride), tuple(stride), bias=False)
        self.of_coarse = conv(channels_coarse, inner, 1)
        self.to_one = conv(inner, 1, 1)
        self.interpolation = INTERPOLATIONS[convert_conv_op_to_dim(conv)]

    def forward(self, skip: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Return ``skip`` (batch, channels, x, y, z) scaled; ``coarse`` is (batch, its channels, x / stride, ...)."""
        agreed = torch.relu(self.of_skip(skip) + self.of_coarse(coarse))
        coefficients = torch.sigmoid(self.to_one(agreed))
        return skip * nn.functional.interpolate(coefficients, skip.shape[2:], mode=self.interpolation)

    def open(self) -> None:
        """Let the same share of every voxel pass: what a gate stops is learnt, not drawn."""
        with torch.no_grad():
            for part, value in zip(self.to_one.parameters(), (0.0, OPEN), strict=True):
                part.fill_(value)


class GatedDecoder(nn.Module):
    """nnU-Net's decoder with a gate on every skip connection but the finest, which the paper leaves as it is.

    It takes over the parts of ``plain``. ``deep_supervision`` is switched by the trainer, as in nnU-Net's.
    """

    def __init__(self, plain: UNetDecoder) -> None:
        super().__init__()
        encoder = plain.encoder
        self.deep_supervision = plain.deep_supervision
        self.encoder = encoder
        self.stages, self.transpconvs, self.seg_layers = plain.stages, plain.transpconvs, plain.seg_layers
        self.gates = nn.ModuleList(
            AttentionGate(
                encoder.conv_op,
                encoder.output_channels[-(stage + 2)],
                encoder.output_channels[-(stage + 1)],
                encoder.strides[-(stage + 1)],
            )
            for stage in range(len(self.stages) - 1)
        )

    def forward(self, skips: Sequence[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
        """Return the logits, of all scales where deep supervision is on; they and ``skips`` begin with the finest."""
        below, outputs = skips[-1], []
        last = len(self.stages) - 1
        for stage in range(len(self.stages)):
            skip = skips[-(stage + 2)]
            if stage < last:
                skip = self.gates[stage](skip, below)
            below = self.stages[stage](torch.cat((self.transpconvs[stage](below), skip), 1))
            if self.deep_supervision or stage == last:
                outputs.append(self.seg_layers[stage](below))
        return outputs[::-1] if self.deep_supervision else outputs[0]


def _add_gates(network: Any) -> None:
    network.decoder = GatedDecoder(network.decoder)


class AttentionUNet(PlainConvUNet):
    """nnU-Net's plain U-Net with attention gates; it takes the same settings."""

    def __init__(self, *settings: Any, **named: Any) -> None:
        super().__init__(*settings, **named)
        _add_gates(self)

    @staticmethod
    def initialize(module: nn.Module) -> None:
        """Set the weights of a part as nnU-Net does, and open the gates."""
        PlainConvUNet.initialize(module)
        if isinstance(module, AttentionGate):
            module.open()


class AttentionResidualEncoderUNet(ResidualEncoderUNet):
    """nnU-Net's U-Net with a residual encoder and attention gates; it takes the same settings."""

    def __init__(self, *settings: Any, **named: Any) -> None:
        super().__init__(*settings, **named)
        _add_gates(self)

    @staticmethod
    def initialize(module: nn.Module) -> None:
        """Set the weights of a part as nnU-Net does, and open the gates."""
        ResidualEncoderUNet.initialize(module)
        if isinstance(module, AttentionGate):
            module.open()

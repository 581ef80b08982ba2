"""Which classes a plan may name: nnU-Net imports and calls whatever stands there."""

from __future__ import annotations

import importlib
import pydoc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from posttx.errors import PostTxError

if TYPE_CHECKING:
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager

NETWORKS = ("dynamic_network_architectures.", "posttx.networks.")
PARTS = ("torch.nn.", *NETWORKS)

# nnU-Net's network -> ours with attention gates.
GATED = {
    "dynamic_network_architectures.architectures.unet.PlainConvUNet": "posttx.networks.attention.AttentionUNet",
    "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet": (
        "posttx.networks.attention.AttentionResidualEncoderUNet"
    ),
}


def gated_network(name: str) -> str:
    """Return the class that is the network of a plan with attention gates; another network is an error."""
    if name not in GATED:
        raise PostTxError(
            f"the network {name} has no form with attention gates",
            remedy="Use the planner plain, resenc_m or resenc_l, or leave attention at none",
        )
    return GATED[name]


def refuse_foreign_network(configuration: ConfigurationManager) -> None:
    """Raise an error where a plan's configuration names a network or a part of one that is no class of those known.

    Networks come from ``dynamic_network_architectures`` and from this project, their parts from ``torch.nn`` too. A
    name is judged by what it leads to: ``torch.nn.modules.conv.torch.hub.load`` begins well.
    """
    settings: Mapping[str, Any] = configuration.network_arch_init_kwargs
    _refuse("network_class_name", configuration.network_arch_class_name, NETWORKS)
    for key in configuration.network_arch_init_kwargs_req_import:
        if settings[key] is not None:
            _refuse(key, settings[key], PARTS)


def _refuse(key: str, name: object, packages: tuple[str, ...]) -> None:
    found = pydoc.locate(name) if isinstance(name, str) and name.startswith(packages) else None
    if not isinstance(found, type) or not f"{found.__module__}.".startswith(packages) or not _is_module(found):
        raise PostTxError(
            f"the plan names {name!r} as its {key}, which is no class of {' or '.join(part[:-1] for part in packages)}",
            remedy="Delete the plan and run again: it is made anew; if you did not write this, find out who did",
        )


def _is_module(found: type) -> bool:
    return issubclass(found, importlib.import_module("torch.nn").Module)

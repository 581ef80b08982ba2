"""What a device can do: a clear word where CUDA is not usable, and whether networks can be compiled for it."""

from __future__ import annotations

import logging
import os
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch

from posttx.errors import PostTxError
from posttx.networks.trust import refuse_foreign

logger = logging.getLogger(__name__)
NOT_SEEN = "nvidia-smi, which would say more, is not there"


def refuse_unusable(device: torch.device) -> None:
    """Raise an error that tells torch's CUDA and the driver where ``device`` is a CUDA device that cannot be used."""
    if device.type != "cuda":
        return
    if not torch.cuda.is_available():
        raise PostTxError(
            f"no CUDA device is available to torch {torch.__version__} (made for CUDA {torch.version.cuda or 'none'}); "
            f"{_driver()}",
            remedy="Set models.<name>.train.device to cpu, or give a GPU whose driver is made for this CUDA or a newer "
            "one (profiles/README.md)",
        )
    capability, built_for = torch.cuda.get_device_capability(device), torch.cuda.get_arch_list()
    if not runs_on(capability, built_for):
        raise PostTxError(
            f"{torch.cuda.get_device_name(device)} has compute capability {capability[0]}.{capability[1]}, for which "
            f"torch {torch.__version__} was not built (it was for {' '.join(built_for)})",
            remedy="Set models.<name>.train.device to cpu, or give another GPU",
        )


def runs_on(capability: tuple[int, int], built_for: list[str]) -> bool:
    """Return whether programs of these architectures (``sm_80``, ``compute_90``) run on a device.

    Machine code runs on later minors of its major number, intermediate code on all that came later.
    """
    for name in built_for:
        if match := re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]*", name):
            wanted = int(match[2]), int(match[3])
            same_major = wanted[0] == capability[0]
            if wanted <= capability and (same_major or match[1] == "compute"):
                return True
    return not built_for


def _driver() -> str:
    try:
        told = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return NOT_SEEN
    lines = (told.stdout if told.returncode == 0 else told.stdout + told.stderr).strip().splitlines()
    return f"nvidia-smi says (name, driver, compute capability): {'; '.join(lines) or 'nothing'}"


def memory_format(device: torch.device) -> torch.memory_format:
    """Return the layout of images and weights: channels last on a CPU, whose convolutions prefer it.

    On CUDA, instance normalisation would copy every such tensor.
    """
    return torch.channels_last_3d if device.type == "cpu" else torch.contiguous_format


def wants_compiling(device: torch.device, environment: Mapping[str, str]) -> bool:
    """Return whether networks are compiled: on CUDA, unless nnU-Net's own switch ``nnUNet_compile`` says no."""
    return device.type == "cuda" and environment.get("nnUNet_compile", "t").lower() in ("t", "true", "1")


@cache
def can_compile(kind: str) -> bool:
    """Return whether a program can be compiled for a kind of device; why not is logged, once.

    It takes a C compiler and Python's headers, which many a container lacks. Tried on a small function, with nothing
    that an earlier process left.
    """
    from torch._inductor.utils import fresh_inductor_cache

    claim_compiler_cache()
    try:
        with fresh_inductor_cache():
            torch.compile(_probe, dynamic=False)(torch.ones(64, device=kind))
    except Exception as error:
        warn_of_no_compiler(error)
        return False
    return True


def _probe(values: torch.Tensor) -> torch.Tensor:
    return torch.sin(values) * 2 + torch.cos(values)


def warn_of_no_compiler(error: Exception) -> None:
    """Log that networks are used uncompiled, and the first line of why."""
    why = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    logger.warning("the networks cannot be compiled, which costs speed alone: %s", why)


def claim_compiler_cache() -> None:
    """Make the folder of compiled programs ours alone, or raise an error where somebody else could have laid it.

    torch runs what lies there. Its place is ``TORCHINDUCTOR_CACHE_DIR``, else a folder in /tmp that is named after the
    user, which anybody can make first.
    """
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    folder = Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR") or default_cache_dir())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    refuse_foreign(folder)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is that of a device whose memory is full, by whichever class it comes."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "out of memory" in str(error).lower()

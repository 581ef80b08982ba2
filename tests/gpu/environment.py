"""What the machine is, and whether it has what a fold needs."""

import math
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import torch
from scene import Report, Scene, nvidia_smi

from posttx.networks.devices import refuse_unusable
from posttx.networks.loaders import SHARED_MEMORY, batch_bytes, refuse_small_shared_memory

PATCH, BATCH, CHANNELS = (128, 160, 112), 2, 4


def run(scene: Scene, report: Report) -> None:
    """Print the machine, and try what would stop a job before it began."""
    refuse_unusable(torch.device(scene.device))
    report.check("device", True, nvidia_smi("name,driver_version,compute_cap") or "cpu")
    report.note("torch", f"{torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
    report.note("python", sys.version.split()[0])
    report.note("cores", len(os.sched_getaffinity(0)))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    report.note("memory_gb", memory / 1e9)
    if scene.on_gpu:
        report.note("gpu_memory_gb", torch.cuda.get_device_properties(0).total_memory / 1e9)
    compiler, header = shutil.which("gcc") or shutil.which("cc"), Path(sysconfig.get_paths()["include"]) / "Python.h"
    report.check("compiler", bool(compiler) and header.is_file(), f"{compiler}, Python.h {header.is_file()}")
    one = batch_bytes(PATCH, BATCH, CHANNELS)
    if SHARED_MEMORY.is_dir():
        status = os.statvfs(SHARED_MEMORY)
        report.note("shared_memory_mib", math.floor(status.f_bavail * status.f_frsize / 2**20))
    refuse_small_shared_memory(one, scene.loaders, pinned=scene.on_gpu)
    report.check("shared_memory", True, f"enough for {scene.loaders} loaders")
    said = subprocess.run(
        scene.with_gpu(["env"], "--wait", "20"), env=scene.environment(), capture_output=True, text=True, check=False
    )
    given = dict(line.split("=", 1) for line in said.stdout.splitlines() if "=" in line)
    visible = given.get("CUDA_VISIBLE_DEVICES", "")
    report.check("with_gpu", said.returncode == 0 and visible != "" and "," not in visible, f"device {visible}")

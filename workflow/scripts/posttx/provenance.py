"""What made the results: versions, code, configuration, hardware, seeds."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from posttx.files import digest_of
from posttx.redaction import public_digest

PACKAGES = (
    "snakemake",
    "nnunetv2",
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "nibabel",
    "connected-components-3d",
    "edt",
    "imagecodecs",
    "isal",
    "pandera",
    "nilearn",
    "matplotlib",
    "seaborn",
)


def provenance(config: Mapping[str, Any], repository: str | Path) -> dict[str, Any]:
    """Return a JSON-able record of software, code, configuration, hardware and seeds of this run.

    ``config`` is the configuration as used, of which ``recorded`` is kept and digested. The public digest, which the
    report shows, leaves out the paths too. Whatever cannot be found out (no git, no GPU) is null.
    """
    used = recorded(config)
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git_commit": _git(repository, "rev-parse", "HEAD"),
        "git_changed_files": _changed(repository),
        "config": used,
        "config_digest": digest_of(used),
        "public_config_digest": public_digest(config),
        "seeds": _seeds(config),
        "hardware": hardware(),
    }


def recorded(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without ``report``, whose changes alter no result."""
    return {key: value for key, value in config.items() if key != "report"}


def hardware() -> dict[str, Any]:
    """Return processor, cores, memory in GiB and GPUs of this machine."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpus": _gpus(),
    }


def _seeds(config: Mapping[str, Any]) -> dict[str, int]:
    phantoms = {name: cohort["phantom"]["seed"] for name, cohort in config["cohorts"].items() if "phantom" in cohort}
    return {"statistics": config["statistics"]["seed"], **{f"phantom {name}": seed for name, seed in phantoms.items()}}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _gpus() -> list[str]:
    listed = _output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
    return listed.splitlines() if listed else []


def _changed(repository: str | Path) -> int | None:
    status = _git(repository, "status", "--porcelain", "--untracked-files=no")
    return None if status is None else len(status.splitlines())


def _git(repository: str | Path, *arguments: str) -> str | None:
    return _output("git", "-C", str(repository), *arguments)


def _output(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None

"""What the steps share: device and size, folders, the environment of a training, and lines of results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "workflow" / "scripts"
MARK = "POSTTX_GPU_STEP"
TINY, PUBLISHED = "tiny", "published"


@dataclass(frozen=True)
class Scene:
    """Where a step runs: ``device`` (cuda, cpu), ``size`` (published, tiny), and the folder that all steps share."""

    device: str
    size: str
    scratch: Path

    @property
    def on_gpu(self) -> bool:
        """Whether there is a device whose speed and memory mean something."""
        return self.device == "cuda"

    @property
    def loaders(self) -> int:
        """Return how many loader processes a training starts: as a fold of 12 threads does, where there are cores."""
        return 11 if self.on_gpu else 1

    def environment(self, **changed: object) -> dict[str, str]:
        """Return the variables of a job; without a GPU one slot is counted, so that with_gpu has one to give."""
        slots = {"POSTTX_GPU_LOCKS": str(self.scratch / "locks")} | ({} if self.on_gpu else {"POSTTX_GPUS": "1"})
        return {**os.environ, **slots, **{key: str(value) for key, value in changed.items()}}

    def with_gpu(self, command: Sequence[str], *options: str) -> list[str]:
        """Return a command behind the script that the rules start their GPU jobs with."""
        return [sys.executable, str(SCRIPTS / "with_gpu.py"), "--device", "cuda", *options, "--", *command]


@dataclass(frozen=True)
class Report:
    """Lines of results, printed as they come and kept as lines of JSON."""

    step: str
    path: Path

    def check(self, name: str, passed: bool, value: object) -> None:
        """Say whether a rule holds, and the value that it is judged by."""
        self._say("PASS" if passed else "FAIL", name, value)

    def note(self, name: str, value: object) -> None:
        """Say a figure that no rule judges."""
        self._say("NOTE", name, value)

    def _say(self, verdict: str, name: str, value: object) -> None:
        value = round(value, 4) if isinstance(value, float) else value
        sys.stdout.write(f"{verdict} {self.step}.{name} {value}\n")
        sys.stdout.flush()
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": self.step, "name": name, "verdict": verdict, "value": value}) + "\n")


@contextmanager
def busy_percents() -> Iterator[list[float]]:
    """Yield a list that holds, at the end, how busy the GPU was in each second, in percent, as nvidia-smi says.

    Empty where there is no nvidia-smi, or where it has nothing to say.
    """
    found: list[float] = []
    try:
        process = subprocess.Popen(
            ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--loop=1"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
    except OSError:
        yield found
        return
    try:
        yield found
    finally:
        process.terminate()
        found += [float(line) for line in process.communicate()[0].splitlines() if line.strip().isdecimal()]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that something takes, with all that it started on a GPU, and what it returns."""
    import torch

    begun = time.perf_counter()
    done = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun, done


def wait_until(happened: Callable[[], bool], seconds: float) -> bool:
    """Return whether something happens within ``seconds``."""
    end = time.monotonic() + seconds
    while not (now := happened()) and time.monotonic() < end:
        time.sleep(0.02)
    return now


def nvidia_smi(query: str) -> str:
    """Return what nvidia-smi says of the first GPU; nothing where it is not there."""
    try:
        asked = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False).stdout
    except OSError:
        return ""
    return next(iter(said.splitlines()), "").strip()


def used_mib(scene: Scene) -> float:
    """Return the used memory of the GPU in MiB; 0 without one."""
    return float(nvidia_smi("memory.used") or 0) if scene.on_gpu else 0.0


def child(script: str, *given: object, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a script beside this one in a process of its own and return the JSON it prints last."""
    command = [sys.executable, str(Path(__file__).with_name(script)), *map(str, given)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{script} {given} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def agreement(one: Any, other: Any) -> tuple[float, float]:
    """Return the share of equal voxels of two label maps, and the lowest Dice of a label."""
    import numpy as np

    dice = [1.0]
    for label in set(np.unique(one)) | set(np.unique(other)) - {0}:
        first, second = one == label, other == label
        dice.append(2 * float((first & second).sum()) / float(first.sum() + second.sum()))
    return float((one == other).mean()), min(dice)

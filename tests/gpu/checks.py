"""Run every check of the GPU path, each in a process and a time limit of its own; see README.md in this folder.

`python checks.py --device cuda --size published --out FOLDER [--only STEP ...]` prints one line per result and writes
FOLDER/figures.json after each step. It ends with 1 where a rule does not hold.
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from scene import MARK, PUBLISHED, TINY, Report, Scene

# In the order that finds most per minute; seconds on an H100. All together: LIMIT at most.
STEPS = {
    "environment": 40,
    "fold": 120,
    "ensemble": 60,
    "cohort": 100,
    "published": 150,
    "memory": 60,
    "trainers": 120,
    "compiler": 60,
    "guard": 40,
}
LIMIT = 530
# A busy CPU of two cores needs longer than its share of all that.
SLOW = 6


def run_step(name: str, scene: Scene, out: Path) -> None:
    """Run a step in this process; an error is a result like any other."""
    report = Report(name, out / f"{name}.jsonl")
    try:
        importlib.import_module(name).run(scene, report)
    except Exception as error:
        traceback.print_exc()
        report.check("error", False, f"{type(error).__name__}: {str(error).strip()[-500:]}")


def supervise(name: str, given: argparse.Namespace, seconds: float) -> None:
    """Run a step in a process of its own, and end it and all that it started when its time is over."""
    report = Report(name, given.out / f"{name}.jsonl")
    report.path.unlink(missing_ok=True)
    mark = uuid4().hex
    command = [sys.executable, __file__, "--device", given.device, "--size", given.size, "--out", str(given.out)]
    command += ["--scratch", str(given.scratch), "--step", name]
    begun = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, MARK: mark})
    try:
        status = process.wait(timeout=max(1.0, seconds))
        if status:
            report.check("exit", False, f"ended with {status}")
    except subprocess.TimeoutExpired:
        report.check("time", False, f"not done after {seconds:.0f} s")
    end_marked(mark)
    process.wait()
    report.note("seconds", time.monotonic() - begun)


def end_marked(mark: str) -> None:
    """Kill every process that carries a mark in its environment."""
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
        except OSError:
            continue


def gather(given: argparse.Namespace) -> list[dict]:
    """Write all results so far to figures.json and return them."""
    files = [given.out / f"{name}.jsonl" for name in STEPS]
    rows = [json.loads(line) for path in files if path.exists() for line in path.read_text().splitlines()]
    content = {"device": given.device, "size": given.size, "results": rows}
    beside = given.out / ".figures.json"
    beside.write_text(json.dumps(content, indent=1) + "\n")
    beside.replace(given.out / "figures.json")
    return rows


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--size", choices=[PUBLISHED, TINY], default=PUBLISHED)
    parser.add_argument("--out", type=Path, required=True, help="folder of figures.json")
    parser.add_argument("--scratch", type=Path, help="folder of data and models (default: a temporary one)")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), help="steps to run (default: all)")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def main() -> int:
    """Run one step, or all of them under supervision."""
    given = arguments(sys.argv[1:])
    given.out.mkdir(parents=True, exist_ok=True)
    if given.step:
        run_step(given.step, Scene(given.device, given.size, given.scratch), given.out)
        return 0
    patience = 1 if given.device == "cuda" else SLOW
    with tempfile.TemporaryDirectory(prefix="posttx-gpu-") as folder:
        given.scratch = given.scratch or Path(folder)
        end = time.monotonic() + LIMIT * patience
        for name in STEPS:
            if name in given.only:
                supervise(name, given, min(STEPS[name] * patience, end - time.monotonic()))
                rows = gather(given)
    failed = [row for row in rows if row["verdict"] == "FAIL"]
    passed = sum(row["verdict"] == "PASS" for row in rows)
    sys.stdout.write(f"{passed} passed, {len(failed)} failed; figures in {given.out / 'figures.json'}\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())

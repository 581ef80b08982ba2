"""A cohort at true scale to plan on: the 1,621 published case ids with files of no bytes."""

import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from workflow_runs import ROOT, SNAKEMAKE, empty_cohort

FOLDERS = {"training": "data/training_data1_v2", "additional": "data/training_data_additional"}


# A process's peak begins with that of whoever forked it: a small one stands between the tests and Snakemake.
LAUNCHER = """
import json, pathlib, resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
cost = {"peak_mb": used.ru_maxrss / 1024, "cpu_s": used.ru_utime + used.ru_stime}
pathlib.Path(sys.argv[1]).write_text(json.dumps(cost))
sys.exit(code)
"""


@dataclass(frozen=True)
class Cost:
    """What a Snakemake call printed, its peak memory in MB, and its user and system CPU time in seconds."""

    text: str
    peak_mb: float
    cpu_s: float


def make_cohorts(directory: Path, published: Path) -> None:
    """Write both published cohorts, where config/config.yaml expects them, as empty files of an hour ago."""
    with open(published / "cases.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for cohort, folder in FOLDERS.items():
        empty_cohort(directory / folder, [row["case"] for row in rows if row["cohort"] == cohort])
    age(directory / "data", 3600)


def age(root: Path, seconds: float) -> None:
    """Set the modification time of all files below ``root`` to ``seconds`` ago."""
    then = time.time() - seconds
    for path in root.rglob("*.nii.gz"):
        os.utime(path, (then, then))


def pretend_finished(directory: Path) -> None:
    """Write every output that the workflow names, of a few bytes and one age, younger than the cohorts."""
    outputs = [line.split("\t")[0] for line in call(directory, "--summary").text.splitlines() if "\tmissing\t" in line]
    assert outputs
    then = time.time() - 60
    for path in (directory / output for output in outputs):
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
        else:
            path.mkdir(parents=True, exist_ok=True)
    for output in outputs:
        os.utime(directory / output, (then, then))


def pairs_with_empty(directory: Path, empty: Path, rounds: int = 5) -> list[tuple[float, float]]:
    """Return CPU seconds of a dry run and of that of an empty Snakefile in the folder ``empty``, for every round.

    One after the other, so that whatever else the machine does slows both of a pair alike.
    """
    snakefile = empty / "Snakefile"
    snakefile.touch()
    return [(call(directory, "-n").cpu_s, call(empty, "-n", snakefile=snakefile).cpu_s) for _ in range(rounds)]


def call(directory: Path, *arguments: str, snakefile: Path = ROOT / "Snakefile") -> Cost:
    """Run Snakemake in ``directory`` and return what it cost; a failure raises with what it printed."""
    command = [str(SNAKEMAKE), "--snakefile", str(snakefile), "--directory", str(directory), "--cores", "2", *arguments]
    usage = directory / "usage.json"
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, str(usage), *command],
        cwd=ROOT,
        # Modules of ours are compiled once, as for a user, whatever the tests run with.
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return Cost(done.stdout, **json.loads(usage.read_text()))

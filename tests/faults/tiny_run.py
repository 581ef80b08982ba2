"""A whole workflow on eight phantoms of 6 mm: two folds, two iterations; and what stays of it to be compared."""

import gzip
import hashlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from make_phantom_case import write_case
from posttx.case_ids import IMAGE_COLUMNS
from workflow_runs import ROOT, SNAKEMAKE

SPACING = 6.0
TRAINING = [f"BraTS-GLI-{patient:05d}-100" for patient in (21, 22, 23, 24)]
HELD_OUT = [f"BraTS-GLI-{patient:05d}-100" for patient in (31, 32)]
TRAIN = {
    "device": "cpu",
    "folds": 2,
    "epochs": 1,
    "iterations": 2,
    "validation_iterations": 1,
    "foreground": 1.0,
    "mirroring": False,
    "plan": {"patch_size": [16, 16, 16], "batch_size": 2, "features": [4, 8, 8]},
}
# As far as the tables, without figures and page: a third of the time.
TABLES = ("results/tables/held_out/theirs/summary.parquet",)
# What a run is for. Provenance and page hold the time of writing; checkpoints hold it too.
COMPARED = ("cohorts", "audit", "standardized", "predictions", "metrics", "lesions", "confusion", "tables")


def make_cohorts(root: Path) -> Path:
    """Write the phantoms, and predictions of the held-out ones: their own references, of one case those of another."""
    for folder, cases in (("training", TRAINING), ("held_out", HELD_OUT)):
        for case in cases:
            files = {column: root / folder / case / f"{case}-{column}.nii.gz" for column in IMAGE_COLUMNS}
            write_case(files, case, 5, SPACING)
    theirs = root / "theirs"
    theirs.mkdir(parents=True)
    for case in HELD_OUT:
        shutil.copy(root / "held_out" / case / f"{case}-seg.nii.gz", theirs / f"{case}.nii.gz")
    return root


def settings(root: Path, *, trained: bool) -> dict:
    """Return a configuration: with a network trained in two folds, or the predictions that lie there alone."""
    models: dict = {"theirs": {"predictions": {"held_out": str(root / "theirs")}}}
    cohorts = {"held_out": {"path": str(root / "held_out"), "use": "test"}}
    if trained:
        models["nnunet"] = {"train": TRAIN}
        cohorts["training"] = {"path": str(root / "training"), "use": "train"}
    return {
        "cohorts": cohorts,
        "models": models,
        "shards": 1,
        "standardize": {"spacing": SPACING},
        "statistics": {"bootstrap": 100},
    }


@dataclass(frozen=True)
class Finished:
    """A run that nothing disturbed, and how many seconds it took."""

    directory: Path
    config: dict
    targets: tuple[str, ...]
    seconds: float


def finished(directory: Path, config: dict, *targets: str) -> Finished:
    """Run the workflow in a new directory, to its end or to ``targets``."""
    started = time.monotonic()
    finish(directory, config, *targets)
    return Finished(directory, config, targets, time.monotonic() - started)


def start(directory: Path, config: dict, *arguments: str) -> subprocess.Popen[str]:
    """Start the workflow in a session of its own, so that all its processes can be found; output goes to run.log."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    command = [str(SNAKEMAKE), "--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory)]
    command += ["--configfile", str(directory / "config.yaml"), "--cores", "2", *arguments]
    with open(directory / "run.log", "a") as log:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def finish(directory: Path, config: dict, *arguments: str, timeout: float = 900) -> str:
    """Run the workflow to its end, after an unlock where a killed run left its lock; return what it printed."""
    if locked(directory):
        assert start(directory, config, "--unlock").wait(timeout) == 0, tail(directory)
    before = (directory / "run.log").stat().st_size if (directory / "run.log").exists() else 0
    assert start(directory, config, *arguments).wait(timeout) == 0, tail(directory)
    return (directory / "run.log").read_text()[before:]


def tail(directory: Path) -> str:
    """Return the end of what the runs of a directory printed."""
    return (directory / "run.log").read_text()[-4000:]


def locked(directory: Path) -> bool:
    """Return whether a run left its lock."""
    return any((directory / ".snakemake" / "locks").glob("*"))


def processes(session: int) -> dict[int, str]:
    """Return the live processes of a session: pid -> command line; zombies are dead."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, _, _, owner = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:4]
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if int(owner) == session and state not in "ZX":
            found[int(folder.name)] = words
    return found


def digests(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of every file that a run is for, temporary and hidden ones left out."""
    results = directory / "results"
    files = (path for name in COMPARED for path in (results / name).rglob("*") if path.is_file())
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if not path.name.startswith(".")
    }


def differences(directory: Path, other: Path) -> list[str]:
    """Say of each file that two runs do not have alike how it differs: that is all that is left of a rare failure."""
    ours, theirs = digests(directory), digests(other)
    names = sorted(name for name in ours | theirs if ours.get(name) != theirs.get(name))
    return [f"{name}: {_difference(directory / 'results' / name, other / 'results' / name)}" for name in names]


def _difference(path: Path, other: Path) -> str:
    if not (path.exists() and other.exists()):
        return "in one of them only"
    contents = [file.read_bytes() for file in (path, other)]
    told = f"{len(contents[0])} and {len(contents[1])} bytes"
    if path.name.endswith(".gz"):
        contents = list(map(gzip.decompress, contents))
        told += f", unpacked {len(contents[0])} and {len(contents[1])}"
    shorter = min(map(len, contents))
    first, second = (np.frombuffer(content[:shorter], np.uint8) for content in contents)
    places = np.flatnonzero(first != second)
    if not places.size:
        return f"{told}; the same as far as both go"
    return f"{told}; {places.size} differ, from number {places[0]} to {places[-1]}"

"""Measure the evaluation engine against the field's own tools, in one run on this machine.

    python tests/benchmarks/bench_evaluate.py [--cases 50] [--repeats 3] [--only nnunet|brats]

Needs the real pairs of ../shared. ``POSTTX_BRATS_EVALUATE`` names the program of brats-evaluation (see `make oracles`);
without it that comparison is left out. A whole cohort is the matter of bench_cohort.py.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

import numpy as np  # noqa: E402  (the path must be set first)
import pandas as pd  # noqa: E402

from posttx.nifti import read_volume, write_volume  # noqa: E402
from posttx.schemas import COHORT, write_table  # noqa: E402
from posttx.shards import shard_of  # noqa: E402
from score_shard import score_shard  # noqa: E402

IMPORTS = f"import sys; sys.path.insert(0, {str(ROOT / 'workflow/scripts')!r}); import score_shard"
REAL = ROOT.parent / "shared/data/real"
REGIONS = {"NETC": [1], "SNFH": [2], "ET": [3], "RC": [4], "TC": [1, 3], "WT": [1, 2, 3]}


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def make_pairs(folder: Path, count: int) -> list[str]:
    """Write the four real pairs as uint8 at 1 mm, as nnU-Net writes them, and repeat them under ``count`` ids."""
    sources = []
    for path in sorted((REAL / "cases").glob("*/*-seg.nii.gz")):
        case = path.name.removesuffix("-seg.nii.gz")
        sources += [(path, REAL / f"predictions/{model}/{case}.nii.gz") for model in ("nnunet", "segresnet")]
    for number, pair in enumerate(sources):
        for name, source in zip(("ref", "pred"), pair, strict=True):
            volume = read_volume(source)
            write_volume(folder / f"sources/{name}{number}.nii.gz", volume.data.astype(np.uint8), volume.affine)
    cases = [f"BraTS-GLI-{number:05d}-100" for number in range(count)]
    for name in ("ref", "pred"):
        (folder / name).mkdir()
        for number, case in enumerate(cases):
            source = folder / f"sources/{name}{number % len(sources)}.nii.gz"
            (folder / name / f"{case}.nii.gz").symlink_to(source)
    return cases


def make_cohort(folder: Path, cases: list[str], shards: int) -> Path:
    rows = [
        {
            "case": case,
            "patient": case[:-4],
            "timepoint": int(case[-3:]),
            "cohort": "c",
            "shard": shard_of(case[:-4], shards),
        }
        | {"seg": str(folder / f"ref/{case}.nii.gz")}
        for case in cases
    ]
    path = folder / "results/cohorts/c.parquet"
    write_table(pd.DataFrame(rows).reindex(columns=list(COHORT.columns)), COHORT, path)
    return path


def score(folder: Path, cohort: Path, shard: str, scheme: str, workers: int) -> None:
    settings = {"folders": {"m": str(folder / "pred")}, "regions": REGIONS, "scheme": scheme}
    settings |= {"tolerances": [0.5, 1.0], "missing": "error"}
    score_shard(cohort, None, folder / f"results/scored/c/{shard}.tsv", "c", shard, settings, workers)


def measured(action: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the medians of wall and CPU seconds, children included."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), cpu_seconds()
        action()
        walls.append(time.perf_counter() - wall)
        cpus.append(cpu_seconds() - cpu)
    return statistics.median(walls), statistics.median(cpus)


def cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run(*command: str | Path) -> None:
    subprocess.run(list(map(str, command)), check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def against_nnunet(folder: Path, cohort: Path, count: int, repeats: int) -> None:
    program = Path(sys.executable).parent / "nnUNetv2_evaluate_simple"
    command = [program, folder / "ref", folder / "pred", "-l", "1", "2", "3", "4", "-np", "2", "-o", folder / "s.json"]
    wall, cpu = measured(lambda: score(folder, cohort, "000", "voxel", 2), repeats)
    start, start_cpu = measured(lambda: run(sys.executable, "-c", IMPORTS), repeats)
    theirs, their_cpu = measured(lambda: run(*command), 1)
    say(f"voxel metrics, {count} pairs, 2 processes: nnU-Net {theirs:.1f} s, {their_cpu:.1f} CPU-s")
    say(f"PostTx {wall:.2f} s, {cpu:.2f} CPU-s: {theirs / wall:.0f}x, by CPU {their_cpu / cpu:.0f}x")
    wall, cpu = wall + start, cpu + start_cpu
    say(f"with its own start {wall:.2f} s, {cpu:.2f} CPU-s: {theirs / wall:.0f}x, by CPU {their_cpu / cpu:.0f}x")


def against_brats(folder: Path, cohort: Path, count: int, repeats: int, program: str) -> None:
    score(folder, cohort, "000", "brats2026", 1)  # once before: neither start is compared
    _, ours = measured(lambda: score(folder, cohort, "000", "brats2026", 1), repeats)
    say(f"brats2026, {count} pairs: {ours / count:.3f} CPU-s a case")
    if not program:
        return
    command = [program, "--ref_path", folder / "ref", "--pred_path", folder / "pred", "--config", "gli"]
    command += ["--summary_json", folder / "b.json"]
    few, many = 1, min(count, 9)
    _, start = measured(lambda: run(*command, "--num_subjects", str(few)), repeats)
    _, whole = measured(lambda: run(*command, "--num_subjects", str(many)), repeats)
    theirs = (whole - start) / (many - few)
    ratio = theirs * count / ours
    say(f"brats-evaluation without its start of {start - theirs:.1f} s: {theirs:.2f} CPU-s a case: {ratio:.1f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=["nnunet", "brats"])
    options = parser.parse_args()
    if not REAL.is_dir():
        sys.exit(f"{REAL} is absent")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort = make_cohort(folder, make_pairs(folder, options.cases), 1)
        if options.only != "brats":
            against_nnunet(folder, cohort, options.cases, options.repeats)
        if options.only != "nnunet":
            against_brats(folder, cohort, options.cases, options.repeats, os.environ.get("POSTTX_BRATS_EVALUATE", ""))
            _, cpu = measured(lambda: score(folder, cohort, "000", "brats2024", 1), options.repeats)
            say(f"brats2024: {cpu / options.cases:.3f} CPU-s a case")


if __name__ == "__main__":
    main()

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
sys.path[:0] = [str(ROOT / "workflow/scripts"), str(ROOT / "tests/benchmarks")]

import numpy as np  # noqa: E402  (the path must be set first)
import pandas as pd  # noqa: E402
from ratios import Ratio, note  # noqa: E402

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


def score(folder: Path, results: Path, cohort: Path, shard: str, scheme: str, workers: int) -> None:
    settings = {"folders": {"m": str(folder / "pred")}, "regions": REGIONS, "scheme": scheme}
    settings |= {"tolerances": [0.5, 1.0], "missing": "error"}
    score_shard(cohort, None, results / f"scored/c/{shard}.tsv", "c", shard, settings, workers)


def score_anew(folder: Path, cohort: Path, scheme: str, workers: int) -> None:
    """Score into a folder of its own, as a first run does: files to be replaced would have to be deleted before."""
    score(folder, Path(tempfile.mkdtemp(dir=folder)), cohort, "000", scheme, workers)


def measured(action: Callable[[], object], repeats: int) -> tuple[list[float], list[float]]:
    """Return wall and CPU seconds of every repeat, children included."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), cpu_seconds()
        action()
        walls.append(time.perf_counter() - wall)
        cpus.append(cpu_seconds() - cpu)
    return walls, cpus


def cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run(*command: str | Path) -> None:
    subprocess.run(list(map(str, command)), check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def against_nnunet(folder: Path, cohort: Path, count: int, repeats: int) -> None:
    program = Path(sys.executable).parent / "nnUNetv2_evaluate_simple"
    command = [program, folder / "ref", folder / "pred", "-l", "1", "2", "3", "4", "-np", "2", "-o", folder / "s.json"]
    score_anew(folder, cohort, "voxel", 2)  # once before: what is imported at the first call counts as the start
    walls, cpus = measured(lambda: score_anew(folder, cohort, "voxel", 2), repeats)
    (start, start_cpu), (theirs, their_cpu) = (
        tuple(map(statistics.median, measured(action, times)))
        for action, times in ((lambda: run(sys.executable, "-c", IMPORTS), repeats), (lambda: run(*command), 1))
    )
    wall, cpu = statistics.median(walls), statistics.median(cpus)
    say(f"voxel metrics, {count} pairs, 2 processes: nnU-Net {theirs:.1f} s, {their_cpu:.1f} CPU-s")
    say(f"PostTx {wall:.2f} s, {cpu:.2f} CPU-s: {theirs / wall:.0f}x, by CPU {their_cpu / cpu:.0f}x")
    whole, cpu = wall + start, cpu + start_cpu
    say(f"with its own start {whole:.2f} s, {cpu:.2f} CPU-s: {theirs / whole:.0f}x, by CPU {their_cpu / cpu:.0f}x")
    peer = f"nnUNetv2_evaluate_simple -np 2, {count} pairs, wall"
    note(Ratio("voxel metrics, times as fast", peer, [theirs / ours for ours in walls], ">= 25"))
    note(Ratio("the same with our start", peer, [theirs / (ours + start) for ours in walls], ">= 25"))


def against_brats(folder: Path, cohort: Path, count: int, repeats: int, program: str) -> None:
    score_anew(folder, cohort, "brats2026", 1)  # once before: neither start is compared
    _, rounds = measured(lambda: score_anew(folder, cohort, "brats2026", 1), repeats)
    ours = statistics.median(rounds)
    say(f"brats2026, {count} pairs: {ours / count:.3f} CPU-s a case")
    if not program:
        return
    command = [program, "--ref_path", folder / "ref", "--pred_path", folder / "pred", "--config", "gli"]
    command += ["--summary_json", folder / "b.json"]
    few, many = 1, min(count, 9)

    def cpu_of(subjects: int) -> float:
        return statistics.median(measured(lambda: run(*command, "--num_subjects", str(subjects)), repeats)[1])

    start, whole = cpu_of(few), cpu_of(many)
    theirs = (whole - start) / (many - few)
    ratio = theirs * count / ours
    say(f"brats-evaluation without its start of {start - theirs:.1f} s: {theirs:.2f} CPU-s a case: {ratio:.1f}x")
    peer = "brats-evaluation without its start, CPU"
    note(Ratio("brats2026, times as fast", peer, [theirs * count / cpu for cpu in rounds], ">= 10"))


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
            _, cpus = measured(lambda: score_anew(folder, cohort, "brats2024", 1), options.repeats)
            say(f"brats2024: {statistics.median(cpus) / options.cases:.3f} CPU-s a case")
            note(Ratio("brats2024, CPU s a case", "1 s", [cpu / options.cases for cpu in cpus], "<= 1"))


if __name__ == "__main__":
    main()

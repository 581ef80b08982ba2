"""Time scoring, gathering and tabulating a whole cohort of the real size: 1,621 cases with the volumes they have.

    python tests/benchmarks/bench_cohort.py [--cases 1621] [--distinct 40] [--scheme brats2024] [--workers 2]

References are blobs of the label volumes that ../shared/data/published/cases.csv names, on the 182 x 218 x 182 grid at
1 mm; predictions are the same blobs with another noise. ``--distinct`` pairs, evenly spread over the cohort, are made
and stand under the ids of all cases. Every stage is a process of its own, as in the workflow: its start counts.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "workflow/scripts"), str(ROOT / "tests/benchmarks")]

import numpy as np  # noqa: E402  (the paths must be set first)
from bench_evaluate import REGIONS, make_cohort, say, score  # noqa: E402
from ratios import Ratio, note  # noqa: E402
from scipy import ndimage  # noqa: E402

from gather_metrics import gather_metrics  # noqa: E402
from make_tables import write_tables  # noqa: E402
from posttx.nifti import write_volume  # noqa: E402
from posttx.shards import shard_of  # noqa: E402

VOLUMES = ROOT.parent / "shared/data/published/cases.csv"
GRID = (182, 218, 182)
LAS = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
SHARDS = 32
SCALE = 4  # the noise that roughens the blobs is drawn on a grid so much coarser
# From the middle outwards, as in a tumour; the cavity lies in the middle too, beside the rest.
LAYERS = (1, 3, 2)


def label_volumes() -> dict[str, list[int]]:
    """Return case -> voxels of labels 1 to 4."""
    with VOLUMES.open(encoding="utf-8", newline="") as stream:
        return {row["case"]: [int(row[f"label_{n}"]) for n in (1, 2, 3, 4)] for row in csv.DictReader(stream)}


def blobs(volumes: list[int], centre: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a label array in which the labels have exactly these voxels, in layers around a rough centre."""
    offsets = np.ogrid[tuple(slice(0, n) for n in GRID)]
    coarse = ndimage.gaussian_filter(rng.standard_normal([-(-n // SCALE) for n in GRID]), 1.5)
    rough = ndimage.zoom(coarse / coarse.std(), SCALE, order=1)[tuple(slice(0, n) for n in GRID)]
    labels = np.zeros(np.prod(GRID), np.uint8)
    for values, place in (((4,), centre + np.array([24, 0, 0])), (LAYERS, centre)):
        wanted = [volumes[value - 1] for value in values]
        if not sum(wanted):
            continue
        far = np.sqrt(sum((axis - middle) ** 2 for axis, middle in zip(offsets, place, strict=True))) + 4 * rough
        far.ravel()[labels > 0] = np.inf
        nearest = np.argpartition(far.ravel(), sum(wanted))[: sum(wanted)]
        nearest = nearest[np.argsort(far.ravel()[nearest])]
        for value, part in zip(values, np.split(nearest, np.cumsum(wanted)[:-1]), strict=True):
            labels[part] = value
    return labels.reshape(GRID)


def make_pairs(folder: Path, volumes: dict[str, list[int]], distinct: int) -> None:
    """Write ``distinct`` pairs and let every case of the cohort have one of them."""
    cases = sorted(volumes)
    chosen = cases[:: -(-len(cases) // distinct)]
    for number, case in enumerate(chosen):
        rng = np.random.default_rng(number)
        centre = np.array([75, 110, 95]) + rng.integers(-15, 16, 3)
        for name in ("ref", "pred"):
            write_volume(folder / f"sources/{name}{number}.nii.gz", blobs(volumes[case], centre, rng), LAS)
            centre = centre + rng.integers(-1, 2, 3)
    for name in ("ref", "pred"):
        (folder / name).mkdir()
        for number, case in enumerate(cases):
            (folder / name / f"{case}.nii.gz").symlink_to(folder / f"sources/{name}{number % len(chosen)}.nii.gz")


def score_all(folder: Path, cohort: Path, cases: list[str], scheme: str, workers: int) -> None:
    for shard in sorted({shard_of(case[:-4], SHARDS) for case in cases}):
        score(folder, folder / "results", cohort, shard, scheme, workers)


def gather(folder: Path, cohort: Path) -> None:
    results = folder / "results"
    outputs = {name: results / f"{name}/c/m.parquet" for name in ("metrics", "lesions", "confusion", "findings")}
    gather_metrics(cohort, outputs, "c", "m", REGIONS)


def tabulate(folder: Path) -> None:
    metrics = folder / "results/metrics/c/m.parquet"
    write_tables(metrics, folder / "results/tables/c/m", REGIONS, "published", 20, 12345)


def _measured(action: Callable[..., None], arguments: tuple[object, ...]) -> tuple[float, float, float, float]:
    started = time.perf_counter()
    action(*arguments)
    wall = time.perf_counter() - started
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    own, workers = (usage.ru_maxrss / 1024 for usage in usages)
    return wall, cpu, own, workers


def stage(name: str, action: Callable[..., None], *arguments: object) -> None:
    """Run a stage in a fresh process and say what it took; its start and imports are part of the CPU time."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        wall, cpu, own, worker = fresh.submit(_measured, action, arguments).result()
    workers = f", a worker {worker:.0f} MB" if worker else ""
    say(f"{name}: {wall:.1f} s, {cpu:.1f} CPU-s; peak {own:.0f} MB{workers}")
    if name == "score" and worker:
        note(Ratio("scoring worker, MB", "400 MB", [worker], "<= 400"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=0, help="so many, evenly spread over the cohort; 0: all")
    parser.add_argument("--distinct", type=int, default=40)
    parser.add_argument("--scheme", default="brats2024")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if not VOLUMES.is_file():
        sys.exit(f"{VOLUMES} is absent")
    volumes = label_volumes()
    if options.cases:
        volumes = {case: volumes[case] for case in sorted(volumes)[:: -(-len(volumes) // options.cases)]}
    with tempfile.TemporaryDirectory() as name:
        folder, cases = Path(name), sorted(volumes)
        # In a process too: a child's peak memory is never below what its parent held.
        stage("make pairs", make_pairs, folder, volumes, min(options.distinct, len(volumes)))
        cohort = make_cohort(folder, cases, SHARDS)
        say(f"{len(cases)} cases, {min(options.distinct, len(volumes))} distinct pairs, {options.scheme}")
        stage("score", score_all, folder, cohort, cases, options.scheme, options.workers)
        stage("gather", gather, folder, cohort)
        stage("tabulate", tabulate, folder)


if __name__ == "__main__":
    main()

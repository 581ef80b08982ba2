"""Measure the report from finished metrics on: tables, figures, what the review shows of single cases, pages.

    python tests/benchmarks/bench_report.py [--cases 271 1621] [--pictures 40]

One model on 271 cases, two and their comparison on 1,621. Metrics are synthetic (`tests/unit/results_tree.py`); images,
labels and pictures are of the real scans of ../shared at 1 mm, repeated under that many ids, drawn by two processes.
Small pictures are drawn by jobs of their own and told apart, per case. Times are by the clock and on the CPU, which is
what to read on a loaded machine. What Snakemake adds (its start, and a process with its imports per job) is not in it.
Then the pages are opened in Chromium (`bench_review.py`).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("workflow/scripts", "tests/unit", "tests/benchmarks")]

import bench_review  # noqa: E402  (the path must be set first)
import pandas as pd  # noqa: E402
import results_tree as tree  # noqa: E402
from ratios import Ratio, note  # noqa: E402

from compare_models import write_comparisons  # noqa: E402
from draw_review import Folders, chosen_cases, draw_review  # noqa: E402
from draw_thumbs import draw_thumbs  # noqa: E402
from make_tables import write_tables  # noqa: E402
from posttx.analysis.subgroups import subgroups  # noqa: E402
from posttx.conventions import convention_of  # noqa: E402
from posttx.files import write_json, write_parquet  # noqa: E402
from posttx.geometry.grids import grid_of  # noqa: E402
from posttx.geometry.reading import TRUST_VOXELS, Reading  # noqa: E402
from posttx.nifti import read_volume  # noqa: E402
from posttx.reporting.case_data import write_cases  # noqa: E402
from posttx.reporting.figures import COMPARISON, SCORES  # noqa: E402
from posttx.reporting.report import run_of, write_report  # noqa: E402
from posttx.reporting.review import write_review  # noqa: E402
from posttx.scoring.scores import scores_from  # noqa: E402

REAL = ROOT.parent / "shared/data/real"
COHORT, MODELS = "additional", ("nnunet", "other")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def real_cases() -> list[dict[str, str]]:
    """Return the paths of the real scans with references and a prediction each."""
    found = []
    for reference in sorted((REAL / "cases").glob("*/*-seg.nii.gz")):
        name = reference.name.removesuffix("-seg.nii.gz")
        row = {kind: str(reference.parent / f"{name}-{kind}.nii.gz") for kind in ("t1n", "t1c", "t2w", "t2f", "seg")}
        found.append(row | {"prediction": str(REAL / f"predictions/nnunet/{name}.nii.gz")})
    return found


def prepare(results: Path, cases: int, models: Sequence[str]) -> dict[str, Any]:
    """Write what stands before the report is made: cohort, audit, training, metrics, lesions; return the settings."""
    config = tree.configured()
    config["models"] |= {model: {"predictions": {COHORT: "x"}} for model in models if model not in config["models"]}
    settings = tree.settings_of(config, {"training": True, COHORT: True}) | {
        "models": {"training": [], COHORT: list(models)}
    }
    tree.write_data(results, {"training": 12, COHORT: cases})
    tree.write_training(results, settings["trained"]["nnunet"]["folder"])
    first = tree.case_metrics(cases, COHORT, models[0])
    for model in models:
        metrics = first if model == models[0] else tree.improved(first, model)
        write_parquet(metrics, results / f"metrics/{COHORT}/{model}.parquet")
        write_parquet(tree.lesion_table(metrics), results / f"lesions/{COHORT}/{model}.parquet")
    write_json(results / "provenance.json", tree.PROVENANCE)
    return settings


def tables(results: Path, models: Sequence[str], pictures: int) -> None:
    for model in models:
        source, folder = results / f"metrics/{COHORT}/{model}.parquet", results / f"tables/{COHORT}/{model}"
        extreme = max(1, pictures // (2 * len(models)))
        write_tables(source, folder, tree.SCHEME.scoring(), "published", extreme, 1)
        scores = scores_from(pd.read_parquet(source), tree.SCHEME.scoring())
        write_parquet(subgroups(scores, [], convention_of("published")), folder / "subgroups.parquet")


def comparison(results: Path, models: Sequence[str], statistics: dict[str, Any]) -> None:
    metrics = [results / f"metrics/{COHORT}/{model}.parquet" for model in models]
    folder, ranks, regions = results / "comparisons", results / "ranks", tree.SCHEME.scoring()
    asked = (statistics["primary"], statistics["margins"], ranks, statistics["bootstrap"], statistics["seed"])
    write_comparisons(metrics, [], folder, regions, *asked, {})


def figures(results: Path, models: Sequence[str]) -> None:
    for model in models:
        tree.draw_kind(results, SCORES, cohort=COHORT, model=model)
    if len(models) > 1:
        tree.draw_kind(results, COMPARISON, cohort=COHORT)


class Scans:
    """The real scans under the ids of some cases, scored."""

    def __init__(self, results: Path, models: Sequence[str], cases: Sequence[str]) -> None:
        self.results, self.models = results, models
        sources = real_cases()
        self.rows = [{"case": case, "shard": "000", **sources[i % len(sources)]} for i, case in enumerate(cases)]
        readings = [Reading(TRUST_VOXELS, grid_of(read_volume(source["t1n"])), "t1n") for source in sources]
        self.readings = {case: readings[i % len(sources)] for i, case in enumerate(cases)}
        files = {str(row["case"]): row["prediction"] for row in self.rows}
        loaded = [[read_volume(source[kind]).data for kind in ("seg", "prediction")] for source in sources]
        scored = [
            (*(labels.astype("uint8") for labels in pair), reading.grid.affine)
            for pair, reading in zip(loaded, readings, strict=True)
        ]
        pairs = {case: scored[i % len(sources)] for i, case in enumerate(cases)}
        for model in models:
            self.scored = tree.write_scored(results, COHORT, model, pairs, files)
        lines = [f"{case}\t{model}\t{file}\t0\n" for case, file in files.items() for model in models]
        self.scored.write_text("case\tmodel\tfile\tscores\n" + "".join(lines))

    def review(self) -> None:
        report = self.results / "report"
        folders = Folders(
            report / f"images/{COHORT}", report / f"labels/{COHORT}", self.results / f"figures/cases/{COHORT}"
        )
        settings = tree.drawing_settings(list(self.models))
        cases = [str(row["case"]) for row in self.rows]
        draw_review(self.rows, COHORT, cases, [self.scored], self.readings, settings, folders, threads=2)

    def thumbs(self) -> None:
        output = self.results / f"report/thumbs/{COHORT}/_drawn/000.tsv"
        settings = tree.drawing_settings(list(self.models))
        draw_thumbs(self.rows, COHORT, [self.scored], self.readings, settings, output, threads=2)


def chosen(results: Path, models: Sequence[str], count: int) -> list[str]:
    """Return the cases that the review shows, as its rule chooses them."""
    worst, best = (
        [results / f"tables/{COHORT}/{model}/{kind}_cases.parquet" for model in models] for kind in ("worst", "best")
    )
    known = sorted(pd.read_parquet(results / f"metrics/{COHORT}/{models[0]}.parquet")["case"].unique())
    return chosen_cases(worst, best, known, max(1, count // (2 * len(models))))


def pages(results: Path, settings: dict[str, object]) -> None:
    write_review(tree.ASSETS, results / "report/review.html", results / "report/niivue.js", settings)
    write_cases(results, results / "report/data/cases.js", settings, run_of(results, settings))
    write_report(results, tree.ASSETS, results / "report/index.html", settings)


def megabytes(folder: Path) -> float:
    """Return the size of a file, or of the files below a folder."""
    files = [folder] if folder.is_file() else folder.rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e6


def on_cpu() -> float:
    """Return the seconds that this process and its finished children were on a CPU."""
    return sum(os.times()[:4])


def limit(cases: int) -> int:
    """Return the seconds that a report may take: 25 for the held-out cohort, 60 for all 1,621 cases by two models."""
    return 25 if cases <= 271 else 60


def timed(name: str, step: Callable[[], None]) -> tuple[float, float]:
    """Run a step, tell what it took, and return its time by the clock and on the CPU."""
    started, used = time.perf_counter(), on_cpu()
    step()
    wall, busy = time.perf_counter() - started, on_cpu() - used
    say(f"{name}: {wall:.1f} s, {busy:.1f} s CPU")
    return wall, busy


def measure(cases: int, count: int) -> None:
    models = MODELS[: 1 if cases <= 271 else 2]
    what = f"{cases} cases x {len(models)}"
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        settings = prepare(results, cases, models)
        times = [timed(f"{what}, tables", lambda: tables(results, models, count))]
        if len(models) > 1:
            asked = settings["config"]["statistics"]
            times.append(timed(f"{what}, comparison", lambda: comparison(results, models, asked)))
        times.append(timed(f"{what}, figures", lambda: figures(results, models)))
        pictured = chosen(results, models, count)
        scans = Scans(results, models, pictured)
        times.append(timed(f"{what}, review of {len(pictured)} cases", scans.review))
        _, busy = timed(f"{what}, small pictures of {len(pictured)} cases", scans.thumbs)
        say(f"small pictures: {busy / len(pictured):.2f} s CPU a case for {len(models)} models")
        times.append(timed(f"{what}, pages", lambda: pages(results, settings)))
        total, all_busy = (sum(column) for column in zip(*times, strict=True))
        report = results / "report"
        sizes = {name: megabytes(report / name) for name in ("index.html", "data", "images", "labels", "thumbs")}
        say(f"{what}: {total:.1f} s, {all_busy:.1f} s CPU; MB: {', '.join(f'{k} {v:.1f}' for k, v in sizes.items())}")
        say(f"{1e6 * sizes['data'] / (cases * len(models)):.0f} bytes a row of data/cases.js")
        note(Ratio(f"report of {cases} cases, s", f"{limit(cases)} s", [total], f"<= {limit(cases)}"))
        kilobytes: Counter[str] = Counter()
        for path in (results / "figures").rglob("*.svg"):
            kilobytes[str(path.parent.relative_to(results / "figures"))] += path.stat().st_size / 1e3
        say(f"figures, kB: {', '.join(f'{kind} {size:.0f}' for kind, size in sorted(kilobytes.items()))}")
        note(Ratio(f"index.html of {cases} cases, MB", "3 MB", [sizes["index.html"]], "<= 3"))
        bench_review.measure(report, what)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=[271, 1621])
    parser.add_argument("--pictures", type=int, default=40)
    options = parser.parse_args()
    for cases in options.cases:
        measure(cases, options.pictures)


if __name__ == "__main__":
    main()

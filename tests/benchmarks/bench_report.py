"""Measure the report from finished metrics on: tables, figures, case pictures with the viewer's files, page.

    python tests/benchmarks/bench_report.py [--cases 271 1621] [--pictures 40]

Metrics are synthetic (`tests/unit/results_tree.py`); pictures are of the real scans of ../shared, repeated under that
many ids, drawn by two processes. Times are by the clock and on the CPU, which is what to read on a loaded machine. What
Snakemake adds (its start, and a process with its imports per job) is not in it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("workflow/scripts", "tests/unit", "tests/benchmarks")]

import pandas as pd  # noqa: E402  (the path must be set first)
import results_tree as tree  # noqa: E402
from ratios import Ratio, note  # noqa: E402

from draw_cases import draw_cases  # noqa: E402
from make_tables import write_tables  # noqa: E402
from posttx.files import write_json, write_parquet  # noqa: E402
from posttx.reporting.figures import SCORES  # noqa: E402
from posttx.reporting.report import write_report, write_viewer  # noqa: E402

REAL = ROOT.parent / "shared/data/real"
COHORT, MODEL = "additional", "nnunet"


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


def prepare(results: Path, cases: int) -> dict[str, object]:
    """Write what stands before the report is made: cohort, audit, training, metrics, lesions; return the settings."""
    config = tree.configured()
    settings = tree.settings_of(config, {"training": True, COHORT: True}) | {
        "models": {"training": [], COHORT: [MODEL]}
    }
    tree.write_data(results, {"training": 12, COHORT: cases})
    tree.write_training(results, settings["trained"][MODEL]["folder"])
    metrics = tree.case_metrics(cases, COHORT, MODEL)
    write_parquet(metrics, results / f"metrics/{COHORT}/{MODEL}.parquet")
    write_parquet(tree.lesion_table(metrics), results / f"lesions/{COHORT}/{MODEL}.parquet")
    write_json(results / "provenance.json", tree.PROVENANCE)
    return settings


def tables(results: Path, pictures: int) -> None:
    source = results / f"metrics/{COHORT}/{MODEL}.parquet"
    folder = results / f"tables/{COHORT}/{MODEL}"
    write_tables(source, folder, tree.SCHEME.scoring(), "published", max(1, pictures // 2), 1)


def figures(results: Path) -> None:
    tree.draw_kind(results, SCORES, cohort=COHORT, model=MODEL)


def pictures(results: Path) -> None:
    folder = results / f"tables/{COHORT}/{MODEL}"
    extremes = {kind: pd.read_parquet(folder / f"{kind}_cases.parquet") for kind in ("worst", "best")}
    cases = list(dict.fromkeys(case for table in extremes.values() for case in table["case"]))
    sources = real_cases()
    rows = [{"case": case, **sources[i % len(sources)]} for i, case in enumerate(cases)]
    colors = {item.value: item.color for item in tree.SCHEME.labels}
    figures = results / f"figures/{COHORT}/{MODEL}"
    draw_cases(
        pd.DataFrame(rows),
        extremes,
        {str(row["case"]): row["prediction"] for row in rows},
        (colors, tree.NAMES, "trust_voxels"),
        figures / "cases",
        {kind: str(figures / f"{kind}.png") for kind in extremes},
        results / f"report/viewer/{COHORT}/{MODEL}",
        pd.read_parquet(results / f"lesions/{COHORT}/{MODEL}.parquet"),
        threads=2,
    )


def page(results: Path, settings: dict[str, object]) -> None:
    write_viewer(tree.ASSETS, results / "report/viewer/index.html", results / "report/viewer/niivue.js", settings)
    write_report(results, tree.ASSETS, results / "report/index.html", settings)


def on_cpu() -> float:
    """Return the seconds that this process and its finished children were on a CPU."""
    return sum(os.times()[:4])


def limit(cases: int) -> int:
    """Return the seconds that a report may take: 30 for the held-out cohort, 90 for all 1,621 cases."""
    return 30 if cases <= 271 else 90


def measure(cases: int, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        settings = prepare(results, cases)
        steps: dict[str, Callable[[], None]] = {
            "tables": lambda: tables(results, count),
            "figures": lambda: figures(results),
            f"{count} pictures": lambda: pictures(results),
            "page": lambda: page(results, settings),
        }
        total = all_busy = 0.0
        for name, step in steps.items():
            started, used = time.perf_counter(), on_cpu()
            step()
            wall, busy = time.perf_counter() - started, on_cpu() - used
            total, all_busy = total + wall, all_busy + busy
            say(f"{cases} cases, {name}: {wall:.1f} s, {busy:.1f} s CPU")
        size = (results / "report/index.html").stat().st_size / 1e6
        say(f"{cases} cases: {total:.1f} s, {all_busy:.1f} s CPU, index.html {size:.1f} MB")
        note(Ratio(f"report of {cases} cases, s", f"{limit(cases)} s", [total], f"<= {limit(cases)}"))
        note(Ratio(f"index.html of {cases} cases, MB", "10 MB", [size], "<= 10"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=[271, 1621])
    parser.add_argument("--pictures", type=int, default=40)
    options = parser.parse_args()
    for cases in options.cases:
        measure(cases, options.pictures)


if __name__ == "__main__":
    main()

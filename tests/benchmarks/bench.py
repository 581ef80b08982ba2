"""Time every stage against its peer or its limit, print one table, and append it to RESULTS.md with versions.

    python tests/benchmarks/bench.py [--only plan ingest evaluate cohort report ...] [--demo demo/results]

What `make bench` runs. Each benchmark is a program of its own and says what it measures; its whole output comes before
the table. One that cannot run (no ../shared, no finished demo) is named, the others run.
"""

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import ratios

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
PACKAGES = (
    "nnunetv2",
    "torch",
    "numpy",
    "scipy",
    "imagecodecs",
    "isal",
    "connected-components-3d",
    "pyarrow",
    "snakemake",
)


def commands(demo: Path) -> dict[str, list[str]]:
    """Return name -> script with its arguments, of every benchmark."""
    return {
        "plan": ["bench_plan.py"],
        "ingest": ["bench_ingest.py"],
        "evaluate": ["bench_evaluate.py", "--cases", "50"],
        "cohort": ["bench_cohort.py"],
        "report": ["bench_report.py"],
        "predict": ["bench_predict.py", str(demo)],
        "memory": ["bench_predict.py", "--published"],
        "rules": ["bench_postprocess.py", "--tile"],
    }


def run(command: list[str], noted: Path) -> bool:
    """Run one benchmark with its output shown; return whether it came to its end (a missed goal is no failure)."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", ratios.FILE: str(noted)}
    done = subprocess.run([sys.executable, str(HERE / command[0]), *command[1:]], env=environment, check=False)
    return done.returncode in (0, ratios.MISSED)


def surroundings() -> str:
    """Return the versions, the processor and the load that the ratios are of."""
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    load = f"{os.getloadavg()[0]:.1f} at the end"
    return f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores, {platform.machine()}; load {load}"


def main() -> None:
    """Run the benchmarks asked for, print their ratios and append them to RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=Path("demo/results"))
    parser.add_argument("--only", nargs="+", choices=list(commands(Path())), default=list(commands(Path())))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder) / "ratios.jsonl"
        failed = []
        for name in options.only:
            sys.stdout.write(f"== {name}\n")
            sys.stdout.flush()
            if not run(commands(options.demo)[name], noted):
                failed.append(name)
        found = ratios.noted(noted)
    lines = [ratios.table(found) if found else "No ratio was measured.", "", surroundings()]
    lines += [f"Not run, or ended with an error: {', '.join(failed)}."] if failed else []
    text = "\n".join(lines)
    sys.stdout.write(f"\n{text}\n")
    if found:
        with RESULTS.open("a", encoding="utf-8") as stream:
            stream.write(f"\n## `make bench`, {datetime.date.today()}\n\n{text}\n")


if __name__ == "__main__":
    main()

"""Compare planning 1,621 cases with planning nothing: CPU time of dry runs, with no result there and with all of them.

    python tests/benchmarks/bench_plan.py [--rounds 7]

The cohort is that of `tests/scale`: the published case ids with files of no bytes, outputs of a few. Each round
is a dry run of ours and one of an empty Snakefile.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("workflow/scripts", "tests", "tests/scale", "tests/benchmarks")]

import true_scale  # noqa: E402  (the path must be set first)
from ratios import Ratio, note  # noqa: E402


def compare(stage: str, directory: Path, empty: Path, rounds: int, limit: int) -> None:
    peak = true_scale.call(directory, "-n").peak_mb
    pairs = true_scale.pairs_with_empty(directory, empty, rounds)
    ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = Ratio(
        f"{stage} of 1,621 cases", "dry run of an empty Snakefile, CPU", [a / b for a, b in pairs], f"<= {limit}"
    )
    sys.stdout.write(f"{stage}: {ours:.2f} / {theirs:.2f} s CPU = {ratio.median:.2f}, {peak:.0f} MB\n")
    note(ratio)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        tree, empty = Path(folder, "tree"), Path(folder, "empty")
        tree.mkdir()
        empty.mkdir()
        true_scale.make_cohorts(tree, ROOT.parent / "shared/data/published")
        compare("first plan", tree, empty, rounds, 2)
        true_scale.pretend_finished(tree)
        compare("finding nothing to do", tree, empty, rounds, 3)


if __name__ == "__main__":
    main()

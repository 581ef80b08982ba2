"""Show where the folds of a training stand, from their files alone: Snakemake need not run, or may run elsewhere."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from time import sleep, time

from posttx.logs import configure_logging
from posttx.networks.progress import read_training, training_table

CLEAR = "\x1b[H\x1b[J"


def show_progress(results: str | Path, interval: float | None) -> None:
    """Write the table once, or (with an ``interval`` in seconds) again and again until every fold is done."""
    while True:
        models = read_training(results, time())
        moment = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
        clear = CLEAR if interval is not None and sys.stdout.isatty() else ""
        sys.stdout.write(f"{clear}{results} at {moment}\n\n{training_table(models)}\n")
        sys.stdout.flush()
        states = {fold.state for folds in models.values() for fold in folds}
        if interval is None or states == {"done"}:
            return
        sleep(interval)


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="?", default="results", help="results folder (default: %(default)s)")
    parser.add_argument("--once", action="store_true", help="write the table once and end")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between two looks (default: %(default)s)")
    return parser.parse_args(given)


if __name__ == "__main__":
    configure_logging()
    given = arguments(sys.argv[1:])
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        show_progress(given.results, None if given.once else given.interval)

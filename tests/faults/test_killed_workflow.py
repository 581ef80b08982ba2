"""SIGKILL at random moments, and the same tables in the end; POSTTX_KILLS and POSTTX_SEED say how often and when."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import tiny_run

SHORT_KILLS = 2
KILLS = int(os.environ.get("POSTTX_KILLS", "0"))
SEED = int(os.environ.get("POSTTX_SEED", "20240501"))
# A network is trained only where there is time for it; few kills are of a run that scores what lies there.
TRAINED = KILLS > 10
KILLS_PER_ROUND = 20
ORPHAN_SECONDS = 60.0
KINDS = ("whole workflow", "one process of a job")


def strike(directory: Path, config: dict, targets: Sequence[str], kind: str, delay: float, draw: random.Random) -> bool:
    """Start the workflow and kill after ``delay`` seconds; return whether there was something left to kill."""
    if tiny_run.locked(directory):
        assert tiny_run.start(directory, config, "--unlock").wait(300) == 0, tiny_run.tail(directory)
    run = tiny_run.start(directory, config, *targets)
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(delay)
        return False
    alive = tiny_run.processes(run.pid)
    jobs = sorted(set(alive) - {run.pid})
    doomed = sorted(alive) if kind == "whole workflow" or not jobs else [draw.choice(jobs)]
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    run.wait(900)
    expect_silence(run.pid)
    return True


def expect_silence(session: int) -> None:
    """Wait until no process of a session lives; fail naming those that outlive the wait."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while alive := tiny_run.processes(session):
        assert time.monotonic() < deadline, f"orphans: {alive}"
        time.sleep(0.5)


def kill_and_compare(finished: tiny_run.Finished, kills: int, seed: int, root: Path) -> None:
    """Run into ``kills`` kills, of both kinds in turn, a few per folder; each folder must end as ``finished`` did."""
    config, targets = finished.config, finished.targets
    assert any(name.startswith("tables/") for name in tiny_run.digests(finished.directory))
    draw = random.Random(seed)
    done = round_ = 0
    while done < kills:
        directory = root / str(round_)
        for strikes in range(min(KILLS_PER_ROUND, kills - done)):
            # Spread over the whole run, of which every kill loses a part and every start some seconds.
            delay = draw.uniform(0.05, 0.95) * finished.seconds * 3 / (strikes + 2)
            done += strike(directory, config, targets, KINDS[done % 2], delay, draw)
        tiny_run.finish(directory, config, *targets)
        assert tiny_run.differences(directory, finished.directory) == [], f"round {round_}"
        assert not tiny_run.locked(directory)
        assert not list((directory / "results").rglob(".[0-9]*")), "a temporary file was left"
        round_ += 1


def test_a_scoring_that_is_killed_ends_in_the_same_tables(tiny: tiny_run.Finished, tmp_path: Path) -> None:
    kill_and_compare(tiny, SHORT_KILLS, SEED, tmp_path)


@pytest.mark.skipif(not KILLS, reason="takes minutes to hours: `make faults`")
@pytest.mark.parametrize(("kills", "seed"), [(KILLS, SEED)])
def test_a_whole_run_that_is_killed_ends_in_the_same_tables(tmp_path: Path, kills: int, seed: int) -> None:
    config = tiny_run.settings(tiny_run.make_cohorts(tmp_path / "cohorts"), trained=TRAINED)
    kill_and_compare(tiny_run.finished(tmp_path / "undisturbed", config), kills, seed, tmp_path)

"""SIGKILL at random moments, and the same tables in the end; POSTTX_KILLS and POSTTX_SEED say how often and when."""

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import tiny_run

KILLS = int(os.environ.get("POSTTX_KILLS", "2"))
SEED = int(os.environ.get("POSTTX_SEED", "20240501"))
# A network is trained only where there is time for it; the short version scores predictions that lie there.
TRAINED = KILLS > 10
KILLS_PER_ROUND = 5
ORPHAN_SECONDS = 60.0
pytestmark = pytest.mark.skipif("POSTTX_KILLS" not in os.environ, reason="takes minutes: `make faults`")
KINDS = ("whole workflow", "one process of a job")


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> dict:
    return tiny_run.settings(tiny_run.make_cohorts(tmp_path_factory.mktemp("cohorts")), trained=TRAINED)


@pytest.fixture(scope="module")
def undisturbed(config, tmp_path_factory) -> tuple[dict[str, str], float]:
    """Return the digests of a run that nothing disturbed, and its seconds."""
    directory = tmp_path_factory.mktemp("undisturbed")
    started = time.monotonic()
    tiny_run.finish(directory, config)
    return tiny_run.digests(directory), time.monotonic() - started


def strike(directory: Path, config: dict, kind: str, delay: float, draw: random.Random) -> bool:
    """Start the workflow and kill after ``delay`` seconds; return whether there was something left to kill."""
    if tiny_run.locked(directory):
        assert tiny_run.start(directory, config, "--unlock").wait(300) == 0, tiny_run.tail(directory)
    run = tiny_run.start(directory, config)
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


def test_a_killed_run_ends_in_the_same_tables(config, undisturbed, tmp_path):
    expected, seconds = undisturbed
    assert any(name.startswith("tables/") for name in expected)
    draw = random.Random(SEED)
    done = round_ = 0
    while done < KILLS:
        directory = tmp_path / str(round_)
        for _ in range(min(KILLS_PER_ROUND, KILLS - done)):
            # The last seconds of a run are as likely as the first: each strike may go nearly the whole way.
            done += strike(directory, config, KINDS[done % 2], draw.uniform(0.05, 0.9) * seconds, draw)
        tiny_run.finish(directory, config)
        assert tiny_run.digests(directory) == expected, f"seed {SEED}, round {round_}"
        assert not tiny_run.locked(directory)
        round_ += 1

"""SIGKILL at random moments, and the same tables in the end; POSTTX_KILLS and POSTTX_SEED say how often and when."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
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


def strike(directory: Path, finished: tiny_run.Finished, kills: int, draw: random.Random) -> int:
    """Run the workflow and kill at random moments, ``kills`` times or until all is done; return how often.

    What fails for one process of a job, others of the run outlive; a run that has ended is started again.
    """
    struck = struck_before = 0
    run = None
    while struck < kills:
        if run is None or run.poll() is not None:
            if run is not None and ended(run) == 0:
                return struck
            assert run is None or struck > struck_before, tiny_run.tail(directory)
            struck_before = struck
            if tiny_run.locked(directory):
                assert tiny_run.start(directory, finished.config, "--unlock").wait(300) == 0, tiny_run.tail(directory)
            run = tiny_run.start(directory, finished.config, *finished.targets)
        try:
            run.wait(draw.uniform(0, 2) * finished.seconds / (kills + 1))
        except subprocess.TimeoutExpired:
            struck += kill(run, KINDS[struck % 2], draw)
    if run is not None:
        ended(run)
    return struck


def kill(run: subprocess.Popen[str], kind: str, draw: random.Random) -> bool:
    """Kill all of a run or one process of a job, a worker perhaps; return whether there was any."""
    alive = tiny_run.processes(run.pid)
    jobs = sorted(pid for pid, words in alive.items() if "scripts/" in words)
    doomed = sorted(alive) if kind == "whole workflow" else draw.sample(jobs, min(1, len(jobs)))
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if kind == "whole workflow":
        ended(run)
    return bool(doomed)


def ended(run: subprocess.Popen[str]) -> int:
    """Wait for the end of a run and of all its processes; return its exit code."""
    code = run.wait(900)
    expect_silence(run.pid)
    return code


def expect_silence(session: int) -> None:
    """Wait until no process of a session lives; fail naming those that outlive the wait."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while alive := tiny_run.processes(session):
        assert time.monotonic() < deadline, f"orphans: {alive}"
        time.sleep(0.5)


def kill_and_compare(finished: tiny_run.Finished, kills: int, seed: int, root: Path) -> None:
    """Run into ``kills`` kills, of both kinds in turn, some per folder; each folder must end as ``finished`` did."""
    assert any(name.startswith("tables/") for name in tiny_run.digests(finished.directory))
    draw = random.Random(seed)
    done = round_ = 0
    while done < kills:
        directory = root / str(round_)
        done += strike(directory, finished, min(KILLS_PER_ROUND, kills - done), draw)
        tiny_run.finish(directory, finished.config, *finished.targets)
        assert tiny_run.differences(directory, finished.directory) == [], f"round {round_}"
        assert not tiny_run.locked(directory)
        assert not list((directory / "results").rglob(".[0-9]*")), "a temporary file was left"
        sys.stdout.write(f"{done} kills, {round_ + 1} folders\n")
        round_ += 1


def test_a_scoring_that_is_killed_ends_in_the_same_tables(tiny: tiny_run.Finished, tmp_path: Path) -> None:
    kill_and_compare(tiny, SHORT_KILLS, SEED, tmp_path)


@pytest.mark.skipif(not KILLS, reason="takes minutes to hours: `make faults`")
@pytest.mark.parametrize(("kills", "seed"), [(KILLS, SEED)])
def test_a_whole_run_that_is_killed_ends_in_the_same_tables(tmp_path: Path, kills: int, seed: int) -> None:
    config = tiny_run.settings(tiny_run.make_cohorts(tmp_path / "cohorts"), trained=TRAINED)
    kill_and_compare(tiny_run.finished(tmp_path / "undisturbed", config), kills, seed, tmp_path)

"""What surrounds a run: a second run, data that is read-only, results of another version, clocks that are wrong."""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import stages
import tiny_run
from mounts import is_read_only
from test_killed_workflow import KILLS

from posttx import versions
from posttx.layout import STAMP
from workflow_runs import snakemake

YEAR, DAY = 365 * 86400.0, 86400.0


@pytest.fixture
def copy(tiny: tiny_run.Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the finished run with the dates of its files, as deep as it: inputs are noted relatively."""
    return Path(shutil.copytree(tiny.directory, tmp_path_factory.mktemp("copy"), dirs_exist_ok=True))


def wait_until(condition: Callable[[], bool], seconds: float = 600.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


def send(number: signal.Signals, session: int) -> None:
    for pid in tiny_run.processes(session):
        os.kill(pid, number)


def stop(session: int) -> None:
    """Stop every process of a session, and those that one of them started before it stood still."""
    stopped: set[int] = set()
    while moving := set(tiny_run.processes(session)) - stopped:
        for pid in sorted(moving):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        stopped |= moving


def redate(folder: Path, seconds: float) -> None:
    """Shift the dates of all files below a folder."""
    for path in folder.rglob("*"):
        moment = path.stat().st_mtime + seconds
        os.utime(path, (moment, moment))


def test_data_may_be_read_only(tiny: tiny_run.Finished) -> None:
    cohorts = Path(tiny.config["cohorts"]["held_out"]["path"])
    if not is_read_only(cohorts):
        pytest.skip("needs to mount data read-only, which only root may")
    assert any(name.startswith("tables/") for name in tiny_run.digests(tiny.directory))


def test_a_second_run_in_the_same_folder_says_so_and_touches_nothing(tiny: tiny_run.Finished, copy: Path) -> None:
    shutil.rmtree(copy / "results/tables")
    log = copy / "run.log"
    told = log.stat().st_size
    first = tiny_run.start(copy, tiny.config, *tiny.targets)
    try:
        # The lock is of two files, one after the other: it is whole when jobs are looked for.
        wait_until(lambda: "Select jobs to execute" in log.read_text()[told:])
        # Whatever changes while the first stands still is the second's doing.
        stop(first.pid)
        before = {name: stages.digests(copy / name) for name in ("results", "logs")}
        second = snakemake(copy, "--cores", "2", *tiny.targets, config=tiny.config)
        assert second.returncode != 0
        assert "Directory cannot be locked" in second.text
        assert {name: stages.digests(copy / name) for name in ("results", "logs")} == before
        send(signal.SIGCONT, first.pid)
        assert first.wait(900) == 0, tiny_run.tail(copy)
    finally:
        send(signal.SIGKILL, first.pid)
    assert tiny_run.differences(copy, tiny.directory) == []


def test_a_run_notes_the_layout_of_its_results_and_refuses_another(tiny: tiny_run.Finished, tmp_path: Path) -> None:
    noted = json.loads((tiny.directory / "results" / STAMP).read_text())
    assert noted["layout"] == versions.LAYOUT
    older = tmp_path / "results" / STAMP
    older.parent.mkdir()
    older.write_text(json.dumps({"layout": versions.LAYOUT - 1, "posttx": "0.0.1"}))
    run = snakemake(tmp_path, "--cores", "2", *tiny.targets, config=tiny.config)
    assert run.returncode != 0
    assert f"these results are of PostTx 0.0.1, layout {versions.LAYOUT - 1}" in run.text
    assert "Move the folder away" in run.text
    assert stages.digests(tmp_path / "results").keys() == {STAMP}


def test_a_link_below_results_that_leads_elsewhere_is_refused_and_nothing_deleted(
    tiny: tiny_run.Finished, copy: Path, tmp_path: Path
) -> None:
    shard = next((copy / "results/metrics/held_out/theirs").iterdir())
    shutil.rmtree(shard)
    (tmp_path / "precious.parquet").write_text("of another study")
    shard.symlink_to(tmp_path)
    run = snakemake(copy, "--cores", "2", "--forcerun", "score_shard", "--", *tiny.targets, config=tiny.config)
    assert run.returncode != 0
    assert f"results/metrics/held_out/theirs/{shard.name} leads to {tmp_path}" in run.text
    assert os.listdir(tmp_path) == ["precious.parquet"]


def test_results_that_look_older_than_the_data_are_not_made_again(tiny: tiny_run.Finished, copy: Path) -> None:
    redate(copy / "results", -YEAR)
    run = snakemake(copy, "-n", *tiny.targets, config=tiny.config)
    assert run.returncode == 0, run.text
    # Small files are compared by content before their dates count.
    assert run.jobs == {}


def test_data_from_the_future_is_refused_before_the_first_job(data: Path, tmp_path: Path) -> None:
    cohort = Path(shutil.copytree(data, tmp_path / "cohort"))
    theirs = (cohort / stages.MODEL).rename(tmp_path / stages.MODEL)
    late = next((cohort / stages.CASES[1]).iterdir())
    os.utime(late, (time.time() + DAY, time.time() + DAY))
    config = {
        "cohorts": {stages.COHORT_NAME: {"path": str(cohort), "use": "test"}},
        "models": {stages.MODEL: {"predictions": {stages.COHORT_NAME: str(theirs)}}},
    }
    run = snakemake(tmp_path / "run", "--cores", "2", *tiny_run.TABLES, config=config)
    assert run.returncode != 0
    assert f"case {stages.CASES[1]}, file {late}: 1 of 10 files are dated in the future" in run.text
    assert f"find -L {late.parent} -name '*.nii*' -newermt now -exec touch '{{}}' +`" in run.text
    assert not (tmp_path / "run/results").exists()


@pytest.mark.skipif(not KILLS, reason="takes minutes: `make faults`")
def test_results_from_the_future_are_named_and_a_touch_is_enough(tiny: tiny_run.Finished, copy: Path) -> None:
    metrics = copy / "results/metrics/held_out/theirs.parquet"
    os.utime(metrics, (time.time() + DAY, time.time() + DAY))
    shutil.rmtree(copy / "results/tables")
    run = snakemake(copy, "--cores", "2", *tiny.targets, config=tiny.config)
    assert run.returncode != 0
    assert "than input results/metrics/held_out/theirs.parquet" in run.text
    os.utime(metrics)
    assert snakemake(copy, "--cores", "2", *tiny.targets, config=tiny.config).returncode == 0
    assert tiny_run.differences(copy, tiny.directory) == []

"""The whole command without a GPU, at a small size: its first run on a device must not be its first run."""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import checks
import pytest
from checks import LIMIT, SLOW, STEPS, end_marked, supervise
from scene import MARK, ROOT, busy_percents, wait_until

pytestmark = pytest.mark.rehearsal


def test_every_step_passes_on_a_cpu(tmp_path):
    environment = {**os.environ, "DEVICE": "cpu", "SIZE": "tiny", "OUT": str(tmp_path), "PYTHON": sys.executable}
    done = subprocess.run(
        [ROOT / "tests/gpu/run.sh"], env=environment, capture_output=True, text=True, timeout=LIMIT * SLOW, check=False
    )
    rows = json.loads((tmp_path / "figures.json").read_text())["results"]
    failed = [row for row in rows if row["verdict"] == "FAIL"]
    assert not failed, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.returncode == 0
    assert {row["step"] for row in rows} == set(STEPS)
    assert sum(row["verdict"] == "PASS" for row in rows) >= 35
    # Each line is flushed as it comes, and stands in the file too.
    told = [line for line in done.stdout.splitlines() if line.startswith(("PASS ", "NOTE "))]
    assert len(told) == len(rows)


def given(tmp_path) -> argparse.Namespace:
    (tmp_path / "scratch").mkdir()
    return argparse.Namespace(device="cpu", size="tiny", out=tmp_path, scratch=tmp_path / "scratch")


def results(tmp_path, step: str) -> dict[str, str]:
    lines = (tmp_path / f"{step}.jsonl").read_text().splitlines()
    return {row["name"]: row["verdict"] for row in map(json.loads, lines)}


def test_a_step_that_hangs_is_ended_with_all_it_started(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "memory.py").write_text(
        "import pathlib, subprocess, sys, time\n"
        "def run(scene, report):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "    (scene.scratch / 'pid').write_text(str(child.pid))\n"
        "    report.check('first', True, 1)\n"
        "    time.sleep(600)\n"
    )
    # Beside the steps, which come after it on the path of a script: their folder is its own.
    for path in (ROOT / "tests" / "gpu").glob("[cs]*.py"):
        if path.name in ("checks.py", "scene.py"):
            (tmp_path / "code" / path.name).write_text(path.read_text())
    monkeypatch.setattr(checks, "__file__", str(tmp_path / "code" / "checks.py"))
    begun = time.monotonic()
    supervise("memory", given(tmp_path), 15)
    assert time.monotonic() - begun < 120
    assert results(tmp_path, "memory") == {"first": "PASS", "time": "FAIL", "seconds": "NOTE"}
    child = int((tmp_path / "scratch" / "pid").read_text())
    assert wait_until(lambda: not Path(f"/proc/{child}").exists(), 60)


def test_a_step_that_fails_is_a_result(tmp_path, monkeypatch):
    path = (ROOT / name for name in ("workflow/scripts", "tests/unit", "tests"))
    monkeypatch.setenv("PYTHONPATH", ":".join(map(str, path)))
    # No cohort was made: nothing to predict.
    supervise("published", given(tmp_path), 200 * SLOW)
    assert results(tmp_path, "published") == {"error": "FAIL", "seconds": "NOTE"}
    assert "nnUNetPlans.json" in (tmp_path / "published.jsonl").read_text()


def test_how_busy_the_device_was_is_read_from_its_tool(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 40\necho '[N/A]'\necho 60\ntouch ready\nexec sleep 600\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    with busy_percents() as busy:
        assert wait_until((tmp_path / "ready").exists, 60)
    assert busy == [40.0, 60.0]
    tool.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with busy_percents() as busy:
        pass
    assert busy == []


def test_only_marked_processes_are_ended():
    marked, other = (
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={**os.environ, MARK: mark})
        for mark in ("one", "another")
    )
    try:
        # The mark is there once the program has replaced the fork.
        for process, mark in ((marked, b"one"), (other, b"another")):
            while MARK.encode() + b"=" + mark not in open(f"/proc/{process.pid}/environ", "rb").read():  # noqa: SIM115
                time.sleep(0.01)
        end_marked("one")
        assert marked.wait(timeout=60) < 0
        assert other.poll() is None
    finally:
        marked.kill()
        other.kill()


def test_its_limits_fit_into_nine_minutes():
    assert LIMIT < 9 * 60
    assert max(STEPS.values()) < LIMIT

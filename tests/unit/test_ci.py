"""How `.ci/slurm` ends: passed, cannot, failed, expired; each says so in a line, and a failure stops the daemons."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Stands in for tests/slurm/cluster.sh, with `run` as each test has it.
CLUSTER = """#!/usr/bin/env bash
case $1 in
    run) echo "run ${*:2}" >>calls; %s ;;
    stop) echo stop >>calls ;;
esac
"""


def run_ci(folder: Path, body: str, *arguments: str) -> tuple[int, str, list[str]]:
    (folder / ".ci").mkdir()
    (folder / "tests/slurm").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/slurm", folder / ".ci/slurm")
    cluster = folder / "tests/slurm/cluster.sh"
    cluster.write_text(CLUSTER % body)
    cluster.chmod(0o755)
    done = subprocess.run([folder / ".ci/slurm", *arguments], capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stdout.splitlines()[-1], (folder / "calls").read_text().splitlines()


@pytest.mark.parametrize(
    ("body", "code", "line", "stopped"),
    [
        ("exit 0", 0, "CI: SLURM test passed.", False),
        ("exit 77", 0, "CI: SLURM test not run: this machine cannot; the reason stands above.", False),
        ("exit 1", 1, "CI: SLURM test FAILED with exit code 1.", True),
    ],
)
def test_how_it_ends(tmp_path: Path, body: str, code: int, line: str, stopped: bool) -> None:
    returned, said, calls = run_ci(tmp_path, body)
    assert (returned, said) == (code, line)
    assert calls[0] == "run .venv/bin/python -m pytest -m slurm tests/slurm"
    assert ("stop" in calls) is stopped


def test_what_never_ends_is_ended(tmp_path: Path) -> None:
    begun = time.monotonic()
    returned, said, calls = run_ci(tmp_path, "sleep 300", "1")
    assert (returned, said) == (1, "CI: SLURM test FAILED: not done after 1 seconds.")
    assert calls[-1] == "stop"
    assert time.monotonic() - begun < 250


def test_ci_runs_it_after_the_tests() -> None:
    script = (ROOT / ".ci/run").read_text()
    assert 0 < script.index("\nmake test\n") < script.index('.ci/slurm "$left"')


def test_every_file_that_uses_the_demo_is_known_to_share_it():
    users = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if re.search(r"^def \w+\([^)]*\bdemo\b", path.read_text(), re.MULTILINE)
    }
    listed = re.search(r'"demo": \(([^)]*)\)', (ROOT / "tests/conftest.py").read_text())
    assert listed
    assert users == set(re.findall(r'"([^"]+)"', listed[1]))

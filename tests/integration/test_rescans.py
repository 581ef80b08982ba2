"""What a change of scans or of scoring code runs again, by dry runs on a finished small run of the whole workflow."""

import os
import shutil
import time
from pathlib import Path

import pytest
import tiny_run

from workflow_runs import ROOT, snakemake

BY_SHARD = {"scan_shard", "audit_shard", "score_shard"}
HOUR = 3600.0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a finished run on scans of an hour ago, of which a small reference is the newest."""
    root = tiny_run.make_cohorts(tmp_path_factory.mktemp("scans"))
    then = time.time() - HOUR
    for path in root.rglob("*.nii.gz"):
        os.utime(path, (then, then))
    os.utime(reference(root), (then + 60, then + 60))
    return tiny_run.finished(tmp_path_factory.mktemp("run"), tiny_run.settings(root, trained=False), *tiny_run.TABLES)


def scans(finished) -> Path:
    return Path(finished.config["cohorts"]["held_out"]["path"])


def image(finished) -> Path:
    case = tiny_run.HELD_OUT[0]
    return scans(finished) / case / f"{case}-t1c.nii.gz"


def reference(root: Path) -> Path:
    case = tiny_run.HELD_OUT[1]
    return root / "held_out" / case / f"{case}-seg.nii.gz"


@pytest.fixture
def kept(finished):
    """Put the scans back as they were, dates included."""
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in scans(finished).rglob("*.nii.gz")}
    yield
    for path, (content, date) in before.items():
        path.write_bytes(content)
        os.utime(path, ns=(date, date))


def planned(finished, *arguments) -> dict[str, int]:
    run = snakemake(finished.directory, "-n", *finished.targets, *arguments, config=finished.config)
    assert run.returncode == 0, run.text[-3000:]
    return run.jobs


def test_a_second_run_has_nothing_to_do(finished):
    assert planned(finished) == {}


@pytest.mark.usefixtures("kept")
def test_a_rewritten_scan_runs_its_shard_again(finished):
    image(finished).write_bytes(image(finished).read_bytes() + b"\0")
    assert set(planned(finished)) >= BY_SHARD


@pytest.mark.usefixtures("kept")
def test_a_newer_file_of_the_same_content_hides_no_rewritten_one(finished):
    """As after copying a cohort anew of which one scan is another: the file copied last is the noted one, unchanged."""
    now = time.time()
    image(finished).write_bytes(image(finished).read_bytes() + b"\0")
    os.utime(image(finished), (now - 2, now - 2))
    os.utime(reference(scans(finished).parent), (now - 1, now - 1))
    assert set(planned(finished)) >= BY_SHARD


@pytest.mark.usefixtures("kept")
def test_a_copy_that_keeps_whole_seconds_is_no_change(finished):
    """As after unpacking an archive of the cohort."""
    for path in scans(finished).rglob("*.nii.gz"):
        content, date = path.read_bytes(), path.stat().st_mtime
        path.unlink()
        path.write_bytes(content)
        os.utime(path, (int(date), int(date)))
    assert planned(finished) == {}


def test_an_edit_of_scoring_code_scores_again_and_a_moved_checkout_does_not(finished, tmp_path):
    copy = tmp_path / "project"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "demo", "results"), symlinks=True)
    snakefile = ("--snakefile", str(copy / "Snakefile"))
    assert "score_shard" not in planned(finished, *snakefile)
    module = copy / "workflow/scripts/posttx/scoring/metrics.py"
    module.write_text(module.read_text() + "\n# another comment\n")
    assert planned(finished, *snakefile)["score_shard"] == 1

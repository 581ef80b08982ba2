"""A small run with a label scheme that has a gap: its labels from end to end, and what a change of scans runs again."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_run

from posttx.files import read_json, write_json
from posttx.nifti import read_volume, write_volume
from workflow_runs import ROOT, snakemake

BY_SHARD = {"scan_shard", "audit_shard", "score_shard"}
HOUR = 3600.0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a finished run on scans of an hour ago, of which a small reference is the newest; there is no label 3."""
    root = tiny_run.make_cohorts(tmp_path_factory.mktemp("scans"))
    for path in (*root.rglob("*-seg.nii.gz"), *(root / "theirs").iterdir()):
        volume = read_volume(path)
        write_volume(path, np.array([0, 1, 2, 4, 0], np.uint8)[volume.data.astype(np.uint8)], volume.affine)
    then = time.time() - HOUR
    for path in root.rglob("*.nii.gz"):
        os.utime(path, (then, then))
    os.utime(reference(root), (then + 60, then + 60))
    config = tiny_run.settings(root, trained=True) | {"labels": "brats2021"}
    rules = {"model": "nnunet", "schema": 1, "labels": {"1": "NCR"}, "rules": {"NCR": {"min_mm3": 1e9}}}
    write_json(root / "rules.json", rules)
    config["models"]["nnunet"] = {"train": tiny_run.TRAIN | {"postprocess": str(root / "rules.json")}}
    return tiny_run.finished(tmp_path_factory.mktemp("run"), config, *tiny_run.TABLES)


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


def integers(finished, pattern: str) -> set[int]:
    """Return the integers in the label maps that match a pattern below the results."""
    maps = list((finished.directory / "results").glob(pattern))
    assert maps
    return {int(value) for path in maps for value in np.unique(read_volume(path).data)}


def test_integers_with_a_gap_are_learnt_without_it_and_predicted_with_it(finished):
    results = finished.directory / "results"
    (dataset,) = results.glob("nnunet/raw/*/dataset.json")
    assert read_json(dataset)["labels"] == {"background": 0, "NCR": 1, "ED": 2, "ET": 3}
    assert integers(finished, "standardized/training/*/labels/*.nii.gz") == {0, 1, 2, 3}
    assert integers(finished, "predictions/held_out/nnunet/*/*.nii.gz") == {0, 1, 2, 4}
    for model in ("nnunet", "theirs"):
        table = pd.concat(pd.read_parquet(path) for path in results.glob(f"metrics/held_out/{model}/*/*.parquet"))
        known = dict(zip(table["region"], table["label"], strict=True))
        assert {region: int(label) for region, label in known.items() if pd.notna(label)} == {
            "NCR": 1,
            "ED": 2,
            "ET": 4,
        }
        assert (table.loc[table["label"] == 4, "n_ref"] > 0).all()


def test_rules_of_post_processing_reach_the_held_out_cohort(finished):
    assert 1 in integers(finished, "predictions/held_out/nnunet/*/*.nii.gz")
    assert 1 not in integers(finished, "predictions/held_out/nnunet+post/*/*.nii.gz")
    assert {1, 4} & integers(finished, "predictions/held_out/nnunet+post/*/*.nii.gz") == {4}


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

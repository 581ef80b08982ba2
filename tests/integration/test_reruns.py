"""What a user's change runs again, by dry runs on the finished demo."""

import shutil

import pytest
import yaml

from workflow_runs import ROOT, snakemake


@pytest.fixture(scope="module")
def finished(demo):
    return demo


def planned(demo, *arguments, **changes):
    """Return the jobs that a changed config plans; nothing of the demo is written."""
    config = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    for key, value in changes.items():
        config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
    run = snakemake(demo, "-n", *arguments, config=config)
    assert run.returncode == 0, run.text[-3000:]
    return run.jobs


def test_a_second_run_has_nothing_to_do(finished):
    assert planned(finished) == {}


def test_a_new_title_redoes_only_the_report(finished):
    assert planned(finished, report={"title": "Another title"}) == {"write_report": 1, "bundle_report": 1}


def test_a_new_clip_percentile_redoes_everything_from_standardize_on(finished):
    jobs = planned(finished, standardize={"spacing": 3.0, "clip_percentiles": [2, 98]})
    assert {
        "standardize_shard",
        "write_dataset",
        "preprocess_dataset",
        "train_fold",
        "predict_shard",
        "score_shard",
    } <= set(jobs)
    assert not {"make_phantom_case", "scan_shard", "audit_shard"} & set(jobs)


def test_another_convention_makes_new_tables_and_does_not_score_again(finished):
    jobs = planned(finished, report={"title": "PostTx demo on the phantom cohort", "convention": "absent-is-one"})
    assert "make_tables" in jobs
    assert not {"score_shard", "train_fold", "standardize_shard"} & set(jobs)


def test_one_more_held_out_case_touches_its_shard_only(finished):
    cohorts = yaml.safe_load((ROOT / "config/demo.yaml").read_text())["cohorts"]
    cohorts["additional"]["phantom"]["cases"] += 1
    jobs = planned(finished, cohorts=cohorts)
    for rule in ("make_phantom_case", "audit_shard", "standardize_shard", "predict_shard", "score_shard"):
        assert jobs[rule] == 1, rule
    assert not {"train_fold", "validate_fold", "restore_shard", "write_splits", "preprocess_dataset"} & set(jobs)


def test_other_limits_reach_every_shard_though_a_case_is_added_at_the_same_time(finished):
    """Snakemake looks at no trigger of a job that waits for one that is to run: the limits must come as a file."""
    config = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    config["cohorts"]["additional"]["phantom"]["cases"] += 1
    jobs = planned(
        finished, cohorts=config["cohorts"], standardize={**config["standardize"], "clip_percentiles": [2, 98]}
    )
    assert jobs["standardize_shard"] == 2 * config["shards"]


def test_a_new_label_colour_redoes_figures_and_report(finished):
    own = finished / "config/labels/brats2024.yaml"
    own.parent.mkdir(parents=True)
    own.write_text((ROOT / "config/labels/brats2024.yaml").read_text().replace("#d62728", "#123456"))
    try:
        jobs = planned(finished)
    finally:
        shutil.rmtree(finished / "config")
    assert "write_report" in jobs
    looks = ("draw_", "write_report", "bundle_report", "write_audit_page")
    assert all(rule.startswith(looks) for rule in jobs), jobs


@pytest.mark.parametrize(
    "script", ["standardize_shard.py", "write_dataset.py", "audit_shard.py", "posttx/networks/nnunet.py"]
)
def test_touching_or_editing_a_script_does_not_train_again(finished, tmp_path, script):
    copy = tmp_path / "project"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "demo", "results"), symlinks=True)
    path = copy / "workflow/scripts" / script
    path.write_text(path.read_text() + "\n# another comment\n")
    jobs = planned(finished, "--snakefile", str(copy / "Snakefile"))
    assert "train_fold" not in jobs

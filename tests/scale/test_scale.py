"""Plans of 1,621 cases: jobs, memory and time, and that a small change on a finished tree stays small."""

import statistics

import pytest
import true_scale

from workflow_runs import Run, empty_cohort

MOST_JOBS = 400
MOST_MB = 300
# CPU time, in that of a dry run of an empty Snakefile. The goal of the first plan is 2 (`bench_plan.py`: 1.8); a test
# that must hold on any machine needs some room.
MOST_FIRST_PLAN = 2.3
MOST_NOTHING_TO_DO = 3
BY_SHARD = {"scan_shard", "audit_shard", "standardize_shard", "predict_shard", "score_shard"}


@pytest.fixture(scope="module")
def tree(shared, tmp_path_factory):
    """Return a directory with both published cohorts and no results."""
    directory = tmp_path_factory.mktemp("scale")
    true_scale.make_cohorts(directory, shared / "data" / "published")
    return directory


@pytest.fixture(scope="module")
def finished(tree):
    """Return the same directory with an output wherever the workflow expects one."""
    true_scale.pretend_finished(tree)
    return tree


def planned(tree) -> dict[str, int]:
    return Run(0, true_scale.call(tree, "-n").text).jobs


def test_a_first_plan_has_few_jobs_and_little_memory(tree):
    run = true_scale.call(tree, "-n")
    jobs = Run(0, run.text).jobs
    assert sum(jobs.values()) < MOST_JOBS
    assert jobs["audit_shard"] == jobs["standardize_shard"] == jobs["score_shard"] == 2 * 32
    assert run.peak_mb < MOST_MB


def test_a_first_plan_takes_little_more_than_twice_as_long_as_an_empty_one_at_most(tree, tmp_path):
    pairs = true_scale.pairs_with_empty(tree, tmp_path)
    assert statistics.median(ours / theirs for ours, theirs in pairs) <= MOST_FIRST_PLAN, pairs


def test_a_finished_tree_has_nothing_to_do(finished):
    assert planned(finished) == {}


def test_finding_nothing_to_do_takes_three_times_as_long_as_an_empty_plan_at_most(finished, tmp_path):
    pairs = true_scale.pairs_with_empty(finished, tmp_path)
    assert statistics.median(ours / theirs for ours, theirs in pairs) <= MOST_NOTHING_TO_DO, pairs


def test_one_more_case_or_a_rewritten_file_touches_its_shard_only(finished):
    """Both at once: a held-out case of a new patient, and another image of a case that was there."""
    cohort = finished / true_scale.FOLDERS["additional"]
    empty_cohort(cohort, ["BraTS-GLI-99999-100"])
    image = next(path for path in sorted(cohort.rglob("*-t1c.nii.gz")) if "99999" not in path.name)
    image.touch()
    jobs = planned(finished)
    # Subgroups compare the cohorts, so those of both are made anew.
    assert jobs.pop("draw_thumbs") <= 2
    assert {rule for rule, count in jobs.items() if count == 2} == BY_SHARD | {"make_subgroups", "draw_model"}
    assert not {"write_dataset", "write_splits", "preprocess_dataset", "train_fold", "validate_fold"} & set(jobs)
    assert {"gather_cohort", "gather_audit", "gather_metrics", "make_tables", "write_report"} <= set(jobs)

"""How many jobs a plan of 1,621 cases has, and the memory it takes."""

import pytest
import true_scale

from workflow_runs import Run

MOST_JOBS = 400
MOST_MB = 300


@pytest.fixture(scope="module")
def tree(shared, tmp_path_factory):
    """Return a directory with both published cohorts and no results."""
    directory = tmp_path_factory.mktemp("scale")
    true_scale.make_cohorts(directory, shared / "data" / "published")
    return directory


def test_a_first_plan_has_few_jobs_and_little_memory(tree):
    run = true_scale.call(tree, "-n")
    jobs = Run(0, run.text).jobs
    assert sum(jobs.values()) < MOST_JOBS
    assert jobs["audit_shard"] == jobs["standardize_shard"] == jobs["score_shard"] == 2 * 32
    assert run.peak_mb < MOST_MB

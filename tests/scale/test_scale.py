"""What planning 1,621 cases costs, and how many jobs it makes."""

import statistics

import pytest
import true_scale

MOST_JOBS = 400
MOST_MB = 300


@pytest.fixture(scope="module")
def tree(shared, tmp_path_factory):
    """Return a directory with both published cohorts and no results."""
    directory = tmp_path_factory.mktemp("scale")
    true_scale.make_cohorts(directory, shared / "data" / "published")
    return directory


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Return the CPU seconds of the dry run of a workflow without work: the median of three."""
    directory = tmp_path_factory.mktemp("empty")
    (directory / "Snakefile").write_text("rule all:\n    input: []\n")
    runs = [true_scale.call(directory, "-n", "-q", snakefile=directory / "Snakefile") for _ in range(3)]
    return statistics.median(run.cpu for run in runs)


def test_a_first_plan_is_cheap_and_has_few_jobs(tree, empty):
    run = true_scale.call(tree, "-n")
    jobs = true_scale.planned(run.text)
    assert sum(jobs.values()) < MOST_JOBS
    assert jobs["audit_shard"] == jobs["standardize_shard"] == jobs["score_shard"] == 2 * 32
    assert run.peak_mb < MOST_MB
    assert run.cpu < 3 * empty, f"{run.cpu:.1f} s of CPU against {empty:.1f} s of an empty workflow"

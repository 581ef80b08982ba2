"""A small cohort, and the results of every stage on it, made once; and a tiny run of the whole workflow."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import stages
import tiny_run
from mounts import read_only_if_allowed


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stages.make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a results folder in which every stage has run; not to be changed."""
    results = tmp_path_factory.mktemp("whole") / "results"
    stages.run_all(results, data)
    return results


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tiny_run.Finished]:
    """Return a finished run as far as the tables, on data that is read-only where root may mount."""
    with read_only_if_allowed(tiny_run.make_cohorts(tmp_path_factory.mktemp("cohorts"))) as cohorts:
        config = tiny_run.settings(cohorts, trained=False)
        yield tiny_run.finished(tmp_path_factory.mktemp("undisturbed"), config, *tiny_run.TABLES)

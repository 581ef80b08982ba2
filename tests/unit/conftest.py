"""Results that the tests of several files look at: made once per worker, copied by who changes them."""

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def reported(tmp_path_factory) -> tuple[Path, dict[str, Any]]:
    """Return a results folder with its report, which no test changes, and the report's settings."""
    # not above: most tests need neither of them, and they take a second to load
    import results_tree as tree

    from posttx.reporting.report import write_report

    results = tmp_path_factory.mktemp("reported") / "results"
    settings = tree.write_results(results)
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    return results, settings


@pytest.fixture
def own(reported, tmp_path) -> tuple[Path, dict[str, Any]]:
    """Return a copy of these results and settings, to be changed."""
    results, settings = reported
    shutil.copytree(results, tmp_path / "results")
    return tmp_path / "results", copy.deepcopy(settings)

"""Fixtures that several test folders share: the real data, and the one full demo run."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from workflow_runs import ROOT, snakemake

SHARED = ROOT.parent / "shared"
DEMO_TIMEOUT = 3600
# What is made once for the tests of several files.
TOGETHER = {
    "demo": (
        "tests/integration/test_demo.py",
        "tests/integration/test_reruns.py",
        "tests/faults/test_demo_fold_kills.py",
    ),
    "browser": ("tests/browser/",),
}
# A busy machine is no failure of the code: how long one example takes is not what these tests are about.
settings.register_profile("posttx", deadline=None)
settings.load_profile("posttx")


class Sharing(LoadScopeScheduling):
    """Keep the tests of a file on one worker, and those of all files that share something dear: the demo, the browser.

    Marks of groups (`--dist loadgroup`) are lost between pytest-xdist 3.8 and pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::")[0]
        return next((name for name, places in TOGETHER.items() if path.startswith(places)), path)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Sharing | None:
    """Schedule by what tests share where `--dist loadscope` asks for it."""
    return Sharing(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the demo first, because it takes longest."""
    items.sort(key=lambda item: "demo" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data beside the project, or skip saying that it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the real data in ../shared, which is absent")
    return SHARED


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Path:
    """Run the whole demo once and return its directory; POSTTX_DEMO names a finished one to look at instead."""
    if finished := os.environ.get("POSTTX_DEMO"):
        return Path(finished).resolve()
    directory = tmp_path_factory.mktemp("demo")
    run = snakemake(directory, "--workflow-profile", "profiles/demo", timeout=DEMO_TIMEOUT)
    assert run.returncode == 0, run.text[-6000:]
    return directory

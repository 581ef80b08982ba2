"""Fixtures that several test folders share: the real data, and the one full demo run."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from workflow_runs import ROOT, snakemake

SHARED = ROOT.parent / "shared"
DEMO_TIMEOUT = 3600
# A busy machine is no failure of the code: how long one example takes is not what these tests are about.
settings.register_profile("posttx", deadline=None)
settings.load_profile("posttx")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests that share something dear, for `--dist loadgroup`: the demo, or what one file makes once.

    Those of the demo come first, because it takes longest. Unit tests share nothing.
    """
    demo = {item for item in items if "demo" in getattr(item, "fixturenames", ())}
    for item in items:
        if "unit" not in item.path.parts and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("demo" if item in demo else str(item.path)))
    items.sort(key=lambda item: item not in demo)


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

"""Lock file, conda environments and project metadata name the same versions."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LOCK = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))


def conda_pins(path):
    content = yaml.safe_load(path.read_text())
    for entry in content["dependencies"]:
        if isinstance(entry, dict):
            yield from (item.split("==") for item in entry["pip"])
        elif "=" in entry and not entry.startswith("python="):
            yield entry.split("=")


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_conda_environments_match_the_lock_file(path):
    pins = list(conda_pins(path))
    assert pins
    assert {name: LOCK[name] for name, _ in pins} == dict(pins)


def test_direct_dependencies_are_locked_at_their_pins():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for requirement in project["project"]["dependencies"] + project["dependency-groups"]["test"]:
        name, _, pin = requirement.partition("==")
        name = re.split(r"[<>=]", name)[0].lower()
        assert name in {known.lower() for known in LOCK}
        if pin:
            assert LOCK[name] == pin


def test_every_locked_file_has_a_digest_and_no_address():
    text = (ROOT / "requirements.lock").read_text()
    assert text.count("--hash=sha256:") > len(LOCK)
    assert "://" not in text

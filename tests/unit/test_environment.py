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


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-bootstrap.lock"])
def test_every_requirement_is_one_version_with_its_digests(name):
    entries = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
    assert entries
    for entry in entries:
        pin = r"[A-Za-z0-9_.-]+==[^\s;\\*]+(?: ; [^\\\n]+)?"
        assert re.fullmatch(pin + r"(?: \\\n    --hash=sha256:[0-9a-f]{64})+", entry), entry[:120]


def test_installation_checks_the_digests():
    installs = re.findall(r"^\t.*(?:pip install|uv pip sync).*$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    locked = [line for line in installs if "oracles" not in line]
    assert len(locked) == 2
    assert all("--require-hashes" in line for line in locked)

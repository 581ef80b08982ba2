"""Nothing that a run writes is more open than the setting, whatever the umask."""

import os
import re
import stat

import pytest

from posttx.permissions import CLOSED, close, close_fresh, restrict, too_open
from workflow_runs import ROOT


@pytest.fixture(autouse=True)
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def now():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    ("before", "setting", "after"),
    [
        (0o000, "group", 0o007),
        (0o022, "group", 0o027),
        (0o077, "group", 0o077),
        (0o000, "owner", 0o077),
        (0o027, "owner", 0o077),
        (0o000, "as_umask", 0o000),
        (0o022, "as_umask", 0o022),
    ],
)
def test_the_umask_is_never_opened(before, setting, after):
    os.umask(before)
    restrict(setting)
    assert now() == after


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_closed_and_a_used_one_is_told(tmp_path):
    new, used = tmp_path / "new", tmp_path / "used results"
    for folder in (new, used):
        folder.mkdir()
        folder.chmod(0o755)
    (new / ".gitkeep").touch()
    (used / "metrics").mkdir()
    close_fresh([new, used, tmp_path / "absent"], "group")
    assert (mode(new), mode(used)) == (0o750, 0o755)
    warning = too_open([new, used, tmp_path / "absent"], "group")
    assert f"{used} (mode 755)" in warning
    assert f"{new} (mode" not in warning
    assert "chmod -R o-rwx" in warning
    assert too_open([used], "as_umask") == ""


def test_the_command_of_the_warning_ends_it(tmp_path):
    used = tmp_path / "used results"
    (used / "metrics").mkdir(parents=True)
    command = too_open([used], "owner").split("`")[-2]
    assert os.system(command) == 0
    assert too_open([used], "owner") == ""
    assert mode(used / "metrics") == 0o700


def test_closing_takes_only_what_is_not_granted(tmp_path):
    tmp_path.chmod(0o777)
    close(tmp_path, "as_umask")
    assert mode(tmp_path) == 0o777
    close(tmp_path, "group")
    assert mode(tmp_path) == 0o770


def test_every_setting_of_the_schema_is_known():
    text = (ROOT / "config/schema/config.schema.yaml").read_text()
    assert f"enum: [{', '.join(CLOSED)}]" in text


def test_jobs_on_a_cluster_read_the_same_setting():
    """They parse the workflow before they run, and the umask is set where it is parsed, not once per run."""
    text = (ROOT / "workflow/rules/common.smk").read_text()
    parsed = text[text.index("def configured()") : text.index("def begin()")]
    assert 'restrict(config["permissions"])' in parsed
    assert re.search(r"^[A-Z_, ]+ = configured\(\)$", parsed, re.MULTILINE)

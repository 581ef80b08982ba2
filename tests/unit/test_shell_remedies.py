"""Remedies that are commands: pasted into a shell as they stand, also with paths that a shell would take apart."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from posttx.cases import Case
from posttx.dates import check_dates
from posttx.errors import PostTxError, command
from posttx.networks.trust import refuse_foreign

ROOT = Path(__file__).resolve().parents[2]
NASTY = "of Dr O'Neil $(touch ran) `touch ran` & co; *"


def commanded(error: PostTxError, folder: Path) -> None:
    """Run the first command of a remedy in a shell."""
    text = error.remedy.replace("`touch ran`", "\0")
    (words,) = re.findall(r"`((?:chmod|cp|find)[^`]*)`", text)
    subprocess.run(["bash", "-ec", words.replace("\0", "`touch ran`")], cwd=folder, check=True)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("folders", [1, 7])
def test_files_dated_in_the_future_are_dated_anew(tmp_path, folders):
    now, paths = time.time(), []
    for number in range(folders):
        place = tmp_path / NASTY / str(number)
        place.mkdir(parents=True)
        target = tmp_path / f"data{number}.nii.gz"
        target.touch()
        os.utime(target, (now + 9999, now + 9999))
        (place / "case-t1n.nii.gz").symlink_to(target)
        paths.append(place / "case-t1n.nii.gz")
    cases = {"c": [Case(f"case-{n}", "p", n, "c", "000", {"t1n": str(path)}) for n, path in enumerate(paths)]}
    with pytest.raises(PostTxError, match=f"{folders} of {folders} files are dated in the future") as caught:
        check_dates(cases, now)
    commanded(caught.value, tmp_path)
    check_dates(cases, time.time())


def test_a_folder_open_to_everybody_is_closed(tmp_path):
    folder = tmp_path / NASTY
    folder.mkdir()
    (folder / "checkpoint.pth").touch()
    folder.chmod(0o777)
    with pytest.raises(PostTxError, match="everybody on this machine may write") as caught:
        refuse_foreign(folder / "checkpoint.pth")
    commanded(caught.value, tmp_path)
    refuse_foreign(folder / "checkpoint.pth")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_copied(tmp_path):
    folder = tmp_path / NASTY
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with pytest.raises(PostTxError, match="belongs to") as caught:
        refuse_foreign(folder)
    commanded(caught.value, tmp_path)
    refuse_foreign(tmp_path / f"{NASTY}_mine")


def test_words_are_quoted():
    assert command("chmod", "o-w", Path("a b")) == "`chmod o-w 'a b'`"


def test_no_remedy_puts_a_path_into_a_command_by_itself():
    for path in [*ROOT.glob("workflow/**/*.py"), *ROOT.glob("workflow/**/*.smk")]:
        bare = re.findall(
            r"`(?:chmod|cp|rm|mv|touch|find|gzip|kill)\b[^`\n]*\{[^`\n]*", path.read_text(encoding="utf-8")
        )
        assert not bare, f"{path.name}: use errors.command"

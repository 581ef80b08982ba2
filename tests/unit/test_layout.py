"""Results of another layout are told apart, and cases from the future are refused."""

import json
import os
from pathlib import Path

import pytest

from posttx import versions
from posttx.cases import Case
from posttx.dates import check_dates
from posttx.errors import PostTxError
from posttx.layout import FIRST_LAYOUT, STAMP, check_layout, stamp_layout

ROOT = Path(__file__).resolve().parents[2]
NOW = 1_700_000_000.0


def test_results_of_this_version_are_accepted_and_noted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_layout(tmp_path / "absent", ROOT)
    check_layout(tmp_path, ROOT)
    stamp_layout(tmp_path, ROOT)
    check_layout(tmp_path, ROOT)
    noted = (tmp_path / STAMP).read_bytes()
    monkeypatch.setattr(versions, "LAYOUT", versions.LAYOUT + 1)
    stamp_layout(tmp_path, ROOT)
    assert (tmp_path / STAMP).read_bytes() == noted


@pytest.mark.parametrize("other", [-1, 1], ids=["older", "newer"])
def test_results_of_another_layout_are_refused_with_both_versions(tmp_path: Path, other: int) -> None:
    (tmp_path / STAMP).write_text(json.dumps({"layout": versions.LAYOUT + other, "posttx": "7.8.9"}))
    with pytest.raises(PostTxError, match=rf"PostTx 7\.8\.9, layout {versions.LAYOUT + other}.*--directory") as caught:
        check_layout(tmp_path, ROOT)
    assert f"layout {versions.LAYOUT}:" in str(caught.value)


def test_results_without_a_note_have_the_first_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cohorts").mkdir()
    monkeypatch.setattr(versions, "LAYOUT", FIRST_LAYOUT)
    check_layout(tmp_path, ROOT)
    monkeypatch.setattr(versions, "LAYOUT", FIRST_LAYOUT + 1)
    with pytest.raises(PostTxError, match=rf"\(unknown\), layout {FIRST_LAYOUT}"):
        check_layout(tmp_path, ROOT)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"layout": null}'])
def test_a_torn_note_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / STAMP).write_text(text)
    with pytest.raises(PostTxError, match="torn") as caught:
        check_layout(tmp_path, ROOT)
    assert caught.value.file == str(tmp_path / STAMP)
    assert caught.value.remedy


def test_files_from_the_future_are_counted_and_the_first_named(tmp_path: Path) -> None:
    files = {}
    for name, ahead in (("t1n", -5.0), ("t1c", 5.0), ("t2w", 3600.0), ("t2f", 7200.0)):
        path = tmp_path / "c-1-1" / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (NOW + ahead, NOW + ahead))
        files[name] = str(path)
    cases = {"a": [Case("c-1-1", "c-1", 1, "a", "000", files)]}
    with pytest.raises(PostTxError, match=rf"case c-1-1, file {files['t2w']}: 2 of 4 files are dated in the future"):
        check_dates(cases, NOW)
    check_dates(cases, NOW + 7200)
    # A phantom that is yet to be made has no date.
    check_dates({"a": [Case("c-1-1", "c-1", 1, "a", "000", {"t1n": str(tmp_path / "none")})]}, NOW)

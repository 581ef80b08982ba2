"""Checkpoints: whole or not there, refused when torn or foreign, gone on from only when all agrees."""

import errno
import os
from pathlib import Path

import pytest
import torch

from posttx.errors import PostTxError
from posttx.networks import checkpoints
from posttx.networks.checkpoints import (
    BEST,
    FINAL,
    LATEST,
    check_checkpoint,
    keep_as_latest,
    prepare_fold,
    recorded_digests,
    write_checkpoint,
)
from posttx.networks.training import TrainingSettings, append_progress, read_progress_lines, rewind_progress

STAMP = {"plans": "a", "split": "b"}


def save(path: Path, value: float) -> None:
    write_checkpoint(path, lambda beside: torch.save({"w": torch.full((64,), value)}, beside))


def value_of(path: Path) -> float:
    return float(torch.load(path)["w"][0])


def test_written_checkpoint_has_its_digest_on_record(tmp_path: Path) -> None:
    path = tmp_path / LATEST
    save(path, 1.0)
    assert [check_checkpoint(path)] == recorded_digests(path)
    save(path, 2.0)
    assert value_of(path) == 2.0
    assert [check_checkpoint(path)] == recorded_digests(path)
    assert sorted(found.name for found in tmp_path.iterdir()) == [LATEST, f"{LATEST}.sha256"]


def test_torn_foreign_and_missing_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / LATEST
    with pytest.raises(PostTxError, match="does not exist"):
        check_checkpoint(path)
    torch.save({}, path)
    with pytest.raises(PostTxError, match="no digest on record"):
        check_checkpoint(path)
    save(path, 1.0)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(PostTxError, match="torn or was changed"):
        check_checkpoint(path)


@pytest.mark.parametrize("moment", ["save", "rename"])
def test_kill_at_any_moment_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path = tmp_path / LATEST
    save(path, 1.0)

    class Killed(BaseException):
        pass

    def torn(beside: Path) -> None:
        beside.write_bytes(b"PK torn")
        raise Killed

    if moment == "save":
        with pytest.raises(Killed):
            write_checkpoint(path, torn)
    else:
        # After the rename, before the record is made final: both digests are on record.
        def write_text(target: Path, text: str) -> None:
            if text.count("\n") == 1:
                raise Killed
            target.write_text(text)

        monkeypatch.setattr(checkpoints, "write_text", write_text)
        with pytest.raises(Killed):
            save(path, 2.0)
    check_checkpoint(path)
    assert value_of(path) == (1.0 if moment == "save" else 2.0)


def test_full_disk_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / LATEST
    save(path, 1.0)

    def full(beside: Path) -> None:
        beside.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(PostTxError, match=r"No space left.*Free disk space"):
        write_checkpoint(path, full)
    check_checkpoint(path)
    assert value_of(path) == 1.0


def test_write_that_reads_back_differently_is_refused(tmp_path: Path) -> None:
    path = tmp_path / LATEST

    def damaged(beside: Path) -> None:
        torch.save({"w": torch.ones(4096)}, beside)
        content = bytearray(beside.read_bytes())
        content[len(content) // 2] ^= 1
        beside.write_bytes(content)

    with pytest.raises(PostTxError, match="reads back differently"):
        write_checkpoint(path, damaged)
    assert list(tmp_path.iterdir()) == []


def test_fold_goes_on_from_the_newest_whole_checkpoint(tmp_path: Path) -> None:
    assert "no checkpoint is there" in prepare_fold(tmp_path, STAMP)
    save(tmp_path / LATEST, 1.0)
    os.utime(tmp_path / LATEST, (1, 1))
    save(tmp_path / BEST, 2.0)
    assert prepare_fold(tmp_path, STAMP) == f"Going on from {BEST}, whose stamp and digest agree"
    assert value_of(tmp_path / LATEST) == 2.0
    check_checkpoint(tmp_path / LATEST)
    check_checkpoint(tmp_path / BEST)


def test_a_clock_that_was_set_back_does_not_make_the_newest_checkpoint_look_old(tmp_path: Path) -> None:
    prepare_fold(tmp_path, STAMP)
    save(tmp_path / BEST, 1.0)
    tomorrow = (tmp_path / BEST).stat().st_mtime + 86400
    os.utime(tmp_path / BEST, (tomorrow, tomorrow))
    save(tmp_path / LATEST, 2.0)
    assert (tmp_path / LATEST).stat().st_mtime > tomorrow
    assert "Going on from checkpoint_latest.pth" in prepare_fold(tmp_path, STAMP)
    assert value_of(tmp_path / LATEST) == 2.0


def test_finished_fold_that_the_workflow_forgot_is_not_lost(tmp_path: Path) -> None:
    prepare_fold(tmp_path, STAMP)
    save(tmp_path / FINAL, 3.0)
    keep_as_latest(tmp_path / FINAL)
    (tmp_path / FINAL).unlink()
    assert "Going on from checkpoint_latest.pth" in prepare_fold(tmp_path, STAMP)
    assert value_of(tmp_path / LATEST) == 3.0


def test_changed_stamp_starts_clean_and_says_why(tmp_path: Path) -> None:
    prepare_fold(tmp_path, STAMP)
    save(tmp_path / LATEST, 1.0)
    save(tmp_path / BEST, 1.0)
    append_progress(tmp_path / "progress.jsonl", {"epoch": 0})
    said = prepare_fold(tmp_path, {**STAMP, "plans": "other"})
    assert said == "Starting clean: changed since its checkpoints were written: plans"
    assert not (tmp_path / LATEST).exists()
    assert not (tmp_path / "progress.jsonl").exists()
    assert value_of(tmp_path / "set_aside" / LATEST) == 1.0


def test_foreign_checkpoint_without_stamp_is_set_aside(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(1)}, tmp_path / LATEST)
    assert "no stamp" in prepare_fold(tmp_path, STAMP)
    assert (tmp_path / "set_aside" / LATEST).exists()
    assert not (tmp_path / LATEST).exists()


def test_torn_checkpoint_gives_way_to_an_older_whole_one(tmp_path: Path) -> None:
    prepare_fold(tmp_path, STAMP)
    save(tmp_path / BEST, 1.0)
    save(tmp_path / LATEST, 2.0)
    (tmp_path / LATEST).write_bytes(b"torn")
    (tmp_path / f".123.{LATEST}").write_bytes(b"left by a kill")
    assert "Going on from checkpoint_best.pth" in prepare_fold(tmp_path, STAMP)
    assert value_of(tmp_path / LATEST) == 1.0
    assert (tmp_path / "set_aside" / LATEST).read_bytes() == b"torn"
    assert not (tmp_path / f".123.{LATEST}").exists()


def test_progress_has_one_line_per_epoch(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    rewind_progress(path, 0)
    assert read_progress_lines(path) == []
    for epoch in range(4):
        append_progress(path, {"epoch": epoch, "train_loss": float("nan"), "pseudo_dice": [0.5, float("inf")]})
    with open(path, "a") as stream:
        stream.write('{"epoch": 4, "tra')
    rewind_progress(path, 3, [{"epoch": epoch, "filled": True} for epoch in range(3)])
    rows = read_progress_lines(path)
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert rows[0] == {"epoch": 0, "train_loss": None, "pseudo_dice": [0.5, None]}
    path.unlink()
    rewind_progress(path, 2, [{"epoch": epoch, "filled": True} for epoch in range(3)])
    assert [row["filled"] for row in read_progress_lines(path)] == [True, True]


def test_settings_come_from_the_environment() -> None:
    settings = TrainingSettings.from_environment({"POSTTX_EPOCHS": "7", "POSTTX_MIRRORING": "False", "EPOCHS": "9"})
    assert (settings.epochs, settings.mirroring, settings.iterations) == (7, False, 250)
    for name, value in (("EPOCHS", "many"), ("MIRRORING", "perhaps")):
        with pytest.raises(PostTxError, match=name):
            TrainingSettings.from_environment({f"POSTTX_{name}": value})

"""The live table of the folds, from files as the trainer leaves them."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from posttx.errors import PostTxError
from posttx.networks.progress import duration, read_training, training_table
from posttx.networks.training import append_progress
from show_progress import show_progress

ROOT = Path(__file__).resolve().parents[2]
NOW = 1_800_000_000.0
MODEL = "Dataset501_BraTSPostTx/PostTxTrainer__nnUNetPlans__3d_fullres"


def line(epoch, **changes):
    finished = datetime.fromtimestamp(NOW - 30, UTC).isoformat(timespec="seconds")
    row = {
        "epoch": epoch,
        "epochs": 1000,
        "train_loss": -0.5,
        "val_loss": -0.4,
        "regions": ["NETC", "ET"],
        "pseudo_dice": [0.25, float("nan")],
        "lr": 0.01,
        "seconds": 100.0 + epoch,
        "eta_seconds": 1.0,
        "gpu_memory_mb": 9876.4,
        "finished": finished,
    }
    return row | changes


def write_fold(results, fold, rows=(), age=30.0, text="", final=False):
    """Write a fold's files as if they had last changed ``age`` seconds before NOW."""
    folder = results / "nnunet" / "models" / MODEL / f"fold_{fold}"
    folder.mkdir(parents=True)
    (folder / "stamp.json").touch()
    for row in rows:
        append_progress(folder / "progress.jsonl", row)
    if text:
        with open(folder / "progress.jsonl", "a") as stream:
            stream.write(text)
    if final:
        (folder / "checkpoint_final.pth").touch()
    for path in folder.iterdir():
        os.utime(path, (NOW - age, NOW - age))
    return folder


def read_one(results):
    ((folds),) = read_training(results, NOW).values()
    return folds


def test_a_running_fold_tells_losses_dice_speed_memory_and_time_to_go(tmp_path):
    write_fold(tmp_path, 0, [line(epoch) for epoch in range(7)])
    (fold,) = read_one(tmp_path)
    assert (fold.state, fold.epoch, fold.epochs) == ("running", 7, 1000)
    assert fold.dice == {"NETC": 0.25, "ET": None}
    # The median of the last five of 100 .. 106 s, and 30 s of the current epoch have passed.
    assert fold.seconds == 104.0
    assert fold.eta_seconds == pytest.approx(104.0 * 993 - 30)
    assert fold.age_seconds == pytest.approx(30.0)
    table = training_table({MODEL: [fold]}).splitlines()
    assert table[0] == f"{MODEL}: 1 running, running ones end in 1d 04:40"
    assert table[1].split("  ")[-1] == "last sign"
    cells = table[2].split()
    assert cells == [
        "0",
        "running",
        "7/1000",
        "-0.5000",
        "-0.4000",
        "0.250",
        "-",
        "104.0",
        "1d",
        "04:40",
        "9876",
        "0:30",
        "ago",
    ]
    assert len({len(text) for text in table[1:]}) == 1


def test_states_follow_what_the_folder_holds_and_its_age(tmp_path):
    write_fold(tmp_path, 0, [line(999)], age=1e6, final=True)
    write_fold(tmp_path, 1, [line(0)], age=800)
    write_fold(tmp_path, 2, [line(0)], age=1000)
    write_fold(tmp_path, 3, [line(0, seconds=400.0)], age=1100)
    write_fold(tmp_path, 4)
    write_fold(tmp_path, 5, age=5000)
    splits = tmp_path / "nnunet" / "preprocessed" / "Dataset501_BraTSPostTx" / "splits_final.json"
    splits.parent.mkdir(parents=True)
    splits.write_text(json.dumps([{}] * 7))
    folds = read_one(tmp_path)
    assert [fold.state for fold in folds] == ["done", "running", "stale", "running", "starting", "stale", "waiting"]
    assert [fold.eta_seconds is None for fold in folds] == [True, False, True, False, True, True, True]
    summary = training_table({MODEL: folds}).splitlines()[0]
    assert "1 done, 2 running, 1 starting, 2 stale, 1 waiting" in summary


def test_a_clock_that_was_set_back_makes_no_negative_time(tmp_path):
    later = datetime.fromtimestamp(NOW + 3600, UTC).isoformat(timespec="seconds")
    write_fold(tmp_path, 0, [line(0, finished=later)], age=-3600.0)
    (fold,) = read_one(tmp_path)
    assert (fold.state, fold.age_seconds, fold.eta_seconds) == ("running", 0.0, 100.0 * 999)


@pytest.mark.parametrize("torn", ['{"epoch": 2, "epo', "\0\0\0", '{"epoch": 2}'[:-1] + "\n", '"x"\n', "[]\n"])
def test_a_torn_last_line_is_left_out(tmp_path, torn):
    write_fold(tmp_path, 0, [line(0), line(1)], text=torn)
    (fold,) = read_one(tmp_path)
    assert (fold.state, fold.epoch) == ("running", 2)


def test_an_epoch_that_was_repeated_counts_once_with_its_last_line(tmp_path):
    write_fold(tmp_path, 0, [line(0), line(1, val_loss=9.0), line(1, val_loss=0.125)])
    (fold,) = read_one(tmp_path)
    assert (fold.epoch, fold.val_loss) == (2, 0.125)


def test_lines_of_another_trainer_with_fewer_fields_are_shown(tmp_path):
    write_fold(tmp_path, 0, [{"epoch": 3, "train_loss": 1, "pseudo_dice": [0.5]}])
    (fold,) = read_one(tmp_path)
    assert (fold.epoch, fold.epochs, fold.dice, fold.eta_seconds) == (4, None, {"1": 0.5}, None)
    assert training_table({MODEL: [fold]}).splitlines()[2].split()[:4] == ["0", "running", "4/-", "1.0000"]


def test_no_training_and_no_results(tmp_path):
    assert training_table(read_training(tmp_path, NOW)) == "No fold has been started yet.\n"
    with pytest.raises(PostTxError, match="no such results folder"):
        read_training(tmp_path / "absent", NOW)


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0, "0:00"), (59.6, "1:00"), (3600, "1:00:00"), (90061, "1d 01:01")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_live_table_ends_with_the_last_fold(tmp_path, capsys):
    write_fold(tmp_path, 0, [line(0)], final=True)
    show_progress(tmp_path, 60.0)
    assert "1 done" in capsys.readouterr().out


def test_the_command_prints_once_and_says_what_is_missing(tmp_path):
    write_fold(tmp_path / "results", 0, [line(0)])
    command = [sys.executable, str(ROOT / "workflow" / "scripts" / "show_progress.py")]
    good = subprocess.run([*command, "--once"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Dice NETC" in good.stdout
    bad = subprocess.run([*command, "absent", "--once"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "make progress RESULTS=" in bad.stderr
    assert "Traceback" not in bad.stderr

"""Where the folds of a training stand, as a table of text, from the lines they append after each epoch."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from posttx.errors import PostTxError
from posttx.networks.checkpoints import FINAL
from posttx.networks.training import PROGRESS, read_progress_lines

STALE_EPOCHS = 3
# Longer than the ten minutes between two checkpoints within an epoch.
STALE_SECONDS = 900.0
STATES = ("done", "running", "starting", "stale", "waiting")
RECENT_EPOCHS = 5
ABSENT = "-"
FIXED_COLUMNS = ("fold", "state", "epoch", "train", "val")
LAST_COLUMNS = ("s/epoch", "ETA", "GPU MiB", "last sign")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class FoldProgress:
    """One fold: ``state`` is waiting, starting, running, stale or done; losses and Dice are those of the last epoch.

    ``epoch`` counts finished epochs. ``seconds`` is the median of the last few epochs; ``eta_seconds`` and
    ``age_seconds`` (since the fold's files last changed) are None where they mean nothing.
    """

    fold: int
    state: str
    epoch: int = 0
    epochs: int | None = None
    train_loss: float | None = None
    val_loss: float | None = None
    dice: Mapping[str, float | None] | None = None
    seconds: float | None = None
    eta_seconds: float | None = None
    gpu_memory_mb: float | None = None
    age_seconds: float | None = None


def read_training(results: str | Path, now: float) -> dict[str, list[FoldProgress]]:
    """Return "<dataset>/<model folder>" -> its folds in order, also those that have not begun; ``now`` in Unix seconds.

    Reads only ``results/nnunet``. A fold whose files have not changed for three epochs, and a quarter of an hour, is
    stale: killed, stopped to go on in a later attempt, or hanging. No training yet: an empty dictionary. No such
    folder: an error.
    """
    results = Path(results)
    if not results.is_dir():
        raise PostTxError(
            "there is no such results folder", remedy="Name it: make progress RESULTS=demo/results", file=results
        )
    models: dict[str, list[FoldProgress]] = {}
    for folder in sorted((results / "nnunet" / "models").glob("*/*__*__*")):
        begun = {int(path.name[5:]): path for path in folder.glob("fold_*") if path.name[5:].isdigit()}
        planned = _planned_folds(results / "nnunet" / "preprocessed" / folder.parent.name / "splits_final.json")
        models[f"{folder.parent.name}/{folder.name}"] = [
            read_fold(begun[fold], fold, now) if fold in begun else FoldProgress(fold, "waiting")
            for fold in sorted({*begun, *planned})
        ]
    return models


def _planned_folds(splits: Path) -> Iterable[int]:
    try:
        return range(len(json.loads(splits.read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError):
        return ()


def read_fold(folder: Path, fold: int, now: float) -> FoldProgress:
    """Read one fold's folder; a torn last line is left out, and of an epoch that was repeated the last line counts."""
    rows = {int(row["epoch"]): row for row in read_progress_lines(folder / PROGRESS)}
    done = (folder / FINAL).is_file()
    age = _age(folder, now)
    if not rows:
        silent = age is None or age > STALE_SECONDS
        return FoldProgress(fold, "done" if done else "stale" if silent else "starting", age_seconds=age)
    recent = [rows[epoch] for epoch in sorted(rows)][-RECENT_EPOCHS:]
    last = recent[-1]
    times = [float(row["seconds"]) for row in recent if row.get("seconds") is not None]
    seconds = median(times) if times else None
    stale = age is None or age > max(STALE_SECONDS, STALE_EPOCHS * (seconds or 0.0))
    state = "done" if done else "stale" if stale else "running"
    epoch, epochs = int(last["epoch"]) + 1, last.get("epochs")
    eta = None
    if state == "running" and seconds is not None and epochs is not None:
        since_last = _seconds_since(last.get("finished"), now)
        eta = max(0.0, seconds * (int(epochs) - epoch) - min(since_last, seconds))
    return FoldProgress(
        fold=fold,
        state=state,
        epoch=epoch,
        epochs=epochs,
        train_loss=last.get("train_loss"),
        val_loss=last.get("val_loss"),
        dice=_dice(last),
        seconds=seconds,
        eta_seconds=eta,
        gpu_memory_mb=last.get("gpu_memory_mb"),
        age_seconds=age,
    )


def _age(folder: Path, now: float) -> float | None:
    """Return the seconds since a file of the fold changed: checkpoints within an epoch are signs of life too."""
    changes = []
    for path in folder.iterdir():
        # A temporary file may be renamed while we look.
        with contextlib.suppress(FileNotFoundError):
            changes.append(path.stat().st_mtime)
    return max(0.0, now - max(changes)) if changes else None


def _seconds_since(moment: Any, now: float) -> float:
    try:
        return max(0.0, now - datetime.fromisoformat(moment).timestamp())
    except (TypeError, ValueError):
        return 0.0


def _dice(row: Row) -> dict[str, float | None]:
    values = row.get("pseudo_dice") or []
    names = row.get("regions") or [str(number) for number in range(1, len(values) + 1)]
    return dict(zip(names, values, strict=False))


def training_table(models: Mapping[str, Sequence[FoldProgress]]) -> str:
    """Return one block of text per model with an aligned line per fold; for no model, one sentence."""
    if not models:
        return "No fold has been started yet.\n"
    return "\n".join(_model_table(name, folds) for name, folds in models.items())


def _model_table(name: str, folds: Sequence[FoldProgress]) -> str:
    regions = list(dict.fromkeys(region for fold in folds for region in fold.dice or {}))
    header = [*FIXED_COLUMNS, *(f"Dice {region}" for region in regions), *LAST_COLUMNS]
    lines = [header, *(_cells(fold, regions) for fold in folds)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = [
        "  ".join(cell.ljust(width) if index == 1 else cell.rjust(width) for index, (cell, width) in enumerate(pairs))
        for pairs in (zip(line, widths, strict=True) for line in lines)
    ]
    return "\n".join([f"{name}: {_summary(folds)}", *aligned]) + "\n"


def _summary(folds: Sequence[FoldProgress]) -> str:
    states = [fold.state for fold in folds]
    counts = [f"{states.count(state)} {state}" for state in STATES if state in states]
    etas = [fold.eta_seconds for fold in folds if fold.eta_seconds is not None]
    return ", ".join([*counts, f"running ones end in {duration(max(etas))}"] if etas else counts)


def _cells(fold: FoldProgress, regions: Sequence[str]) -> list[str]:
    dice = fold.dice or {}
    return [
        str(fold.fold),
        fold.state,
        f"{fold.epoch}/{ABSENT if fold.epochs is None else fold.epochs}" if fold.epoch else ABSENT,
        _number(fold.train_loss, 4),
        _number(fold.val_loss, 4),
        *(_number(dice.get(region), 3) for region in regions),
        _number(fold.seconds, 1),
        duration(fold.eta_seconds),
        _number(fold.gpu_memory_mb, 0),
        ABSENT if fold.age_seconds is None else f"{duration(fold.age_seconds)} ago",
    ]


def _number(value: Any, digits: int) -> str:
    return f"{value:.{digits}f}" if isinstance(value, int | float) else ABSENT


def duration(seconds: float | None) -> str:
    """Return seconds as ``m:ss``, ``h:mm:ss`` or ``Nd hh:mm``; a dash for None."""
    if seconds is None:
        return ABSENT
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02d}:{minute:02d}"
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute}:{second:02d}"

"""Figures of a training: what the folds' progress files say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from posttx.errors import PostTxError
from posttx.reporting.palettes import cycle
from posttx.reporting.style import WIDTH, figure, say

LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2)))


def read_progress(path: str | Path) -> pd.DataFrame:
    """Read a fold's ``progress.jsonl``: epoch, train_loss, val_loss, pseudo_dice (mean over labels), seconds, lr.

    A resumed training may have written an epoch twice: the last one counts. No file gives an empty table (a model
    trained before progress was kept); a torn last line, left by a kill, is skipped.
    """
    path = Path(path)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows: dict[int, dict[str, float]] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise PostTxError(f"line {number} is no JSON", remedy="Train the fold again", file=path) from error
        dice = [value for value in row.get("pseudo_dice") or [] if value is not None and np.isfinite(value)]
        known = {name: _number(row.get(name)) for name in ("train_loss", "val_loss", "seconds", "lr")}
        rows[int(row["epoch"])] = {"pseudo_dice": float(np.mean(dice)) if dice else float("nan"), **known}
    columns = ["train_loss", "val_loss", "pseudo_dice", "seconds", "lr"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype=float).sort_index()
    return table.rename_axis("epoch").reset_index()


def read_folds(checkpoints: Iterable[Path]) -> dict[str, pd.DataFrame]:
    """Read the progress of each fold, which stands beside its checkpoint: number of the fold -> ``read_progress``."""
    folders = [checkpoint.parent for checkpoint in checkpoints]
    return {folder.name.removeprefix("fold_"): read_progress(folder / "progress.jsonl") for folder in folders}


def draw_curves(folds: Mapping[str, pd.DataFrame], path: str | Path) -> None:
    """Draw loss and validation pseudo Dice over the epochs, one line per fold (``read_progress``)."""
    known = {fold: table for fold, table in folds.items() if len(table)}
    with figure(path, 1, 2, size=(WIDTH, 3.7)) as axes:
        loss, dice = axes[0]
        if not known:
            say(loss, "No progress was recorded.")
            return dice.set_axis_off()
        for (fold, color), line in zip(cycle(known).items(), _repeat(LINES), strict=False):
            table = known[fold]
            marker = "o" if len(table) < 3 else None
            common = {"color": color, "linestyle": line, "marker": marker, "markersize": 3}
            loss.plot(table["epoch"], table["train_loss"], **{**common, "linewidth": 0.9, "alpha": 0.45})
            loss.plot(table["epoch"], table["val_loss"], **{**common, "linewidth": 1.5}, label=f"fold {fold}")
            dice.plot(table["epoch"], table["pseudo_dice"], **{**common, "linewidth": 1.5}, label=f"fold {fold}")
        loss.set(xlabel="epoch", ylabel="loss (Dice + cross-entropy)", title="Loss: training thin, validation thick")
        dice.set(xlabel="epoch", ylabel="mean pseudo Dice", title="Validation pseudo Dice", ylim=(-0.02, 1.02))
        dice.legend(loc="lower right")


def _repeat(values: Iterable[object]) -> Iterable[object]:
    values = list(values)
    while True:
        yield from values


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")

"""Figures of a training: what the folds' progress files say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from posttx.errors import PostTxError
from posttx.reporting.palettes import cycle
from posttx.reporting.style import INK, figure, say

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


def draw_curves(folds: Mapping[str, pd.DataFrame], path: str | Path) -> None:
    """Draw loss and validation pseudo Dice over the epochs, one line per fold (``read_progress``)."""
    known = {fold: table for fold, table in folds.items() if len(table)}
    with figure(path, 1, 2, size=(7.8, 3.7)) as axes:
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
        dice.legend(loc="lower right", fontsize=8.5)


def draw_network(plans: Mapping[str, object], configuration: str, path: str | Path) -> None:
    """Draw the planned network as its stages: features, kernel, stride, and the size of the patch in each.

    ``plans`` is nnU-Net's plans file; a configuration without ``arch_kwargs`` gives a figure that says so.
    """
    settings = planned_configuration(plans, configuration)
    network = settings.get("architecture", {}).get("arch_kwargs", {})
    features, strides = network.get("features_per_stage"), network.get("strides")
    with figure(path, size=(7.8, 3.4)) as axes:
        if not features or not strides:
            return say(axes, "The plans describe no stages.")
        sizes, size = [], np.array(settings["patch_size"], dtype=int)
        for stride in strides:
            size = np.maximum(1, size // np.array(stride, dtype=int))
            sizes.append(size)
        _stages(axes, list(features), [list(stride) for stride in strides], sizes)


def planned_configuration(plans: Mapping, name: str) -> dict:
    """Return a configuration with what it inherits (nnU-Net's ``inherits_from``)."""
    settings = dict(plans["configurations"][name])
    parent = settings.get("inherits_from")
    return {**planned_configuration(plans, parent), **settings} if parent else settings


def _stages(axes: Axes, features: list[int], strides: list[list[int]], sizes: list[np.ndarray]) -> None:
    depth = len(features)
    axes.set_axis_off()
    axes.set(xlim=(-1, 2 * depth - 0.4), ylim=(-depth + 0.2, 1.1))
    box = {"boxstyle": "round,pad=0.35", "facecolor": "none", "edgecolor": INK, "linewidth": 0.9}
    for stage, (count, stride, size) in enumerate(zip(features, strides, sizes, strict=True)):
        text = f"{count} features\n{' × '.join(map(str, size))}"
        places = [stage] if stage == depth - 1 else [stage, 2 * depth - 2 - stage]
        for place in places:
            axes.text(place, -stage, text, ha="center", va="center", fontsize=7.5, bbox=box, zorder=3)
        if len(places) == 2:
            axes.annotate("", (places[1] - 0.55, -stage), (stage + 0.55, -stage),
                          arrowprops={"arrowstyle": "->", "color": INK, "alpha": 0.5, "linestyle": ":"})  # fmt: skip
        if stage:
            step = " ".join(map(str, stride))
            axes.text(stage - 0.62, -stage + 0.35, f"stride {step}", fontsize=6.5, ha="right")
    axes.text(-0.6, 0.75, "encoder", fontsize=9, weight="bold")
    axes.text(2 * depth - 1.5, 0.75, "decoder (dotted: skip connections)", fontsize=9, weight="bold", ha="right")


def _repeat(values: Iterable[object]) -> Iterable[object]:
    values = list(values)
    while True:
        yield from values


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")

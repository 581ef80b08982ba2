"""Settings of a training as the workflow hands them over, and its progress, one JSON line per epoch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttx.errors import PostTxError
from posttx.files import replacing

REQUEUE = os.EX_TEMPFAIL
PROGRESS = "progress.jsonl"
# Of a fold: the hard negatives of all of its rounds.
MINED = "mined.json"
# What the trainer steps with, as nnU-Net 2.8 sets it, in words for the methods; the settings say which.
OPTIMIZERS = {"sgd": "stochastic gradient descent with Nesterov momentum 0.99", "adamw": "AdamW"}
WEIGHT_DECAY = 3e-5
POLYNOMIAL = 0.9
# Of a further round with hard negatives: its share of the epochs, and its first learning rate beside the first of all.
ROUND, ROUND_RATE = 0.25, 0.1
# Voxels further than this from either class of an interface (in steps to one of 26 neighbours) have no weight there.
REACH = 3


@dataclass(frozen=True)
class TrainingSettings:
    """How to train; the defaults are nnU-Net's. ``stamped`` names those that decide the weights."""

    stage: str = "train"
    epochs: int = 1000
    iterations: int = 250
    validation_iterations: int = 50
    learning_rate: float = 0.01
    foreground: float = 0.33
    optimizer: str = "sgd"
    seed: int = 12345
    checkpoint_epochs: int = 50
    checkpoint_minutes: float = 10.0
    batch_seconds: float = 600.0
    mirroring: bool = True
    threads: int = 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> TrainingSettings:
        """Read ``POSTTX_EPOCHS`` and so on: nnU-Net creates trainers itself and passes them nothing else."""
        values: dict[str, Any] = {}
        for name, default in vars(cls()).items():
            text = environment.get(f"POSTTX_{name.upper()}")
            if text is None:
                continue
            try:
                values[name] = _parsed(text, type(default))
            except ValueError as error:
                raise PostTxError(
                    f"POSTTX_{name.upper()} is {text!r}", remedy=f"Give a {type(default).__name__}"
                ) from error
        return cls(**values)

    def stamped(self) -> dict[str, Any]:
        """Return the settings that decide the weights."""
        own = ("stage", "checkpoint_epochs", "checkpoint_minutes", "batch_seconds", "mirroring", "threads")
        return {name: value for name, value in vars(self).items() if name not in own}


def _parsed(text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise ValueError(text)
        return text.lower() in ("true", "1")
    return kind(text)


def round_epochs(epochs: int) -> int:
    """Return the length of a further round after a training of ``epochs``."""
    return max(1, round(ROUND * epochs))


def append_progress(path: str | Path, row: Mapping[str, Any]) -> None:
    """Append one epoch to a progress file."""
    append_line(path, row)


def append_line(path: str | Path, row: Mapping[str, Any]) -> None:
    """Append a row to a file of JSON lines and flush it to disk; NaN and infinite numbers become null."""
    line = json.dumps(_finite(row), allow_nan=False)
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(line + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def rewind_progress(path: str | Path, epoch: int, known: Iterable[Mapping[str, Any]] = ()) -> None:
    """Leave one line per epoch before ``epoch``, dropping later and torn ones; ``known`` fills in what is missing."""
    rows = {int(row["epoch"]): dict(row) for row in known}
    rows |= {int(row["epoch"]): row for row in read_progress_lines(path)}
    lines = [json.dumps(_finite(rows[number]), allow_nan=False) + "\n" for number in sorted(rows) if number < epoch]
    with replacing(path) as beside:
        beside.write_text("".join(lines), encoding="utf-8")


def read_progress_lines(path: str | Path) -> list[dict[str, Any]]:
    """Return the rows of a progress file, lines torn by a kill left out; none where there is no file."""
    return read_lines(path, "epoch")


def read_lines(path: str | Path, key: str) -> list[dict[str, Any]]:
    """Return the rows with ``key`` of a file of JSON lines, lines torn by a kill left out; none without a file."""
    path, rows = Path(path), []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict) and key in row:
            rows.append(row)
    return rows


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, str | bool | int) or value is None:
        return value
    number = float(value)
    return number if number - number == 0 else None

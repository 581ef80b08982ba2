"""The way of a shard's cases through the members of an ensemble: prepared one ahead, computed one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from posttx.errors import PostTxError
from posttx.files import read_parquet
from posttx.networks.averaging import Members, Slab, begun_ahead, slabs, whole_shape
from posttx.networks.nnunet import image_name
from posttx.networks.predictions import read_standardized
from posttx.networks.predictor import Ensemble
from posttx.parallel import failure_of

logger = logging.getLogger(__name__)
Row = dict[str, Any]
Prepared = tuple[torch.Tensor, dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """A case to go through the members: its row of transforms, weights by member, and the fold that held it out.

    ``fold`` None: all folds of every member predict it. A member without weight is left out.
    """

    row: Row
    weights: tuple[float, ...]
    fold: int | None = None

    @property
    def case(self) -> str:
        """Return the case's id."""
        return str(self.row["case"])

    @property
    def members(self) -> list[int]:
        """Return the numbers of the members that take part."""
        return [number for number, weight in enumerate(self.weights) if weight > 0]


@dataclass(frozen=True)
class Said:
    """What a member says of a case: slabs of probabilities, to be read once, and the shape (z, y, x) of the case."""

    member: int
    parts: Iterator[Slab]
    shape: tuple[int, ...]


def by_member(checkpoints: Sequence[str | Path]) -> list[list[Path]]:
    """Return checkpoints by model folder, in the order given; the folds of a member stand together."""
    return [list(paths) for _, paths in groupby(map(Path, checkpoints), lambda path: path.parent.parent)]


def folds_of(splits: str | Path, rows: Sequence[Row]) -> dict[str, int]:
    """Return case -> the fold that held it out; a case in no fold is an error."""
    table = read_parquet(splits, columns=["case", "fold"])
    folds = dict(zip(table["case"], table["fold"].map(int), strict=True))
    unknown = sorted({row["case"] for row in rows} - set(folds))
    if unknown:
        raise PostTxError("the case is in no fold", remedy="Run write_splits again", case=unknown[0], file=splits)
    return folds


def images_of(members: Members, folder: Path, case: str) -> list[list[Path]]:
    """Return the standardized channels of a case by member: each reads as many as it was trained with."""
    return [
        [folder / image_name(case, channel) for channel in range(len(ensemble.dataset["channel_names"]))]
        for ensemble in members.ensembles
    ]


def run(
    members: Members, folder: Path, tasks: Sequence[Task], use: Callable[[Task, Iterator[Said]], None]
) -> dict[str, PostTxError]:
    """Send every case through its members and hand what they say to ``use``, one member at a time; return failures.

    While a member computes a case, the next member's (or case's) images are read and prepared, and no others.
    """
    failures: dict[str, PostTxError] = {}
    steps = [
        partial(_prepared, members.ensembles[member], images_of(members, folder, task.case)[member])
        for task in tasks
        for member in task.members
    ]
    with ThreadPoolExecutor(1) as reader:
        coming = begun_ahead(reader, steps)
        for number, task in enumerate(tasks, 1):
            turns = [(member, coming) for member in task.members]
            said = _said(members, task, turns)
            try:
                use(task, said)
                logger.info("computed %s, %d of %d", task.case, number, len(tasks))
            except Exception as error:
                failures[task.case] = failure_of(task.case, error)
            # What is prepared for a case that failed is of no use to the next.
            for _ in turns:
                next(coming)
    return failures


def _said(members: Members, task: Task, turns: list[tuple[int, Iterator[Future[Prepared]]]]) -> Iterator[Said]:
    while turns:
        member, coming = turns.pop(0)
        data, properties = next(coming).result()
        ensemble = members.called(member)
        logits = ensemble.logits(data, _networks(ensemble, task.fold))
        del data
        yield Said(member, slabs(ensemble, logits, properties), whole_shape(ensemble, properties))


def _networks(ensemble: Ensemble, fold: int | None) -> list[torch.nn.Module] | None:
    return None if fold is None else [ensemble.networks[fold]]


def _prepared(ensemble: Ensemble, paths: Sequence[Path]) -> Prepared:
    return ensemble.prepare([read_standardized(path) for path in paths])


def tasks_of(
    rows: Sequence[Row], weights_of: Callable[[int | None], tuple[float, ...]], folds: Mapping[str, int] | None
) -> list[Task]:
    """Return the tasks of a shard; ``folds`` None: the cohort is held out, and all folds predict."""
    held = {row["case"]: None if folds is None else folds[row["case"]] for row in rows}
    return [Task(row, weights_of(held[row["case"]]), held[row["case"]]) for row in rows]

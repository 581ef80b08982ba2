"""Weights of the models of an ensemble, chosen on out-of-fold predictions of the train cohort and cross-fitted by fold.

Where all models draw the same label, no convex weights draw another one: candidates differ in the other voxels alone.
The criterion is the mean Dice over labels and cases, 1 for a label that neither reference nor prediction holds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from posttx.networks.averaging import Opinion

# Candidates of weights at most, and the finest step between them: the choice is made on few cases.
MOST_CANDIDATES = 70
FINEST = 10
# Means of Dice that differ by less are the same: equal weights are kept.
SAME = 1e-9
COUNTS = ("tp", "fp", "fn")
COLUMNS = ("case", "fold", "candidate", "label", *COUNTS)
ALL = "all"


def candidates(members: int) -> np.ndarray:
    """Return candidates of weights (n, members), each adding up to 1: equal ones first, then a grid by their distance.

    The grid has the finest step of 1/10 to 1/2 with which it has no more than ``MOST_CANDIDATES`` points.
    """
    fitting = [
        steps for steps in range(2, FINEST + 1) if math.comb(steps + members - 1, members - 1) <= MOST_CANDIDATES
    ]
    steps = max(fitting, default=2)
    grid = [point for point in itertools.product(range(steps + 1), repeat=members - 1) if sum(point) <= steps]
    points = np.array([(*point, steps - sum(point)) for point in grid], float) / steps
    equal = np.full((1, members), 1 / members)
    distance = np.abs(points - equal).sum(1)
    further = points[distance > SAME]
    return np.concatenate([equal, further[np.argsort(distance[distance > SAME], kind="stable")]])


def candidate_counts(
    opinions: Sequence[Opinion],
    reference: np.ndarray,
    weights: np.ndarray,
    expected: np.ndarray,
    decide: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return true positives, false positives and false negatives (candidates, labels, 3) of a case.

    ``reference`` (z, y, x) holds 0 and 1..n; ``decide`` makes labels of probabilities (heads, voxels).
    """
    labels = len(expected)
    first = opinions[0].labels
    differ = np.zeros(first.shape, bool)
    for other in opinions[1:]:
        differ |= other.labels != first
    voxels = np.flatnonzero(differ)
    agreed = _confusion(first[~differ], reference[~differ], labels)
    there, said = reference.ravel()[voxels], np.stack([opinion.at(voxels, expected) for opinion in opinions])
    counts = np.empty((len(weights), labels - 1, 3), np.int64)
    for number, mixture in enumerate(weights.astype(np.float32)):
        drawn = np.asarray(decide(np.tensordot(mixture, said, 1)), np.uint8)
        table = agreed + _confusion(drawn, there, labels)
        hits = np.diag(table)
        counts[number] = np.stack([hits, table.sum(0) - hits, table.sum(1) - hits], axis=1)[1:]
    return counts


def _confusion(drawn: np.ndarray, reference: np.ndarray, labels: int) -> np.ndarray:
    """Return how many voxels have each label of the reference (rows) and of the prediction (columns)."""
    pairs = reference.ravel().astype(np.int64) * labels + drawn.ravel()
    return np.bincount(pairs, minlength=labels * labels).reshape(labels, labels)


def counts_table(case: str, fold: int, counts: np.ndarray) -> pd.DataFrame:
    """Return a case's counts (candidates, labels, 3) as rows."""
    index = np.indices(counts.shape[:2]).reshape(2, -1)
    rows = {"case": case, "fold": fold, "candidate": index[0], "label": index[1] + 1}
    return pd.DataFrame({**rows, **{name: counts[..., k].ravel() for k, name in enumerate(COUNTS)}})[list(COLUMNS)]


@dataclass(frozen=True)
class Weights:
    """Weights for held-out cohorts, and those for the cases of each fold, chosen without them."""

    members: tuple[str, ...]
    final: tuple[float, ...]
    folds: tuple[tuple[float, ...], ...]

    def of(self, fold: int | None) -> tuple[float, ...]:
        """Return the weights for the cases held out of a fold; None: of a held-out cohort."""
        return self.final if fold is None else self.folds[fold]


def equal_weights(members: Sequence[str], folds: int) -> Weights:
    """Return the same weight for every member."""
    equal = (1 / len(members),) * len(members)
    return Weights(tuple(members), equal, (equal,) * folds)


def as_record(weights: Weights) -> dict[str, Any]:
    """Return weights as they are written to ``weights.json``."""
    return {
        "schema": 1,
        "members": list(weights.members),
        "weights": list(weights.final),
        "folds": [list(fold) for fold in weights.folds],
    }


def from_record(record: dict[str, Any]) -> Weights:
    """Return the weights of ``weights.json``."""
    return Weights(tuple(record["members"]), tuple(record["weights"]), tuple(map(tuple, record["folds"])))


def choose(table: pd.DataFrame, members: Sequence[str], patients: dict[str, str]) -> tuple[Weights, pd.DataFrame]:
    """Return the weights that are best by mean Dice, cross-fitted by fold, and a table: a row per choice and member.

    ``table`` has the rows of ``counts_table`` of all cases; ``patients`` is case -> patient. The table's columns:
    ``fold`` (whose cases the weights are for; ``all`` for held-out cohorts), ``member, weight``, mean Dice of the cases
    that they were chosen on with these (``dice``) and with equal weights (``dice_equal``), the same of the fold's own
    cases (``dice_held_out``, ``dice_equal_held_out``; NaN for ``all``), ``n`` and ``n_patients`` of the choice.
    """
    grid = candidates(len(members))
    scores, folds = _scores(table, len(grid))
    of_fold = folds.loc[scores.index].to_numpy()
    chosen, rows = [], []
    for fold in [*range(int(of_fold.max()) + 1), None]:
        own = np.zeros(len(scores), bool) if fold is None else of_fold == fold
        fitted = scores[~own]
        best = _best(fitted.mean().to_numpy())
        chosen.append(tuple(grid[best].tolist()))
        held_out = scores[own].mean() if own.any() else pd.Series(np.nan, scores.columns)
        common = {
            "dice": fitted[best].mean(),
            "dice_equal": fitted[0].mean(),
            "dice_held_out": held_out[best],
            "dice_equal_held_out": held_out[0],
            "n": len(fitted),
            "n_patients": len({patients[case] for case in fitted.index}),
        }
        name = ALL if fold is None else str(fold)
        rows += [
            {"fold": name, "member": member, "weight": weight, **common}
            for member, weight in zip(members, grid[best], strict=True)
        ]
    return Weights(tuple(members), chosen[-1], tuple(chosen[:-1])), pd.DataFrame(rows)


def _scores(table: pd.DataFrame, count: int) -> tuple[pd.DataFrame, pd.Series]:
    """Return mean Dice over labels (cases, candidates), and the fold of every case."""
    size = 2 * table["tp"] + table["fp"] + table["fn"]
    dice = (2 * table["tp"] / size.where(size > 0)).fillna(1.0)
    scores = dice.groupby([table["case"], table["candidate"]]).mean().unstack()
    return scores.reindex(columns=range(count)), table.groupby("case")["fold"].first()


def _best(means: np.ndarray) -> int:
    """Return the best candidate; those that are as good as another stand behind it, equal weights first."""
    return int(np.flatnonzero(means >= means.max() - SAME)[0])

"""Voxels that the lesions of two label maps share, and the matching of lesions by them.

A pair of maps with many lesions shares voxels in few pairs of them. Only those pairs are kept, so that memory follows
the number of lesions and not its square.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from posttx.scoring.components import Lesions
from posttx.scoring.scoring_schemes import MATCHING_DICE

# What it costs to leave a lesion unmatched, where a match costs 1 - Dice.
UNMATCHED = 1.0 + 1e-6
# Lesions are matched by a full matrix of up to so many cells, in which ties fall as in brats-evaluation.
LARGEST_MATRIX = 2**22
# Pairs of numbers are counted in a table of up to so many cells, which is faster than sorting them.
LARGEST_TABLE = 2**20


@dataclass(frozen=True)
class Overlaps:
    """The pairs (``rows[n]``, ``columns[n]``) of numbers of two maps that share ``voxels[n]`` > 0 voxels, in order."""

    rows: np.ndarray
    columns: np.ndarray
    voxels: np.ndarray

    def of(self, row: int) -> slice:
        """Return which of the pairs are those of a number of the first map."""
        first, last = np.searchsorted(self.rows, [row, row + 1])
        return slice(int(first), int(last))

    def partners(self, row: int) -> tuple[int, ...]:
        """Return the numbers of the second map that a number of the first shares voxels with, rising."""
        return tuple(self.columns[self.of(row)].tolist())

    def shared(self, row: int, columns: tuple[int, ...]) -> int:
        """Return the voxels that a number of the first map shares with some numbers of the second."""
        pairs = self.of(row)
        known = dict(zip(self.columns[pairs].tolist(), self.voxels[pairs].tolist(), strict=True))
        return sum(known.get(column, 0) for column in columns)


@dataclass(frozen=True)
class Edges:
    """The pairs of a reference lesion and a predicted one that can be matched, and what each match costs."""

    rows: np.ndarray
    columns: np.ndarray
    cost: np.ndarray


def overlaps(numbers: np.ndarray, prediction: Lesions) -> Overlaps:
    """Return which numbers of a map share voxels with which predicted lesions; the background 0 is left out."""
    if prediction.hull is None:
        return Overlaps(*np.zeros((3, 0), np.int64))
    rows, columns = numbers[prediction.hull].ravel(), prediction.labels[prediction.hull].ravel()
    both = np.flatnonzero((rows > 0) & (columns > 0))
    width = prediction.sizes.size
    codes = rows[both].astype(np.int64) * width + columns[both]
    if int(codes.max(initial=0)) < LARGEST_TABLE:
        table = np.bincount(codes)
        found = np.flatnonzero(table)
        voxels = table[found]
    else:
        found, voxels = np.unique(codes, return_counts=True)
    return Overlaps(found // width, found % width, voxels)


def one_to_one(reference: Lesions, prediction: Lesions, shared: Overlaps) -> dict[int, int]:
    """Match lesions one to one so that the sum of Dice is largest; return reference number -> predicted number.

    Where lesions are too many for a matrix of all of them, each connected group of overlaps is matched by itself, to
    the same sum: no lesion gains by one outside its group.
    """
    dice = 2.0 * shared.voxels / (reference.sizes[shared.rows] + prediction.sizes[shared.columns])
    likely = dice >= MATCHING_DICE
    edges = Edges(shared.rows[likely], shared.columns[likely], 1.0 - dice[likely])
    shape = reference.sizes.size - 1, prediction.sizes.size - 1
    if shape[0] * shape[1] <= LARGEST_MATRIX:
        return _by_matrix(edges, np.arange(1, shape[0] + 1), np.arange(1, shape[1] + 1))
    matched: dict[int, int] = {}
    for group in _groups(edges):
        rows, columns = np.unique(group.rows), np.unique(group.columns)
        small = rows.size * columns.size <= LARGEST_MATRIX
        matched |= (_by_matrix if small else _by_list)(group, rows, columns)
    return matched


def _groups(edges: Edges) -> list[Edges]:
    """Return the edges of each connected group of lesions."""
    if not edges.rows.size:
        return []
    first = int(edges.rows.max()) + 1
    count = first + int(edges.columns.max()) + 1
    ends = edges.rows, edges.columns + first
    graph = coo_array((np.ones(edges.rows.size, np.int8), ends), shape=(count, count))
    group = connected_components(graph, directed=False)[1][edges.rows]
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return [Edges(edges.rows[part], edges.columns[part], edges.cost[part]) for part in parts]


def _by_matrix(edges: Edges, rows: np.ndarray, columns: np.ndarray) -> dict[int, int]:
    """Match some lesions, whose numbers are given in rising order, by a matrix of what every pair costs."""
    cost = np.full((rows.size, columns.size), UNMATCHED)
    cost[np.searchsorted(rows, edges.rows), np.searchsorted(columns, edges.columns)] = edges.cost
    chosen, taken = linear_sum_assignment(cost)
    kept = cost[chosen, taken] < 1.0
    return dict(zip(rows[chosen[kept]].tolist(), columns[taken[kept]].tolist(), strict=True))


def _by_list(edges: Edges, rows: np.ndarray, columns: np.ndarray) -> dict[int, int]:
    """Match as ``_by_matrix`` does by a list of the edges alone; of several best matchings it may choose another."""
    spare = np.arange(rows.size)  # a column for each row to be left unmatched with
    places = (
        np.concatenate([np.searchsorted(rows, edges.rows), spare]),
        np.concatenate([np.searchsorted(columns, edges.columns), spare + columns.size]),
    )
    # One more each, because 0 would count as no edge; every row pays it once.
    values = 1.0 + np.concatenate([edges.cost, np.full(rows.size, UNMATCHED)])
    sparse = coo_array((values, places), shape=(rows.size, columns.size + rows.size)).tocsr()
    chosen, taken = min_weight_full_bipartite_matching(sparse)
    kept = taken < columns.size
    return dict(zip(rows[chosen[kept]].tolist(), columns[taken[kept]].tolist(), strict=True))

"""Surface distances of two masks, by the two definitions that the field's scorers use.

``surfel``: the surface of DeepMind's surface-distance package, which the BraTS 2023 and 2024 scorers call for HD95. Its
elements sit at voxel corners; each has the area (mm²) of the surface that marching cubes lays through its 2 x 2 x 2
neighbourhood, and HD95 is the larger of the two area-weighted 95th percentiles.
``border``: the surface of MedPy, nnU-Net v1 and panoptica, and of the normalised surface distance of the BraTS 2025
scorer. Its elements are the voxels of the mask with a face neighbour outside; HD95 is the 95th percentile of both
directions pooled, and the normalised surface distance is the mean of the two fractions within the tolerance.
Both agree with those packages to the last bit where voxel edges are equal and of few binary digits (1 mm), and with
double precision otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from scipy.spatial import KDTree
from surface_distance.lookup_tables import create_table_neighbour_code_to_surface_area

Definition = Literal["surfel", "border"]
Spacing = tuple[float, float, float]
# Distances up to this many voxels are looked up cell by cell; farther ones by a tree, and only when a score needs them.
REACH = 8
_CUBE = np.array(np.meshgrid(*[range(-REACH, REACH + 1)] * 3, indexing="ij")).reshape(3, -1).T
_SQUARES = (_CUBE**2).sum(axis=1)
# Squared distance in voxels and the cells at it, nearest first.
SHELLS = [(n, _CUBE[np.flatnonzero(n == _SQUARES)]) for n in sorted(set(_SQUARES.tolist())) if n <= REACH * REACH]
# Places, squared distances and their ranks of a volume of 1024^3 voxels fit into it; of a ragged one there are many.
INDEX = np.int32
# Looking farther out ends when this share of the elements is left (the 95th percentile is known then), or after so many
# look-ups an element (a tree is faster then).
LEFT = 0.03
BUDGET = 100
# So many look-ups are done in one step.
AT_ONCE = 8192
# Shares of area closer than this to the percentile may fall on either side of it by the order of summation.
ROUNDING = 1e-9


class Surface:
    """The elements of one surface: distance in mm to the other surface and weight (area, or 1), sorted by both.

    Elements farther than ``reach`` mm stand at the end with an infinite distance until ``exact`` is asked for.
    """

    def __init__(
        self,
        own: np.ndarray,
        other: np.ndarray,
        ranks: np.ndarray,
        areas: np.ndarray,
        spacing: Spacing,
        whole: Surface | None = None,
    ) -> None:
        """Take both surfaces as boolean arrays of elements with ``REACH`` empty cells around, and the own's weights.

        ``whole``: a surface in arrays of the same shape of which this one is a part, and whose other surface the other
        is a part of: no element is nearer to a part than to the whole, so looking begins there.
        """
        self._shape, self._other, self._spacing = own.shape, other, spacing
        self._place, self._known = np.flatnonzero(own).astype(INDEX), 0
        self._ranks, self._areas = ranks, areas
        self.size = ranks.size
        square = exact_square(spacing)
        if square is None:
            self.near, self.reach = self.size, math.inf
            self.distances, self.weights = self._by_tree()
            return
        least, limit = (whole._least_squares(self._place), whole._known) if whole else (None, REACH * REACH)
        self._squares, self._known = _near_squares(self._place, other, least, limit)
        self._settle()

    def _settle(self) -> None:
        square = exact_square(self._spacing) or 1.0
        self.near = int(np.count_nonzero(self._squares >= 0))
        self.reach = math.inf if self.near == self.size else math.sqrt(self._known * square)
        self.distances, self.weights = self._sorted()

    def look(self, square: int) -> None:
        """Look for the elements not found yet out to a squared distance in voxels, which should be a near one."""
        if self.reach == math.inf or self._known >= square:
            return
        far = np.flatnonzero(self._squares < 0)
        least = np.full(far.size, self._known + 1)
        self._squares[far], self._known = _near_squares(self._place[far], self._other, least, square, thorough=True)
        self._settle()

    @property
    def known(self) -> int:
        """Return the squared distance in voxels out to which was looked; 0 where nothing is left to look for."""
        return self._known if self.reach < math.inf else 0

    def exact(self) -> Surface:
        """Compute the distances that are not known yet; return the surface itself."""
        if self.reach < math.inf:
            far = self._squares < 0
            points, queries = self._cells(np.flatnonzero(self._other)), self._cells(self._place[far])
            apart = queries - points[_nearest(points, queries)]
            self._squares[far] = (apart * apart).sum(axis=1)
            self.near, self.reach = self.size, math.inf
            self.distances, self.weights = self._sorted()
        return self

    def _least_squares(self, part: np.ndarray) -> np.ndarray:
        """Return what the squared distances of some of the elements (rising flat indices) are at least."""
        least = self._squares[np.searchsorted(self._place, part)]
        return np.where(least < 0, self._known + 1, least)

    def _cells(self, place: np.ndarray) -> np.ndarray:
        """Return (i, j, k) of flat indices, which is faster than numpy's argwhere."""
        return np.column_stack(np.unravel_index(place, self._shape))

    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        beyond = sum(n * n for n in self._shape) + 1
        keys = np.where(self._squares < 0, beyond, self._squares) * self._areas.size + self._ranks
        keys.sort()
        # Several times faster than divmod.
        squares = keys // self._areas.size
        ranks = keys - squares * self._areas.size
        distances = np.sqrt(squares * (exact_square(self._spacing) or 1.0))
        distances[self.near :] = math.inf
        return distances, self._areas[ranks]

    def _by_tree(self) -> tuple[np.ndarray, np.ndarray]:
        points, queries = self._cells(np.flatnonzero(self._other)), self._cells(self._place)
        edges = np.asarray(self._spacing)
        apart = (queries - points[_nearest(points * edges, queries * edges)]) * edges
        distances = np.sqrt((apart**2).sum(axis=1))
        order = np.lexsort((self._ranks, distances))
        return distances[order], self._areas[self._ranks[order]]


@dataclass(frozen=True)
class SurfacePair:
    """Two surfaces with their distances to each other, by one definition."""

    reference: Surface
    prediction: Surface
    definition: Definition

    @property
    def sides(self) -> tuple[Surface, Surface]:
        """Return both surfaces, the reference's first."""
        return self.reference, self.prediction


@dataclass(frozen=True)
class WholeSurfaces:
    """Surfaces of a region as a whole, by definition; ``box`` is where their masks lie in the arrays of its lesions."""

    box: tuple[slice, ...]
    pairs: Mapping[Definition, SurfacePair]


def surface_pair(
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing: Spacing,
    definition: Definition,
    whole: SurfacePair | None = None,
) -> SurfacePair:
    """Return the surface distances of two non-empty boolean masks of one shape, ``spacing`` in mm along their axes.

    The masks may be crops: what lies outside counts as background, and distances do not depend on the crop. ``whole``:
    the surfaces of two masks of that shape of which these are components; with them the result is there sooner.
    """
    if definition == "surfel":
        codes = [_corner_codes(mask) for mask in (reference, prediction)]
        table, areas = _surfel_areas(spacing)
        elements = [(code - 1) < 254 for code in codes]
        ranks = [table[code[where]] for code, where in zip(codes, elements, strict=True)]
    else:
        areas = np.ones(1)
        elements = [border(mask) for mask in (reference, prediction)]
        ranks = [np.zeros(np.count_nonzero(where), INDEX) for where in elements]
    first, second = (_widened(where) for where in elements)
    sides = whole.sides if whole and exact_square(spacing) else (None, None)
    return SurfacePair(
        Surface(first, second, ranks[0], areas, spacing, sides[0]),
        Surface(second, first, ranks[1], areas, spacing, sides[1]),
        definition,
    )


def hd95(pair: SurfacePair) -> float:
    """Return the 95th-percentile Hausdorff distance in mm, by the pair's definition."""
    if pair.definition == "surfel":
        return max(_weighted_percentile(side) for side in pair.sides)
    # One side may have been looked at less far than the other: a step for its few elements that are left.
    for side in pair.sides:
        side.look(max(side.known for side in pair.sides))
    reach = min(side.reach for side in pair.sides)
    known = sum(int(np.searchsorted(side.distances, reach, side="right")) for side in pair.sides)
    # The percentile lies between two neighbours in the order of all distances; both must be known to be such.
    if int(0.95 * (pair.reference.size + pair.prediction.size - 1)) + 1 >= known:
        for side in pair.sides:
            side.exact()
    return float(np.percentile(np.concatenate([side.distances for side in pair.sides]), 95))


def nsd(pair: SurfacePair, tolerance: float, epsilon: float = 0.0) -> float:
    """Return the normalised surface distance (surface Dice) at ``tolerance`` mm, by the pair's definition.

    ``surfel``: area of both surfaces within the tolerance over their whole area. ``border``: mean of the two fractions
    of voxels within it; ``epsilon`` is added to the denominator, as the BraTS 2025 scorer does (1e-8).
    """
    if pair.definition == "surfel" or tolerance > min(side.reach for side in pair.sides):
        for side in pair.sides:
            side.exact()
    near = [int(np.searchsorted(side.distances, tolerance, side="right")) for side in pair.sides]
    if pair.definition == "surfel":
        within = sum(float(np.sum(side.weights[:count])) for side, count in zip(pair.sides, near, strict=True))
        return within / sum(float(np.sum(side.weights)) for side in pair.sides)
    inside = sum(count / side.size for side, count in zip(pair.sides, near, strict=True))
    outside = sum((side.size - count) / side.size for side, count in zip(pair.sides, near, strict=True))
    return inside / (inside + outside + epsilon)


def _weighted_percentile(side: Surface) -> float:
    shares = np.cumsum(side.weights) / np.sum(side.weights)
    index = int(np.searchsorted(shares, 0.95))
    if side.reach < math.inf:
        close = np.abs(shares[max(0, index - 1) : index + 1] - 0.95).min(initial=1.0) < ROUNDING
        if close or index >= side.near:
            return _weighted_percentile(side.exact())
    return float(side.distances[min(index, side.size - 1)])


def border(mask: np.ndarray) -> np.ndarray:
    """Return the voxels of a boolean mask with a face neighbour outside it; outside the array is outside the mask."""
    inside = mask.copy()
    for axis in range(mask.ndim):
        ahead, behind = _halves(axis, mask.ndim)
        inside[ahead] &= mask[behind]
        inside[behind] &= mask[ahead]
        first: list[slice | int] = [slice(None)] * mask.ndim
        for edge in (0, -1):
            first[axis] = edge
            inside[tuple(first)] = False
    return mask & ~inside


def _halves(axis: int, ndim: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    ahead, behind = [slice(None)] * ndim, [slice(None)] * ndim
    ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
    return tuple(ahead), tuple(behind)


def _corner_codes(mask: np.ndarray) -> np.ndarray:
    """Return the 8-bit code of the 2 x 2 x 2 neighbourhood of every voxel corner; one more per axis than voxels.

    The lowest index of the neighbourhood is the highest bit, as in the package's table.
    """
    padded = np.pad(mask.view(np.uint8), 1)
    pairs = padded[:, :, :-1] << 1
    pairs |= padded[:, :, 1:]
    quads = pairs[:, :-1] << 2
    quads |= pairs[:, 1:]
    codes = quads[:-1] << 4
    codes |= quads[1:]
    return codes


@cache
def _surfel_areas(spacing: Spacing) -> tuple[np.ndarray, np.ndarray]:
    """Return the rank of every code's area among the distinct areas, and those areas (mm²) in rising order."""
    areas, ranks = np.unique(create_table_neighbour_code_to_surface_area(spacing), return_inverse=True)
    return ranks.astype(INDEX), areas


def exact_square(spacing: Sequence[float]) -> float | None:
    """Return the squared edge of cubic voxels if whole multiples of it are exact in floating point, else None."""
    edge = spacing[0]
    dyadic = edge * 1024 == int(edge * 1024)
    return edge * edge if dyadic and all(other == edge for other in spacing) else None


def _widened(elements: np.ndarray) -> np.ndarray:
    wide = np.zeros(tuple(n + 2 * REACH for n in elements.shape), bool)
    wide[(slice(REACH, -REACH),) * 3] = elements
    return wide


def _near_squares(
    place: np.ndarray,
    other: np.ndarray,
    least: np.ndarray | None = None,
    limit: int = REACH * REACH,
    thorough: bool = False,
) -> tuple[np.ndarray, int]:
    """Return squared distances in voxels from elements to the nearest other one, and how far was looked.

    ``place`` holds the elements' flat indices in arrays of the shape of ``other``. Those beyond are -1. Most elements
    of two segmentations of one lesion coincide or are near each other: looking at the cells around them, nearest first,
    is several times faster than a distance transform of the box, and exact. ``least``: what each square is at least; an
    element is not looked at before. ``limit``: the farthest square to look, which ``thorough`` looking always reaches.
    """
    strides = np.array([other.shape[1] * other.shape[2], other.shape[2], 1])
    occupied, total = other.ravel(), place.size
    squares = np.full(total, -1, INDEX)
    order = np.arange(total) if least is None else np.argsort(least, kind="stable")
    begins = np.zeros(total, np.int64) if least is None else least[order]
    rest, waiting, known, spent = order[:0], 0, 0, 0
    for known, offsets in SHELLS:
        steps = offsets @ strides
        begun = int(np.searchsorted(begins, known, side="right"))
        if begun > waiting:
            rest, waiting = np.concatenate([rest, order[waiting:begun]]), begun
        hit = _occupied_beside(occupied, place[rest], steps)
        spent += rest.size * steps.size
        squares[rest[hit]] = known
        rest = rest[~hit]
        enough = rest.size + total - waiting <= LEFT * total or spent > BUDGET * total
        if known >= limit or (enough and not thorough):
            break
    return squares, known


def _occupied_beside(occupied: np.ndarray, place: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return which places have an occupied cell one of the steps away; all in flat indices."""
    if place.size * steps.size <= AT_ONCE:
        return occupied[place[:, None] + steps].any(axis=1)
    hit = np.zeros(place.size, bool)
    for step in steps:
        hit |= occupied[place + step]
    return hit


def _nearest(points: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return which of ``points`` is nearest to each query."""
    tree = KDTree(points, leafsize=24, balanced_tree=False, compact_nodes=False)
    return tree.query(queries)[1]

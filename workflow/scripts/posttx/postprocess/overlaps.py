"""What a case's predicted components share with its reference: the scores of any choice of them follow without images.

Components are the 26-connected ones of a single label, as in the component rows; here they are numbered through the
classes of a case, in the order of label and component. A dropped component may be given the label that surrounds it, so
that it has a place in two classes: its own, and that one. ``subsets`` turns the rows into scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from posttx.geometry.boxes import Box, bounding_box, widened
from posttx.scoring.components import NEIGHBOURS, Lesions, delimited, dilate, margin
from posttx.scoring.scoring_schemes import ScoringScheme

# The kinds of rows: what ``label``, ``first``, ``second`` and ``voxels`` are in each.
KINDS = {
    "reference": "voxels of a label in the reference; a row for every label of every case",
    "lesion": "a lesion of the reference as the scheme delimits it: its number, whether it counts (1 or 0), its voxels",
    "component": "a predicted component: label, number in the case, number in its label, voxels",
    "overlap": "voxels of a component (first) where the reference has a label",
    "place": "a component (first) that may count in a class, and its rank among those of the class (second)",
    "touch": "a component (first) that touches a lesion (second) of a class, and the voxels they share",
    "join": "two components that are one lesion if both count in a class",
    "contact": "two components with voxels in each other's 18-neighbourhood",
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Component:
    """A component of a prediction: label, number within it, the label that leads around it (0: background), voxels."""

    label: int
    number: int
    surround: int
    voxels: int


def lesions_by(scheme: ScoringScheme) -> ScoringScheme:
    """Return the rules by which lesions are missed or false: those of a scheme, plain components where it has none."""
    return scheme if scheme.matching == "touching" else replace(scheme, matching="touching")


def overlap_rows(
    reference: np.ndarray,
    numbers: np.ndarray,
    components: Sequence[Component],
    classes: Mapping[str, int],
    scheme: ScoringScheme,
    voxel_mm3: float,
) -> list[Row]:
    """Return the rows of a case, of every kind of ``KINDS``, without the column ``case``.

    ``reference`` (uint8 labels) and ``numbers`` (integers) have one shape; ``numbers`` holds at each voxel the place of
    its component in ``components``, from 1, and 0 for background. ``classes`` maps name -> label. A case without
    components has the rows of its reference alone.
    """
    rules = lesions_by(scheme)
    rows = [_row("reference", label, voxels=int(np.count_nonzero(reference == label))) for label in classes.values()]
    rows += [_row("component", one.label, i, one.number, one.voxels) for i, one in enumerate(components, 1)]
    box = bounding_box(reference, numbers > 0)
    if box is None:
        return rows
    reach = widened(box, (margin(rules),) * 3, reference.shape)
    reference, numbers = (np.ascontiguousarray(data[reach]) for data in (reference, numbers))
    lesions = delimited(reference, {name: [label] for name, label in classes.items()}, rules, False)
    boxes = ndimage.find_objects(numbers)
    both = np.flatnonzero((reference.ravel() > 0) & (numbers.ravel() > 0))
    for first, label, voxels in _pairs(numbers.ravel()[both], reference.ravel()[both]):
        rows.append(_row("overlap", label, first, 0, voxels))
    for name, label in classes.items():
        rule = rules.rule(name)
        rows += _lesion_rows(label, lesions[name], rule.ignore_ref_mm3, voxel_mm3)
        own = [i for i, one in enumerate(components, 1) if label in (one.label, one.surround)]
        grown = [_grown(numbers, i, boxes[i - 1], rule.dilation if rules.join_predictions else 0) for i in own]
        order = sorted(range(len(own)), key=lambda i: grown[i].first)
        rows += [_row("place", label, own[i], rank) for rank, i in enumerate(order)]
        rows += _touch_rows(label, lesions[name], numbers, own)
        rows += [_row("join", label, own[a], own[b]) for a, b in _joined(grown)]
    return rows + [_row("contact", 0, a, b) for a, b in _contacts(numbers)]


def _row(kind: str, label: int, first: int = 0, second: int = 0, voxels: int = 0) -> Row:
    return {"kind": kind, "label": int(label), "first": int(first), "second": int(second), "voxels": int(voxels)}


def _lesion_rows(label: int, lesions: Lesions, ignored_mm3: float, voxel_mm3: float) -> list[Row]:
    sizes = {number: int(lesions.sizes[number]) for number in lesions.numbers}
    return [_row("lesion", label, one, voxels * voxel_mm3 > ignored_mm3, voxels) for one, voxels in sizes.items()]


def _touch_rows(label: int, lesions: Lesions, numbers: np.ndarray, own: Sequence[int]) -> list[Row]:
    """Return which of some components reach into the zone of which lesion, and what they share with the lesion."""
    near = np.flatnonzero((lesions.zones.ravel() > 0) & (numbers.ravel() > 0))
    near = near[np.isin(numbers.ravel()[near], own)]
    zones, inside, found = (data.ravel()[near] for data in (lesions.zones, lesions.labels, numbers))
    shared = {(first, second): voxels for first, second, voxels in _pairs(found[inside > 0], inside[inside > 0])}
    return [
        _row("touch", label, first, second, shared.get((first, second), 0)) for first, second, _ in _pairs(found, zones)
    ]


def _pairs(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield the pairs of values that stand at one place of two arrays, and at how many places each does."""
    width = int(second.max(initial=0)) + 1
    codes, counts = np.unique(first.astype(np.int64) * width + second, return_counts=True)
    yield from zip((codes // width).tolist(), (codes % width).tolist(), counts.tolist(), strict=True)


@dataclass(frozen=True)
class _Grown:
    """A component dilated as its class asks, in a box; ``first`` is where its first voxel stands in C order."""

    mask: np.ndarray
    box: Box
    first: int


def _grown(numbers: np.ndarray, component: int, box: Box, dilation: int) -> _Grown:
    wide = widened(box, (dilation,) * 3, numbers.shape)
    mask = dilate(np.ascontiguousarray(numbers[wide] == component), dilation)
    place = np.unravel_index(int(np.argmax(mask)), mask.shape)
    corner = [int(i) + side.start for i, side in zip(place, wide, strict=True)]
    return _Grown(mask, wide, int(np.ravel_multi_index(corner, numbers.shape)))


def _joined(grown: Sequence[_Grown]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of dilated components that touch (26-neighbourhood) or overlap."""
    if len(grown) < 2:
        return
    low = np.array([[side.start for side in one.box] for one in grown])
    high = np.array([[side.stop for side in one.box] for one in grown])
    for a, one in enumerate(grown[:-1]):
        # a box that ends where the other begins holds voxels that touch
        likely = ((low[a] <= high[a + 1 :]) & (low[a + 1 :] <= high[a])).all(axis=1)
        for b in (np.flatnonzero(likely) + a + 1).tolist():
            if _touch(one, grown[b]):
                yield a, b


def _touch(first: _Grown, second: _Grown) -> bool:
    """Say whether a voxel of one mask is in the 26-neighbourhood of one of the other, each given in its box."""
    common = tuple(
        slice(max(a.start, b.start) - 1, min(a.stop, b.stop) + 1) for a, b in zip(first.box, second.box, strict=True)
    )
    one, other = (_part(grown, common) for grown in (first, second))
    for axis in range(3):
        wide = one.copy()
        ahead, behind = [slice(None)] * 3, [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        wide[tuple(ahead)] |= one[tuple(behind)]
        wide[tuple(behind)] |= one[tuple(ahead)]
        one = wide
    return bool((one & other).any())


def _part(grown: _Grown, box: Box) -> np.ndarray:
    """Return a mask as far as it lies in a box, which may reach beyond the mask's."""
    part = np.zeros([side.stop - side.start for side in box], bool)
    shared = [
        slice(max(own.start, side.start), min(own.stop, side.stop)) for own, side in zip(grown.box, box, strict=True)
    ]
    if all(side.start < side.stop for side in shared):
        into = tuple(slice(s.start - side.start, s.stop - side.start) for s, side in zip(shared, box, strict=True))
        source = tuple(slice(s.start - own.start, s.stop - own.start) for s, own in zip(shared, grown.box, strict=True))
        part[into] = grown.mask[source]
    return part


def _contacts(numbers: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs of components that touch in the 18-neighbourhood, the lower number first."""
    # One voxel more on each side, so that every neighbour has a place; only labelled voxels are looked at.
    wide = np.pad(numbers, 1)
    flat = wide.ravel()
    place = np.flatnonzero(flat)
    own = flat[place]
    found: set[tuple[int, int]] = set()
    for i, j, k in NEIGHBOURS[len(NEIGHBOURS) // 2 + 1 :].tolist():
        beside = flat[place + (i * wide.shape[1] + j) * wide.shape[2] + k]
        touching = np.flatnonzero((beside > 0) & (beside != own))
        found |= {(min(a, b), max(a, b)) for a, b, _ in _pairs(own[touching], beside[touching])}
    return sorted(found)

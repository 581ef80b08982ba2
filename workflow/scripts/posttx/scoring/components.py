"""Delimit the lesions of every region of a label array: components, joined and erased as a scoring scheme says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import cc3d
import numpy as np

from posttx.geometry.boxes import Box, bounding_box, widened
from posttx.scoring.scoring_schemes import RegionRule, ScoringScheme


@dataclass(frozen=True)
class Lesions:
    """Numbered lesions of a region: ``labels`` is 0 outside; numbers without voxels may lie between.

    ``sizes`` (voxels), ``centroids`` (voxels) and ``boxes`` are indexed by number; ``hull`` is the box of all (None
    without any). ``zones`` numbers the neighbourhood in which a prediction touches a lesion, the lesion included.
    ``dropped``: what the scheme erases for its size.
    """

    labels: np.ndarray
    zones: np.ndarray
    hull: Box | None
    sizes: np.ndarray
    centroids: np.ndarray
    boxes: Sequence[Box]
    dropped: Lesions | None = None

    @cached_property
    def numbers(self) -> list[int]:
        """Return the numbers of the lesions, rising."""
        return [int(number) for number in np.flatnonzero(self.sizes)]


def _lesions(labels: np.ndarray, zones: np.ndarray, hull: Box | None, dropped: Lesions | None = None) -> Lesions:
    if hull is None:
        return Lesions(labels, zones, None, np.zeros(1, np.int64), np.zeros((1, 3)), (), dropped)
    corner = np.array([side.start for side in hull])
    sizes, centroids, boxes = _statistics(labels[hull])
    return Lesions(labels, zones, hull, sizes, centroids + corner, [_shifted(box, corner) for box in boxes], dropped)


def _statistics(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return voxels, centroid and box (first and last index per axis) of every number of a label array, 0 left out.

    Counted by runs of one number along the last axis: a sixth of the time that visiting every voxel takes. A number
    without voxels has centroid and box 0.
    """
    begins = np.ones(labels.shape, bool)
    np.not_equal(labels[:, :, 1:], labels[:, :, :-1], out=begins[:, :, 1:])
    starts = np.flatnonzero(begins)
    numbers = labels.ravel()[starts]
    lengths = np.diff(starts, append=labels.size)
    inside = np.flatnonzero(numbers)
    inside = inside[np.argsort(numbers[inside], kind="stable")]
    numbers, starts, lengths = numbers[inside], starts[inside], lengths[inside]
    first = np.stack(np.unravel_index(starts, labels.shape))
    last = first + np.stack([np.zeros_like(lengths), np.zeros_like(lengths), lengths - 1])
    count = int(numbers.max(initial=0)) + 1
    sizes = np.bincount(numbers, lengths, count).astype(np.int64)
    sums = [np.bincount(numbers, lengths * middle, count) for middle in (first + last) / 2]
    edges = np.zeros((2, 3, count), np.int64)
    present = np.flatnonzero(sizes)
    groups = np.searchsorted(numbers, present)
    edges[0][:, present] = np.minimum.reduceat(first, groups, axis=1)
    edges[1][:, present] = np.maximum.reduceat(last, groups, axis=1)
    return sizes, np.stack(sums, axis=1) / np.maximum(sizes, 1)[:, None], list(edges.transpose(2, 0, 1))


def _shifted(edges: np.ndarray, corner: np.ndarray) -> Box:
    low, high = edges + corner
    first, second, third = (slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    return first, second, third


def margin(scheme: ScoringScheme) -> int:
    """Return how many voxels around a segmentation a scheme looks at."""
    return max([scheme.default.dilation, *(rule.dilation for rule in scheme.rules.values())]) + 1


def dilate(mask: np.ndarray, iterations: int) -> np.ndarray:
    """Return a C-ordered boolean mask dilated by the 18-neighbourhood; nothing grows beyond the array.

    Works on 64 voxels of the last axis at a time.
    """
    if not iterations:
        return mask
    length = mask.shape[2]
    padded = np.zeros((*mask.shape[:2], -(-length // 64) * 64), bool)
    padded[:, :, :length] = mask
    words = np.packbits(padded, axis=2, bitorder="little").view("<u8")
    for _ in range(iterations):
        first, third = _spread(words, 0), _spread_bits(words)
        words = _spread(first, 1)
        words |= _spread(third, 1)
        words |= _spread(third, 0)
    return np.unpackbits(words.view(np.uint8), axis=2, count=length, bitorder="little").view(bool)


def _spread(words: np.ndarray, axis: int) -> np.ndarray:
    wide = words.copy()
    ahead, behind = [slice(None)] * 3, [slice(None)] * 3
    ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
    wide[tuple(ahead)] |= words[tuple(behind)]
    wide[tuple(behind)] |= words[tuple(ahead)]
    return wide


def _spread_bits(words: np.ndarray) -> np.ndarray:
    one, last = np.uint64(1), np.uint64(63)
    wide = words | (words << one) | (words >> one)
    wide[:, :, 1:] |= words[:, :, :-1] >> last
    wide[:, :, :-1] |= words[:, :, 1:] << last
    return wide


def mask_of(labels: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """Return where a label array has one of ``values``."""
    mask = labels == values[0]
    for value in values[1:]:
        mask |= labels == value
    return mask


def delimited(
    labels: np.ndarray, regions: Mapping[str, Sequence[int]], scheme: ScoringScheme, predicted: bool
) -> dict[str, Lesions]:
    """Return the lesions of every region of a uint8 label array, joined and erased as the scheme says."""
    lesions = {}
    for region, values in regions.items():
        mask = mask_of(labels, values)
        rule = scheme.rule(region)
        if scheme.matching == "bipartite" or (predicted and not scheme.join_predictions):
            lesions[region] = _separate(mask)
        else:
            lesions[region] = _joined_by_dilation(mask, rule, predicted)
    before = {region: found.labels for region, found in lesions.items()}
    for region, others in scheme.join_across.items():
        if region in lesions and not (predicted and not scheme.join_predictions):
            present = [before[other] for other in others if other in before]
            lesions[region] = _joined_across(lesions[region], present)
    return lesions


def _components(mask: np.ndarray) -> np.ndarray:
    return cc3d.connected_components(mask.view(np.uint8), connectivity=26)


def _separate(mask: np.ndarray) -> Lesions:
    """Return the 26-connected components of a mask.

    Numbered in the order of the file's voxels, as brats-evaluation does: the numbers decide ties of the matching.
    """
    hull = bounding_box(mask)
    labels = _placed(mask, hull, _components(np.asfortranarray(mask[hull])) if hull else None)
    return _lesions(labels, labels, hull)


def _placed(mask: np.ndarray, box: Box | None, part: np.ndarray | None) -> np.ndarray:
    whole = np.zeros(mask.shape, np.uint16 if part is None else part.dtype)
    if box is not None and part is not None:
        whole[box] = part
    return whole


def _joined_by_dilation(mask: np.ndarray, rule: RegionRule, predicted: bool) -> Lesions:
    """Return components joined where their dilations join; predictions of few voxels are set aside."""
    hull = bounding_box(mask)
    if hull is None:
        return _separate(mask)
    reach = widened(hull, (rule.dilation,) * 3, mask.shape)
    inside = np.ascontiguousarray(mask[reach])
    grown = _components(dilate(inside, rule.dilation))
    labels = _placed(mask, reach, grown * inside)
    if not predicted:
        return _lesions(labels, _placed(mask, reach, grown), hull)
    every = _lesions(labels, labels, hull)
    small = (every.sizes <= rule.drop_pred_voxels) & (every.sizes > 0)
    if not small.any():
        return every
    kept, erased = labels.copy(), np.zeros_like(labels)
    erased[hull] = np.where(small[labels[hull]], labels[hull], 0)
    kept[hull] -= erased[hull]
    return _lesions(kept, kept, hull, _lesions(erased, erased, hull))


def _joined_across(lesions: Lesions, others: Sequence[np.ndarray]) -> Lesions:
    """Join lesions that touch (18-neighbourhood) the same lesion of another class, one class after the other.

    As the 2024 scorer does it: a lesion goes with the lowest-numbered lesion of the other class that it touches, and a
    class that touches in a single pair of lesions joins nothing. Lesions are numbered 1, 2, ... again at the end.
    """
    names = np.arange(lesions.sizes.size)
    for other in others:
        touching = sorted({(int(names[own]), its) for own, its in _touching(lesions, other)})
        if len(touching) > 1:
            names = _renamed(names, touching)
    present = np.flatnonzero(lesions.sizes)
    order = {name: number for number, name in enumerate(sorted({int(names[old]) for old in present}), 1)}
    final = np.zeros(names.size, lesions.labels.dtype)
    for old in present:
        final[old] = order[int(names[old])]
    if np.array_equal(final, np.arange(names.size)):
        return lesions
    return _lesions(final[lesions.labels], final[lesions.zones], lesions.hull, lesions.dropped)


def _renamed(names: np.ndarray, touching: Sequence[tuple[int, int]]) -> np.ndarray:
    following = int(names.max()) + 1
    common: dict[int, int] = {}
    chosen: dict[int, int] = {}
    for own, its in touching:
        common.setdefault(its, following + len(common))
        chosen.setdefault(own, common[its])
    return np.array([chosen.get(int(name), int(name)) for name in names])


def _touching(lesions: Lesions, second: np.ndarray) -> set[tuple[int, int]]:
    """Return the pairs of a lesion and one of another map with voxels in each other's 18-neighbourhood."""
    if lesions.hull is None:
        return set()
    reach = widened(lesions.hull, (1,) * 3, second.shape)
    wide, other = np.pad(lesions.labels[reach], 1), second[reach]
    near = np.argwhere(dilate(wide > 0, 1)[1:-1, 1:-1, 1:-1] & (other > 0))
    theirs = other[tuple(near.T)].astype(np.int64)
    base = int(theirs.max(initial=0)) + 1
    pairs: set[int] = set()
    for offset in NEIGHBOURS:
        own = wide[tuple((near + 1 + offset).T)].astype(np.int64)
        pairs |= set(np.unique(own[own > 0] * base + theirs[own > 0]).tolist())
    return {(code // base, code % base) for code in pairs}


# The 18-neighbourhood and the voxel itself.
NEIGHBOURS = np.array([step for step in np.ndindex(3, 3, 3) if sum(abs(n - 1) for n in step) <= 2]) - 1

"""What a reader should look at in a case, the worst first: missed and invented lesions, classes of low Dice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from posttx.reporting.case_volumes import CaseVolumes, Place
from posttx.scoring.components import Lesions, delimited, margin
from posttx.scoring.scoring_schemes import SCHEMES, ScoringScheme

MISSED, INVENTED, LOW, LESION = KINDS = ("missed", "invented", "low", "lesion")
# Predictions can have thousands of specks; nobody walks through more.
MOST = 50
# A lesion of these maps is one of the table of lesions where its voxels are as many and its centroid lies so near.
SAME_MM = 0.5
# Components as they stand: for schemes that count no lesions, and cases without a reference.
SEPARATE = SCHEMES["brats2026"]
SIDES = {"reference": "ref", "prediction": "pred"}


@dataclass(frozen=True)
class Finding:
    """A place to look at. ``place`` is a voxel OF the lesion, that nearest its centroid; None until it was looked for.

    ``kind`` is one of ``KINDS``; volumes are in ml, None where there is none on that side; ``radius_mm`` reaches from
    ``place`` to the lesion's farthest voxel.
    """

    kind: str
    region: str
    label: int
    ml_ref: float | None = None
    ml_pred: float | None = None
    dice: float | None = None
    place: Place = (0, 0, 0)
    radius_mm: float = 0.0


@dataclass(frozen=True)
class _Spot:
    """A finding that is not yet looked for: its rank (lower is worse), and the row of its lesion, None for an error."""

    rank: tuple[float, ...]
    finding: Finding
    lesion: Mapping[str, Any] | None


def findings(
    volumes: CaseVolumes,
    lesions: Sequence[Mapping[str, Any]],
    classes: Mapping[str, int],
    rules: ScoringScheme,
    low_dice: float,
    most: int = MOST,
) -> tuple[list[Finding], int]:
    """Return what to look at in a case, the worst first, at most so many; and how many more there are.

    The order: classes missed wholly, then missed lesions, then invented ones, each the largest first; then classes
    whose Dice is below ``low_dice``, at their largest error; then all other lesions. ``lesions`` are the rows of
    ``schemas.LESIONS`` of this case and model, whose lesions are as ``rules`` (the scheme that made them) delimits
    them; without any (a scheme that counts voxels alone, no reference) connected components stand in. ``classes`` maps
    the names of classes to their integers.
    """
    if not lesions:
        rules = SEPARATE
        lesions = _components(volumes, classes)
    maps = _Maps(volumes, classes, rules)
    known = [row for row in lesions if row["region"] in classes]
    spots = [spot for name in classes for spot in _spots(maps, [row for row in known if row["region"] == name], name)]
    spots += [spot for name in classes for spot in _low(maps, name, low_dice)]
    spots.sort(key=lambda spot: spot.rank)
    return [maps.located(spot) for spot in spots[:most]], max(0, len(spots) - most)


def opening(volumes: CaseVolumes, found: Sequence[Finding]) -> tuple[Place, float]:
    """Return the voxel at which a case opens, of the first finding or the head's middle, and the radius there (mm)."""
    if found:
        return found[0].place, found[0].radius_mm
    first, second, third = ((side.start + side.stop - 1) // 2 for side in volumes.head)
    return (first, second, third), 0.0


class _Maps:
    """The label maps of a case with a margin around, in which the scheme's lesions are delimited when first needed."""

    def __init__(self, volumes: CaseVolumes, classes: Mapping[str, int], rules: ScoringScheme) -> None:
        self._volumes, self.classes, self._rules = volumes, classes, rules
        wide = margin(rules)
        self._corner = np.array([side.start for side in volumes.labels.box]) - wide
        self._maps = {kind: np.pad(labels.astype(np.uint8), wide) for kind, labels in volumes.labels.maps.items()}
        self.voxel_ml = math.prod(volumes.spacing) / 1000
        self._known: dict[str, dict[str, Lesions]] = {}

    @cached_property
    def whole(self) -> bool:
        """Return whether there are a reference and a prediction."""
        return len(self._maps) == 2

    def count(self, kind: str, region: str) -> int | None:
        """Return the voxels of a class in a map; None where there is no such map."""
        return int((self._maps[kind] == self.classes[region]).sum()) if kind in self._maps else None

    def dice(self, region: str) -> float | None:
        """Return the Dice of a class; None where it is undefined."""
        if not self.whole:
            return None
        sides = [labels == self.classes[region] for labels in self._maps.values()]
        both = sum(int(side.sum()) for side in sides)
        return 2 * int((sides[0] & sides[1]).sum()) / both if both else None

    def located(self, spot: _Spot) -> Finding:
        """Return a finding with its place."""
        if spot.lesion is None:
            error = self._largest_error(spot.finding.label)
            return self._at(spot.finding, error, error.mean(axis=0))
        centroid = [spot.lesion[f"centroid_{axis}_mm"] for axis in "xyz"]
        middle = np.linalg.solve(self._volumes.affine, [*centroid, 1.0])[:3] - self._corner
        kind = SIDES[spot.lesion["source"]]
        inside = self._voxels(kind, spot.finding.region, int(spot.lesion["voxels"]), middle)
        if inside is not None:
            return self._at(spot.finding, inside, middle)
        # joined otherwise than in the scores, which see the array in another order of axes
        nearest = self._at(spot.finding, np.argwhere(self._maps[kind] == spot.finding.label), middle)
        volume = float(spot.lesion["voxels"]) * self.voxel_ml * 1000
        return replace(nearest, radius_mm=(3 * volume / (4 * math.pi)) ** (1 / 3))

    def _voxels(self, kind: str, region: str, count: int, middle: np.ndarray) -> np.ndarray | None:
        """Return the voxels of the lesion that has so many, and its centroid there; None where there is none such."""
        if kind not in self._known:
            names = {name: [label] for name, label in self.classes.items()}
            self._known[kind] = delimited(self._maps[kind], names, self._rules, kind == "pred")
        found = self._known[kind][region]
        for lesions in (found, found.dropped):
            if lesions is None:
                continue
            numbers = np.flatnonzero(lesions.sizes == count)
            away = np.linalg.norm((lesions.centroids[numbers] - middle) * self._volumes.spacing, axis=1)
            if numbers.size and away.min() < SAME_MM:
                number = int(numbers[away.argmin()])
                box = tuple(lesions.boxes[number])
                return np.argwhere(lesions.labels[box] == number) + [side.start for side in box]
        return None

    def _largest_error(self, label: int) -> np.ndarray:
        first, second = (labels == label for labels in self._maps.values())
        errors = delimited((first != second).view(np.uint8), {"": [1]}, SEPARATE, False)[""]
        number = int(errors.sizes.argmax())
        box = tuple(errors.boxes[number])
        return np.argwhere(errors.labels[box] == number) + [side.start for side in box]

    def _at(self, finding: Finding, inside: np.ndarray, middle: np.ndarray) -> Finding:
        """Return a finding at the voxel nearest a point, of those that it consists of."""
        nearest = inside[np.linalg.norm((inside - middle) * self._volumes.spacing, axis=1).argmin()]
        radius = np.linalg.norm((inside - nearest) * self._volumes.spacing, axis=1).max()
        first, second, third = (int(value) for value in nearest + self._corner)
        return replace(finding, place=(first, second, third), radius_mm=float(radius))


def _spots(maps: _Maps, rows: Sequence[Mapping[str, Any]], region: str) -> Iterable[_Spot]:
    """Yield the lesions of a class, ranked."""
    label = maps.classes[region]
    voxels = maps.count("ref", region), maps.count("pred", region)
    own = sorted((row for row in rows if row["source"] == "reference"), key=_size, reverse=True)
    theirs = sorted((row for row in rows if row["source"] == "prediction"), key=_size, reverse=True)
    wholly_missed = bool(voxels[0]) and voxels[1] == 0
    for i, row in enumerate(own):
        volume = _ml(row)
        if row["state"] == "missed" or (wholly_missed and i == 0):
            rank = (0 if wholly_missed and i == 0 else 1, -volume)
            yield _Spot(rank, Finding(MISSED, region, label, ml_ref=volume), row)
        elif row["state"] == "matched":
            yield _Spot((4, -volume), Finding(LESION, region, label, ml_ref=volume, dice=_known(row["dice"])), row)
    wholly_invented = voxels[0] == 0
    for i, row in enumerate(theirs):
        volume = _ml(row)
        if voxels[0] is None:
            yield _Spot((4, -volume), Finding(LESION, region, label, ml_pred=volume), row)
        elif row["state"] == "false_positive" or (wholly_invented and i == 0):
            yield _Spot((2, -volume), Finding(INVENTED, region, label, ml_pred=volume), row)


def _low(maps: _Maps, region: str, low_dice: float) -> Iterable[_Spot]:
    """Yield a class that is in both maps and has a Dice below ``low_dice``."""
    sizes = [maps.count(kind, region) for kind in ("ref", "pred")]
    dice = maps.dice(region)
    if all(sizes) and dice is not None and dice < low_dice:
        own, theirs = (round((size or 0) * maps.voxel_ml, 3) for size in sizes)
        yield _Spot((3, dice), Finding(LOW, region, maps.classes[region], own, theirs, dice), None)


def _components(volumes: CaseVolumes, classes: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return rows as those of the table of lesions: connected components, found where they touch the other side's."""
    names = {name: [label] for name, label in classes.items()}
    start = np.array([side.start for side in volumes.labels.box])
    rows = []
    for source, kind in SIDES.items():
        if kind not in volumes.labels.maps:
            continue
        other = volumes.labels.maps.get("pred" if kind == "ref" else "ref")
        labels = volumes.labels.maps[kind].astype(np.uint8)
        for region, found in delimited(labels, names, SEPARATE, kind == "pred").items():
            touched = set() if other is None else set(np.unique(found.labels[other == classes[region]]).tolist())
            for number in found.numbers:
                state = "matched" if number in touched else "missed" if kind == "ref" else "false_positive"
                centroid = volumes.affine @ [*(found.centroids[number] + start), 1.0]
                voxels = int(found.sizes[number])
                rows.append({
                    "region": region, "source": source, "state": state, "voxels": voxels,
                    "volume_mm3": voxels * math.prod(volumes.spacing), "dice": math.nan,
                    **{f"centroid_{axis}_mm": float(value) for axis, value in zip("xyz", centroid, strict=False)},
                })  # fmt: skip
    return rows


def _size(row: Mapping[str, Any]) -> float:
    return float(row["volume_mm3"])


def _ml(row: Mapping[str, Any]) -> float:
    return round(_size(row) / 1000, 3)


def _known(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None

"""Lesion-wise scores: match the lesions of a pair, score each, and sum up as the chosen scheme does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np

from posttx.scoring.components import Lesions, delimited, mask_of
from posttx.scoring.matching import Overlaps, one_to_one, overlaps
from posttx.scoring.scoring_schemes import RegionRule, ScoringScheme
from posttx.scoring.surfaces import Definition, Spacing, SurfacePair, WholeSurfaces, hd95, nsd, surface_pair

# The surfaces of a lesion begin with the region's where the region's box is smaller than this many times the lesion's.
LARGE = 3
# Lesions in a box of so many voxels are compared with those compared before.
SMALL, REMEMBERED = 64, 4096


@dataclass(frozen=True)
class Pair:
    """A reference lesion with the predicted lesions it is compared with (none: missed)."""

    reference: int
    predictions: tuple[int, ...]


@dataclass
class RegionScore:
    """Columns of the metrics table for one region, and rows of the lesions table."""

    columns: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)


def score_lesions(
    reference: np.ndarray,
    prediction: np.ndarray,
    regions: Mapping[str, Sequence[int]],
    scheme: ScoringScheme,
    spacing: Spacing,
    tolerances: Sequence[float],
    whole: Mapping[str, WholeSurfaces] | None = None,
) -> dict[str, RegionScore]:
    """Return the lesion-wise scores of every region of a pair of uint8 label arrays of one shape.

    The arrays may be crops of the volume if they reach ``margin(scheme)`` voxels beyond both segmentations or to the
    volume's border. ``spacing`` is in mm along their axes. ``whole``: the surfaces of the whole regions where they
    are known already; a region that is one lesion uses them, and a large lesion begins with them. Centroids are in
    voxels.
    """
    sides = [
        delimited(labels, regions, scheme, predicted) for labels, predicted in ((reference, False), (prediction, True))
    ]
    scores = {}
    for region in regions:
        known = (whole or {}).get(region)
        scores[region] = _score_region(
            sides[0][region], sides[1][region], scheme, scheme.rule(region), spacing, tolerances, known
        )
    return scores


def _touch_pairs(reference: Lesions, prediction: Lesions) -> list[Pair]:
    touched = overlaps(reference.zones, prediction)
    return [Pair(number, touched.partners(number)) for number in reference.numbers]


def _bipartite_pairs(reference: Lesions, prediction: Lesions, shared: Overlaps) -> list[Pair]:
    matched = one_to_one(reference, prediction, shared)
    return [Pair(number, (matched[number],) if number in matched else ()) for number in reference.numbers]


def _score_region(
    reference: Lesions,
    prediction: Lesions,
    scheme: ScoringScheme,
    rule: RegionRule,
    spacing: Spacing,
    tolerances: Sequence[float],
    known: WholeSurfaces | None,
) -> RegionScore:
    touching = scheme.matching == "touching"
    shared = overlaps(reference.labels, prediction)
    pairs = _touch_pairs(reference, prediction) if touching else _bipartite_pairs(reference, prediction, shared)
    scored = [
        _score_pair(pair, reference, prediction, shared, scheme, spacing, tolerances, known)
        | {"counts": reference.sizes[pair.reference] * float(np.prod(spacing)) > rule.ignore_ref_mm3}
        for pair in pairs
    ]
    partners = {j for pair in pairs for j in pair.predictions}
    predicted = prediction.numbers
    false = [j for j in predicted if j not in partners]
    kept = [entry for entry in scored if entry["counts"]]
    columns: dict[str, Any] = {
        "lesions_ref": len(kept),
        "lesions_pred": len(predicted),
        "lesions_tp": sum(bool(entry["pair"].predictions) for entry in kept),
        "lesions_fp": len(false),
        "lesions_fn": sum(not entry["pair"].predictions for entry in kept),
    }
    if touching:
        columns |= _summed(kept, len(false), scheme, tolerances)
    else:
        columns |= _matched_means(scored, predicted, tolerances)
    return RegionScore(columns, _lesion_rows(scored, reference, prediction, tolerances))


def _score_pair(
    pair: Pair,
    reference: Lesions,
    prediction: Lesions,
    shared: Overlaps,
    scheme: ScoringScheme,
    spacing: Spacing,
    tolerances: Sequence[float],
    known: WholeSurfaces | None,
) -> dict[str, Any]:
    """Return Dice, HD95 and NSD of one reference lesion against the union of its predictions (missed: 0, inf, 0)."""
    voxels = int(reference.sizes[pair.reference])
    if not pair.predictions:
        zeros = {f"nsd_{tolerance}": 0.0 for tolerance in tolerances}
        return {"pair": pair, "voxels": voxels, "dice": 0.0, "hd95_mm": float("inf"), **zeros}
    both = shared.shared(pair.reference, pair.predictions)
    total = voxels + int(prediction.sizes[list(pair.predictions)].sum())
    distances = _distances(pair, reference, prediction, scheme, spacing, tolerances, known)
    return {"pair": pair, "voxels": voxels, "dice": 2.0 * both / total, **distances}


def _distances(
    pair: Pair,
    reference: Lesions,
    prediction: Lesions,
    scheme: ScoringScheme,
    spacing: Spacing,
    tolerances: Sequence[float],
    known: WholeSurfaces | None,
) -> dict[str, float]:
    definitions = {scheme.hd95, scheme.nsd} if scheme.lesion_nsd else {scheme.hd95}
    measured = partial(_measured, definitions=(scheme.hd95, scheme.nsd), tolerances=tolerances, eps=scheme.nsd_epsilon)
    alone = reference.numbers == [pair.reference] and list(pair.predictions) == prediction.numbers
    if known and alone and prediction.dropped is None and definitions <= set(known.pairs):
        return measured(known.pairs)
    boxes = [reference.boxes[pair.reference], *(prediction.boxes[j] for j in pair.predictions)]
    box = tuple(slice(min(b[axis].start for b in boxes), max(b[axis].stop for b in boxes)) for axis in range(3))
    small = _voxels_in(box) <= SMALL
    large = not small and known is not None and _voxels_in(known.box) < LARGE * _voxels_in(box)
    if known and large:
        box = known.box
    own, found = (
        mask_of(side.labels[box], numbers)
        for side, numbers in ((reference, [pair.reference]), (prediction, pair.predictions))
    )
    if small:
        masks = own.shape, own.tobytes(), found.tobytes()
        return _of_small(*masks, spacing, (scheme.hd95, scheme.nsd), tuple(tolerances), scheme.nsd_epsilon)
    wholes = known.pairs if known and large else {}
    return measured({name: surface_pair(own, found, spacing, name, wholes.get(name)) for name in definitions})


def _measured(
    surfaces: Mapping[Definition, SurfacePair],
    definitions: tuple[Definition, Definition],
    tolerances: Sequence[float],
    eps: float,
) -> dict[str, float]:
    """Return HD95 and NSD of a pair of lesions, each by its definition."""
    by_hd95, by_nsd = definitions
    return {
        "hd95_mm": hd95(surfaces[by_hd95]),
        **{f"nsd_{tolerance}": nsd(surfaces[by_nsd], tolerance, eps) for tolerance in tolerances},
    }


@lru_cache(maxsize=REMEMBERED)
def _of_small(
    shape: tuple[int, ...],
    own: bytes,
    found: bytes,
    spacing: Spacing,
    definitions: tuple[Definition, Definition],
    tolerances: tuple[float, ...],
    eps: float,
) -> dict[str, float]:
    """Return what ``_measured`` does of two masks given as bytes: specks come by thousands, and in few forms."""
    first, second = (np.frombuffer(mask, bool).reshape(shape) for mask in (own, found))
    surfaces = {name: surface_pair(first, second, spacing, name) for name in set(definitions)}
    return _measured(surfaces, definitions, tolerances, eps)


def _voxels_in(box: Sequence[slice]) -> int:
    return math.prod(side.stop - side.start for side in box)


def _summed(
    kept: Sequence[Mapping[str, Any]], false: int, scheme: ScoringScheme, tolerances: Sequence[float]
) -> dict[str, float]:
    """Sum over the reference lesions that count, divided by their number plus the false positives (2023, 2024)."""
    number = len(kept) + false
    if not number:
        absent = dict(zip(("dice", "hd95", "nsd"), scheme.absent, strict=True))
        return {f"lesion_{name}": absent[name.split("_")[0]] for name in _measures(tolerances)}
    columns = {}
    for name in _measures(tolerances if scheme.lesion_nsd else ()):
        fill = scheme.penalty_mm if name == "hd95_mm" else 0.0
        values = [entry[name] if entry["pair"].predictions else fill for entry in kept]
        columns[f"lesion_{name}"] = (float(np.sum(values)) + false * fill) / number
    return columns


def _matched_means(
    scored: Sequence[Mapping[str, Any]], predicted: Sequence[int], tolerances: Sequence[float]
) -> dict[str, float]:
    """Average over matched lesions (2026); none matched: 0 and inf, or NaN where there is no lesion at all."""
    matched = [entry for entry in scored if entry["pair"].predictions]
    if matched:
        return {f"lesion_{name}": float(np.mean([entry[name] for entry in matched])) for name in _measures(tolerances)}
    if not scored and not predicted:
        return {f"lesion_{name}": math.nan for name in _measures(tolerances)}
    return {f"lesion_{name}": math.inf if name == "hd95_mm" else 0.0 for name in _measures(tolerances)}


def _measures(tolerances: Sequence[float]) -> list[str]:
    return ["dice", "hd95_mm", *(f"nsd_{tolerance}" for tolerance in tolerances)]


def _lesion_rows(
    scored: Sequence[Mapping[str, Any]], reference: Lesions, prediction: Lesions, tolerances: Sequence[float]
) -> list[dict[str, Any]]:
    """Return a row per reference lesion and per predicted one; HD95 is NaN where there is nothing to measure to."""
    rows = []
    partners: dict[int, list[int]] = {}
    for entry in scored:
        pair = entry["pair"]
        for j in pair.predictions:
            partners.setdefault(j, []).append(pair.reference)
        state = "ignored" if not entry["counts"] else "matched" if pair.predictions else "missed"
        values = {name: entry[name] for name in _measures(tolerances)}
        if not pair.predictions:
            values["hd95_mm"] = math.nan
        rows.append(_row("reference", pair.reference, reference, state, pair.predictions) | values)
    for j in prediction.numbers:
        state = "matched" if j in partners else "false_positive"
        rows.append(_row("prediction", j, prediction, state, partners.get(j, ())))
    if prediction.dropped:
        for j in prediction.dropped.numbers:
            number = j + prediction.sizes.size
            rows.append(_row("prediction", j, prediction.dropped, "ignored", ()) | {"lesion": number})
    return rows


def _row(source: str, number: int, lesions: Lesions, state: str, partners: Sequence[int]) -> dict[str, Any]:
    return {
        "source": source,
        "lesion": number,
        "voxels": int(lesions.sizes[number]),
        "centroid": lesions.centroids[number],
        "state": state,
        "partners": ",".join(map(str, partners)),
    }

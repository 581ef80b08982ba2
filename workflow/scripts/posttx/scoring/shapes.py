"""Surfaces and lesions of a segmentation pair, measured in the smallest box that the scheme's dilations leave free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from posttx.geometry.boxes import bounding_box, widened
from posttx.scoring.components import margin, mask_of
from posttx.scoring.lesions import RegionScore, score_lesions
from posttx.scoring.scoring_schemes import ScoringScheme
from posttx.scoring.surfaces import Spacing, WholeSurfaces, hd95, nsd, surface_pair


@dataclass(frozen=True)
class PairShapes:
    """Lesion-wise scores by region, the surfaces of regions that both sides have, the first voxel of the box."""

    lesions: Mapping[str, RegionScore]
    whole: Mapping[str, WholeSurfaces]
    corner: tuple[int, ...]
    rules: ScoringScheme
    tolerances: Sequence[float]

    def surface_columns(self, region: str, present: bool) -> dict[str, float]:
        """Return HD95 and NSD of a whole region; ``present``: on either side.

        NaN where absent in both; HD95 NaN, NSD 0 where absent in one.
        """
        surfaces = self.whole.get(region)
        if surfaces is None:
            return {f"nsd_{tolerance}": 0.0 if present else float("nan") for tolerance in self.tolerances}
        near = surfaces.pairs[self.rules.nsd]
        columns = {"hd95_mm": hd95(surfaces.pairs[self.rules.hd95])}
        return columns | {f"nsd_{tolerance}": nsd(near, tolerance) for tolerance in self.tolerances}


def pair_shapes(
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing: Spacing,
    regions: Mapping[str, Sequence[int]],
    rules: ScoringScheme,
    tolerances: Sequence[float],
) -> PairShapes:
    """Measure a pair of uint8 label arrays of one shape, also an empty one; ``spacing`` and ``tolerances`` in mm."""
    box = bounding_box(reference, prediction) or (slice(0, 1),) * 3
    reach = widened(box, (margin(rules),) * 3, reference.shape)
    crops = [np.ascontiguousarray(data[reach]) for data in (reference, prediction)]
    whole = {}
    for region, labels in regions.items():
        masks = [mask_of(crop, labels) for crop in crops]
        tight = bounding_box(*masks)
        if tight is not None and all(mask.any() for mask in masks):
            first, second = (np.ascontiguousarray(mask[tight]) for mask in masks)
            pairs = {
                definition: surface_pair(first, second, spacing, definition) for definition in {rules.hd95, rules.nsd}
            }
            whole[region] = WholeSurfaces(tight, pairs)
    lesions = score_lesions(crops[0], crops[1], regions, rules, spacing, tolerances, whole)
    return PairShapes(lesions, whole, tuple(side.start for side in reach), rules, tolerances)

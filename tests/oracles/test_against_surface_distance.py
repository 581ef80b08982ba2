"""DeepMind's surface-distance package on the real pairs, all regions, to the last bit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from real_pairs import PAIRS, REGIONS, real_pair

from posttx.scoring.components import mask_of
from posttx.scoring.surfaces import hd95, nsd, surface_pair

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import surface_distance


@pytest.mark.parametrize(("model", "case"), PAIRS)
def test_real_pairs_have_deepminds_hd95_and_surface_dice(shared, model, case):
    pair = real_pair(shared, model, case)
    for region, labels in REGIONS.items():
        reference, prediction = (np.ascontiguousarray(mask_of(side, labels)) for side in pair)
        if not reference.any():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = surface_distance.compute_surface_distances(reference, prediction, (1.0, 1.0, 1.0))
        ours = surface_pair(reference, prediction, (1.0, 1.0, 1.0), "surfel")
        assert hd95(ours) == surface_distance.compute_robust_hausdorff(theirs, 95), region
        for tolerance in (0.5, 1.0):
            expected = surface_distance.compute_surface_dice_at_tolerance(theirs, tolerance)
            assert nsd(ours, tolerance) == expected, (region, tolerance)

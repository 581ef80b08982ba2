from __future__ import annotations

import numpy as np
import pytest
import slow_scorers as slow
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from posttx.scoring.surfaces import border, hd95, nsd, surface_pair

CUBIC = [(1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (3.0, 3.0, 3.0)]
OTHERS = [(1.0, 1.0, 2.5), (0.9, 1.1, 2.3), (0.7, 0.7, 0.7)]


@st.composite
def mask_pairs(draw, spacings):
    shape = tuple(draw(st.integers(1, 14)) for _ in range(3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    smooth, share = draw(st.sampled_from([0.0, 0.8, 1.6])), draw(st.sampled_from([0.03, 0.3, 0.7]))

    def mask():
        field = ndimage.gaussian_filter(rng.random(shape), smooth)
        inside = field <= np.quantile(field, share)
        return inside

    return mask(), mask(), draw(st.sampled_from(spacings))


def surfel_scores(reference, prediction, spacing):
    pair = surface_pair(reference, prediction, spacing, "surfel")
    return hd95(pair), nsd(pair, 0.5), nsd(pair, 1.0)


def border_scores(reference, prediction, spacing):
    pair = surface_pair(reference, prediction, spacing, "border")
    return hd95(pair), nsd(pair, 0.5), nsd(pair, 1.0)


def deepmind_scores(reference, prediction, spacing):
    distances = slow.surfel(reference, prediction, spacing)
    surface_dice = slow.surface_distance.compute_surface_dice_at_tolerance
    return (
        slow.surfel_hd95(reference, prediction, spacing),
        surface_dice(distances, 0.5),
        surface_dice(distances, 1.0),
    )


def panoptica_scores(reference, prediction, spacing):
    near = [slow.border_nsd(reference, prediction, spacing, tolerance) for tolerance in (0.5, 1.0)]
    return slow.border_hd95(reference, prediction, spacing), *near


@given(mask_pairs(CUBIC))
@settings(max_examples=60, deadline=None)
def test_surfel_scores_equal_deepminds_to_the_last_bit(case):
    assert surfel_scores(*case) == tuple(map(float, deepmind_scores(*case)))


@given(mask_pairs(CUBIC))
@settings(max_examples=60, deadline=None)
def test_border_scores_equal_those_of_distance_transforms(case):
    assert border_scores(*case) == pytest.approx(panoptica_scores(*case), abs=1e-14)


@given(mask_pairs(OTHERS))
@settings(max_examples=40, deadline=None)
def test_unequal_voxel_edges_are_honoured(case):
    assert surfel_scores(*case) == pytest.approx(deepmind_scores(*case), rel=1e-12)
    assert border_scores(*case) == pytest.approx(panoptica_scores(*case), rel=1e-12)


@given(mask_pairs(CUBIC + OTHERS), st.permutations([0, 1, 2]), st.integers(0, 7))
@settings(max_examples=40, deadline=None)
def test_scores_do_not_depend_on_axis_order_flips_place_or_direction(case, axes, flips):
    reference, prediction, spacing = case
    steps = tuple(slice(None, None, -1 if flips >> axis & 1 else 1) for axis in range(3))
    turned = [np.pad(mask.transpose(axes)[steps], ((2, 1), (0, 3), (1, 0))) for mask in (reference, prediction)]
    edges = tuple(spacing[axis] for axis in axes)
    for scores in (surfel_scores, border_scores):
        expected = scores(reference, prediction, spacing)
        assert scores(*turned, edges) == pytest.approx(expected, rel=1e-12)
        assert scores(prediction, reference, spacing) == pytest.approx(expected, rel=1e-12)


@given(mask_pairs(CUBIC))
@settings(max_examples=40, deadline=None)
def test_border_is_what_an_erosion_takes_away(case):
    mask = case[0]
    expected = mask & ~ndimage.binary_erosion(mask, ndimage.generate_binary_structure(3, 1))
    np.testing.assert_array_equal(border(mask), expected)


def test_single_voxels_are_as_far_apart_as_they_look():
    masks = np.zeros((2, 40, 5, 5), bool)
    masks[0, 2, 2, 2] = masks[1, 33, 2, 2] = True
    assert border_scores(*masks, (1.0, 1.0, 1.0)) == (31.0, 0.0, 0.0)
    # Surfels sit at the voxels' corners: half of them are one voxel farther away.
    assert surfel_scores(*masks, (2.0, 1.0, 1.0))[0] == 62.0


def test_identical_masks_have_distance_zero_and_full_overlap():
    mask = np.ones((3, 4, 5), bool)
    assert border_scores(mask, mask, (1.0, 1.0, 3.0)) == (0.0, 1.0, 1.0)
    assert surfel_scores(mask, mask, (1.0, 1.0, 3.0)) == (0.0, 1.0, 1.0)


def test_shifted_cube_has_the_distance_of_the_conformance_table():
    masks = np.zeros((2, 60, 60, 60), bool)
    masks[0, 20:30, 20:30, 20:30] = masks[1, 21:31, 20:30, 20:30] = True
    _, half, one = border_scores(*masks, (1.0, 1.0, 1.0))
    assert half == pytest.approx(0.664, abs=5e-4)
    assert one == 1.0


@pytest.mark.parametrize("scores", [(surfel_scores, deepmind_scores), (border_scores, panoptica_scores)])
def test_far_and_ragged_surfaces_are_exact_too(scores):
    rng = np.random.default_rng(3)
    masks = np.zeros((2, 50, 40, 40), bool)
    masks[0, 2:12, 2:12, 2:12] = rng.random((10, 10, 10)) < 0.5
    masks[1, 35:48, 20:38, 20:38] = rng.random((13, 18, 18)) < 0.2
    fast, oracle = scores
    assert fast(*masks, (1.0, 1.0, 1.0)) == pytest.approx(oracle(*masks, (1.0, 1.0, 1.0)), abs=1e-14)

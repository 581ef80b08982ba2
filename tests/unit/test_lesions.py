from __future__ import annotations

import math
from unittest import mock

import numpy as np
import pytest
import slow_scorers as slow
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, optimize

from posttx.scoring import matching
from posttx.scoring.components import delimited, dilate
from posttx.scoring.evaluation import Scoring, score_pair
from posttx.scoring.scoring_schemes import SCHEMES as RULES

REGIONS = {name: list(values) for name, values in slow.REGIONS.items()}
ORACLES = {"brats2023": slow.brats_2023, "brats2024": slow.brats_2024, "brats2026": slow.brats_2026}
MM = (1.0, 1.0, 1.0)
EMPTY = np.zeros((60, 60, 60), np.uint8)
CUBE, FAR, SPECK = np.s_[10:18, 10:18, 10:18], np.s_[40:48, 40:48, 40:48], np.s_[40:42, 40:42, 40:42]


def volume(*places, label=3):
    labels = EMPTY.copy()
    for place in places:
        labels[place] = label
    return labels


def columns(reference, prediction, scheme, region="ET", spacing=MM, **options):
    tables = score_pair(reference, prediction, spacing, Scoring(REGIONS, scheme, **options))
    return next(row for row in tables["metrics"] if row["region"] == region)


def same(value, expected):
    return (math.isnan(value) and math.isnan(expected)) or value == pytest.approx(expected, abs=5e-4)


# The conformance table: 60^3 volumes, class ET, lesion-wise Dice and HD95; for 2026 also tp, fp, fn.
CONFORMANCE = {
    "identical": (volume(CUBE), volume(CUBE), (1, 0), (1, 0), (1, 0, 1, 0, 0)),
    "false positive of 512": (volume(CUBE), volume(CUBE, FAR), (0.5, 187), (0.5, 168.5), (1, 0, 1, 1, 0)),
    "false positive of 8": (volume(CUBE), volume(CUBE, SPECK), (0.5, 187), (1, 0), (1, 0, 1, 1, 0)),
    "reference empty": (EMPTY, volume(CUBE), (0, 374), (0, 337), (0, math.inf, 0, 1, 0)),
    "prediction empty": (volume(CUBE), EMPTY, (0, 374), (0, 337), (0, math.inf, 0, 0, 1)),
    "one of two found": (volume(CUBE, FAR), volume(CUBE), (0.5, 187), (0.5, 168.5), (1, 0, 1, 0, 1)),
    "first of two blobs 4 voxels apart": (
        volume(CUBE, np.s_[10:18, 10:18, 22:30]),
        volume(CUBE),
        (2 / 3, 12),
        (2 / 3, 12),
        (1, 0, 1, 0, 1),
    ),
    "reference empty, 8 predicted": (EMPTY, volume(SPECK), (0, 374), (1, 0), (0, math.inf, 0, 1, 0)),
}


SCHEMES = ("brats2023", "brats2024", "brats2026")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", CONFORMANCE)
def test_conformance_table(name, scheme):
    reference, prediction, *expected = CONFORMANCE[name]
    row = columns(reference, prediction, scheme)
    dice, distance, *counts = expected[SCHEMES.index(scheme)]
    assert same(row["lesion_dice"], dice)
    assert same(row["lesion_hd95_mm"], distance)
    if counts:
        assert [row[f"lesions_{count}"] for count in ("tp", "fp", "fn")] == counts


@pytest.mark.parametrize(
    ("scheme", "dice", "distance"), [("brats2023", 1, 0), ("brats2024", 1, 0), ("brats2026", math.nan, math.nan)]
)
def test_conformance_of_classes_absent_in_both(scheme, dice, distance):
    for region in ("RC", "NETC", "SNFH"):
        row = columns(volume(CUBE), volume(CUBE), scheme, region)
        assert same(row["lesion_dice"], dice)
        assert same(row["lesion_hd95_mm"], distance)


def test_conformance_of_the_shifted_cube():
    shifted = volume(np.s_[20:30, 20:30, 20:30]), volume(np.s_[21:31, 20:30, 20:30])
    of_2024, of_2026 = columns(*shifted, "brats2024"), columns(*shifted, "brats2026")
    assert same(of_2024["lesion_nsd_0.5"], 0.664)
    assert same(of_2024["lesion_nsd_1.0"], 1.0)
    assert same(of_2026["nsd_0.5"], 0.664)
    assert same(of_2026["lesion_nsd_1.0"], 1.0)
    assert "lesion_nsd_1.0" not in columns(*shifted, "brats2023")


def random_labels(rng, shape):
    """Return blobs of four classes that touch one another, lie on the border and leave specks."""
    fields = ndimage.gaussian_filter(rng.standard_normal((5, *shape)), (0, *[rng.uniform(0.3, 2.0)] * 3))
    fields /= fields.std(axis=(1, 2, 3), keepdims=True)
    fields[0] += rng.uniform(0.3, 2.2)
    labels = fields.argmax(axis=0).astype(np.uint8)
    if rng.random() < 0.3:
        labels[labels == rng.integers(1, 5)] = 0
    return labels if rng.random() < 0.95 else np.zeros_like(labels)


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = tuple(draw(st.integers(5, 20)) for _ in range(3))
    reference = random_labels(rng, shape)
    if draw(st.booleans()):
        prediction = random_labels(rng, shape)
    else:
        prediction = np.where(rng.random(shape) < 0.1, 0, np.roll(reference, 1, rng.integers(3))).astype(np.uint8)
    return reference, prediction, draw(st.sampled_from([MM, (1.0, 1.0, 2.5), (3.0, 3.0, 3.0)]))


@pytest.mark.parametrize("scheme", ORACLES)
@given(case=cases())
@settings(max_examples=12, deadline=None)
def test_random_volumes_score_as_the_slow_rules_say(scheme, case):
    reference, prediction, spacing = case
    rows = score_pair(reference, prediction, spacing, Scoring(REGIONS, scheme))["metrics"]
    for row in rows:
        for name, expected in ORACLES[scheme](reference, prediction, row["region"], spacing).items():
            value = row.get(name, math.nan)
            assert value == pytest.approx(expected, abs=1e-12, nan_ok=True), (row["region"], name)


def corner_cases():
    """Return name -> pair of label arrays at the edges of what can be scored."""
    shape = (9, 11, 10)
    empty, full = np.zeros(shape, np.uint8), np.full(shape, 3, np.uint8)
    one, other = empty.copy(), empty.copy()
    one[4, 4, 4] = other[4, 5, 4] = 3
    corners, quarters = empty.copy(), np.ones(shape, np.uint8)
    for place in np.ndindex(2, 2, 2):
        corners[tuple(slice(-3, None) if last else slice(0, 3) for last in place)] = 1 + sum(place)
    quarters[:5, :5], quarters[:5, 5:], quarters[5:, :5] = 2, 3, 4
    return {
        "empty in both": (empty, empty),
        "empty reference": (empty, corners),
        "empty prediction": (corners, empty),
        "the same single voxel": (one, one),
        "single voxels side by side": (one, other),
        "single voxels far apart": (one, one[::-1, ::-1, ::-1]),
        "lesions on the border": (corners, np.roll(corners, 1, 0)),
        "all of the volume": (full, full),
        "all labels touching": (quarters, np.roll(quarters, 2, 1)),
    }


CORNER_CASES = corner_cases()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("spacing", [MM, (1.0, 1.0, 2.5)], ids=["cubic", "anisotropic"])
@pytest.mark.parametrize("name", CORNER_CASES)
def test_corner_cases_score_as_the_slow_rules_say(name, spacing, scheme):
    reference, prediction = CORNER_CASES[name]
    for row in score_pair(reference, prediction, spacing, Scoring(REGIONS, scheme))["metrics"]:
        for column, expected in ORACLES[scheme](reference, prediction, row["region"], spacing).items():
            value = row.get(column, math.nan)
            assert value == pytest.approx(expected, abs=1e-12, nan_ok=True), (row["region"], column)


def by_region(reference, prediction, spacing, scheme, regions=None):
    rows = score_pair(reference, prediction, spacing, Scoring(regions or REGIONS, scheme))["metrics"]
    return {row["region"]: row for row in rows}


def assert_rows_equal(mine, others, names):
    for region, row in mine.items():
        for name in names & set(row):
            assert others[region][name] == pytest.approx(row[name], rel=1e-12, nan_ok=True), (region, name)


WHOLE = {"tp", "n_ref", "n_pred", "dice", "iou", "hd95_mm", "nsd_0.5", "nsd_1.0"}
LESION_WISE = {"lesion_dice", "lesion_hd95_mm", "lesions_ref", "lesions_pred", "lesions_tp", "lesions_fp", "lesions_fn"}


@pytest.mark.parametrize("scheme", SCHEMES)
@given(case=cases())
@settings(max_examples=8, deadline=None)
def test_reference_and_prediction_can_change_places_in_what_is_symmetric(scheme, case):
    reference, prediction, spacing = case
    there = by_region(reference, prediction, spacing, scheme)
    back = by_region(prediction, reference, spacing, scheme)
    assert_rows_equal(there, back, {"tp", "tn", "dice", "iou", "hd95_mm", "nsd_0.5", "nsd_1.0"})
    for region, row in there.items():
        assert (row["fp"], row["precision"]) == pytest.approx((back[region]["fn"], back[region]["recall"]), nan_ok=True)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(case=cases(), order=st.permutations([1, 2, 3, 4]))
@settings(max_examples=8, deadline=None)
def test_integers_are_only_names(scheme, case, order):
    reference, prediction, spacing = case
    table = np.array([0, *order], np.uint8)
    regions = {name: [order[label - 1] for label in labels] for name, labels in REGIONS.items()}
    renamed = by_region(table[reference], table[prediction], spacing, scheme, regions)
    assert_rows_equal(by_region(reference, prediction, spacing, scheme), renamed, WHOLE | LESION_WISE)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(case=cases(), pads=st.tuples(*[st.integers(0, 4)] * 6))
@settings(max_examples=8, deadline=None)
def test_scores_do_not_depend_on_the_place_in_the_volume(scheme, case, pads):
    """The dilations end at the border of the volume, so each pair is given room for them first."""
    (reference, prediction), spacing = (np.pad(labels, 6) for labels in case[:2]), case[2]
    moved = [np.pad(labels, list(zip(pads[:3], pads[3:], strict=True))) for labels in (reference, prediction)]
    here = by_region(reference, prediction, spacing, scheme)
    assert_rows_equal(here, by_region(*moved, spacing, scheme), WHOLE | LESION_WISE)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(case=cases(), flips=st.integers(1, 7))
@settings(max_examples=8, deadline=None)
def test_mirrored_volumes_score_the_same(scheme, case, flips):
    """Lesion-wise under 2023 alone: in 2024 and 2026 the numbers of lesions decide ties, as in those scorers."""
    reference, prediction, spacing = case
    steps = tuple(slice(None, None, -1 if flips >> axis & 1 else 1) for axis in range(3))
    mirrored = by_region(reference[steps], prediction[steps], spacing, scheme)
    names = WHOLE | LESION_WISE if scheme == "brats2023" else WHOLE
    assert_rows_equal(by_region(reference, prediction, spacing, scheme), mirrored, names)


@given(case=cases())
@settings(max_examples=6, deadline=None)
def test_intended_dilation_of_snfh_scores_as_the_slow_rules_say(case):
    reference, prediction, spacing = case
    row = columns(reference, prediction, "brats2024", "SNFH", spacing, snfh_dilation="intended")
    for name, expected in slow.brats_2024(reference, prediction, "SNFH", spacing, snfh=5).items():
        assert row[name] == pytest.approx(expected, abs=1e-12), name


@pytest.mark.parametrize("scheme", ORACLES)
@given(case=cases())
@settings(max_examples=8, deadline=None)
def test_lesion_table_agrees_with_the_counts(scheme, case):
    tables = score_pair(*case, Scoring(REGIONS, scheme))
    for row in tables["metrics"]:
        lesions = [lesion for lesion in tables["lesions"] if lesion["region"] == row["region"]]
        of = {
            (source, state): sum(lesion["source"] == source and lesion["state"] == state for lesion in lesions)
            for source in ("reference", "prediction")
            for state in ("matched", "missed", "false_positive", "ignored")
        }
        assert of["reference", "matched"] == row["lesions_tp"]
        assert of["reference", "missed"] == row["lesions_fn"]
        assert of["prediction", "false_positive"] == row["lesions_fp"]
        assert of["prediction", "matched"] + of["prediction", "false_positive"] == row["lesions_pred"]
        for source, total in (("reference", row["n_ref"]), ("prediction", row["n_pred"])):
            assert sum(lesion["voxels"] for lesion in lesions if lesion["source"] == source) == total
        numbers = [(lesion["source"], lesion["lesion"]) for lesion in lesions]
        assert len(set(numbers)) == len(numbers)


def test_centroids_and_volumes_are_in_world_millimetres():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4:7, 5, 6:8] = 1
    affine = np.array([[-2.0, 0, 0, 100], [0, 2, 0, -10], [0, 0, 2, 5], [0, 0, 0, 1]])
    tables = score_pair(labels, labels, (2.0, 2.0, 2.0), Scoring(REGIONS, "brats2026"), affine)
    lesion = next(row for row in tables["lesions"] if row["region"] == "NETC" and row["source"] == "reference")
    centroid = [lesion[f"centroid_{axis}_mm"] for axis in "xyz"]
    assert centroid == pytest.approx([100 - 2 * 5, -10 + 2 * 5, 5 + 2 * 6.5])
    assert (lesion["voxels"], lesion["volume_mm3"], lesion["partners"], lesion["dice"]) == (6, 48.0, "1", 1.0)


def test_prediction_without_overlap_matches_nothing_one_to_one_but_is_near_in_2024():
    reference, prediction = volume(CUBE), volume(np.s_[10:18, 10:18, 19:27])
    one_to_one, near = columns(reference, prediction, "brats2026"), columns(reference, prediction, "brats2024")
    assert (one_to_one["lesions_tp"], one_to_one["lesions_fp"], one_to_one["lesions_fn"]) == (0, 1, 1)
    assert (near["lesions_tp"], near["lesions_fp"], near["lesions_fn"], near["lesion_dice"]) == (1, 0, 0, 0.0)


def test_two_cores_on_one_ring_are_one_lesion_in_2024():
    labels = volume(np.s_[10:30, 10:30, 10:14])
    labels[11:16, 11:16, 11:13] = labels[23:28, 23:28, 11:13] = 1
    tables = score_pair(labels, labels, MM, Scoring(REGIONS, "brats2024"))
    joined = next(row for row in tables["metrics"] if row["region"] == "NETC")
    assert (joined["lesions_ref"], joined["lesions_pred"], joined["lesion_dice"]) == (1, 1, 1.0)
    assert columns(labels, labels, "brats2023", "NETC")["lesions_ref"] == 0
    assert columns(labels, labels, "brats2026", "NETC")["lesions_ref"] == 2


@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.tuples(*[st.integers(1, 9)] * 2, st.integers(1, 140)))
@settings(max_examples=30, deadline=None)
def test_dilation_equals_scipys(seed, iterations, shape):
    mask = np.random.default_rng(seed).random(shape) < 0.02
    expected = ndimage.binary_dilation(mask, slow.STRUCTURE, iterations=iterations) if iterations else mask
    np.testing.assert_array_equal(dilate(mask, iterations), expected)


def test_voxel_scheme_scores_no_lesions_and_no_surfaces():
    tables = score_pair(volume(CUBE), volume(CUBE, FAR), MM, Scoring(REGIONS, "voxel"))
    row = next(row for row in tables["metrics"] if row["region"] == "ET")
    assert row["dice"] == pytest.approx(2 / 3)
    assert tables["lesions"] == []
    assert not {"hd95_mm", "lesion_dice"} & set(row)


def full_matrix(reference, prediction):
    """Return the best matching by a matrix of all lesions, and the Dice of every pair (reference, prediction)."""
    code = reference.labels.astype(np.int64) * prediction.sizes.size + prediction.labels
    shape = reference.sizes.size, prediction.sizes.size
    shared = np.bincount(code.ravel(), minlength=math.prod(shape)).reshape(shape)[1:, 1:]
    dice = 2.0 * shared / (reference.sizes[1:, None] + prediction.sizes[None, 1:])
    cost = np.where(dice >= 1e-6, 1.0 - dice, 1.0 + 1e-6)
    chosen = zip(*map(np.ndarray.tolist, optimize.linear_sum_assignment(cost)), strict=True)
    return {i + 1: j + 1 for i, j in chosen if cost[i, j] < 1.0}, dice


@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(5, 20)] * 3), st.sampled_from([0, 30, 2**22]))
@settings(max_examples=60, deadline=None)
def test_lesions_are_matched_as_by_a_matrix_of_all_of_them(seed, shape, largest):
    """With ``largest`` cells to a matrix: by a list of overlaps, by matrices of small groups, by one matrix."""
    rng = np.random.default_rng(seed)
    maps = [(random_labels(rng, shape) > 0) & (rng.random(shape) < 0.5) for _ in range(2)]
    lesions = [delimited(mask.astype(np.uint8), {"A": [1]}, RULES["brats2026"], False)["A"] for mask in maps]
    expected, dice = full_matrix(*lesions)
    shared = matching.overlaps(lesions[0].labels, lesions[1])
    with mock.patch.object(matching, "LARGEST_MATRIX", largest):
        matched = matching.one_to_one(*lesions, shared)
    if largest > dice.size:
        assert matched == expected
    assert len(set(matched.values())) == len(matched) == len(expected)
    sums = [sum(dice[i - 1, j - 1] for i, j in pairs.items()) for pairs in (matched, expected)]
    assert sums[0] == pytest.approx(sums[1], abs=1e-9)
    assert all(dice[i - 1, j - 1] >= 1e-6 for i, j in matched.items())


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 2**20]))
@settings(max_examples=30, deadline=None)
def test_shared_voxels_are_counted_alike_by_table_and_by_sorting(seed, largest):
    rng = np.random.default_rng(seed)
    numbers, labels = rng.integers(0, 5, (2, 6, 7, 8))
    prediction = mock.Mock(hull=(slice(0, 6), slice(1, 7), slice(0, 8)), labels=labels, sizes=np.zeros(5))
    with mock.patch.object(matching, "LARGEST_TABLE", largest):
        found = matching.overlaps(numbers, prediction)
    inside = np.s_[:, 1:, :]
    for row in range(1, 5):
        voxels = [int(((numbers == row) & (labels == column))[inside].sum()) for column in range(5)]
        assert found.partners(row) == tuple(column for column in range(1, 5) if voxels[column])
        assert found.shared(row, (2, 4)) == voxels[2] + voxels[4]

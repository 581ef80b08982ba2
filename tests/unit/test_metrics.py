from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttx.scoring.metrics import joint_histogram, overlap, region_counts

REGIONS = {"NETC": [1], "SNFH": [2], "ET": [3], "RC": [4], "TC": [1, 3], "WT": [1, 2, 3]}


@st.composite
def label_pairs(draw):
    shape = tuple(draw(st.integers(1, 7)) for _ in range(3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.0, 0.1, 0.6, 1.0]))
    order = draw(st.sampled_from("CF"))

    def volume():
        labels = rng.integers(1, 5, shape) * (rng.random(shape) < share)
        return np.asarray(labels, np.uint8, order=order)

    return volume(), volume()


def slow_counts(reference, prediction, labels):
    inside, found = np.isin(reference, labels), np.isin(prediction, labels)
    tp = int((inside & found).sum())
    return {
        "tp": tp,
        "fp": int(found.sum()) - tp,
        "fn": int(inside.sum()) - tp,
        "tn": int((~inside & ~found).sum()),
        "n_ref": int(inside.sum()),
        "n_pred": int(found.sum()),
    }


@given(label_pairs())
@settings(max_examples=80, deadline=None)
def test_counts_of_every_region_equal_those_counted_voxel_by_voxel(pair):
    histogram = joint_histogram(*pair, 5)
    assert histogram.sum() == pair[0].size
    for region, counts in region_counts(histogram, REGIONS).items():
        assert counts == slow_counts(*pair, REGIONS[region])


@given(label_pairs(), st.permutations([1, 2, 3, 4]), st.integers(0, 7))
@settings(max_examples=40, deadline=None)
def test_histogram_follows_swaps_permutations_and_flips(pair, order, flips):
    histogram = joint_histogram(*pair, 5)
    np.testing.assert_array_equal(joint_histogram(pair[1], pair[0], 5), histogram.T)
    table = np.array([0, *order], np.uint8)
    renamed = joint_histogram(table[pair[0]], table[pair[1]], 5)
    np.testing.assert_array_equal(renamed[np.ix_(table, table)], histogram)
    steps = tuple(slice(None, None, -1 if flips >> axis & 1 else 1) for axis in range(3))
    np.testing.assert_array_equal(joint_histogram(pair[0][steps], pair[1][steps], 5), histogram)


@pytest.mark.parametrize("classes", [2, 16, 17, 256])
def test_pairs_are_counted_in_volumes_of_many_blocks(classes):
    rng = np.random.default_rng(classes)
    shape = (101, 103, 97)
    pair = [(rng.integers(0, classes, shape) * (rng.random(shape) < 0.1)).astype(np.uint8) for _ in range(2)]
    expected = np.zeros((classes, classes), int)
    np.add.at(expected, tuple(pair), 1)
    np.testing.assert_array_equal(joint_histogram(*pair, classes), expected)


def test_more_classes_than_fit_a_byte_code_are_counted():
    labels = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    np.testing.assert_array_equal(joint_histogram(labels, labels, 27), np.eye(27, dtype=int))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((2, 1, 1), {"dice": 4 / 6, "iou": 0.5, "precision": 2 / 3, "recall": 2 / 3}),
        ((0, 0, 0), {"dice": None, "iou": None, "precision": None, "recall": None}),
        ((0, 7, 0), {"dice": 0.0, "iou": 0.0, "precision": 0.0, "recall": None}),
        ((0, 0, 7), {"dice": 0.0, "iou": 0.0, "precision": None, "recall": 0.0}),
    ],
    ids=["overlap", "absent in both", "hallucinated", "missed"],
)
def test_overlap_is_nan_exactly_where_it_is_undefined(counts, expected):
    for name, value in overlap(*counts).items():
        assert math.isnan(value) if expected[name] is None else value == expected[name]

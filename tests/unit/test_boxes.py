"""Boxes of voxels, in any order of axes in memory."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttx.geometry.boxes import bounding_box, hull_of, widened


def slow_box(*arrays):
    where = np.argwhere(np.logical_or.reduce([array != 0 for array in arrays]))
    if not len(where):
        return None
    return tuple(slice(low, high + 1) for low, high in zip(where.min(axis=0), where.max(axis=0), strict=True))


@given(st.tuples(*[st.integers(1, 7)] * 3), st.integers(0, 2**32 - 1), st.sampled_from([bool, np.uint8]))
def test_the_box_is_the_smallest_that_holds_all_that_is_set(shape, seed, dtype):
    draw = np.random.default_rng(seed)
    arrays = [(draw.random(shape) < 0.03).astype(dtype) for _ in range(2)]
    if dtype is np.uint8:
        arrays = [array * np.uint8(200) for array in arrays]
    assert bounding_box(*arrays) == slow_box(*arrays)
    for axes, order in itertools.product(itertools.permutations(range(3)), "CF"):
        turned = [np.asarray(array, order=order).transpose(axes) for array in arrays]
        assert bounding_box(*turned) == slow_box(*turned)
        assert bounding_box(turned[0][::-1, :, ::-1]) == slow_box(turned[0][::-1, :, ::-1])
        assert bounding_box(turned[0][::2, 1:]) == slow_box(turned[0][::2, 1:])


def test_masks_of_two_axes_have_boxes_too_and_empty_ones_none():
    mask = np.zeros((5, 6), bool)
    mask[1, 2] = mask[3, 4] = True
    assert bounding_box(mask) == (slice(1, 4), slice(2, 5))
    assert bounding_box(np.zeros((5, 6), bool)) is None
    assert bounding_box(np.zeros((0, 6, 2), np.uint8)) is None


def test_boxes_grow_within_the_shape_and_join():
    box = (slice(1, 4), slice(2, 5))
    assert widened(box, (2, 1), (5, 9)) == (slice(0, 5), slice(1, 6))
    assert hull_of([box, (slice(0, 2), slice(4, 8))]) == (slice(0, 4), slice(2, 8))
    assert hull_of([]) == ()


@pytest.mark.parametrize("margin", [0, 3])
def test_a_box_of_everything_stays_everything(margin):
    assert widened((slice(0, 4),), (margin,), (4,)) == (slice(0, 4),)

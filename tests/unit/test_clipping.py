"""Percentiles as numpy's, clipping that leaves the background alone, and the difference channel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from posttx import clipping
from posttx.clipping import clip_into, clipped, difference_channel, percentile_limits, z_scored

PERCENTS = st.sampled_from([(1, 99), (0, 100), (0.5, 99.9), (50, 50), (25, 75), (0, 50)])


def standard(data, low, high):
    """Return the clipped image, its limits and the voxels lost."""
    image = np.zeros(data.shape, np.float32, order="F")
    return image, *clip_into(image, data, low, high)


def oracle(data, low, high):
    return tuple(np.percentile(data[data != 0].astype(np.float64), [low, high]))


@given(
    data=hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int16]),
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
        elements={"min_value": -100, "max_value": 100},
    ),
    percents=PERCENTS,
)
@settings(max_examples=150, deadline=None)
def test_percentiles_of_small_volumes_are_numpys(data, percents):
    image, limits, lost = standard(data, *percents)
    assert lost == 0
    if not (data != 0).any():
        assert np.isnan(limits).all()
        assert not image.any()
    else:
        assert limits == oracle(data, *percents)
        expected = np.where(data != 0, np.clip(data.astype(np.float64), *limits), 0)
        np.testing.assert_array_equal(image, expected.astype(np.float32))


@given(
    seed=st.integers(0, 99),
    percents=PERCENTS,
    kind=st.sampled_from(["normal", "ties", "heavy", "sorted", "integers", "few levels", "one value"]),
)
@settings(max_examples=60, deadline=None)
def test_percentiles_of_large_volumes_are_numpys(seed, percents, kind):
    draw = np.random.default_rng(seed)
    values = {
        "normal": lambda: draw.normal(500, 200, 6000).astype(np.float32),
        "ties": lambda: np.where(draw.random(6000) < 0.9, 7.0, draw.normal(size=6000)),
        "heavy": lambda: draw.standard_cauchy(6000),
        "sorted": lambda: np.arange(1, 6001, dtype=np.float32),
        "integers": lambda: draw.integers(-300, 3000, 6000).astype(np.int16),
        "few levels": lambda: draw.integers(0, 4, 6000).astype(np.uint8),
        "one value": lambda: np.full(6000, -3.5),
    }[kind]().reshape(10, 20, 30, order="F")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clipping, "SMALL", 100)
        patch.setattr(clipping, "SAMPLE", 500)
        assert percentile_limits(values[values != 0], *percents) == oracle(values, *percents)


def test_a_misleading_sample_costs_time_not_exactness(monkeypatch):
    """Every sampled value is high: the threshold from the sample says nothing about the lower tail."""
    monkeypatch.setattr(clipping, "SMALL", 100)
    monkeypatch.setattr(clipping, "SAMPLE", 500)
    values = np.ones(5000)
    values[::10] = 1000 + np.arange(500)
    assert percentile_limits(values, 1, 99) == oracle(values, 1, 99)
    values = -values
    assert percentile_limits(values, 1, 99) == oracle(values, 1, 99)


def test_background_stays_zero_whatever_the_limits():
    data = np.array([0, -0.0, -5, 1, 50, 200], np.float32).reshape(1, 2, 3)
    np.testing.assert_array_equal(clipped(data.copy(), 10, 100).ravel(), [0, 0, 10, 10, 50, 100])
    np.testing.assert_array_equal(clipped(data.copy(), -3, 100).ravel(), [0, 0, -3, 1, 50, 100])
    np.testing.assert_array_equal(clipped(data.copy(), -9, -1).ravel(), [0, 0, -5, -1, -1, -1])
    image, limits, _ = standard(np.array([0, -0.0, 3, 4, 5, 6]).reshape(1, 2, 3), 10, 90)
    assert limits == pytest.approx((3.3, 5.7))
    np.testing.assert_allclose(image.ravel(), [0, 0, 3.3, 4, 5, 5.7])


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_voxels_within_the_limits_keep_their_value_and_place(dtype, order):
    data = np.arange(24).reshape(2, 3, 4).astype(dtype, order=order)
    before = data.copy()
    image, limits, _ = standard(data, 0, 100)
    assert limits == (1, 23)
    np.testing.assert_array_equal(image, data)
    np.testing.assert_array_equal(data, before)


def test_a_turned_view_is_filled_in_its_own_order():
    data = np.arange(24.0).reshape(2, 3, 4)
    image = np.zeros((4, 2, 3), np.float32, order="F")
    clip_into(image.transpose(1, 2, 0)[::-1, :, ::-1], data, 0, 100)
    np.testing.assert_array_equal(image, data[::-1, :, ::-1].transpose(2, 0, 1))


def test_nan_and_infinity_become_background_and_are_counted():
    data = np.array([1, np.nan, np.inf, -np.inf, 5, 0], np.float32).reshape(1, 2, 3)
    image, limits, lost = standard(data, 0, 100)
    assert lost == 3
    assert limits == (1, 5)
    np.testing.assert_array_equal(image.ravel(), [1, 0, 0, 0, 5, 0])
    image, limits, lost = standard(np.full((2, 2, 2), np.nan), 1, 99)
    assert lost == 8
    assert np.isnan(limits).all()
    assert not image.any()


def test_z_score_is_over_what_is_not_zero():
    data = np.array([0, 1, 3, 0, 5, 7], np.float32).reshape(1, 2, 3)
    result = z_scored(data)
    assert result[data != 0].mean() == pytest.approx(0, abs=1e-6)
    assert result[data != 0].std() == pytest.approx(1, abs=1e-6)
    assert not result[data == 0].any()
    assert not z_scored(np.full((2, 2, 2), 4.0)).any()
    assert not z_scored(np.zeros((2, 2, 2))).any()


def test_the_difference_channel_does_not_measure_the_scanners_gain():
    draw = np.random.default_rng(0)
    brain = draw.normal(100, 10, (10, 10, 10)).astype(np.float32)
    enhanced = brain.copy()
    enhanced[2:4, 2:4, 2:4] += 80
    result = difference_channel(enhanced * 37, brain)
    assert result[2:4, 2:4, 2:4].min() > 2
    assert np.abs(result[5:]).max() < 2
    np.testing.assert_allclose(difference_channel(brain * 37, brain), 0, atol=1e-5)


def test_the_difference_channel_is_zero_where_one_image_is():
    one, other = np.arange(8.0).reshape(2, 2, 2), np.arange(8.0)[::-1].reshape(2, 2, 2)
    result = difference_channel(one, other)
    assert result[0, 0, 0] == 0
    assert result[1, 1, 1] == 0
    assert result.dtype == np.float32

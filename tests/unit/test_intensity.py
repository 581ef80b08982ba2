import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from posttx.auditing.heads import Head
from posttx.auditing.intensity import intensity_findings, intensity_row, summarise


def stats_of(data, dtype="float32"):
    return summarise(np.asfortranarray(data), dtype)[0]


def codes_of(data):
    return [finding.code for finding in intensity_findings(stats_of(data), "c", "x", "t1n")]


def ramp(count=1000, size=(20, 20, 20), dtype=np.float32):
    data = np.zeros(size, dtype, order="F")
    data.ravel(order="K")[:count] = np.arange(1, count + 1)
    return data


def test_an_image_of_zeros_has_no_values():
    row = intensity_row(stats_of(np.zeros((3, 3, 3))), "c", "x", "t1n")
    assert np.isnan([row[name] for name in ("min", "p01", "p50", "p99", "max", "mean", "std")]).all()
    assert (row["nonzero_fraction"], row["negative_fraction"], row["nan_count"]) == (0.0, 0.0, 0)


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int16]),
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=9),
        elements=st.integers(-300, 3000),
    )
)
def test_the_row_is_what_numpy_says_of_the_nonzero_voxels(data):
    row = intensity_row(stats_of(data), "c", "x", "t1n")
    values = data[data != 0].astype(float)
    assert row["nonzero_fraction"] == pytest.approx(values.size / data.size)
    if not values.size:
        return
    for name, percent in (("min", 0), ("p01", 1), ("p50", 50), ("p99", 99), ("max", 100)):
        assert row[name] == pytest.approx(np.percentile(values, percent), rel=1e-12)
    assert row["mean"] == pytest.approx(values.mean(), rel=1e-9)
    assert row["std"] == pytest.approx(values.std(), rel=1e-5, abs=1e-3)
    assert row["negative_fraction"] == pytest.approx((values < 0).mean())


def test_standard_deviation_survives_a_large_offset():
    data = np.random.default_rng(0).normal(10_000, 3, (30, 30, 30)).astype(np.float32)
    assert intensity_row(stats_of(data), "c", "x", "t1n")["std"] == pytest.approx(data.std(dtype=float), rel=1e-4)


def test_what_is_no_number_is_counted_and_left_out():
    data = ramp()
    data[0, 0, 0], data[1, 0, 0], data[2, 0, 0] = np.nan, np.inf, -np.inf
    stats, inside, mask = summarise(data, "float32")
    assert (stats.nan_count, stats.inf_count, stats.count, inside.size, mask.sum()) == (1, 2, 997, 997, 997)
    assert stats.percentiles[0] == 4
    assert "INT001" in codes_of(data)


def test_a_huge_float64_is_an_infinite_voxel_not_a_crash():
    data = ramp().astype(np.float64)
    data[0, 0, 0] = 1e300
    assert "INT001" in codes_of(data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (np.zeros((9, 9, 9), np.float32), "INT002"),
        (np.full((9, 9, 9), 5, np.int16), "INT002"),
        (ramp(20), "INT006"),
        (ramp() - np.float32(5) * (ramp() > 0), "INT003"),
        (ramp() - np.float32(500) * (ramp() > 0), "INT004"),
        (np.minimum(ramp(), 900), "INT005"),
        (np.ceil(ramp() / 50), "INT011"),
    ],
)
def test_codes_of_bad_values(data, code):
    assert code in codes_of(data)


def test_a_clean_image_has_no_finding():
    assert codes_of(ramp()) == []


def test_content_is_the_same_under_another_type_and_padding():
    data = ramp()
    padded = np.pad(data, ((0, 0), (0, 0), (2, 3)))
    contents = {stats_of(copy).content for copy in (data, data.astype(np.float64), data.astype(np.int16), padded)}
    assert len(contents) == 1
    data[5, 0, 0] += 1
    assert stats_of(data).content not in contents


@given(hnp.arrays(bool, st.integers(1, 400)))
def test_a_head_knows_membership_and_rank(mask):
    head, places = Head(mask), np.arange(mask.size)
    assert len(head) == mask.sum()
    assert (head.has(places) == mask).all()
    assert (head.rank(places) == np.cumsum(mask) - mask).all()
    assert not head.has(np.array([-1])).any()
    assert head.dice(head) == 1.0


def test_dice_of_heads():
    a, b = np.zeros(100, bool), np.zeros(100, bool)
    a[:30], b[20:40] = True, True
    assert Head(a).dice(Head(b)) == pytest.approx(2 * 10 / 50)

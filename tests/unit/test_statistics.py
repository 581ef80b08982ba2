import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from posttx.analysis.coefficients import pearson, products, rank_products, spearman
from posttx.analysis.statistics import (
    CORRELATION,
    FEWEST_FOR_P,
    POSITIVE,
    SHARE,
    Patients,
    average,
    holm,
    interval,
    intraclass,
    means,
    ratios,
)

ONES = np.ones((1, 3))


def patients(count, scans=1):
    return Patients.of([f"p{n:03d}" for n in np.repeat(np.arange(count), scans)])


def test_patients_are_left_out_with_all_their_scans():
    people = Patients.of(["b", "a", "a", "c"])
    assert list(people.index) == [1, 0, 0, 2]
    assert people.without.tolist() == [[1, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0]]


def test_no_case_gives_no_estimate():
    estimate = Patients.of([]).estimate(means(np.zeros((0, 2))), np.zeros((0, 2), dtype=bool))
    assert np.isnan(estimate.value).all()
    assert np.isnan(estimate.low).all()
    assert list(estimate.n) == [0, 0]


def test_the_numbers_of_the_design():
    values = np.array([[0.2], [0.4], [0.6], [0.8]])
    estimate = patients(4).estimate(means(values), ~np.isnan(values), SHARE)
    assert (estimate.low[0], estimate.high[0]) == pytest.approx((0.1592, 0.8408), abs=5e-5)
    for count, p in ((5, np.nan), (6, 0.03125), (10, 0.001953)):
        order = np.arange(count, dtype=float)[:, None]
        used = np.ones((count, 1), dtype=bool)
        for contributions in (products, rank_products):
            found = patients(count).flip_p(contributions(order, order, used))[0]
            assert found == pytest.approx(p, abs=5e-7, nan_ok=True)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_than_four_patients_have_a_value_and_no_interval(count):
    values = np.linspace(0.2, 0.8, 3 * count)[:, None]
    estimate = patients(count, scans=3).estimate(means(values), ~np.isnan(values), SHARE)
    assert estimate.value[0] == pytest.approx(0.5)
    assert np.isnan([estimate.low[0], estimate.high[0], estimate.error[0]]).all()
    assert (estimate.n[0], estimate.n_patients[0]) == (3 * count, count)


def test_patients_without_the_class_do_not_count():
    values = np.array([[0.2, 0.1], [0.3, 0.2], [0.4, 0.5], [np.nan, 0.4]])
    estimate = patients(4).estimate(means(values), ~np.isnan(values), SHARE)
    assert list(estimate.n_patients) == [3, 4]
    assert np.isnan(estimate.low[0])
    assert 0 < estimate.low[1] < estimate.value[1] < estimate.high[1] < 1


def test_the_interval_of_a_mean_of_single_scans_is_students():
    values = np.random.default_rng(0).normal(size=(20, 1))
    estimate = patients(20).estimate(means(values), np.ones((20, 1), dtype=bool))
    low, high = stats.t.interval(0.95, 19, values.mean(), stats.sem(values[:, 0]))
    assert (estimate.low[0], estimate.high[0]) == pytest.approx((low, high))
    assert estimate.error[0] == pytest.approx(stats.sem(values[:, 0]))


def test_intervals_of_repeated_scans_are_those_of_patients():
    values = np.random.default_rng(3).normal(size=(40, 1))
    once = patients(40).estimate(means(values), np.ones((40, 1), dtype=bool))
    many = patients(40, scans=5).estimate(means(np.repeat(values, 5, axis=0)), np.ones((200, 1), dtype=bool))
    assert (many.low[0], many.high[0]) == pytest.approx((once.low[0], once.high[0]))


def test_shares_at_the_end_of_their_range_have_wilsons_interval():
    values = np.ones((10, 1))
    estimate = patients(10).estimate(means(values), values > 0, SHARE)
    reach = stats.t.ppf(0.975, 9) ** 2
    assert (estimate.low[0], estimate.high[0]) == pytest.approx((10 / (10 + reach), 1.0))
    values[0] = 0
    one_of_ten = patients(10).estimate(means(values), np.ones((10, 1), dtype=bool), SHARE)
    assert 0.4 < one_of_ten.low[0] < 0.7
    assert 0.97 < one_of_ten.high[0] < 1


def test_a_perfect_correlation_of_few_patients_is_not_certain():
    order = np.arange(6, dtype=float)[:, None]
    used = np.ones((6, 1), dtype=bool)
    estimate = patients(6).estimate(spearman(order, order, used), used, CORRELATION)
    assert (estimate.value[0], estimate.high[0]) == (1, 1)
    assert estimate.low[0] < 0
    assert patients(30).estimate(means(np.zeros((30, 1))), np.ones((30, 1), bool), POSITIVE).low[0] == 0


def test_what_is_undefined_without_a_patient_has_no_interval():
    assert np.isnan(interval(0.5, np.array([0.4, np.nan, 0.5, 0.6]))).all()
    # without the one patient whose x differs there is no correlation
    x = np.array([[0.0], [0], [0], [0], [1]])
    y = np.arange(5, dtype=float)[:, None]
    used = np.ones((5, 1), dtype=bool)
    estimate = patients(5).estimate(pearson(x, y, used), used, CORRELATION)
    assert np.isfinite(estimate.value[0])
    assert np.isnan(estimate.low[0])


def test_mean_ratio_and_average_leave_out_what_is_undefined():
    values = np.array([[1.0, np.nan, np.nan], [0.0, 0.5, np.nan], [np.nan, 1.0, np.nan]])
    assert means(values)(ONES)[0] == pytest.approx([0.5, 0.75, np.nan], nan_ok=True)
    assert average(means(values))(ONES)[0, 0] == pytest.approx(0.625)
    top = np.array([[1.0], [3.0], [np.nan]])
    assert ratios(top, np.array([[2.0], [2.0], [5.0]]))(ONES)[0, 0] == pytest.approx(1.0)
    assert np.isnan(ratios(top * 0, top * 0)(ONES)[0, 0])


whole = st.integers(-5, 5).map(float)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(whole, whole, st.integers(0, 3)), min_size=3, max_size=12))
def test_weighted_correlations_are_those_of_the_cases_written_out(rows):
    x, y, weights = (np.array(part, dtype=float) for part in zip(*rows, strict=True))
    drawn = np.repeat(np.arange(len(x)), weights.astype(int))
    used = np.ones((len(x), 1), dtype=bool)
    for mine, oracle in ((pearson, stats.pearsonr), (spearman, stats.spearmanr)):
        value = mine(x[:, None], y[:, None], used)(weights[None])[0, 0]
        few = (weights > 0).sum() < 3
        if few or len(set(x[drawn])) < 2 or len(set(y[drawn])) < 2:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(oracle(x[drawn], y[drawn])[0], abs=1e-9)


def test_correlations_take_each_pair_over_its_own_cases():
    draw = np.random.default_rng(1)
    x, y, used = draw.normal(size=(50, 4)) * 1e6, draw.normal(size=(50, 4)), draw.random((50, 4)) < 0.7
    weights = np.ones((1, 50))
    for k in range(4):
        rows = used[:, k]
        r, rho = stats.pearsonr(x[rows, k], y[rows, k]), stats.spearmanr(x[rows, k], y[rows, k])
        assert pearson(x, y, used)(weights)[0, k] == pytest.approx(r[0])
        assert spearman(x, y, used)(weights)[0, k] == pytest.approx(rho[0])


def test_correlations_ignore_nan_where_not_used_and_constants_have_none():
    x = np.array([[1.0, 2], [2, 2], [3, 2], [np.nan, np.nan]])
    used = ~np.isnan(x)
    y = np.array([[1.0, 1], [2, 2], [3, 4], [7, 7]])
    for statistic in (pearson(x, y, used), spearman(x, y, used)):
        assert statistic(np.ones((1, 4)))[0] == pytest.approx([1.0, np.nan], nan_ok=True)


def test_constants_with_rounding_noise_have_no_correlation():
    x = np.array([[0.1 + 0.2], [0.3], [0.3], [0.1 + 0.2]])
    y = np.array([[1.0], [2], [3], [4]])
    assert np.isnan(pearson(x, y, np.ones((4, 1), dtype=bool))(np.ones((1, 4)))[0, 0])


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.01, np.nan, 0.9])) == pytest.approx([0.02, np.nan, 0.9], nan_ok=True)
    assert holm(np.array([0.9, 0.8])) == pytest.approx([1.0, 1.0])
    assert holm(np.array([])).size == 0
    assert np.isnan(holm(np.array([np.nan]))).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_never_smaller_keeps_the_order_and_stays_a_probability(p):
    values = np.array(p)
    adjusted = holm(values)
    assert (adjusted >= values - 1e-12).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(values, kind="stable")]) >= -1e-12).all()


def test_sign_flip_is_exact_for_few_patients():
    # All patterns: only ++++++ and ------ reach the observed sum.
    values = np.arange(1.0, 7)[:, None]
    assert patients(6).flip_p(values)[0] == pytest.approx(2 / 64)
    # Scans of one patient flip together: six patients, not twelve.
    assert patients(6, scans=2).flip_p(np.repeat(values, 2, axis=0))[0] == pytest.approx(2 / 64)
    # A class that six of a hundred patients have is as exact.
    among = np.full((100, 1), np.nan)
    among[:6] = values
    assert patients(100).flip_p(among)[0] == pytest.approx(2 / 64)


def test_sign_flip_of_many_patients_agrees_with_scipy():
    differences = np.random.default_rng(2).normal(0.2, 1, size=(60, 1))
    mine = patients(60).flip_p(differences)
    oracle = stats.permutation_test(
        (differences[:, 0],), np.mean, permutation_type="samples", n_resamples=20_000, rng=1
    ).pvalue
    assert mine[0] == pytest.approx(oracle, abs=0.02)


def test_sign_flip_without_differences_or_patients():
    assert patients(8).flip_p(np.zeros((8, 1)))[0] == 1
    assert patients(60).flip_p(np.zeros((60, 1)))[0] == 1
    assert np.isnan(patients(FEWEST_FOR_P - 1).flip_p(np.ones((FEWEST_FOR_P - 1, 1)))[0])
    assert np.isnan(patients(1, scans=20).flip_p(np.ones((20, 1)))[0])
    assert np.isnan(patients(8).flip_p(np.full((8, 1), np.nan))[0])
    assert np.isnan(Patients.of([]).flip_p(np.zeros((0, 2)))).all()


def test_the_smallest_p_leaves_room_for_holm():
    # Nobody of 200 patterns of 20,000 would do for sixteen pairs.
    assert patients(40).flip_p(np.ones((40, 1)))[0] == pytest.approx(1 / 20_000)


def test_intraclass_correlation_by_hand():
    # Two patients of two scans: between mean squares 2, within 0.5; (2 - 0.5) / (2 + 0.5).
    values = np.array([[1.0], [2.0], [2.0 + 2**0.5], [3.0 + 2**0.5]])
    people = patients(2, scans=2)
    between = 2 * np.var([1.5, 2.5 + 2**0.5], ddof=1)
    correlation, effective = intraclass(values, people)
    assert correlation[0] == pytest.approx((between - 0.5) / (between + 0.5))
    assert effective[0] == pytest.approx(4 / (1 + correlation[0]))
    same = np.repeat(np.arange(5.0), 3)[:, None]
    correlation, effective = intraclass(same, patients(5, scans=3))
    assert (correlation[0], effective[0]) == pytest.approx((1, 5))
    assert np.isnan(intraclass(np.arange(5.0)[:, None], patients(5))[0][0])


def test_ranking_the_cohort_without_each_patient_is_fast():
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(271, 16)), draw.normal(size=(271, 16))
    used = np.ones((271, 16), dtype=bool)
    people = Patients.of([f"p{n % 118:03d}" for n in range(271)])
    start = time.process_time()
    spearman(x, y, used)(people.without)
    assert time.process_time() - start < 0.5

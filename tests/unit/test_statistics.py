import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from posttx.analysis.statistics import (
    Bootstrap,
    average,
    bootstrap,
    correlation_p,
    fisher_z,
    holm,
    means,
    pearson,
    ratios,
    sign_flip_p,
    spearman,
    spread_p,
)

ONES = np.ones((1, 3))


def test_weights_count_patients_and_carry_all_their_scans():
    draw = bootstrap(["b", "a", "a", "c"], resamples=200, seed=1)
    assert draw.weights.shape == (200, 4)
    assert (draw.weights[:, 1] == draw.weights[:, 2]).all()
    assert (draw.weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert list(draw.patients) == [1, 0, 0, 2]


def test_the_draw_depends_on_the_seed_and_not_on_the_order():
    first = bootstrap(["a", "b", "c"], 50, seed=4)
    assert (first.weights == bootstrap(["a", "b", "c"], 50, seed=4).weights).all()
    assert (first.weights[:, ::-1] == bootstrap(["c", "b", "a"], 50, seed=4).weights).all()
    assert (first.weights != bootstrap(["a", "b", "c"], 50, seed=5).weights).any()


def test_no_case_gives_no_estimate():
    draw = bootstrap([], 10)
    estimate = draw.estimate(means(np.zeros((0, 2))), np.zeros((0, 2), dtype=bool))
    assert np.isnan(estimate.value).all()
    assert np.isnan(estimate.low).all()
    assert list(estimate.n) == [0, 0]


def test_one_patient_gives_an_estimate_without_interval():
    values = np.array([[0.2], [0.6]])
    estimate = bootstrap(["a", "a"], 100).estimate(means(values), ~np.isnan(values))
    assert estimate.value[0] == pytest.approx(0.4)
    assert np.isnan([estimate.low[0], estimate.high[0], estimate.spread[0]]).all()
    assert (estimate.n[0], estimate.n_patients[0]) == (2, 1)


def test_a_class_of_one_patient_among_many_has_no_interval():
    values = np.array([[0.2, 0.1], [np.nan, 0.5], [np.nan, 0.4]])
    estimate = bootstrap(["a", "b", "c"], 500).estimate(means(values), ~np.isnan(values))
    assert np.isnan(estimate.low[0])
    assert 0.1 <= estimate.low[1] < estimate.value[1] < estimate.high[1] <= 0.5


def test_interval_equals_that_of_a_loop_over_resamples():
    draw = np.random.default_rng(0)
    patients = np.repeat([f"p{n}" for n in range(20)], 3)
    values = draw.normal(size=(60, 1))
    mine = bootstrap(list(patients), 300, seed=9)
    looped = [values[np.repeat(np.arange(60), w.astype(int)), 0].mean() for w in mine.weights]
    estimate = mine.estimate(means(values), np.ones((60, 1), dtype=bool))
    assert estimate.low[0] == pytest.approx(np.quantile(looped, 0.025))
    assert estimate.high[0] == pytest.approx(np.quantile(looped, 0.975))
    assert estimate.spread[0] == pytest.approx(np.std(looped))


def test_intervals_of_repeated_scans_are_those_of_patients():
    values = np.random.default_rng(3).normal(size=(40, 1))
    once = bootstrap([f"p{n:02d}" for n in range(40)], 400).estimate(means(values), np.ones((40, 1), dtype=bool))
    repeated = np.repeat(values, 5, axis=0)
    names = [f"p{n:02d}" for n in np.repeat(np.arange(40), 5)]
    many = bootstrap(names, 400).estimate(means(repeated), np.ones((200, 1), dtype=bool))
    assert (many.low[0], many.high[0]) == pytest.approx((once.low[0], once.high[0]))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    draw = np.random.default_rng(5)
    covered = 0
    for trial in range(200):
        values = np.repeat(draw.normal(size=30), 2)[:, None]
        names = [f"p{n:02d}" for n in np.repeat(np.arange(30), 2)]
        estimate = bootstrap(names, 400, seed=trial).estimate(means(values), np.ones((60, 1), dtype=bool))
        covered += estimate.low[0] <= 0 <= estimate.high[0]
    assert 0.88 <= covered / 200 <= 0.99


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
        assert correlation_p(np.array([r[0]]), np.array([rows.sum()]))[0] == pytest.approx(r[1])
        assert correlation_p(np.array([rho[0]]), np.array([rows.sum()]))[0] == pytest.approx(rho[1])


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


def test_p_of_perfect_and_of_tiny_correlations():
    p = correlation_p(np.array([1.0, 0.0, np.nan, 0.5]), np.array([10, 10, 10, 2]))
    assert p[0] == 0
    assert p[1] == pytest.approx(1)
    assert np.isnan(p[2:]).all()
    assert spread_p(np.array([0.0, 0.5]), np.array([0.1, 0.0])) == pytest.approx([1.0, np.nan], nan_ok=True)
    assert np.isfinite(fisher_z(np.array([1.0, -1.0]))).all()


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
    # All patterns: only ++++ and ---- reach the observed sum.
    p = sign_flip_p(np.array([[1.0], [2], [3], [4]]), np.arange(4))
    assert p[0] == pytest.approx(2 / 16)
    # Scans of one patient flip together: two patients, four patterns.
    p = sign_flip_p(np.array([[1.0], [2], [3], [4]]), np.array([0, 0, 1, 1]))
    assert p[0] == pytest.approx(2 / 4)


def test_sign_flip_of_many_patients_agrees_with_scipy():
    differences = np.random.default_rng(2).normal(0.2, 1, size=(60, 1))
    mine = sign_flip_p(differences, np.arange(60), resamples=20_000)
    oracle = stats.permutation_test(
        (differences[:, 0],), np.mean, permutation_type="samples", n_resamples=20_000, rng=1
    ).pvalue
    assert mine[0] == pytest.approx(oracle, abs=0.02)


def test_sign_flip_without_differences_or_patients():
    assert sign_flip_p(np.zeros((4, 1)), np.arange(4))[0] == 1
    assert np.isnan(sign_flip_p(np.array([[1.0], [1.0]]), np.array([0, 0]))[0])
    assert np.isnan(sign_flip_p(np.full((3, 1), np.nan), np.arange(3))[0])
    assert np.isnan(sign_flip_p(np.zeros((0, 2)), np.zeros(0, dtype=int))).all()


def test_ranking_two_thousand_resamples_is_fast():
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(271, 16)), draw.normal(size=(271, 16))
    used = np.ones((271, 16), dtype=bool)
    resamples: Bootstrap = bootstrap([f"p{n % 118:03d}" for n in range(271)])
    start = time.process_time()
    spearman(x, y, used)(resamples.weights)
    assert time.process_time() - start < 3

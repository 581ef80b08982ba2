import numpy as np
import pytest

from posttx.analysis.agreement import log_limits


def patients(*scans):
    return np.repeat(np.arange(len(scans)), scans).astype(object)


def test_single_scans_have_the_usual_limits():
    logs = np.array([0.1, -0.2, 0.3, 0.05])
    found = log_limits(np.ones(4), np.exp(logs), patients(1, 1, 1, 1))
    assert np.log(found.ratio) == pytest.approx(logs.mean())
    half = 1.959964 * logs.std(ddof=1)
    assert (np.log(found.low), np.log(found.high)) == pytest.approx((logs.mean() - half, logs.mean() + half))


def test_many_scans_of_one_patient_do_not_make_the_limits_narrow():
    draw = np.random.default_rng(0)
    scans = [40, *[1] * 20]
    names = patients(*scans)
    own = draw.normal(0, 0.5, len(scans))
    logs = own[names.astype(int)] + draw.normal(0, 0.1, len(names))
    found = log_limits(np.ones(len(names)), np.exp(logs), names)
    assert np.log(found.high / found.low) / (2 * 1.959964) == pytest.approx(np.hypot(0.5, 0.1), rel=0.35)
    assert np.log(found.high / found.low) > 2 * 1.959964 * logs.std(ddof=1)
    assert (found.n, found.n_patients) == (60, 21)


def test_missed_and_hallucinated_volumes_have_no_ratio():
    found = log_limits(np.array([1.0, 0, 2, 4]), np.array([1.0, 5, 0, 2]), patients(1, 1, 1, 1))
    assert (found.n, found.n_patients) == (2, 2)
    none = log_limits(np.array([0.0]), np.array([1.0]), patients(1))
    assert none.n == 0
    assert np.isnan(none.ratio)
    one = log_limits(np.array([2.0]), np.array([1.0]), patients(1))
    assert one.ratio == pytest.approx(0.5)
    assert np.isnan(one.low)

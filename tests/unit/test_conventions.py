import numpy as np
import pytest

from posttx.conventions import (
    ABSENT,
    ABSENT_IS_ONE,
    CONVENTIONS,
    HALLUCINATED,
    MISSED,
    PRESENT,
    PRESENT_ONLY,
    PUBLISHED,
    STATES,
    VOXEL_WISE,
    apply,
    case_means,
    convention_of,
    states_of,
)
from posttx.errors import PostTxError
from posttx.schemas import CASE_METRICS

NAN = float("nan")
# One case, four labels: present, absent, hallucinated, missed.
DICE = np.array([[0.8, NAN, 0.0, 0.0]])
FOUR = np.array([[PRESENT, ABSENT, HALLUCINATED, MISSED]], dtype=object)


def test_states_of_voxel_counts():
    n_ref, n_pred = np.array([5.0, 0, 0, 5, NAN, 5]), np.array([3.0, 0, 2, 0, 4, NAN])
    assert list(states_of(n_ref, n_pred)) == [PRESENT, ABSENT, HALLUCINATED, MISSED, None, None]
    assert set(STATES) == {PRESENT, ABSENT, HALLUCINATED, MISSED}


@pytest.mark.parametrize(
    ("convention", "metric", "expected"),
    [
        (PUBLISHED, "dice", [0.8, NAN, 0, 0]),
        (PUBLISHED, "iou", [0.8, NAN, 0, 0]),
        (PRESENT_ONLY, "dice", [0.8, NAN, NAN, 0]),
        (PRESENT_ONLY, "precision", [0.8, NAN, NAN, NAN]),
        (PRESENT_ONLY, "recall", [0.8, NAN, NAN, 0]),
        (ABSENT_IS_ONE, "dice", [0.8, 1, 0, 0]),
        (ABSENT_IS_ONE, "precision", [0.8, 1, 0, NAN]),
        (ABSENT_IS_ONE, "recall", [0.8, 1, NAN, 0]),
    ],
)
def test_what_each_state_counts_as(convention, metric, expected):
    before = DICE.copy()
    assert apply(convention, metric, DICE, FOUR)[0] == pytest.approx(expected, nan_ok=True)
    assert np.array_equal(DICE, before, equal_nan=True)


@pytest.mark.parametrize(
    ("convention", "expected"), [(PUBLISHED, 1.8 / 4), (PRESENT_ONLY, 0.8 / 2), (ABSENT_IS_ONE, 1.8 / 4)]
)
def test_mean_dice_of_a_case(convention, expected):
    assert case_means(convention, DICE, FOUR)[0] == pytest.approx(expected)


def test_a_case_with_nothing_in_it():
    empty, absent = np.full((1, 2), NAN), np.full((1, 2), ABSENT, dtype=object)
    assert case_means(PUBLISHED, empty, absent)[0] == 1
    assert np.isnan(case_means(PRESENT_ONLY, empty, absent)[0])


def test_a_case_without_reference_has_no_mean():
    unknown = np.full((1, 2), None, dtype=object)
    assert np.isnan(case_means(PUBLISHED, np.full((1, 2), NAN), unknown)[0])
    assert case_means(PUBLISHED, np.zeros((0, 2)), np.zeros((0, 2), dtype=object)).shape == (0,)


def test_every_convention_is_complete_data():
    for name, convention in CONVENTIONS.items():
        assert convention.name == name
        assert convention.description.endswith(".")
        assert all(convention.column(measure) in CASE_METRICS.columns for measure in convention.measures())
    assert VOXEL_WISE == ("published", "present-only", "absent-is-one")


def test_an_unknown_convention_is_refused_with_the_known_ones():
    with pytest.raises(PostTxError, match="absent-is-one"):
        convention_of("brats")

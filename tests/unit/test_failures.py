import numpy as np
import pandas as pd
import pytest
import results_tree as tree

from posttx.analysis.failures import FAILURES, LOW_DICE, CaseArrays, case_arrays, failures, small_lesions
from posttx.conventions import ABSENT, HALLUCINATED, MISSED, PRESENT
from posttx.scoring.scores import scores_from


def arrays(states, dice, missed=None, present=None, regions=("A", "B")):
    states = np.array(states, dtype=object).reshape(-1, len(regions))
    none = np.zeros(states.shape, np.int64)
    return CaseArrays(
        tuple(f"case{i}" for i in range(len(states))),
        regions,
        states,
        np.array(dice, float).reshape(states.shape),
        none if missed is None else np.array(missed),
        none if present is None else np.array(present),
    )


def test_each_kind_counts_its_scans_among_those_it_can_befall():
    nan = np.nan
    found = failures(
        arrays(
            [
                (HALLUCINATED, PRESENT),
                (ABSENT, PRESENT),
                (MISSED, PRESENT),
                (PRESENT, MISSED),
                (PRESENT, PRESENT),
                (None, None),
            ],
            [(nan, 0.9), (nan, LOW_DICE), (nan, 0.1), (0.1, nan), (0.9, 0.0), (nan, nan)],
            missed=[(0, 0), (0, 0), (0, 1), (0, 2), (0, 0), (0, 0)],
            present=[(0, 0), (0, 1), (0, 1), (0, 2), (0, 0), (0, 0)],
        )
    )
    assert {one.key: (one.cases, one.of) for one in found} == {
        "A:invented": (("case0",), 2),
        "A:missed": (("case2",), 3),
        "A:low": (("case3",), 3),
        "B:missed": (("case3",), 5),
        "B:low": (("case2", "case4"), 5),
        "B:small": (("case2", "case3"), 3),
    }
    # by scans, then by share
    assert [one.key for one in found][:3] == ["B:small", "B:low", "A:invented"]


def test_ties_stand_in_the_order_of_the_classes():
    found = failures(arrays([(MISSED, MISSED), (PRESENT, PRESENT)], [(0.0, 0.0), (0.9, 0.9)]))
    assert [one.key for one in found] == ["A:missed", "B:missed"]


@pytest.mark.parametrize("states", [[], [(None, None)], [(ABSENT, ABSENT)], [(PRESENT, PRESENT)]])
def test_nothing_wrong_is_an_empty_list(states):
    assert failures(arrays(states, np.full((len(states), 2), 0.9))) == []


def test_small_lesions_are_those_of_the_reference_that_the_scheme_counts():
    lesions = pd.DataFrame(
        [
            ("a", "ET", "reference", "missed", 999.9),
            ("a", "ET", "reference", "missed", 1000.0),
            ("a", "ET", "reference", "matched", 10.0),
            ("a", "ET", "reference", "ignored", 10.0),
            ("a", "ET", "prediction", "false_positive", 10.0),
            ("b", "WT", "reference", "missed", 10.0),
            ("gone", "ET", "reference", "missed", 10.0),
        ],
        columns=["case", "region", "source", "state", "volume_mm3"],
    )
    missed, present = small_lesions(lesions, ("a", "b"), ("ET", "RC"))
    assert missed.tolist() == [[1, 0], [0, 0]]
    assert present.tolist() == [[2, 0], [0, 0]]
    for nothing in (None, lesions.head(0)):
        assert not np.any(small_lesions(nothing, ("a",), ("ET",)))


def test_counts_agree_with_the_tables(tmp_path):
    metrics = tree.case_metrics(40)
    arrays = case_arrays(scores_from(metrics, tree.SCHEME.scoring()), tree.lesion_table(metrics))
    counted = {one.key: one for one in failures(arrays)}
    assert set(arrays.regions) == {"NETC", "SNFH", "ET", "RC"}
    for region in arrays.regions:
        own = metrics[metrics["region"] == region]
        lacking = own[own["n_ref"] == 0]
        invented = lacking[lacking["n_pred"] > 0]
        assert counted[f"{region}:invented"].cases == tuple(sorted(invented["case"]))
        assert counted[f"{region}:invented"].of == len(lacking)
    assert set(FAILURES) == {key.split(":")[1] for key in counted}

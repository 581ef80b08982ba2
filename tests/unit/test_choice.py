"""Rules chosen out of fold: what is planted is dropped, clean predictions stay, and no case chooses its own rules."""

from dataclasses import replace

import component_tables as made
import numpy as np
import pandas as pd
import pytest

from posttx.analysis.judgements import Outcome
from posttx.analysis.statistics import Patients, means
from posttx.errors import PostTxError
from posttx.postprocess.choice import (
    COLUMNS,
    MOST_CONDITIONS,
    MOST_HARM,
    Predicted,
    _errors,
    choose,
    described,
    grid,
    judged_as_given,
)
from posttx.postprocess.rules import BACKGROUND, Rule, dropped
from posttx.postprocess.subsets import NONE, Cohort
from posttx.scoring.scoring_schemes import scoring_scheme

SEEDS = range(20)


@pytest.mark.parametrize("measure", ["lesion_dice", "dice"])
def test_planted_specks_and_hallucinations_are_dropped_and_no_class_falls(measure):
    for seed in range(3):
        table = choose(made.made(made.PLANTED, seed), measure, made.FOLDS).table.set_index("region")
        for region in ("NETC", "ET", "RC"):
            row = table.loc[region]
            assert row["outcome"] == Outcome.RULE_CHOSEN, (seed, region)
            assert row["ci_low"] > 0
            assert row["removed_false"] > 10 * row["removed_true"]
        assert table["gain"].min() >= -MOST_HARM
        assert table.loc["SNFH", "rule"] == "none"


def test_clean_predictions_are_left_as_they_are():
    tables = [choose(made.made(made.CLEAN, seed, patients=50), "lesion_dice", made.FOLDS).table for seed in SEEDS]
    for region in made.CLASSES:
        chosen = [table.set_index("region").loc[region, "rule"] for table in tables]
        assert chosen.count("none") >= 0.95 * len(tables), region


def test_the_rules_of_a_fold_do_not_depend_on_its_cases():
    predicted = made.made(made.PLANTED, 4)
    first = choose(predicted, "lesion_dice", made.FOLDS)
    # Fold 2 turned upside down: what was sure is unsure.
    own = (predicted.fold == 2)[predicted.cohort.case]
    upside_down = replace(predicted, p_max=np.where(own, 1 - predicted.p_max, predicted.p_max))
    other = choose(upside_down, "lesion_dice", made.FOLDS)
    tables = [one.folds for one in (first, other)]
    shared = set(tables[0][2]) & set(tables[1][2])
    assert shared
    assert all(tables[0][2][region] == tables[1][2][region] for region in shared)
    assert tables[0][0] != tables[1][0]


def test_the_gain_is_that_of_every_case_under_the_rules_of_its_fold():
    predicted = made.made(made.PLANTED, 5)
    found = choose(predicted, "dice", made.FOLDS)
    raw = predicted.cohort.dice(predicted.cohort.as_predicted)
    gain = np.full(raw.shape, np.nan)
    for fold, rules in enumerate(found.folds):
        after = predicted.cohort.dice(predicted.chosen(rules))
        gain[predicted.fold == fold] = (after - raw)[predicted.fold == fold]
    estimate = predicted.patients.estimate(means(gain), np.ones(gain.shape, bool))
    np.testing.assert_allclose(found.table["gain"], estimate.value)
    np.testing.assert_allclose(found.table["ci_low"], estimate.low)
    assert tuple(found.table.columns) == COLUMNS


def one_class(lesions: list[tuple[int, int]], falses: list[int], surround: int, patients: int = 12) -> Predicted:
    """Return cases that all have these lesions of ET (voxels, shared), and false components that SNFH surrounds."""
    cases = [made._Case(f"{i:02d}") for i in range(patients)]
    for case in cases:
        for label in (1, 4):
            case.row("reference", label)
        case.row("reference", 2, voxels=1000)
        case.row("lesion", 2, 1, 1, 1000)
        case.row("reference", 3, voxels=sum(size for size, _ in lesions))
        for number, (size, shared) in enumerate(lesions, 1):
            case.row("lesion", 3, number, 1, size)
            case.found(3, number, size, shared, 0.9)
        case.found(2, 1, 1000, 900, 0.9)
        for voxels in falses:
            number = case.component(3, voxels, 0.6, surround)
            if surround:
                case.row("place", surround, number, number)
    rows = pd.DataFrame([row for case in cases for row in case.rows])
    components = pd.DataFrame([row for case in cases for row in case.components])
    splits = pd.DataFrame({"case": [c.name for c in cases], "patient": [c.name for c in cases]})
    cohort = Cohort.of(rows, made.CLASSES, scoring_scheme("brats2024"))
    return Predicted.of(cohort, components, splits.assign(fold=np.arange(patients) % 3))


def test_a_rule_of_one_condition_is_taken_and_its_counts_are_told():
    found = choose(one_class([(200, 180)], [25, 40], 0), "lesion_dice", 3)
    row = found.table.set_index("region").loc["ET"]
    assert found.rules["ET"].content().keys() == {"min_mm3", "then"}
    assert (row["removed_false"], row["removed_true"], row["missed_before"], row["missed_after"]) == (24, 0, 0, 0)
    assert (row["n"], row["n_patients"]) == (12, 12)


def test_what_is_dropped_becomes_background_where_its_surroundings_would_suffer():
    # 100 voxels more of SNFH in every case would lower its Dice by far more than .002
    assert choose(one_class([(200, 180)], [100], 2), "dice", 3).rules["ET"].then == BACKGROUND
    assert choose(one_class([(200, 180)], [100], 0), "dice", 3).rules["ET"].then == "surroundings"


def test_a_rule_that_lowers_another_class_either_way_is_refused(monkeypatch):
    monkeypatch.setattr("posttx.postprocess.choice._of_others", lambda *_: np.array([-0.003, 0.0, 0.0]))
    found = choose(one_class([(200, 180)], [100], 0), "dice", 3)
    assert found.rules == {}
    assert found.folds == ({}, {}, {})


def test_harm_that_shows_out_of_fold_alone_is_refused(monkeypatch):
    real = Predicted.by_fold

    def harmful(self, folds):
        """Put what the folds drop of ET into SNFH, which no choice on other folds could know."""
        choice = real(self, folds)
        return np.where((choice == NONE) & (self.cohort.label == 2), 1, choice)

    monkeypatch.setattr(Predicted, "by_fold", harmful)
    table = choose(one_class([(200, 180)], [100], 2), "dice", 3).table.set_index("region")
    assert table.loc["ET", "outcome"] == Outcome.RULE_LOWERS_ANOTHER
    assert table.loc["ET", "ci_low"] > 0


def test_five_patients_choose_nothing():
    table = choose(one_class([(200, 180)], [100], 0, patients=5), "dice", 3).table
    assert set(table["outcome"]) == {Outcome.TOO_FEW_PATIENTS}
    assert set(table["rule"]) == {"none"}


def test_given_rules_are_scored_and_not_chosen():
    rules = {"ET": Rule(min_mm3=150)}
    found = judged_as_given(one_class([(200, 180)], [100], 0), "dice", [rules] * 3, rules)
    row = found.table.set_index("region").loc["ET"]
    assert row["outcome"] == Outcome.RULE_GIVEN
    assert row["removed_false"] == 12
    assert row["gain"] == pytest.approx(0.9 - 2 * 180 / 500)
    assert row["rule"] == described(rules["ET"])


def test_components_of_another_prediction_are_refused():
    predicted = one_class([(200, 180)], [100], 0)
    cohort = predicted.cohort
    names = np.array(cohort.cases)[cohort.case]
    rows = pd.DataFrame({"case": names, "label": [3, 2, 3] * 12, "component": [1, 1, 2] * 12})
    rows = rows.assign(voxels=cohort.voxels, volume_mm3=1.0, share=1.0, p_max=1.0, surround=0)
    splits = pd.DataFrame({"case": cohort.cases, "patient": cohort.cases, "fold": 0})
    rows.loc[4, "voxels"] = 7
    with pytest.raises(PostTxError, match="differ in 1 components"):
        Predicted.of(cohort, rows, splits)


def test_rules_of_the_grid_are_small_and_drop_as_the_rule_file_says():
    predicted = made.made(made.PLANTED, 6, patients=10)
    cohort = predicted.cohort
    rows = {name: getattr(predicted, name) for name in ("volume_mm3", "share", "p_max")}
    rows |= {"case": cohort.case, "region": np.array(list(made.CLASSES))[cohort.label]}
    assert all(1 <= len(rule.content()) - 1 <= MOST_CONDITIONS for rule in grid())
    for rule in grid()[::40]:
        choice = predicted.chosen({"ET": replace(rule, then=BACKGROUND)})
        assert ((choice == NONE) == dropped(rows, {"ET": rule})).all()


def test_errors_are_those_of_the_jackknife():
    draw = np.random.default_rng(3)
    whose = draw.integers(0, 30, 90)
    values = draw.normal(size=(4, 90)) + draw.normal(size=30)[whose]
    patients = Patients.of(whose.astype(str).tolist())
    estimate = patients.estimate(means(values.T), np.ones((90, 4), bool))
    np.testing.assert_allclose(_errors(values, whose), estimate.error, rtol=0.1)


def test_rules_are_told_in_words():
    assert described(None) == "none"
    assert described(Rule()) == "none"
    told = described(Rule(min_mm3=30, presence_probability=0.8, then=BACKGROUND))
    assert told == (
        "drop components below 30 mm³; and the whole class where it is nowhere as probable as 0.8; what is dropped "
        "becomes background"
    )

import re

import numpy as np
import pandas as pd
import pytest
from scored import REGIONS, by_counts, random_counts, without_reference

from posttx.analysis.comparison import compare_models
from posttx.analysis.conclusions import conclusions
from posttx.analysis.interpretation import (
    CONTRADICTORY,
    FRAGILE,
    INTERFERENCE,
    NOTHING,
    ONLY_PRESENT,
    SUPPORT,
    TOO_FEW,
    ZEROS,
    dependency_of,
    of_case,
    of_class,
    of_comparison,
    of_dependency,
    of_noise,
    of_size,
    of_summary,
    sentences,
)
from posttx.analysis.interpretation_rules import RULES
from posttx.analysis.tables import make_tables

NAN = float("nan")


def texts(said):
    return [sentence.text for sentence in said]


def coefficient(name, value, low, high):
    return {name: value, f"{name}_ci_low": low, f"{name}_ci_high": high}


def size(r, rho, n=100):
    return {"region": "A", "n": n, **coefficient("pearson_r", *r), **coefficient("spearman_r", *rho)}


@pytest.mark.parametrize(
    ("r", "rho", "opening"),
    [
        # The published reading: r = .280 was called size-independent.
        ((0.28, 0.15, 0.42), (0.65, 0.50, 0.76), "Strong size bias, smaller ones are segmented worse"),
        ((0.28, -0.05, 0.42), (0.25, -0.01, 0.40), "No dependence on size is shown, nor its absence"),
        ((0.01, -0.09, 0.08), (0.02, -0.07, 0.09), "Size-independent"),
        ((0.01, -0.09, 0.08), (0.02, -0.07, 0.11), "No dependence on size is shown"),
        ((0.20, 0.05, 0.30), (0.10, -0.1, 0.30), "Weak size bias, smaller ones"),
        ((-0.35, -0.5, -0.1), (-0.33, -0.5, -0.1), "Moderate size bias, larger ones are segmented worse"),
        ((-0.2, -0.3, -0.1), (0.2, 0.1, 0.3), "The two coefficients contradict each other"),
    ],
)
def test_size_bias(r, rho, opening):
    said = of_size(size(r, rho))
    assert said[0].rule == "size"
    assert said[0].text.startswith(opening)
    assert f"Pearson {r[0]:.2f}" in said[0].text
    assert f"Spearman {rho[0]:.2f}" in said[0].text


def test_a_curved_relation_is_called_that():
    assert "curved" in texts(of_size(size((0.28, 0.15, 0.42), (0.65, 0.5, 0.76))))[0]
    assert "curved" not in texts(of_size(size((0.58, 0.45, 0.7), (0.65, 0.5, 0.76))))[0]
    assert "curved" in texts(of_size(size((-0.2, -0.3, -0.1), (-0.5, -0.7, -0.3))))[0]


def test_nothing_is_claimed_of_few_cases_constants_or_one_patient():
    assert texts(of_size(size((0.9, 0.8, 1), (0.9, 0.8, 1), n=9))) == ["Too few cases (9) for a correlation."]
    assert "do not vary" in texts(of_size(size((NAN, NAN, NAN), (NAN, NAN, NAN))))[0]
    assert "one patient" in texts(of_size(size((0.5, NAN, NAN), (0.5, NAN, NAN))))[0]


def pair(with_zeros, without, p_with=0.001, p_without=0.001):
    row = {"volume_label": 1, "dice_label": 2, "volume_region": "A", "dice_region": "B", "n": 100}
    row["n_both_present"] = 100
    for suffix, values, p in (("", with_zeros, p_with), ("_present", without, p_without)):
        for name in ("pearson_r", "spearman_r"):
            row |= coefficient(f"{name}{suffix}", *values)
        row |= {f"p_holm_patient{suffix}": p, f"spearman_p_holm_patient{suffix}": p}
    return row


RISES, FALLS, FLAT = (0.4, 0.2, 0.6), (-0.4, -0.6, -0.2), (0.1, -0.2, 0.3)


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        (pair(RISES, RISES), SUPPORT),
        (pair(FALLS, FALLS), INTERFERENCE),
        (pair(FALLS, FLAT), ZEROS),
        (pair(RISES, (0.35, 0.1, 0.5), p_without=0.06), FRAGILE),
        (pair(RISES, RISES, p_with=0.2), ONLY_PRESENT),
        (pair(RISES, FALLS), CONTRADICTORY),
        (pair(FLAT, FLAT), NOTHING),
        (pair(RISES, RISES, p_with=0.2, p_without=0.05), NOTHING),
        (pair(RISES, (NAN, NAN, NAN), p_without=NAN), ZEROS),
        (pair(RISES, RISES) | {"n_both_present": 9}, FRAGILE),
        (pair(FALLS, FLAT) | {"n_both_present": 9}, FRAGILE),
    ],
)
def test_dependency(row, outcome):
    assert dependency_of(row) == outcome
    said = of_dependency(row)[0]
    assert said.rule == "dependency"
    assert "without hallucinated zeros Pearson" in said.text
    assert ("interference" in said.text) == (outcome == INTERFERENCE)
    assert ("support" in said.text) == (outcome == SUPPORT)


def test_no_dependency_is_claimed_from_few_cases():
    row = pair(RISES, RISES) | {"n": 9}
    assert dependency_of(row) == TOO_FEW
    assert texts(of_dependency(row)) == ["Too few cases (9) for a correlation."]


def test_a_class_with_itself_is_no_dependency():
    assert of_dependency({**pair(RISES, RISES), "dice_label": 1})[0].rule == "size"


def overall(metric, value, low=NAN, high=NAN):
    return {"metric": metric, "value": value, "ci_low": low, "ci_high": high}


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (overall("dice", 0.6459, 0.61, 0.68), "Moderate overlap (Dice): 0.646 (95 % interval 0.610 to 0.680)."),
        (overall("dice", 0.69, 0.65, 0.72), "Moderate to good overlap (Dice): 0.690 (95 % interval 0.650 to 0.720)."),
        (overall("dice", 0.9), "High overlap (Dice): 0.900 (no interval)."),
        (overall("iou", 0.74), "High overlap (IoU): 0.740 (no interval)."),
        (overall("iou", 0.73), "Good overlap (IoU): 0.730 (no interval)."),
        (overall("precision", 0.89), "Good precision: 0.890 (no interval)."),
        (overall("recall", 0.2), "Low recall: 0.200 (no interval)."),
        (overall("dice", NAN), "Nothing was scored: no case has both a reference and a prediction."),
    ],
)
def test_global_values(row, text):
    assert texts(of_summary(row)) == [text]


def one_class(dice=0.8, present=0.8, one=0.8, counts=(50, 50, 0, 0)):
    row = {"region": "A", "convention": "published", **coefficient("dice", dice, 0.75, 0.82)}
    row |= {"dice_present": present, "dice_absent_is_one": one}
    return row | dict(zip(("n_present", "n_absent", "n_hallucinated", "n_missed"), counts, strict=True))


def test_class_comments():
    assert texts(of_class(one_class())) == ["Good overlap: 0.800 (95 % interval 0.750 to 0.820)."]
    rules = [sentence.rule for sentence in of_class(one_class(0.46, 0.61, 0.63, (141, 130, 46, 0)))]
    assert rules == ["overlap", "convention", "hallucination"]
    assert "Often hallucinated: in 46 of 130 cases without it (35 %)." in texts(
        of_class(one_class(counts=(141, 130, 46, 0)))
    )
    assert "Sometimes missed: in 13 of 224 cases with it (6 %)." in texts(of_class(one_class(counts=(224, 47, 0, 13))))
    assert "Often missed" in texts(of_class(one_class(counts=(100, 0, 0, 10))))[1]
    assert texts(of_class(one_class(counts=(4, 96, 0, 0))))[1] == "Few cases: 4 of 100 cases have it."


def test_a_class_never_present():
    said = texts(of_class(one_class(0.0, NAN, 0.7, (0, 10, 3, 0))))
    assert said[0] == "No reference has A: how well it is segmented cannot be said."
    assert said[1].startswith("Often hallucinated: in 3 of 10")
    assert len(said) == 2


def noise(percent, ratio, mean_fp=10.0, n=50):
    row = {"n": n, "mean_fp_mm3": mean_fp, **coefficient("fp_percent", *percent)}
    return row | coefficient("fp_fn_ratio", *ratio)


def test_noise_and_conservative():
    said = texts(of_noise(noise((17.9, 15.9, 26.4), (0.5, 0.3, 0.9))))
    assert said[0] == "High false-positive volume: 17.9 % of the reference (95 % interval 15.9 to 26.4)."
    assert said[1].startswith("Conservative: 0.50 mm³ added per mm³ left out")
    said = texts(of_noise(noise((3, 2, 7), (1.5, 1.1, 1.9))))
    assert said[0].startswith("Low to moderate")
    assert said[1].startswith("Generous")
    assert texts(of_noise(noise((3, 2, 4), (1.5, 0.9, 1.9))))[1].startswith("Neither")
    assert texts(of_noise(noise((0, 0, 0), (0, 0, 0), 0.0)))[0].startswith("Free of false positives")
    assert "never predicted" in texts(of_noise(noise((NAN,) * 3, (NAN,) * 3, 0.0)))[0]
    assert texts(of_noise(noise((NAN,) * 3, (NAN,) * 3, 4.0))) == ["No reference has the class."]
    assert of_noise(noise((NAN,) * 3, (NAN,) * 3, n=0))[0].rule == "data"


def test_extreme_cases():
    row = {"convention": "published", "dice_A": 0.0, "state_A": "hallucinated", "dice_B": 0.1, "state_B": "present"}
    assert texts(of_case(row)) == ["Hallucinated: A; overlap below 0.2: B."]
    row |= {"state_A": "missed", "state_B": "absent", "dice_B": NAN}
    assert texts(of_case(row)) == ["Missed: A; absent in both, counted as 1: 1 of 2 classes."]
    assert texts(of_case({**row, "convention": "present-only"})) == ["Missed: A."]
    assert of_case({"dice_A": 0.9, "state_A": "present"}) == []


def versus(verdict, difference=0.02, low=0.01, high=0.03, metric="dice"):
    return {
        "verdict": verdict, "metric": metric, "difference": difference, "ci_low": low, "ci_high": high,
        "wins": 5, "ties": 1, "losses": 2,
    }  # fmt: skip


def test_improved_is_written_only_when_the_interval_excludes_zero():
    said = texts(of_comparison(versus("improved")))[0]
    assert said.startswith("Improved: +0.020 (95 % interval 0.010 to 0.030), higher is better; better in 5, equal in 1")
    assert texts(of_comparison(versus("no difference shown", low=-0.01)))[0].startswith("No difference shown:")
    assert texts(of_comparison(versus("worse", metric="hd95_mm")))[0].startswith("Worse:")
    assert texts(of_comparison(versus("no interval")))[0].startswith("No verdict:")


def test_every_rule_is_described_with_its_thresholds():
    for name, rule in RULES.items():
        assert rule.id == name
        assert "{" not in rule.described
        for value in rule.thresholds.values():
            assert f"{value:g}" in rule.described


EDGES = {
    "all": lambda table: table,
    "no case": lambda table: table.iloc[:0],
    "one case": lambda table: table[table["case"] == table["case"].iloc[0]],
    "one patient": lambda table: table[table["patient"] == table["patient"].iloc[0]],
    "no reference": without_reference,
    "one class never there": lambda table: by_counts(
        {f"P-{n:05d}-100": {"A": (5, 1, n), "B": (0, 0, 0)} for n in range(12)}
    ),
    "nothing found": lambda table: by_counts({f"P-{n:05d}-100": {"A": (0, 0, 5), "B": (0, 3, 0)} for n in range(12)}),
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("convention", ["published", "present-only"])
def test_sentences_of_whole_tables(edge, convention):
    table = EDGES[edge](by_counts(random_counts(60)))
    tables = make_tables(table, REGIONS, convention, resamples=100)
    comparison = compare_models({"a": table, "b": table}, REGIONS, resamples=50)
    said = sentences({**tables, "comparison": comparison})
    assert set(said) == {*tables, "comparison"} - {"per_region"}
    for name, rows in said.items():
        assert len(rows) == len(tables.get(name, comparison))
    found = conclusions(tables, comparison)
    everything = [sentence for rows in said.values() for row in rows for sentence in row] + found
    for sentence in everything:
        assert sentence.rule in RULES
        assert re.fullmatch(r"[A-Z].*\.", sentence.text), sentence
        assert not re.search(r"\b(nan|None|<NA>|inf)\b", sentence.text), sentence
    if edge in ("no case", "no reference"):
        assert texts(found) == ["Nothing was scored: no case has both a reference and a prediction."]
    if edge in ("one case", "one patient"):
        assert "one patient" in found[-1].text


def tables_where(dice):
    """Make tables of classes A and B whose Dice stands at 0.9 and at ``dice`` of ten patients."""
    hits = round(1000 * dice)
    counts = {
        f"P-{n:05d}-100": {"A": (900 + n, 100, 100), "B": (hits + n, 1000 - hits, 1000 - hits)} for n in range(10)
    }
    return make_tables(by_counts(counts), REGIONS, resamples=200)


def test_weakest_and_strongest_only_when_intervals_stand_apart():
    apart = " ".join(texts(conclusions(tables_where(0.5))))
    assert "A is the strongest class" in apart
    assert "B is the weakest class" in apart
    close = " ".join(texts(conclusions(tables_where(0.8999))))
    assert "is the" not in close
    assert "does not stand apart" in close


def test_conclusions_name_what_improved():
    counts = random_counts(60)
    better = {case: {name: (tp + fn, fp, 0) for name, (tp, fp, fn) in row.items()} for case, row in counts.items()}
    table = compare_models({"old": by_counts(counts), "new": by_counts(better)}, REGIONS, resamples=100)
    said = texts(conclusions(make_tables(by_counts(better), REGIONS, resamples=100), table))
    assert any(text.startswith("Model new against old (dice, absent-is-one): improved for") for text in said)
    same = compare_models({"old": by_counts(counts), "new": by_counts(counts)}, REGIONS, resamples=100)
    said = texts(conclusions(make_tables(by_counts(counts), REGIONS, resamples=100), same))
    assert any(text.endswith("no difference is shown for any region.") for text in said)


def test_few_patients_are_said():
    tables = make_tables(by_counts(random_counts(8)), REGIONS, resamples=100)
    assert texts(conclusions(tables))[-1] == "Only 4 patients: all intervals are rough."
    tables = make_tables(by_counts(random_counts(20)), REGIONS, resamples=100)
    assert "rough" not in " ".join(texts(conclusions(tables)))


def test_sentences_leave_other_tables_alone():
    assert sentences({"lesions": pd.DataFrame({"a": [np.nan]})}) == {}

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scored import REGIONS, by_counts, random_counts, without_reference

from posttx.analysis import comparison as compared
from posttx.analysis.conclusions import conclusions
from posttx.analysis.evidence import Evidence, evidence
from posttx.analysis.interpretation_rules import RULES
from posttx.analysis.judgements import (
    Outcome,
    dependency_of,
    of_case,
    of_class,
    of_comparison,
    of_dependency,
    of_noise,
    of_size,
    of_summary,
)
from posttx.analysis.tables import make_tables
from posttx.analysis.wording import sentences, worded

NAN = float("nan")


def texts(said):
    """Return the words of judgements or of sentences."""
    return [worded(one).text if hasattr(one, "outcome") else one.text for one in said]


def compare_models(models):
    return compared.compare_models({"c": models}, REGIONS)["c"]


def coefficient(name, value, low, high):
    return {name: value, f"{name}_ci_low": low, f"{name}_ci_high": high}


def size(r, rho, patients=50, p=0.01):
    row = {"region": "A", "n": 2 * patients, "n_patients": patients, "spearman_p_holm": p}
    return row | coefficient("pearson_r", *r) | coefficient("spearman_r", *rho)


@pytest.mark.parametrize(
    ("r", "rho", "p", "opening"),
    [
        # The published reading: r = .280 was called size-independent.
        ((0.28, 0.15, 0.42), (0.65, 0.50, 0.76), 0.01, "Strong size bias, smaller ones are segmented worse"),
        ((0.28, -0.05, 0.42), (0.25, -0.01, 0.40), 0.1, "No dependence on size is shown, nor its absence"),
        ((0.01, -0.09, 0.08), (0.02, -0.07, 0.09), 0.9, "Size-independent"),
        ((0.01, -0.09, 0.08), (0.02, -0.07, 0.11), 0.9, "No dependence on size is shown"),
        # Pearson describes, Spearman decides.
        ((0.60, 0.45, 0.70), (0.10, -0.1, 0.30), 0.2, "No dependence on size is shown"),
        ((-0.35, -0.5, -0.1), (-0.33, -0.5, -0.1), 0.01, "Moderate size bias, larger ones are segmented worse"),
        ((-0.2, -0.3, -0.1), (0.2, 0.1, 0.3), 0.01, "Weak size bias, smaller ones are segmented worse"),
        # The interval alone is no claim.
        ((0.4, 0.2, 0.6), (0.4, 0.2, 0.6), 0.06, "A dependence on size is not shown after Holm"),
        ((0.4, 0.2, 0.6), (0.4, -0.1, 0.7), 0.01, "No dependence on size is shown"),
    ],
)
def test_size_bias(r, rho, p, opening):
    said = of_size(size(r, rho, p=p))
    assert said[0].rule == "size"
    text = texts(said)[0]
    assert text.startswith(opening)
    assert f"Pearson {r[0]:.2f}" in text
    assert f"Spearman {rho[0]:.2f}" in text


def test_a_curved_relation_is_called_that():
    assert "curved" in texts(of_size(size((0.28, 0.15, 0.42), (0.65, 0.5, 0.76))))[0]
    assert "curved" not in texts(of_size(size((0.58, 0.45, 0.7), (0.65, 0.5, 0.76))))[0]
    assert "curved" in texts(of_size(size((-0.2, -0.3, -0.1), (-0.5, -0.7, -0.3))))[0]


def test_nothing_is_claimed_of_few_patients_or_constants():
    few = of_size(size((0.9, 0.8, 1), (0.9, 0.8, 1), patients=5, p=NAN))
    assert few[0].outcome is Outcome.TOO_FEW_PATIENTS
    assert texts(few) == ["Too few patients (5): nothing is examined."]
    assert "do not vary" in texts(of_size(size((NAN, NAN, NAN), (NAN, NAN, NAN))))[0]
    assert texts(of_size(size((0.5, NAN, NAN), (0.5, NAN, NAN))))[0].startswith("Not examined")


def pair(with_zeros, without, p_with=0.001, p_without=0.001):
    row = {"volume_label": 1, "dice_label": 2, "volume_region": "A", "dice_region": "B", "n": 100}
    row |= {"n_both_present": 100, "n_patients": 50, "n_patients_both_present": 50}
    for suffix, values, p in (("", with_zeros, p_with), ("_present", without, p_without)):
        for name in ("pearson_r", "spearman_r"):
            row |= coefficient(f"{name}{suffix}", *values)
        row |= {f"p_holm{suffix}": p, f"spearman_p_holm{suffix}": p}
    return row


RISES, FALLS, FLAT = (0.4, 0.2, 0.6), (-0.4, -0.6, -0.2), (0.1, -0.2, 0.3)


FEW_PRESENT = {"n_patients_both_present": 5}


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        (pair(RISES, RISES), Outcome.SUPPORT),
        (pair(FALLS, FALLS), Outcome.INTERFERENCE),
        (pair(FALLS, FLAT), Outcome.HALLUCINATED_ZEROS),
        (pair(RISES, (0.35, 0.1, 0.5), p_without=0.06), Outcome.NOT_WITHOUT_ZEROS_AFTER_HOLM),
        (pair(RISES, (0.35, -0.1, 0.5), p_without=0.06), Outcome.NOT_WITHOUT_ZEROS),
        (pair(RISES, RISES, p_with=0.2), Outcome.ONLY_WHERE_PRESENT),
        (pair(RISES, FALLS), Outcome.CONTRADICTORY),
        (pair(FLAT, FLAT), Outcome.NOT_SHOWN),
        (pair(RISES, RISES, p_with=0.2, p_without=0.05), Outcome.NOT_AFTER_HOLM),
        (pair(RISES, (NAN, NAN, NAN), p_without=NAN), Outcome.NOT_WITHOUT_ZEROS),
        (pair(RISES, RISES) | FEW_PRESENT, Outcome.NOT_WITHOUT_ZEROS),
        (pair(FALLS, FLAT) | FEW_PRESENT, Outcome.NOT_WITHOUT_ZEROS),
    ],
)
def test_dependency(row, outcome):
    assert dependency_of(row) is outcome
    said = texts(of_dependency(row))[0]
    assert "without hallucinated zeros Pearson" in said
    assert ("interference" in said) == (outcome == Outcome.INTERFERENCE)
    assert ("support" in said) == (outcome == Outcome.SUPPORT)


def test_no_dependency_is_claimed_from_few_patients():
    row = pair(RISES, RISES) | {"n_patients": 5, "n_patients_both_present": 5}
    assert dependency_of(row) is Outcome.TOO_FEW_PATIENTS
    assert texts(of_dependency(row)) == ["Too few patients (5): nothing is examined."]


def test_a_class_with_itself_is_no_dependency():
    assert of_dependency({**pair(RISES, RISES), "dice_label": 1})[0].outcome is Outcome.ITSELF


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ((0.1, 0.2, 0.04, 6), Evidence.ABOVE),
        ((-0.2, -0.1, 0.04, 6), Evidence.BELOW),
        ((0.1, 0.2, 0.05, 6), Evidence.NOT_AFTER_HOLM),
        ((-0.1, 0.2, 0.04, 6), Evidence.NOT_SHOWN),
        ((0.0, 0.2, 0.04, 6), Evidence.NOT_SHOWN),
        ((0.1, 0.2, 0.01, 5), Evidence.TOO_FEW),
        ((NAN, NAN, 0.01, 6), Evidence.NOT_EXAMINED),
        ((0.1, 0.2, NAN, 6), Evidence.NOT_EXAMINED),
    ],
)
def test_evidence_needs_interval_adjusted_p_and_patients(numbers, found):
    assert evidence(*numbers) is found


def overall(metric, value, low=NAN, high=NAN):
    return {"metric": metric, "value": value, "ci_low": low, "ci_high": high, "n_patients": 30}


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


def test_a_pooled_precision_says_what_a_case_may_expect():
    row = overall("precision", 0.913, 0.887, 0.933) | {"pooled": True, "per_case": 0.698, "per_case_present": 0.771}
    text = texts(of_summary(row))[0]
    assert text.startswith("Good to high precision: 0.913 (95 % interval 0.887 to 0.933), pooled over the voxels")
    assert text.endswith("the mean over cases is 0.698, 0.771 where the class is present.")


def one_class(dice=0.8, present=0.8, one=0.8, counts=(50, 50, 0, 0), patients=(40, 40), rates=None):
    row = {"region": "A", "convention": "published", **coefficient("dice", dice, 0.75, 0.82)}
    row |= {"dice_present": present, "dice_absent_is_one": one}
    row |= dict(zip(("n_present", "n_absent", "n_hallucinated", "n_missed"), counts, strict=True))
    row |= dict(zip(("n_patients_present", "n_patients_absent"), patients, strict=True))
    shares = (counts[2] / max(counts[1], 1), counts[3] / max(counts[0], 1))
    for name, share in zip(("hallucination_rate", "miss_rate"), shares, strict=True):
        row |= coefficient(name, share, *((rates or {}).get(name, (share * 0.9, share * 1.1))))
    return row


def test_class_comments():
    assert texts(of_class(one_class())) == ["Good overlap: 0.800 (95 % interval 0.750 to 0.820)."]
    found = of_class(one_class(0.46, 0.61, 0.63, (141, 130, 46, 0)))
    assert [judgement.rule for judgement in found] == ["overlap", "convention", "hallucination"]
    assert texts(found)[2] == ("Often hallucinated: in 46 of 130 cases without it (35 %, 95 % interval 32 to 39).")
    assert "Sometimes missed: in 13 of 224 cases with it (6 %" in texts(of_class(one_class(counts=(224, 47, 0, 13))))[1]
    wide = {"hallucination_rate": (0.1, 0.5)}
    found = of_class(one_class(counts=(141, 130, 46, 0), rates=wide))
    assert found[1].outcome is Outcome.MAYBE_OFTEN
    assert texts(of_class(one_class(counts=(12, 88, 0, 0), patients=(8, 60))))[1] == (
        "Few patients: 8 have it, in 12 of 100 cases."
    )


def test_nothing_is_high_in_four_patients():
    found = of_class(one_class(0.9, 0.9, 0.9, counts=(8, 92, 0, 0), patients=(4, 60)))
    assert texts(found) == [
        "Overlap 0.900 (95 % interval 0.750 to 0.820) of 4 patients, too few to call it high or low."
    ]
    assert texts(of_summary(overall("dice", 0.9) | {"n_patients": 4}))[0].startswith("Overlap (Dice) 0.900")
    said = texts(of_noise(noise((30, 20, 40), (0.6, 0.55, 0.7), patients=4)))
    assert said[0].startswith("False-positive volume 30.0")
    assert "too few to call it high or low" in said[0]


def test_one_hallucination_in_two_cases_is_not_often():
    row = one_class(counts=(10, 2, 1, 0), patients=(8, 2), rates={"hallucination_rate": (NAN, NAN)})
    found = of_class(row)
    assert found[-1].outcome is Outcome.TOO_FEW_TO_SAY_HOW_OFTEN
    assert texts(found)[-1] == "Hallucinated in 1 of 2 cases without it: too few patients (2) to say how often."


def test_a_class_never_present():
    said = texts(of_class(one_class(0.0, NAN, 0.7, (0, 10, 3, 0), patients=(0, 10))))
    assert said[0] == "No reference has A: how well it is segmented cannot be said."
    assert said[1].startswith("Often hallucinated: in 3 of 10")
    assert len(said) == 2


def noise(percent, share, mean_fp=10.0, patients=30, p=0.01):
    row = {"n": 50, "n_patients": patients, "n_patients_with_errors": patients, "mean_fp_mm3": mean_fp, "p_holm": p}
    row |= {"heaviest_percent": 38.0, **coefficient("fp_percent", *percent)}
    return row | coefficient("fp_error_share", *share)


def test_noise_and_conservative():
    said = texts(of_noise(noise((17.9, 15.9, 26.4), (0.3, 0.2, 0.4))))
    assert said[0] == (
        "High false-positive volume: 17.9 (95 % interval 15.9 to 26.4) % of the reference; the 5 patients with most of "
        "it hold 38 %."
    )
    assert said[1].startswith("Conservative: 30 % (95 % interval 20 to 40) of the wrong volume is added")
    said = texts(of_noise(noise((3, 2, 7), (0.6, 0.55, 0.7))))
    assert said[0].startswith("Low to moderate")
    assert said[1].startswith("Generous")
    assert texts(of_noise(noise((3, 2, 4), (0.6, 0.4, 0.7))))[1].startswith("Neither")
    assert texts(of_noise(noise((3, 2, 4), (0.6, 0.55, 0.7), p=0.06)))[1].endswith("the rest left out.")
    assert of_noise(noise((3, 2, 4), (0.6, 0.55, 0.7), p=0.06))[1].outcome is Outcome.NOT_AFTER_HOLM
    assert texts(of_noise(noise((0, 0, 0), (NAN,) * 3, 0.0)))[0].startswith("Free of false positives")
    assert "never predicted" in texts(of_noise(noise((NAN,) * 3, (NAN,) * 3, 0.0)))[0]
    assert texts(of_noise(noise((NAN,) * 3, (NAN,) * 3, 4.0))) == ["No reference has the class."]
    assert of_noise(noise((NAN,) * 3, (NAN,) * 3) | {"n": 0})[0].rule == "data"


def test_conservative_is_not_said_of_two_patients():
    said = of_noise(noise((3, NAN, NAN), (0.1, NAN, NAN), patients=2, p=NAN))
    assert said[1].outcome is Outcome.TOO_FEW_PATIENTS
    assert texts(said)[1] == "Too few patients (2) to call it conservative or generous."


def test_extreme_cases():
    row = {"convention": "published", "dice_A": 0.0, "state_A": "hallucinated", "dice_B": 0.1, "state_B": "present"}
    assert texts(of_case(row)) == ["Hallucinated: A; overlap below 0.2: B."]
    row |= {"state_A": "missed", "state_B": "absent", "dice_B": NAN}
    assert texts(of_case(row)) == ["Missed: A; absent in both, counted as 1: 1 of 2 classes."]
    assert texts(of_case({**row, "convention": "present-only"})) == ["Missed: A."]
    assert of_case({"dice_A": 0.9, "state_A": "present"}) == []


def versus(verdict, difference=0.02, low=0.01, high=0.03, metric="dice"):
    return {
        "verdict": str(verdict), "metric": metric, "difference": difference, "ci_low": low, "ci_high": high,
        "wins": 5, "ties": 1, "losses": 2, "n_patients": 8, "margin": 0.05, "missed_change": 2,
        "hallucinated_change": -3,
    }  # fmt: skip


def test_every_verdict_has_its_words():
    said = texts(of_comparison(versus(Outcome.BETTER)))[0]
    assert said.startswith("Better: +0.020 (95 % interval 0.010 to 0.030), higher is better, margin 0.05; better in 5")
    assert texts(of_comparison(versus(Outcome.NOT_SHOWN, low=-0.01)))[0].startswith("No difference is shown:")
    assert texts(of_comparison(versus(Outcome.NOT_AFTER_HOLM)))[0].startswith("No difference is shown after Holm:")
    assert texts(of_comparison(versus(Outcome.WORSE, metric="hd95_mm")))[0].startswith("Worse:")
    assert texts(of_comparison(versus(Outcome.EQUIVALENT)))[0].startswith("Equivalent within the margin:")
    assert texts(of_comparison(versus(Outcome.TOO_FEW_PATIENTS))) == ["No verdict: too few patients (8)."]
    assert texts(of_comparison(versus(Outcome.DIFFERENT_CASES)))[0].endswith("missed +2, hallucinated -3 cases.")
    for outcome in compared.VERDICTS:
        assert texts(of_comparison(versus(outcome)))[0].endswith(".")


def test_every_rule_is_described_with_its_thresholds():
    for name, rule in RULES.items():
        assert rule.id == name
        assert "{" not in rule.described
        for value in rule.thresholds.values():
            assert f"{value:g}" in rule.described


# Tables that no sentence is made of.
UNSAID = {"per_region", "class_differences", "volume_agreement", "change", "presence"}
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
    tables = make_tables(table, REGIONS, convention)
    comparison = compare_models({"a": table, "b": table})
    said = sentences({**tables, "comparison": comparison})
    assert set(said) == {*tables, "comparison"} - UNSAID
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
        assert found[-1].text.startswith("Only 1 patient: no interval")


def tables_where(dice, people=12, spread=0.0):
    """Make tables of classes A and B whose Dice stands at 0.9 and at ``dice``, moved alike by patient."""
    counts = {}
    for n in range(people):
        moved = spread * (n % 4 - 1.5)
        hits = {name: round(1000 * (at + moved)) for name, at in (("A", 0.9), ("B", dice))}
        counts[f"P-{n:05d}-100"] = {name: (hit + n, 1000 - hit, 1000 - hit) for name, hit in hits.items()}
    return make_tables(by_counts(counts), REGIONS)


def test_weakest_and_strongest_only_when_paired_differences_say_so():
    apart = " ".join(texts(conclusions(tables_where(0.5))))
    assert "A is the strongest class" in apart
    assert "B is the weakest class" in apart
    close = " ".join(texts(conclusions(tables_where(0.9))))
    assert "is the strongest" not in close
    assert "not every paired difference is shown" in close
    # The intervals of both overlap by far, and yet A is better in every patient.
    tables = tables_where(0.85, spread=0.06)
    a, b = tables["per_class"].to_dict("records")
    assert b["dice_ci_high"] > a["dice_ci_low"]
    assert "A is the strongest class" in " ".join(texts(conclusions(tables)))
    few = " ".join(texts(conclusions(tables_where(0.5, people=5))))
    assert "A has the highest Dice" in few


def test_conclusions_say_on_which_scans_the_primary_endpoint_was_compared():
    counts = random_counts(60)
    better = {case: {name: (tp + fn, fp, 0) for name, (tp, fp, fn) in row.items()} for case, row in counts.items()}
    fewer = dict(list(better.items())[:50])
    table = compare_models({"old": by_counts(counts), "new": by_counts(fewer)})
    said = texts(conclusions(make_tables(by_counts(fewer), REGIONS), table))
    text = next(text for text in said if text.startswith("Model new against old"))
    assert text.startswith("Model new against old on 50 of 60 scans (25 patients), mean Dice (absent-is-one): better")
    assert "better too in Dice of A (absent-is-one)" in text
    same = compare_models({"old": by_counts(counts), "new": by_counts(counts)})
    said = " ".join(texts(conclusions(make_tables(by_counts(counts), REGIONS), same)))
    assert "no difference is shown, difference 0.000" in said


def test_few_patients_are_said():
    def last(patients):
        return texts(conclusions(make_tables(by_counts(random_counts(2 * patients)), REGIONS)))[-1]

    assert last(3) == "Only 3 patients: no interval, and nothing that generalises."
    assert last(5) == "Only 5 patients: too few for any test, and all intervals are rough."
    assert last(8) == "Only 8 patients: all intervals are rough."
    assert "rough" not in last(10)


def test_no_dependency_is_not_said_where_none_was_examined():
    few = texts(conclusions(make_tables(by_counts(random_counts(8)), REGIONS)))
    assert "No dependency between classes was examined: too few patients." in few
    many = texts(conclusions(make_tables(by_counts(random_counts(60, seed=5)), REGIONS)))
    assert any(text.startswith("No dependency between classes is shown (2 pairs examined)") for text in many)


def test_no_conclusion_rests_on_words():
    """Every outcome that a conclusion gathers has words of its own, and conclusions.py holds none."""
    from posttx.analysis import conclusions as module
    from posttx.analysis.wording import _CONCLUDED

    source = Path(module.__file__).read_text()
    assert " in s.text" not in source
    assert ".text" not in source
    gathered = {
        (rule, outcome) for rules in module.GATHERED.values() for rule, found in rules.items() for outcome in found
    }
    assert gathered <= set(_CONCLUDED)


def test_sentences_leave_other_tables_alone():
    assert sentences({"lesions": pd.DataFrame({"a": [np.nan]})}) == {}

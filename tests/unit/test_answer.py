"""The rules of the first screen: what the headline says of every class, the checks of trust, few and no data."""

import pandas as pd
import pytest
import results_tree as tree

from posttx.analysis import answer_words as words
from posttx.analysis.answers import FEW, baseline_of, class_results, headline, in_order, primary
from posttx.analysis.comparison import compare_models
from posttx.analysis.judgements import Outcome
from posttx.analysis.tables import make_tables
from posttx.analysis.trust import Grounds, Verdict, checks, conclusion

NAN = float("nan")
GOOD = Grounds(True, 118, 0.13, False, False, shared_patients=0, scheme="confirmed", errors=(0, 0), rare=[], to_rate=20)


def line(region, verdict, n=50, patients=40, label=1, **more):
    """One row of a comparison."""
    return {
        "convention": "present-only", "metric": "dice", "label": label, "region": region, "endpoint": "secondary",
        "baseline_value": 0.5, "baseline_value_ci_low": 0.4, "baseline_value_ci_high": 0.6, "model_value": 0.6,
        "model_value_ci_low": 0.5, "model_value_ci_high": 0.7, "difference": 0.1, "ci_low": 0.05, "ci_high": 0.15,
        "n": n, "n_patients": patients, "verdict": str(verdict), **more,
    }  # fmt: skip


def told(**verdicts):
    """The headline of classes with these verdicts."""
    rows = pd.DataFrame([line(name, verdict) for name, verdict in verdicts.items()])
    own = rows.assign(value=0.6, ci_low=0.5, ci_high=0.7)
    return words.answer(headline(class_results(own, rows), "old"))


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (
            {"RC": Outcome.BETTER, "NETC": Outcome.BETTER, "ET": Outcome.NOT_SHOWN},
            "Yes for RC and NETC. Not shown for ET.",
        ),
        ({"RC": Outcome.WORSE, "ET": Outcome.NOT_SHOWN}, "No: worse for RC. Not shown for ET."),
        ({"RC": Outcome.BETTER, "ET": Outcome.WORSE}, "Better for RC. Worse for ET."),
        ({"RC": Outcome.NOT_AFTER_HOLM, "ET": Outcome.EQUIVALENT}, "Equivalent for ET. A hint for RC."),
        ({"RC": Outcome.TOO_FEW_PATIENTS, "ET": Outcome.NOT_EXAMINED}, "Too few scans of RC. Not examined for ET."),
    ],
)
def test_the_headline_names_every_class_once(verdicts, expected):
    assert told(**verdicts) == expected


@pytest.mark.parametrize("verdict", [Outcome.BETTER, Outcome.WORSE, Outcome.EQUIVALENT])
def test_fewer_than_ten_scans_are_too_few_whatever_was_found(verdict):
    pair = pd.DataFrame([line("ET", verdict, n=FEW - 1), line("RC", verdict, n=FEW, label=2), line("NETC", verdict, 0)])
    own = pair.assign(value=0.6)
    few, enough, none = class_results(own, pair)
    assert (few.outcome, enough.outcome) == (Outcome.TOO_FEW_PATIENTS, verdict)
    assert none.outcome is Outcome.NO_REFERENCE_HAS_IT
    assert words.VERDICT_WORDS[few.outcome] == "too few"


def test_without_a_baseline_the_highest_and_the_lowest_class_are_named():
    own = pd.DataFrame(
        [line("ET", ""), line("RC", "", label=2), line("SNFH", "", n=3, label=3)]
    ).assign(value=[0.6, 0.4, 0.9], ci_low=0.3, ci_high=0.95)  # fmt: skip
    assert words.answer(headline(class_results(own, None), None)) == (
        "Dice is highest for ET, 0.60, and lowest for RC, 0.40."
    )
    assert "models:" in words.NO_BASELINE
    assert "statistics.previous" in words.NO_BASELINE


@pytest.mark.parametrize(("cases", "expected"), [(0, "Nothing was scored"), (1, "Too few"), (4, "Too few")])
def test_few_or_no_cases(cases, expected):
    tables = make_tables(tree.case_metrics(cases), tree.SCHEME.scoring())
    results = class_results(tables["per_region"], None)
    assert words.answer(headline(results, None)).startswith(expected)
    assert all(not word or word in ("too few", "in no reference") for word in (
        words.VERDICT_WORDS[result.outcome] for result in results
    ))  # fmt: skip


def test_scores_that_are_all_undefined_say_nothing():
    metrics = tree.case_metrics(30, scored=False)
    results = class_results(make_tables(metrics, tree.SCHEME.scoring())["per_region"], None)
    assert words.answer(headline(results, None)).startswith("Nothing was scored")


def test_a_class_that_no_reference_has_is_named_so():
    metrics = tree.case_metrics(60)
    gone = metrics["region"] == "RC"
    metrics.loc[gone, ["n_ref", "tp", "fn"]] = 0
    metrics.loc[gone, "fp"] = metrics.loc[gone, "n_pred"]
    metrics.loc[gone, "dice"] = (metrics.loc[gone, "n_pred"] == 0).map({True: NAN, False: 0.0}).astype("float64")
    pair = compare_models({"c": {"old": metrics, "new": metrics.assign(model="new")}}, tree.SCHEME.scoring())["c"]
    results = class_results(make_tables(metrics, tree.SCHEME.scoring())["per_region"], pair)
    text = words.answer(headline(results, "old"))
    assert "In no reference: RC." in text
    found = primary(pair)
    assert found is not None
    assert "better" not in words.primary_line(found)
    assert words.cases_line(found) == ""


def test_the_model_asked_about_is_that_of_the_first_pair():
    pairs = _pairs(["old", "old", "new"], ["new", "third", "third"])
    assert in_order(["old", "new", "third"], pairs) == ["new", "old", "third"]
    assert in_order(["a", "b"], None) == ["a", "b"]
    assert baseline_of(pairs, "third") == "old"
    assert baseline_of(pairs, "old") is None
    earlier = _pairs(["old (previous)", "new (previous)", "old"], ["new"] * 3)
    assert baseline_of(earlier, "new") == "new (previous)"
    repeats = _pairs(["old", "old"], ["old_seed2", "new"], [str(Outcome.SEED_ALONE), str(Outcome.NOT_SHOWN)])
    assert in_order(["old", "old_seed2", "new"], repeats) == ["new", "old", "old_seed2"]
    assert baseline_of(repeats, "old_seed2") is None


def _pairs(baselines, models, verdicts=None):
    verdicts = verdicts or [str(Outcome.NOT_SHOWN)] * len(models)
    return pd.DataFrame({"baseline": baselines, "model": models, "verdict": verdicts})


def test_every_check_is_answered():
    found = {check.id: check.verdict for check in checks(GOOD)}
    assert found.pop("rated") is Verdict.UNKNOWN
    assert set(found.values()) == {Verdict.YES, Verdict.ENOUGH}
    unknown = Grounds(True, 2, NAN, False, True)
    assert {check.id for check in checks(unknown)} == {*found, "rated"}
    for check in (*checks(GOOD), *checks(unknown)):
        assert words.check_text(check)
    assert words.trust_headline(conclusion(checks(GOOD)), True) == "As far as the held-out scans resemble yours."


@pytest.mark.parametrize(
    ("change", "gravest"),
    [
        ({"phantom": True, "shared_patients": 3}, "Not at all"),
        ({"shared_patients": 3}, "No: training had"),
        ({"scheme": "contradicted"}, "Not class by class"),
        ({"errors": (4, 2)}, "With care: errors"),
        ({"rare": ["site X (20 %)"]}, "With care: these scans differ"),
        ({"patients": 9}, "With care: the patients are few"),
        ({"widest": 0.4}, "With care: the patients are few"),
        ({"shared_patients": None}, "As far as the held-out scans resemble yours; 1 check without an answer."),
    ],
)
def test_the_gravest_doubt_is_the_headline(change, gravest):
    grounds = Grounds(**{**GOOD.__dict__, **change})
    assert words.trust_headline(conclusion(checks(grounds)), grounds.held_out).startswith(gravest)

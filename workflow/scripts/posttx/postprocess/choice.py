"""Choose rules of post-processing out of fold: per class a rule of a small grid, and whether to have one at all.

The rules for the cases that a fold held out are chosen on the cases of the other folds, and scored on those cases: the
gain that is reported is of cases that had no part in the choice of their rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.sparse import coo_array

from posttx.analysis.interpretation_rules import MOST_HARM
from posttx.analysis.judgements import Outcome
from posttx.analysis.statistics import FEWEST_FOR_P, LEVEL, Patients, means
from posttx.errors import PostTxError
from posttx.postprocess.rules import BACKGROUND, Rule, Rules, dropped_of_class
from posttx.postprocess.subsets import NONE, BoolArray, Cohort, FloatArray, IntArray

# What is tried, alone and two at a time: a rule that a reader can follow.
GRID: Mapping[str, Sequence[float]] = {
    "min_mm3": (10, 20, 30, 50, 75, 100, 150, 200, 300, 500),
    "min_probability": (0.6, 0.7, 0.8, 0.9, 0.95, 0.99),
    "min_share": (0.02, 0.05, 0.1, 0.2),
    "presence_mm3": (50, 100, 200, 500, 1000),
    "presence_probability": (0.7, 0.8, 0.9, 0.95, 0.99),
}
MOST_CONDITIONS = 2
# Means of other classes that differ by less are alike.
ALIKE = 1e-4
INTEGERS = ("n", "n_patients", "removed_false", "removed_true", "missed_before", "missed_after")
COLUMNS = ("region", "rule", "measure", "before", "after", "gain", "ci_low", "ci_high", *INTEGERS, "outcome")


@dataclass(frozen=True)
class Predicted:
    """The components of out-of-fold predictions: what rules look at, and what follows from dropping them.

    ``volume_mm3``, ``share``, ``p_max`` and ``surround`` (place of a class, or ``NONE``) are of every component of
    ``cohort``; ``fold`` and ``patients`` of every case.
    """

    cohort: Cohort
    volume_mm3: FloatArray
    share: FloatArray
    p_max: FloatArray
    surround: IntArray
    fold: IntArray
    patients: Patients

    @classmethod
    def of(cls, cohort: Cohort, rows: pd.DataFrame, splits: pd.DataFrame) -> Predicted:
        """Join a cohort with the component rows of its predictions and the table of folds (case, patient, fold).

        Components that one of them has and the other has not are an error; cases without a reference are left out.
        """
        keys = ["case", "label", "component"]
        labels = list(cohort.classes.values())
        known = pd.DataFrame({
            "case": np.array(cohort.cases, object)[cohort.case],
            "label": np.array(labels)[cohort.label],
            "component": cohort.number,
            "counted": cohort.voxels,
        })  # fmt: skip
        rows = rows[rows["case"].isin(cohort.cases)].astype({"label": "int64", "component": "int64"})
        both = known.merge(rows, how="outer", on=keys, validate="one_to_one", indicator=True)
        wrong = both[(both["_merge"] != "both") | (both["counted"] != both["voxels"])]
        if len(wrong):
            raise PostTxError(
                f"the component rows and what was measured of the predictions differ in {len(wrong)} components",
                remedy="Delete results/components and run again",
                case=str(wrong["case"].iloc[0]),
            )
        joined = known.merge(rows, how="left", on=keys)
        folds = splits.set_index("case").loc[list(cohort.cases)]
        at = {label: i for i, label in enumerate(labels)}
        return cls(
            cohort,
            joined["volume_mm3"].to_numpy(np.float64),
            joined["share"].to_numpy(np.float64),
            joined["p_max"].to_numpy(np.float64),
            np.array([at.get(label, NONE) for label in joined["surround"].tolist()], np.int64),
            folds["fold"].to_numpy(np.int64),
            Patients.of(folds["patient"].tolist()),
        )

    def chosen(self, rules: Rules, cases: BoolArray | None = None, choice: IntArray | None = None) -> IntArray:
        """Return the choice that rules make in some cases (all by default), the others being as in ``choice``."""
        choice = (self.cohort.as_predicted if choice is None else choice).copy()
        for region, rule in rules.items():
            own = self.cohort.label == list(self.cohort.classes).index(region)
            own = np.flatnonzero(own if cases is None else own & cases[self.cohort.case])
            gone = own[self.dropped(rule, own)]
            choice[gone] = NONE if rule.then == BACKGROUND else self.surround[gone]
        return choice

    def dropped(self, rule: Rule, own: IntArray) -> BoolArray:
        """Return which of some components of one class a rule drops."""
        columns = (self.volume_mm3, self.share, self.p_max)
        return dropped_of_class(rule, self.cohort.case[own], *(column[own] for column in columns))

    def by_fold(self, folds: Sequence[Rules]) -> IntArray:
        """Return the choice that the rules of every fold make in the cases that it held out."""
        choice = self.cohort.as_predicted
        for fold, rules in enumerate(folds):
            choice = self.chosen(rules, self.fold == fold, choice)
        return choice

    def values(self, measure: str, choice: IntArray) -> FloatArray:
        """Return the measure of a choice, (cases, classes)."""
        if measure == "dice":
            return self.cohort.dice(choice)
        known = {which: self.cohort.delimited(which, choice) for which in range(len(self.cohort.classes))}
        return np.stack([self.cohort.lesion_scores(which, choice, known).dice for which in known], axis=1)


Row = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """The rules that hold, those of every fold, and a row of ``COLUMNS`` for every class."""

    rules: Rules
    folds: tuple[Rules, ...]
    table: pd.DataFrame


def grid() -> list[Rule]:
    """Return the rules that are tried, those of one condition first, gentler ones before others."""
    rules = []
    for count in range(1, MOST_CONDITIONS + 1):
        for names in combinations(GRID, count):
            settings = (dict(zip(names, values, strict=True)) for values in product(*(GRID[n] for n in names)))
            rules += [replace(Rule(), **setting) for setting in settings]  # type: ignore[arg-type]
    return rules


def choose(predicted: Predicted, measure: str, folds: int) -> Choice:
    """Return the rules that raise a measure (``lesion_dice`` or ``dice``) out of fold; no rule for the other classes.

    A class keeps its rule where the interval of its nested gain lies above 0, at least ``FEWEST_FOR_P`` patients are
    behind it, and no other class falls by more than ``MOST_HARM`` out of fold by this rule alone. Rules of folds are
    those of the classes that keep theirs.
    """
    tried = {region: _Tried.of(predicted, which, measure) for which, region in enumerate(predicted.cohort.classes)}
    raw = predicted.values(measure, predicted.cohort.as_predicted)
    every = np.ones(len(predicted.fold), bool)
    final = _chosen_on(predicted, tried, measure, raw, every)
    nested = [_chosen_on(predicted, tried, measure, raw, predicted.fold != fold) for fold in range(folds)]
    told: dict[str, Row] = {}
    while True:
        kept = [_without(rules, told) for rules in nested]
        rows = {row["region"]: row for row in _rows(predicted, measure, kept, raw)}
        fresh = {}
        for region in (region for region in rows if region not in told):
            outcome = _outcome(predicted, measure, region, rows[region], kept, raw, region in final)
            if outcome is not Outcome.RULE_CHOSEN:
                fresh[region] = rows[region] | {"rule": None, "outcome": str(outcome)}
        if not fresh:
            break
        told |= fresh
    rules = _without(final, told)
    chosen = {region: {"rule": rule, "outcome": str(Outcome.RULE_CHOSEN)} for region, rule in rules.items()}
    table = [told.get(region) or rows[region] | chosen[region] for region in rows]
    return Choice(rules, tuple(kept), _table(table))


def judged_as_given(predicted: Predicted, measure: str, folds: Sequence[Rules], rules: Rules) -> Choice:
    """Return a user's own rules, and what they do to the out-of-fold predictions: nothing was chosen on these here."""
    raw = predicted.values(measure, predicted.cohort.as_predicted)
    rows = _rows(predicted, measure, folds, raw)
    given = [row | {"rule": rules.get(str(row["region"])), "outcome": str(Outcome.RULE_GIVEN)} for row in rows]
    return Choice(rules, tuple(folds), _table(given))


def _without(rules: Rules, regions: Iterable[str]) -> dict[str, Rule]:
    return {region: rule for region, rule in rules.items() if region not in set(regions)}


def _table(rows: Sequence[Row]) -> pd.DataFrame:
    table = pd.DataFrame([row | {"rule": described(row["rule"])} for row in rows], columns=list(COLUMNS))
    return table.astype(dict.fromkeys(INTEGERS, "Int64"))


@dataclass(frozen=True)
class _Tried:
    """What every rule of the grid does to its own class: the gain (rules, cases) over the prediction as it is."""

    rules: Sequence[Rule]
    gain: FloatArray

    @classmethod
    def of(cls, predicted: Predicted, which: int, measure: str) -> _Tried:
        """Try the whole grid on one class, the other classes being as predicted; rules that drop the same are one."""
        cohort = predicted.cohort
        own = np.flatnonzero(cohort.label == which)
        known = {other: cohort.delimited(other, cohort.as_predicted) for other in range(len(cohort.classes))}

        def scored(gone: IntArray) -> FloatArray:
            choice = cohort.as_predicted.copy()
            choice[gone] = NONE
            return (
                cohort.dice(choice)[:, which] if measure == "dice" else cohort.lesion_scores(which, choice, known).dice
            )

        before = scored(own[:0])
        rules: dict[bytes, Rule] = {}
        gains = []
        for rule in grid():
            gone = predicted.dropped(rule, own)
            if gone.any() and gone.tobytes() not in rules:
                rules[gone.tobytes()] = rule
                gains.append(scored(own[gone]) - before)
        return cls(list(rules.values()), np.reshape(gains, (len(rules), len(cohort.cases))))

    def best(self, cases: BoolArray, patients: Patients) -> Rule | None:
        """Return the simplest of the rules that are about as good as the best one in some cases; None where none helps.

        About as good: the mean gain is less than one standard error, by patient, of the difference below the best.
        Simplest: fewest conditions, then the largest gain. It helps where the interval of its gain lies above 0.
        """
        if not len(self.rules) or not cases.any():
            return None
        gain, whose = self.gain[:, cases], patients.index[cases]
        mean = gain.mean(axis=1)
        best = int(np.argmax(mean))
        if mean[best] <= 0:
            return None
        near = np.flatnonzero(mean[best] - mean <= _errors(gain[best] - gain, whose))
        chosen = min(near.tolist(), key=lambda i: (len(self.rules[i].content()), -mean[i], i))
        freedom = len(np.unique(whose)) - 1
        reach = stats.t.ppf((1 + LEVEL) / 2, max(freedom, 1)) * _errors(gain[chosen : chosen + 1], whose)[0]
        return self.rules[chosen] if freedom > 0 and mean[chosen] > reach else None


def _errors(values: FloatArray, whose: IntArray) -> FloatArray:
    """Return the standard error of the mean of each row of values (rows, cases), cases of a patient being alike."""
    places = np.unique(whose, return_inverse=True)[1]
    count, cases = int(places.max()) + 1, values.shape[1]
    if count < 2:
        return np.zeros(len(values))
    members = coo_array((np.ones(cases), (places, np.arange(cases))), shape=(count, cases)).tocsr()
    sums = members @ (values - values.mean(axis=1, keepdims=True)).T
    return np.sqrt(count / (count - 1) * (sums**2).sum(axis=0)) / cases


def _chosen_on(
    predicted: Predicted, tried: Mapping[str, _Tried], measure: str, raw: FloatArray, cases: BoolArray
) -> dict[str, Rule]:
    """Return the rules chosen on some cases, class by class."""
    rules = {}
    for which, (region, table) in enumerate(tried.items()):
        rule = table.best(cases, predicted.patients)
        if rule is None:
            continue
        options = [rule, replace(rule, then=BACKGROUND)]
        others = [_of_others(predicted, measure, predicted.chosen({region: one}), which, raw, cases) for one in options]
        # What is dropped becomes what surrounds it, unless background is better for the other classes.
        pick = int(others[1].sum() > others[0].sum() + ALIKE)
        if others[pick].min(initial=0.0) >= -MOST_HARM:
            rules[region] = options[pick]
    return rules


def _of_others(
    predicted: Predicted, measure: str, choice: IntArray, which: int, raw: FloatArray, cases: BoolArray
) -> FloatArray:
    """Return by how much a choice changes the mean of every class but one in some cases."""
    return np.delete((predicted.values(measure, choice) - raw)[cases].mean(axis=0), which)


def _outcome(
    predicted: Predicted,
    measure: str,
    region: str,
    row: Row,
    nested: Sequence[Rules],
    raw: FloatArray,
    chosen: bool,
) -> Outcome:
    """Return whether a class keeps its rule, or why it has none."""
    low, patients = float(row["ci_low"]), int(row["n_patients"])
    if patients < FEWEST_FOR_P:
        return Outcome.TOO_FEW_PATIENTS
    if not chosen or not low > 0:
        return Outcome.NO_RULE_HELPS
    alone = predicted.by_fold([{region: rules[region]} if region in rules else {} for rules in nested])
    which = list(predicted.cohort.classes).index(region)
    harm = _of_others(predicted, measure, alone, which, raw, np.ones(len(predicted.fold), bool)).min(initial=0.0)
    return Outcome.RULE_LOWERS_ANOTHER if harm < -MOST_HARM else Outcome.RULE_CHOSEN


def _rows(predicted: Predicted, measure: str, folds: Sequence[Rules], raw: FloatArray) -> list[Row]:
    """Return a row per class of what the rules of every fold do to the cases that it held out, all classes at once."""
    cohort, choice = predicted.cohort, predicted.by_fold(folds)
    after = predicted.values(measure, choice)
    gain = after - raw
    estimate = predicted.patients.estimate(means(gain), np.ones(gain.shape, bool))
    rows = []
    for which, region in enumerate(cohort.classes):
        removed = (cohort.label == which) & (choice != which)
        false = cohort.overlap[:, which] == 0
        rows.append({
            "region": region, "measure": measure, "before": raw[:, which].mean(), "after": after[:, which].mean(),
            "gain": estimate.value[which], "ci_low": estimate.low[which], "ci_high": estimate.high[which],
            "n": estimate.n[which], "n_patients": estimate.n_patients[which],
            "removed_false": (removed & false).sum(), "removed_true": (removed & ~false).sum(),
            "missed_before": cohort.lesion_scores(which, cohort.as_predicted).missed.sum(),
            "missed_after": cohort.lesion_scores(which, choice).missed.sum(),
        })  # fmt: skip
    return rows


def described(rule: Rule | None) -> str:
    """Return a rule in words; "none" for no rule."""
    if rule is None or rule.drops_nothing:
        return "none"
    of_one = [
        f"below {rule.min_mm3:g} mm³" if rule.min_mm3 else "",
        f"nowhere as probable as {rule.min_probability:g}" if rule.min_probability else "",
        f"below {100 * rule.min_share:g} % of the largest one" if rule.min_share else "",
    ]
    of_all = [
        f"less than {rule.presence_mm3:g} mm³ of it are left" if rule.presence_mm3 else "",
        f"it is nowhere as probable as {rule.presence_probability:g}" if rule.presence_probability else "",
    ]
    parts = [f"components {', or '.join(filter(None, of_one))}"] if any(of_one) else []
    parts += [f"the whole class where {', or '.join(filter(None, of_all))}"] if any(of_all) else []
    then = "background" if rule.then == BACKGROUND else "the class that surrounds it"
    return f"drop {'; and '.join(parts)}; what is dropped becomes {then}"

"""Subgroups: every headline measure by site, scanner, age, visit, lesion volume, cohort, with its gap to the rest.

A model that holds at one hospital may fail at the next; a mean over both says nothing of it. Groups come from facts
(``posttx.facts``), and always from the visit (first or later scan), the reference volume and the cohort.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from posttx.analysis.estimates import case_values, first_scans, measured, quantiles
from posttx.analysis.evidence import evidence
from posttx.analysis.statistics import (
    FEWEST_FOR_INTERVAL,
    FEWEST_FOR_P,
    LEVEL,
    SHARE,
    Estimate,
    Patients,
    Statistic,
    holm,
    means,
)
from posttx.conventions import LESION_WISE, Convention, case_means
from posttx.facts import CATEGORICAL, NUMERIC, Fact, numbers_of
from posttx.measures import measure_of
from posttx.scoring.scores import Scores

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

VISIT, VOLUME, COHORT = "visit", "volume", "cohort"
VISITS = ("first scan", "later scan")
THIRDS = ("smallest third", "middle third", "largest third")
# The row that stands for a case's mean over all labels.
MEAN = "mean"
COLUMNS = (
    "fact", "kind", "group", "label", "region", "measure", "convention",
    "value", "ci_low", "ci_high", "n", "n_patients", "rest_value", "rest_n_patients",
    "gap", "gap_ci_low", "gap_ci_high", "p", "p_holm", "outcome",
)  # fmt: skip


@dataclass(frozen=True)
class Grouping:
    """Which group each case belongs to by one fact: ``member`` (cases, labels + 1) is an index into ``groups`` or -1.

    The last column is that of the mean over labels.
    """

    fact: str
    kind: str
    groups: tuple[str, ...]
    member: IntArray


def subgroups(
    scores: Scores,
    facts: Sequence[Fact],
    convention: Convention,
    everywhere: Scores | None = None,
    cohorts: Sequence[str] = (),
) -> pd.DataFrame:
    """Return one row per fact, group, label (and their mean) and headline measure, with the gap to all other cases.

    Headline measures are Dice under ``convention`` and, where lesions were measured, lesion-wise Dice. ``everywhere``
    holds the same model's scores on all its cohorts, ``cohorts`` the cohort of each of those cases: with two cohorts or
    more they are compared, too. ``n_patients`` counts the group's patients with a value. ``gap`` is the group's mean
    minus that of the cases of the other groups; its interval is that of a jackknife over patients, with the degrees of
    freedom of the smaller side. ``p`` tests whether the groups differ at all, flipping signs by patient; groups below
    six patients take no part in it, and ``p_holm`` is adjusted for all tests of the table. Cases without the fact are
    in no group. No case or no fact with two groups: no rows.
    """
    labels = scores.per_label
    found = [*_of_facts(labels, facts), _visits(labels), _volumes(labels)]
    rows = [row for grouping in found for row in _rows(labels, grouping, convention)]
    if everywhere is not None and len(set(cohorts)) > 1:
        every = everywhere.per_label
        rows += _rows(every, _named(COHORT, CATEGORICAL, cohorts, len(every.regions)), convention)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    tests = table.drop_duplicates(["fact", "region", "convention"])
    adjusted = pd.Series(holm(tests["p"].to_numpy(float)), tests.index)
    keys = pd.MultiIndex.from_frame(tests[["fact", "region", "convention"]])
    table["p_holm"] = pd.Series(adjusted.to_numpy(), keys).reindex(
        pd.MultiIndex.from_frame(table[["fact", "region", "convention"]])
    ).to_numpy()  # fmt: skip
    fewest = table[["n_patients", "rest_n_patients"]].min(axis=1)
    judged = zip(table["gap_ci_low"], table["gap_ci_high"], table["p_holm"], fewest, strict=True)
    table["outcome"] = [str(evidence(low, high, p, count)) for low, high, p, count in judged]
    whole = ("label", "n", "n_patients", "rest_n_patients")
    return table.astype(dict.fromkeys(whole, "Int64") | dict.fromkeys(("value", "gap", "p", "p_holm"), "float64"))


def _of_facts(scores: Scores, facts: Sequence[Fact]) -> Iterator[Grouping]:
    for fact in facts:
        values = fact.of(scores.cases, scores.patients)
        if fact.kind == NUMERIC:
            numbers = np.array(numbers_of(values), dtype=np.float64)
            columns = np.repeat(numbers[:, None], len(scores.regions) + 1, axis=1)
            low, high = (f"{edge:g}" for edge in quantiles(numbers[:, None], (1 / 3, 2 / 3))[:, 0])
            names = (f"{low} or less", f"above {low} to {high}", f"above {high}")
            yield Grouping(fact.name, NUMERIC, names, _thirds(columns))
        else:
            yield _named(fact.name, CATEGORICAL, values, len(scores.regions))


def _named(fact: str, kind: str, values: Sequence[str], regions: int) -> Grouping:
    groups = tuple(sorted(set(values) - {""}))
    places = {name: place for place, name in enumerate(groups)} | {"": -1}
    member = np.array([places[value] for value in values], dtype=np.int64)
    return Grouping(fact, kind, groups, np.repeat(member[:, None], regions + 1, axis=1))


def _visits(scores: Scores) -> Grouping:
    return _named(VISIT, CATEGORICAL, [VISITS[0 if first else 1] for first in first_scans(scores)], len(scores.regions))


def _volumes(scores: Scores) -> Grouping:
    """Return the thirds of the reference volume of each label where it is present, and of all labels together."""
    volume = np.where(scores["n_ref"] > 0, scores.reference_volume, np.nan)
    total = np.nansum(volume, axis=1, keepdims=True)
    return Grouping(VOLUME, NUMERIC, THIRDS, _thirds(np.hstack([volume, np.where(total > 0, total, np.nan)])))


def _thirds(values: FloatArray) -> IntArray:
    """Return in which third of its column each value lies, -1 for NaN; equal values lie in one third."""
    edges = quantiles(values, (1 / 3, 2 / 3))
    third = (values > edges[0]).astype(np.int64) + (values > edges[1])
    return np.where(np.isnan(values), -1, third)


def _rows(scores: Scores, grouping: Grouping, convention: Convention) -> list[dict[str, object]]:
    dice, rows = measure_of("dice"), []
    patients = Patients.of(scores.patients)
    for rule in (convention, LESION_WISE):
        if dice not in measured(scores, rule):
            continue
        values = case_values(scores, rule, dice)
        mean = case_means(convention, scores["dice"], scores.states)
        if rule is LESION_WISE:
            mean = np.where(np.isnan(values).any(axis=1), np.nan, values.mean(axis=1))
        values = np.hstack([values, mean[:, None]])
        p = _p(patients, values, grouping)
        for place, group in enumerate(grouping.groups):
            inside = (grouping.member == place) & ~np.isnan(values)
            if not inside.any():
                continue
            rest = (grouping.member >= 0) & (grouping.member != place) & ~np.isnan(values)
            one, other, gap = _compared(patients, values, inside, rest)
            rows += [
                {
                    "fact": grouping.fact, "kind": grouping.kind, "group": group,
                    "label": label, "region": region, "measure": dice.id, "convention": rule.name,
                    "value": one.value[k], "ci_low": one.low[k], "ci_high": one.high[k],
                    "n": one.n[k], "n_patients": one.n_patients[k],
                    "rest_value": other.value[k], "rest_n_patients": other.n_patients[k],
                    "gap": gap.value[k], "gap_ci_low": gap.low[k], "gap_ci_high": gap.high[k], "p": p[k],
                }
                for k, (label, region) in enumerate(
                    [*zip(scores.labels, scores.regions, strict=True), (None, MEAN)]
                )
            ]  # fmt: skip
    return rows


def _compared(
    patients: Patients, values: FloatArray, inside: npt.NDArray[np.bool_], rest: npt.NDArray[np.bool_]
) -> tuple[Estimate, Estimate, Estimate]:
    """Return the means of a group and of the rest, and their difference."""
    of_group, of_rest = means(np.where(inside, values, np.nan)), means(np.where(rest, values, np.nan))
    one, other = patients.estimate(of_group, inside, SHARE), patients.estimate(of_rest, rest, SHARE)
    gap = patients.estimate(_difference(of_group, of_rest), inside | rest)
    fewest = np.minimum(one.n_patients, other.n_patients)
    # The smaller side carries most of the error, so the degrees of freedom are its own.
    with np.errstate(invalid="ignore"):
        half = stats.t.ppf((1 + LEVEL) / 2, fewest - 1) * gap.error
    half = np.where(fewest >= FEWEST_FOR_INTERVAL, half, np.nan)
    return one, other, Estimate(gap.value, gap.value - half, gap.value + half, gap.n, gap.n_patients, gap.error)


def _difference(one: Statistic, other: Statistic) -> Statistic:
    return lambda weights: one(weights) - other(weights)


def _p(patients: Patients, values: FloatArray, grouping: Grouping) -> FloatArray:
    """Return, per column, the p of "all groups have the same mean"; NaN without two groups of six patients."""
    p = np.full(values.shape[1], np.nan)
    for k, column in enumerate(values.T):
        member = np.where(np.isnan(column), -1, grouping.member[:, k])
        sizes = [len(np.unique(patients.index[member == place])) for place in range(len(grouping.groups))]
        tested = [place for place, size in enumerate(sizes) if size >= FEWEST_FOR_P]
        if len(tested) >= 2:
            p[k] = patients.groups_p(column, np.where(np.isin(member, tested), member, -1))
    return p

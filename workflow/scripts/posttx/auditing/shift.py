"""What a held-out cohort has that the training cohort hardly has: groups of facts, intensities, volumes of classes.

A model is judged on scans it was not trained for; whether they are like those it was trained on decides what the scores
say. The unit is the patient: one who has any scan in a group counts in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from posttx.auditing.findings import Finding
from posttx.facts import NUMERIC, Fact, numbers_of

COLUMNS = (
    "cohort", "train_cohort", "kind", "name", "group",
    "n_patients", "share", "train_n_patients", "train_share", "under_represented",
)  # fmt: skip
FACT, INTENSITY, VOLUME = "fact", "intensity", "volume"
OF_CLASSES = ("volume_mm3", "name", VOLUME)
# The range that is common in training: between these percentiles of its scans.
COMMON = (5.0, 95.0)
# A group is told where it holds so much of a held-out cohort, so many patients, and training has so many times less.
LEAST_SHARE, LEAST_PATIENTS, FACTOR = 0.1, 3, 4.0
# Numbers outside the common range of training hold a tenth of a cohort like it; told where it is so many times more.
RANGE_FACTOR = 3.0


def shift_table(
    cohorts: pd.DataFrame,
    intensity: pd.DataFrame,
    labels: pd.DataFrame,
    facts: Mapping[str, Sequence[Fact]],
    uses: Mapping[str, str],
) -> pd.DataFrame:
    """Return one row per held-out cohort and group that it shares or does not share with the training cohort.

    ``cohorts`` (case, patient, cohort), ``intensity`` and ``labels`` are the audit's tables, ``facts`` those of each
    cohort, ``uses`` cohort -> train, test or predict. Kinds: ``fact`` (each value of a categorical fact; a numeric
    fact outside the training's middle 90 %), ``intensity`` (99th percentile of a modality outside it), ``volume`` (of a
    class, where present). ``share`` and ``train_share`` are of the patients for whom the value is known. No training
    cohort or no other: no rows.
    """
    train = [name for name, use in uses.items() if use == "train"]
    rows: list[dict[str, Any]] = []
    for name in train:
        mine = cohorts[cohorts["cohort"] == name]
        for other, theirs in cohorts[cohorts["cohort"] != name].groupby("cohort"):
            pairs = [*_fact_rows(mine, theirs, facts.get(name, ()), facts.get(str(other), ()))]
            for table, column, by, kind in ((intensity, "p99", "modality", INTENSITY), (labels, *OF_CLASSES)):
                trained, held_out = (_numbers(table, side, column, by) for side in (mine, theirs))
                pairs += _range_rows(trained, held_out, kind)
            rows += [{"cohort": str(other), "train_cohort": name, **row} for row in pairs]
    kinds = {"n_patients": "Int64", "train_n_patients": "Int64", "share": "float64", "train_share": "float64"}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({**kinds, "under_represented": "bool"})


def shift_findings(table: pd.DataFrame) -> list[Finding]:
    """Return a warning per group of a held-out cohort that its training cohort hardly has."""
    told = table[table["under_represented"]]
    return [Finding("FCT001", str(row["cohort"]), _words(row)) for _, row in told.iterrows()]


def fact_findings(cohorts: pd.DataFrame, facts: Mapping[str, Sequence[Fact]]) -> Iterator[Finding]:
    """Yield what each cohort's facts leave open: cases that they say nothing of, and rows of nobody."""
    for cohort, known in facts.items():
        people = cohorts[cohorts["cohort"] == cohort]
        for fact in known:
            ids = people[fact.key].astype(str)
            without = people.loc[~ids.isin(fact.values), "case"]
            if len(without):
                shown = ", ".join(without.head(5)) + (", ..." if len(without) > 5 else "")
                yield Finding("FCT002", cohort, f"{fact.name}: {len(without)} of {len(people)} cases: {shown}")
            if strangers := len(set(fact.values) - set(ids)):
                yield Finding("FCT003", cohort, f"{fact.name}: {strangers} of {len(fact.values)} {fact.key} ids")


def _words(row: pd.Series) -> str:
    here, there = f"{row['share']:.0%} of {row['n_patients']} patients", f"{row['train_share']:.0%}"
    of_training = f"{there} of {row['train_n_patients']} in {row['train_cohort']}"
    if row["kind"] == FACT and not row["group"].startswith("outside"):
        return f"{row['name']} {row['group']}: {here}, but {of_training}"
    return f"{row['name']} {row['group']}: {here}, against {of_training}"


def _fact_rows(
    mine: pd.DataFrame, theirs: pd.DataFrame, known: Sequence[Fact], facts: Sequence[Fact]
) -> Iterator[dict[str, Any]]:
    trained = {fact.name: fact for fact in known}
    for fact in facts:
        if (own := trained.get(fact.name)) is None:
            continue
        here, there = _said(theirs, fact), _said(mine, own)
        if fact.kind == own.kind == NUMERIC:
            yield from _range_rows({fact.name: _as_numbers(there)}, {fact.name: _as_numbers(here)}, FACT)
            continue
        for group in sorted({*here["value"], *there["value"]}):
            share, count = _share(here, here["value"] == group)
            train_share, train_count = _share(there, there["value"] == group)
            patients = share * count
            rare = share >= LEAST_SHARE and patients >= LEAST_PATIENTS and share >= FACTOR * train_share
            yield _row(FACT, fact.name, group, share, count, train_share, train_count, rare and train_count > 0)


def _said(people: pd.DataFrame, fact: Fact) -> pd.DataFrame:
    """Return patient and value of the cases of whom the fact is said."""
    values = fact.of(people["case"].astype(str).tolist(), people["patient"].astype(str).tolist())
    table = pd.DataFrame({"patient": people["patient"].to_numpy(), "value": values})
    return table[table["value"] != ""]


def _as_numbers(said: pd.DataFrame) -> pd.DataFrame:
    return said.assign(value=numbers_of(said["value"].tolist()))


def _numbers(table: pd.DataFrame, people: pd.DataFrame, column: str, by: str) -> dict[str, pd.DataFrame]:
    """Return name -> patient and value (> 0) of a column of an audit's table for the cases of one cohort."""
    own = table.merge(people[["cohort", "case", "patient"]], on=["cohort", "case"])
    own = own[own[column] > 0]
    return {str(name): rows[["patient", column]].rename(columns={column: "value"}) for name, rows in own.groupby(by)}


def _range_rows(
    trained: Mapping[str, pd.DataFrame], held_out: Mapping[str, pd.DataFrame], kind: str
) -> Iterator[dict[str, Any]]:
    for name in trained:
        there, here = trained[name], held_out.get(name)
        if here is None or not len(here) or not len(there):
            continue
        low, high = np.percentile(there["value"].to_numpy(float), COMMON)
        share, count = _share(here, ~here["value"].between(low, high))
        train_share, train_count = _share(there, ~there["value"].between(low, high))
        rare = share >= RANGE_FACTOR * max(train_share, 1 - (COMMON[1] - COMMON[0]) / 100)
        group = f"outside {low:.4g} to {high:.4g}"
        yield _row(kind, name, group, share, count, train_share, train_count, rare and share * count >= LEAST_PATIENTS)


def _share(said: pd.DataFrame, inside: pd.Series) -> tuple[float, int]:
    """Return the share of the patients who have a case inside, and the number of patients."""
    patients = said["patient"].nunique()
    return (said.loc[inside, "patient"].nunique() / patients if patients else float("nan")), patients


def _row(
    kind: str, name: str, group: str, share: float, count: int, train_share: float, train_count: int, rare: bool
) -> dict[str, Any]:
    return {
        "kind": kind, "name": name, "group": group, "n_patients": count, "share": share,
        "train_n_patients": train_count, "train_share": train_share, "under_represented": bool(rare),
    }  # fmt: skip


def groups_table(
    cohorts: pd.DataFrame, intensity: pd.DataFrame, labels: pd.DataFrame, facts: Mapping[str, Sequence[Fact]]
) -> pd.DataFrame:
    """Return, per cohort and group of each fact: cases, patients, intensities, presence and volumes.

    ``fact_kind`` is how the fact was read: a categorical one has a group per value, a numeric one a single group, its
    range; cases of whom nothing is said are a group of their own. ``kind`` is ``cases``, ``p99`` (median over the scans
    of a modality), ``presence`` (share of the scans with a class) or ``volume`` (median in mm3 where present).
    """
    rows: list[dict[str, Any]] = []
    for cohort, known in facts.items():
        people = cohorts[cohorts["cohort"] == cohort]
        for fact in known:
            values = fact.of(people["case"].astype(str).tolist(), people["patient"].astype(str).tolist())
            groups = _in_range(values) if fact.kind == NUMERIC else values
            for group in sorted(set(groups)):
                own = people[[value == group for value in groups]]
                told: dict[str, Any] = {"cohort": cohort, "fact": fact.name, "fact_kind": fact.kind}
                told |= {"group": group or "not said", "n": len(own), "n_patients": own["patient"].nunique()}
                rows += [{**told, "kind": kind, "name": name, "value": value} for kind, name, value in
                         _described(own, intensity, labels)]  # fmt: skip
    columns = ["cohort", "fact", "fact_kind", "group", "n", "n_patients", "kind", "name", "value"]
    return pd.DataFrame(rows, columns=columns)


def _in_range(values: Sequence[str]) -> list[str]:
    """Return the range of all numbers in place of each, "" where none is said."""
    numbers = [number for number in numbers_of(values) if number == number]
    span = f"{min(numbers):g} to {max(numbers):g}" if numbers else ""
    return [span if value else "" for value in values]


def _described(own: pd.DataFrame, intensity: pd.DataFrame, labels: pd.DataFrame) -> Iterable[tuple[str, str, float]]:
    yield "cases", "", float(len(own))
    keys = own[["cohort", "case"]]
    for name, rows in intensity.merge(keys).groupby("modality"):
        yield "p99", str(name), float(rows["p99"].median())
    for name, rows in labels.merge(keys).groupby("name"):
        present = rows["voxels"] > 0
        yield "presence", str(name), float(present.mean())
        yield "volume", str(name), float(rows.loc[present, "volume_mm3"].median()) if present.any() else float("nan")

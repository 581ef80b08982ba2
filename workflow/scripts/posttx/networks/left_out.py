"""Folds that leave out what one fact says, such as a site: one fold per value (``train.leave_out``).

Read while the workflow is parsed; nothing here needs a table of the results.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from posttx.cases import Case
from posttx.errors import PostTxError
from posttx.facts import CATEGORICAL, Fact
from posttx.networks.trainings import trained_models

FEWEST, MOST = 2, 20
# The column of the tables of folds that says what a case's fold leaves out.
LEFT_OUT = "left_out"


def leave_out_of(config: Mapping[str, Any]) -> str:
    """Return the fact by which the models trained here leave out, "" where none does; they share their folds."""
    return next((train.get("leave_out") or "" for train in trained_models(config).values()), "")


def settle_folds(
    config: Mapping[str, Any], cases: Mapping[str, Sequence[Case]], facts: Mapping[str, Sequence[Fact]]
) -> dict[str, str]:
    """Return case -> what is left out with it, and write, in place, ``folds`` of the models: one per value.

    ``cases`` and ``facts`` are those of each cohort. Empty where no model leaves anything out; raises what
    ``values_left_out`` raises.
    """
    name = leave_out_of(config)
    cohort = next((name for name in cases if config["cohorts"][name]["use"] == "train"), None)
    if not name or cohort is None:
        return {}
    people = {case.case: case.patient for case in cases[cohort]}
    values = values_left_out(name, cohort, people, facts[cohort])
    for train in trained_models(config).values():
        train["folds"] = len(set(values.values()))
    return values


def values_left_out(name: str, cohort: str, people: Mapping[str, str], facts: Sequence[Fact]) -> dict[str, str]:
    """Return case -> what the fact ``name`` says of it, for ``people``, case -> patient, of a cohort.

    An error: a fact that is not among ``facts`` or holds numbers, a case of which it says nothing, a patient with two
    values (his scans would be on both sides of a fold's border), fewer than 2 or more than 20 values.
    """
    fact = next((fact for fact in facts if fact.name == name), None)
    if fact is None:
        known = ", ".join(fact.name for fact in facts)
        raise _error(
            name,
            f"cohort {cohort!r} has {f'only the facts {known}' if known else 'no facts'}",
            f"Give the cohort a table of `facts` with a column {name}" + (", or name one of these" if known else ""),
        )
    if fact.kind != CATEGORICAL:
        raise _error(name, "it holds numbers, not names", "Name a fact with a few values, or write its groups as text")
    values = dict(zip(people, fact.of(list(people), list(people.values())), strict=True))
    if silent := sorted(case for case, value in values.items() if not value):
        raise _error(
            name,
            f"the facts of cohort {cohort!r} do not say it of {len(silent)} of {len(values)} cases",
            f"Fill in {name} of these cases, or leave them out by `exclude`",
            silent,
        )
    found = defaultdict(set)
    for case, value in values.items():
        found[people[case]].add(value)
    if torn := [f"{who}: {', '.join(sorted(has))}" for who, has in sorted(found.items()) if len(has) > 1]:
        raise _error(
            name,
            f"{len(torn)} patients have scans with different values, and would be trained on and held out at once",
            "Give these patients one value, or leave scans out by `exclude`",
            torn,
        )
    distinct = sorted(set(values.values()))
    if not FEWEST <= len(distinct) <= MOST:
        problem = f"all cases have {distinct[0]!r}" if len(distinct) == 1 else f"it has {len(distinct)} values"
        raise _error(
            name,
            f"{problem}; there is one fold per value, {FEWEST} to {MOST}",
            "Set leave_out to null, and `folds`, or name a fact with so many values",
        )
    return values


def folds_left_out(values: Mapping[str, str]) -> dict[str, int]:
    """Return case -> the fold that holds it out, from case -> value; folds count the sorted values."""
    place = {value: fold for fold, value in enumerate(sorted(set(values.values())))}
    return {case: place[value] for case, value in values.items()}


def _error(name: str, problem: str, remedy: str, lines: Sequence[str] = ()) -> PostTxError:
    return PostTxError(f"train.leave_out: no folds can leave out {name!r}: {problem}", lines=lines, remedy=remedy)

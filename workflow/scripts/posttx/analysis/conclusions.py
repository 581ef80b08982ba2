"""The conclusions of a report: the judgements of its tables, gathered over the classes. No words in here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from posttx.analysis.comparison import PRIMARY, SECONDARY
from posttx.analysis.evidence import evidence
from posttx.analysis.interpretation_rules import RULES
from posttx.analysis.judgements import Judgement, Outcome, Row, count, judged, of_subgroup, of_summary, records
from posttx.analysis.number_words import listed
from posttx.analysis.statistics import FEWEST_FOR_INTERVAL, FEWEST_FOR_P
from posttx.analysis.subgroups import VOLUME
from posttx.analysis.wording import Sentence, concluded
from posttx.measures import measure_of

Found = Sequence[tuple[str, Sequence[Judgement]]]
# Of each table: the rules whose outcomes are gathered over the classes, and the outcomes worth a conclusion.
GATHERED: Mapping[str, Mapping[str, Sequence[Outcome]]] = {
    "per_class": {
        "convention": (Outcome.DEPENDS_ON_CONVENTION,),
        "hallucination": (Outcome.OFTEN, Outcome.MAYBE_OFTEN, Outcome.TOO_FEW_TO_SAY_HOW_OFTEN),
        "missing": (Outcome.OFTEN, Outcome.MAYBE_OFTEN, Outcome.TOO_FEW_TO_SAY_HOW_OFTEN),
    },
    "volume_bias": {
        "size": (
            Outcome.SMALLER_WORSE,
            Outcome.LARGER_WORSE,
            Outcome.SIZE_INDEPENDENT,
            Outcome.NOT_SHOWN,
            Outcome.NOT_AFTER_HOLM,
            Outcome.TOO_FEW_PATIENTS,
        )
    },
    "inter_class": {
        "dependency": (
            Outcome.SUPPORT,
            Outcome.INTERFERENCE,
            Outcome.HALLUCINATED_ZEROS,
            Outcome.NOT_WITHOUT_ZEROS_AFTER_HOLM,
        )
    },
    "false_positives": {
        "noise": (Outcome.HIGH, Outcome.MAYBE_HIGH, Outcome.FREE),
        "conservative": (Outcome.CONSERVATIVE, Outcome.GENEROUS),
    },
}


def conclusions(tables: Mapping[str, pd.DataFrame], comparison: pd.DataFrame | None = None) -> list[Sentence]:
    """Return the conclusions of one model on one cohort in words, most general first; see ``found``."""
    return [concluded(judgement) for judgement in found(tables, comparison)]


def found(tables: Mapping[str, pd.DataFrame], comparison: pd.DataFrame | None = None) -> list[Judgement]:
    """Return the conclusions of one model on one cohort, most general first.

    ``tables`` are those of ``posttx.analysis.tables``; ``comparison`` is that of the cohort, where there is one.
    Without a scored case the one conclusion says so.
    """
    classes = records(tables["per_class"])
    if not sum(count(row["n_present"]) + count(row["n_absent"]) for row in classes):
        return [Judgement("data", Outcome.NOTHING_SCORED)]
    conclusions = _overall(records(tables["summary"]), classes[0]["convention"])
    conclusions += _ranks(classes, records(tables["class_differences"]))
    rows = judged(tables)
    for table, rules in GATHERED.items():
        named = [(_name(row), said) for row, said in zip(records(tables[table]), rows[table], strict=True)]
        for rule, outcomes in rules.items():
            conclusions += _gathered(rule, outcomes, named)
        if table == "inter_class":
            conclusions += _no_dependency(named)
    if "subgroups" in tables:
        conclusions += gaps(records(tables["subgroups"]), classes[0]["convention"])
    if comparison is not None and len(comparison):
        conclusions += _comparisons(comparison)
    return conclusions + _data(int(tables["summary"]["n_patients"].max()))


def _name(row: Row) -> str:
    return str(row["region"]) if "region" in row else f"{row['dice_region']} with {row['volume_region']}"


def _overall(summary: Sequence[Row], convention: str) -> list[Judgement]:
    row = next(row for row in summary if row["metric"] == "dice" and row["convention"] == convention)
    judgement = of_summary(row)[0]
    if judgement.outcome not in (Outcome.BAND, Outcome.UNBANDED):
        return []
    facts = {**judgement.facts, "convention": convention, "outcome": judgement.outcome}
    return [Judgement(judgement.rule, Outcome.OVERALL, facts)]


def _ranks(classes: Sequence[Row], differences: Sequence[Row]) -> list[Judgement]:
    scored = sorted((row for row in classes if pd.notna(row["dice"])), key=lambda row: row["dice"])
    if len(scored) < 2:
        return []
    weakest, strongest = scored[0], scored[-1]
    above = all(_apart(strongest["region"], row["region"], differences) > 0 for row in scored[:-1])
    below = all(_apart(weakest["region"], row["region"], differences) < 0 for row in scored[1:])
    ends = (
        (strongest, Outcome.STRONGEST if above else Outcome.HIGHEST),
        (weakest, Outcome.WEAKEST if below else Outcome.LOWEST),
    )
    return [Judgement("rank", outcome, {"region": row["region"], "dice": float(row["dice"])}) for row, outcome in ends]


def _apart(first: str, second: str, differences: Sequence[Row]) -> int:
    """Return 1 or -1 where the Dice of the first class is shown to lie above or below the second's, else 0."""
    for row in differences:
        if {row["region"], row["other_region"]} == {first, second}:
            shown = evidence(row["ci_low"], row["ci_high"], row["p_holm"], count(row["n_patients"])).sign
            return shown if row["region"] == first else -shown
    return 0


def _gathered(rule: str, outcomes: Iterable[Outcome], named: Found) -> list[Judgement]:
    """Return one conclusion per outcome that names the rows of which the rule found it."""
    gathered = []
    for outcome in outcomes:
        names = [name for name, said in named if any(_outcome(j) is outcome for j in said if j.rule == rule)]
        if names:
            gathered.append(Judgement(rule, outcome, {"regions": listed(names)}))
    return gathered


def _outcome(judgement: Judgement) -> Outcome:
    """Return the outcome of a judgement, that of a band of false-positive volume being how high it reaches."""
    if judgement.rule == "noise" and judgement.outcome is Outcome.BAND and "high" in judgement.facts["bands"]:
        return Outcome.HIGH if judgement.facts["bands"] == ("high",) else Outcome.MAYBE_HIGH
    return judgement.outcome


def _no_dependency(named: Found) -> list[Judgement]:
    outcomes = [said[0].outcome for _, said in named if said[0].outcome is not Outcome.ITSELF]
    unexamined = (Outcome.TOO_FEW_PATIENTS, Outcome.NOT_EXAMINED)
    examined = [outcome for outcome in outcomes if outcome not in unexamined]
    if not outcomes:
        return []
    if not examined:
        return [Judgement("dependency", Outcome.NOT_EXAMINED)]
    if set(examined) & set(GATHERED["inter_class"]["dependency"]):
        return []
    return [Judgement("dependency", Outcome.NOT_SHOWN, {"examined": len(examined)})]


def gaps(rows: Sequence[Row], convention: str) -> list[Judgement]:
    """Return one judgement per fact and region whose groups are shown to differ: the group with the lowest value.

    Thirds of the volume are left out, because the size bias tells of them.
    """
    shown: dict[tuple[str, str], Judgement] = {}
    groups: dict[tuple[str, str], list[str]] = {}
    for row in sorted(rows, key=lambda row: row["value"]):
        key = (row["fact"], row["region"])
        if row["convention"] != convention or row["fact"] == VOLUME:
            continue
        groups.setdefault(key, []).append(row["group"])
        (judgement,) = of_subgroup(row)
        if judgement.outcome in (Outcome.GROUP_ABOVE, Outcome.GROUP_BELOW):
            shown.setdefault(key, judgement)
    others = {key: names[1] if len(names) == 2 else "the rest" for key, names in groups.items()}
    return [Judgement(one.rule, one.outcome, {**one.facts, "other": others[key]}) for key, one in sorted(shown.items())]


def _comparisons(comparison: pd.DataFrame) -> list[Judgement]:
    """Return one conclusion per pair: the verdict on the primary endpoint, then where else a difference is shown."""
    pairs = []
    for _, rows in comparison.groupby(["baseline", "model"], sort=False):
        primary = records(rows[rows["endpoint"] == PRIMARY])
        if not primary:
            continue
        facts: dict[str, Any] = dict(primary[0])
        shared = (facts["n_baseline"] + facts["n_model"] - facts["n_unpaired"]) // 2
        facts |= {"outcome": Outcome(facts["verdict"]), "shared": shared, "known": shared + facts["n_unpaired"]}
        others = records(rows[rows["endpoint"] == SECONDARY])
        for word, outcome in (("better", Outcome.BETTER), ("worse", Outcome.WORSE)):
            facts[word] = [
                f"{measure_of(row['metric']).name} of {row['region']} ({row['convention']})"
                for row in others
                if row["verdict"] == outcome
            ]
        pairs.append(Judgement("comparison", Outcome.COMPARED, facts))
    return pairs


def _data(patients: int) -> list[Judgement]:
    limits = (
        (FEWEST_FOR_INTERVAL, Outcome.NO_INTERVALS),
        (FEWEST_FOR_P, Outcome.NO_TESTS),
        (int(RULES["data"].thresholds["few"]), Outcome.ROUGH),
    )
    for limit, outcome in limits:
        if patients < limit:
            noun = "patient" if patients == 1 else "patients"
            return [Judgement("data", outcome, {"patients": patients, "noun": noun})]
    return []

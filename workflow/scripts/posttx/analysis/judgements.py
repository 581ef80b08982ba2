"""What the rules of ``interpretation_rules`` find in the rows of the tables: typed outcomes, no words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto
from math import isnan, nan
from typing import Any

import pandas as pd

from posttx.analysis.evidence import Evidence, evidence
from posttx.analysis.interpretation_rules import RULES
from posttx.analysis.statistics import FEWEST_FOR_P
from posttx.conventions import ABSENT, HALLUCINATED, MISSED, PRESENT, PRESENT_ONLY
from posttx.measures import measure_of

Row = Mapping[str, Any]
BANDS = ("high", "good", "moderate")
REMOVED = ("removed_false", "removed_true", "missed_before", "missed_after")


class Outcome(StrEnum):
    """What was found; the rule that found it is named beside it. The value is the name in small letters and spaces."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:
        return name.lower().replace("_", " ")

    NOTHING_SCORED = auto()
    NO_REFERENCE_HAS_IT = auto()
    FEW_PATIENTS = auto()
    TOO_FEW_PATIENTS = auto()
    NO_VARIATION = auto()
    NOT_EXAMINED = auto()
    BAND = auto()
    POOLED_BAND = auto()
    UNBANDED = auto()
    DEPENDS_ON_CONVENTION = auto()
    OFTEN = auto()
    MAYBE_OFTEN = auto()
    SOMETIMES = auto()
    TOO_FEW_TO_SAY_HOW_OFTEN = auto()
    SMALLER_WORSE = auto()
    LARGER_WORSE = auto()
    SIZE_INDEPENDENT = auto()
    NOT_SHOWN = auto()
    NOT_AFTER_HOLM = "not shown after Holm"
    ITSELF = auto()
    SUPPORT = auto()
    INTERFERENCE = auto()
    HALLUCINATED_ZEROS = auto()
    NOT_WITHOUT_ZEROS = auto()
    NOT_WITHOUT_ZEROS_AFTER_HOLM = auto()
    ONLY_WHERE_PRESENT = auto()
    CONTRADICTORY = auto()
    FREE = auto()
    NEVER_PREDICTED = auto()
    CONSERVATIVE = auto()
    GENEROUS = auto()
    CASE_ERRORS = auto()
    BETTER = auto()
    WORSE = auto()
    EQUIVALENT = auto()
    DIFFERENT_CASES = auto()
    SEED_ALONE = auto()
    SEEDS_DISAGREE = auto()
    SPREAD_OF_SEEDS = auto()
    TOO_FEW_SEEDS = auto()
    NO_MIXED_FOLDS = auto()
    RULE_CHOSEN = auto()
    NO_RULE_HELPS = auto()
    RULE_LOWERS_ANOTHER = auto()
    RULE_GIVEN = auto()
    OVERALL = auto()
    HIGHEST = auto()
    LOWEST = auto()
    STRONGEST = auto()
    WEAKEST = auto()
    HIGH = auto()
    MAYBE_HIGH = auto()
    NO_INTERVALS = auto()
    NO_TESTS = auto()
    ROUGH = auto()
    COMPARED = auto()
    GROUP_ABOVE = auto()
    GROUP_BELOW = auto()


@dataclass(frozen=True)
class Number:
    """A value with its interval; formatted by the digits of a float's format."""

    value: float
    low: float = nan
    high: float = nan

    @classmethod
    def of(cls, row: Row, name: str) -> Number:
        """Return a table's estimate ``name``, or ``value`` with the unnamed interval."""
        ends = ("ci_low", "ci_high") if name == "value" else (f"{name}_ci_low", f"{name}_ci_high")
        return cls(*(_float(row.get(part)) for part in (name, *ends)))

    @property
    def known(self) -> bool:
        """Return whether there is a value."""
        return not isnan(self.value)

    @property
    def has_interval(self) -> bool:
        """Return whether there is an interval."""
        return not (isnan(self.low) or isnan(self.high))

    def within(self, bound: float) -> bool:
        """Return whether the whole interval is no farther from 0 than this."""
        return self.has_interval and -bound <= self.low and self.high <= bound


@dataclass(frozen=True)
class Judgement:
    """What a rule found in one row, with the facts that its sentence tells."""

    rule: str
    outcome: Outcome
    facts: Mapping[str, Any] = field(default_factory=dict)


def judged(tables: Mapping[str, pd.DataFrame]) -> dict[str, list[list[Judgement]]]:
    """Return table -> one list of judgements per row, in the order of the rows; tables without rules are left out."""
    return {name: [OF_ROW[name](row) for row in records(table)] for name, table in tables.items() if name in OF_ROW}


def records(table: pd.DataFrame) -> list[Row]:
    """Return the rows of a table, column -> value."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def of_summary(row: Row) -> list[Judgement]:
    """Judge one global value; of a pooled one also what a case may expect."""
    number = Number.of(row, "value")
    if not number.known:
        return [Judgement("data", Outcome.NOTHING_SCORED)]
    found = _banded(row["metric"], number, count(row["n_patients"]))
    if not row.get("pooled") or found.outcome is not Outcome.BAND:
        return [found]
    per_case = {"per_case": Number.of(row, "per_case"), "per_case_present": Number.of(row, "per_case_present")}
    return [Judgement(found.rule, Outcome.POOLED_BAND, {**found.facts, **per_case})]


def of_class(row: Row) -> list[Judgement]:
    """Judge one class: its overlap, what the convention does to it, hallucination, misses, and how few have it."""
    present, absent = count(row["n_present"]), count(row["n_absent"])
    if not present + absent:
        return [Judgement("data", Outcome.NOTHING_SCORED)]
    dice, few = Number.of(row, "dice"), RULES["data"].thresholds["few"]
    patients = count(row["n_patients_present"])
    found = []
    if not present:
        found.append(Judgement("data", Outcome.NO_REFERENCE_HAS_IT, {"region": row["region"]}))
    elif dice.known:
        found.append(_banded("dice", dice, patients, "overlap"))
        if FEWEST_FOR_P <= patients < few:
            facts = {"patients": patients, "present": present, "cases": present + absent}
            found.append(Judgement("data", Outcome.FEW_PATIENTS, facts))
    values = [row[name] for name in ("dice", "dice_present", "dice_absent_is_one") if not isnan(_float(row[name]))]
    if present and values and max(values) - min(values) >= RULES["convention"].thresholds["gap"]:
        names = ("dice", "convention", "dice_present", "dice_absent_is_one")
        told = {name: row[name] if name == "convention" else Number(_float(row[name])) for name in names}
        found.append(Judgement("convention", Outcome.DEPENDS_ON_CONVENTION, told))
    found += _frequency("hallucination", row, "hallucination_rate", ("n_hallucinated", absent, "n_patients_absent"))
    return found + _frequency("missing", row, "miss_rate", ("n_missed", present, "n_patients_present"))


def of_size(row: Row) -> list[Judgement]:
    """Judge whether the Dice of a class depends on its volume: by Spearman's rho, its interval and its Holm p."""
    limits, r, rho = RULES["size"].thresholds, Number.of(row, "pearson_r"), Number.of(row, "spearman_r")
    patients = count(row["n_patients"])
    facts: dict[str, Any] = {"r": r, "rho": rho, "patients": patients}
    if patients < FEWEST_FOR_P:
        return [Judgement("size", Outcome.TOO_FEW_PATIENTS, facts)]
    if not rho.known:
        return [Judgement("size", Outcome.NO_VARIATION, facts)]
    shown = evidence(rho.low, rho.high, _float(row["spearman_p_holm"]), patients)
    if shown.sign:
        size = abs(rho.value)
        strength = "strong" if size >= limits["strong"] else "moderate" if size >= limits["moderate"] else "weak"
        facts |= {"strength": strength, "curved": r.known and (rho.value - r.value) * shown.sign >= limits["curved"]}
        return [Judgement("size", Outcome.SMALLER_WORSE if shown.sign > 0 else Outcome.LARGER_WORSE, facts)]
    if r.within(limits["null"]) and rho.within(limits["null"]):
        return [Judgement("size", Outcome.SIZE_INDEPENDENT, facts)]
    return [Judgement("size", UNSHOWN[shown], facts)]


UNSHOWN = {
    Evidence.NOT_SHOWN: Outcome.NOT_SHOWN,
    Evidence.NOT_AFTER_HOLM: Outcome.NOT_AFTER_HOLM,
    Evidence.TOO_FEW: Outcome.TOO_FEW_PATIENTS,
    Evidence.NOT_EXAMINED: Outcome.NOT_EXAMINED,
}


def of_dependency(row: Row) -> list[Judgement]:
    """Judge whether the Dice of one class goes with the volume of another: by Spearman's rho, as for size."""
    names = ("r", "rho", "r_present", "rho_present")
    columns = ("pearson_r", "spearman_r", "pearson_r_present", "spearman_r_present")
    facts: dict[str, Any] = {name: Number.of(row, column) for name, column in zip(names, columns, strict=True)}
    facts["patients"] = count(row["n_patients"])
    return [Judgement("dependency", dependency_of(row), facts)]


def dependency_of(row: Row) -> Outcome:
    """Return what the rule ``dependency`` finds in a row of ``inter_class``."""
    if row["volume_label"] == row["dice_label"]:
        return Outcome.ITSELF
    rho, present = Number.of(row, "spearman_r"), Number.of(row, "spearman_r_present")
    with_zeros = _dependency(rho, row["spearman_p_holm"], row["n_patients"])
    without = _dependency(present, row["spearman_p_holm_present"], row["n_patients_both_present"])
    if with_zeros.sign and without.sign:
        same = with_zeros == without
        both = Outcome.SUPPORT if with_zeros.sign > 0 else Outcome.INTERFERENCE
        return both if same else Outcome.CONTRADICTORY
    if with_zeros.sign:
        lost = present.known and abs(present.value) <= abs(rho.value) * (1 - RULES["dependency"].thresholds["loss"])
        if lost and without not in (Evidence.TOO_FEW, Evidence.NOT_EXAMINED):
            return Outcome.HALLUCINATED_ZEROS
        only_holm = without is Evidence.NOT_AFTER_HOLM
        return Outcome.NOT_WITHOUT_ZEROS_AFTER_HOLM if only_holm else Outcome.NOT_WITHOUT_ZEROS
    return Outcome.ONLY_WHERE_PRESENT if without.sign else UNSHOWN[with_zeros]


def _dependency(rho: Number, p: Any, patients: Any) -> Evidence:
    return evidence(rho.low, rho.high, _float(p), count(patients))


def of_noise(row: Row) -> list[Judgement]:
    """Judge the false-positive volume of a class, and whether the model is conservative about it."""
    if not count(row["n"]):
        return [Judgement("data", Outcome.NOTHING_SCORED)]
    percent = Number.of(row, "fp_percent")
    if not percent.known:
        none = row["mean_fp_mm3"] == 0
        return [Judgement("noise", Outcome.NEVER_PREDICTED if none else Outcome.NO_REFERENCE_HAS_IT)]
    patients = count(row["n_patients"])
    facts = {"number": percent, "heaviest": _float(row.get("heaviest_percent")), "patients": patients}
    if patients < FEWEST_FOR_P:
        return [Judgement("noise", Outcome.UNBANDED, facts), *_conservative(row)]
    if percent.value == 0:
        return [Judgement("noise", Outcome.FREE, facts), *_conservative(row)]
    bands = _bands(percent, RULES["noise"].thresholds)
    return [Judgement("noise", Outcome.BAND, {**facts, "bands": bands}), *_conservative(row)]


def _conservative(row: Row) -> list[Judgement]:
    """Judge the false-positive share of the errors against a half, where no resample has to be left out."""
    share, patients = Number.of(row, "fp_error_share"), count(row["n_patients_with_errors"])
    facts = {"share": share, "patients": patients}
    if not share.known:
        return []
    shown = evidence(share.low, share.high, _float(row["p_holm"]), patients, null=0.5)
    claimed = {Evidence.ABOVE: Outcome.GENEROUS, Evidence.BELOW: Outcome.CONSERVATIVE}
    return [Judgement("conservative", {**claimed, **UNSHOWN}[shown], facts)]


def of_case(row: Row) -> list[Judgement]:
    """Name what is wrong in one listed case, and what the convention gives it for nothing."""
    states = {name.removeprefix("state_"): state for name, state in row.items() if name.startswith("state_")}
    poor = RULES["case"].thresholds["poor"]
    facts = {
        "hallucinated": [name for name, state in states.items() if state == HALLUCINATED],
        "missed": [name for name, state in states.items() if state == MISSED],
        "poor": [name for name, state in states.items() if state == PRESENT and row[f"dice_{name}"] < poor],
        "absent": sum(state == ABSENT for state in states.values())
        if row.get("convention") != PRESENT_ONLY.name
        else 0,
        "classes": len(states),
        "threshold": poor,
    }
    wrong = any(facts[name] for name in ("hallucinated", "missed", "poor", "absent"))
    return [Judgement("case", Outcome.CASE_ERRORS, facts)] if wrong else []


def of_comparison(row: Row) -> list[Judgement]:
    """Say whether a model is better than its baseline for one region and measure: the table's verdict."""
    return [Judgement("comparison", Outcome(row["verdict"]), dict(row))]


def of_left_out(row: Row) -> list[Judgement]:
    """Say what a value of a fact loses by having been left out of training: the table's verdict."""
    return [Judgement("left out", Outcome(row["verdict"]), dict(row))]


def of_lever(row: Row) -> list[Judgement]:
    """Say what a lever changes in one region and measure: the table's verdict."""
    times = _float(row["hours"]) / (_float(row["baseline_hours"]) or nan)
    facts = {**row, "seeds": count(row["n_seeds"]), "times": times}
    return [Judgement("lever", Outcome(row["verdict"]), facts)]


def of_subgroup(row: Row) -> list[Judgement]:
    """Judge the gap of one subgroup to the cases of the other groups."""
    facts = {name: row[name] for name in ("fact", "group", "region", "value", "rest_value")}
    counts = {name: count(row[name]) for name in ("n_patients", "rest_n_patients")}
    return [Judgement("subgroup", _OF_GAP[Evidence(row["outcome"])], {**facts, **counts, "other": "the rest"})]


def of_seeds(row: Row) -> list[Judgement]:
    """Say how far the seeds of one training spread in one region and measure."""
    few = count(row["n_seeds"]) < RULES["seeds"].thresholds["few"]
    facts = {**row, "seeds": count(row["n_seeds"]), "one": Number.of(row, "value")}
    return [Judgement("seeds", Outcome.TOO_FEW_SEEDS if few else Outcome.SPREAD_OF_SEEDS, facts)]


def of_postprocess(row: Row) -> list[Judgement]:
    """Say which rule of post-processing a class has, what it does out of fold, or why it has none."""
    counts = {name: count(row[name]) for name in ("n_patients", *REMOVED)}
    facts = {**row, **counts, "number": Number(row["gain"], row["ci_low"], row["ci_high"])}
    return [Judgement("postprocess", Outcome(row["outcome"]), facts)]


_OF_GAP: Mapping[Evidence, Outcome] = {
    Evidence.ABOVE: Outcome.GROUP_ABOVE,
    Evidence.BELOW: Outcome.GROUP_BELOW,
    Evidence.NOT_AFTER_HOLM: Outcome.NOT_AFTER_HOLM,
    Evidence.NOT_SHOWN: Outcome.NOT_SHOWN,
    Evidence.TOO_FEW: Outcome.TOO_FEW_PATIENTS,
    Evidence.NOT_EXAMINED: Outcome.NOT_EXAMINED,
}
OF_ROW: Mapping[str, Callable[[Row], list[Judgement]]] = {
    "summary": of_summary,
    "per_class": of_class,
    "volume_bias": of_size,
    "inter_class": of_dependency,
    "false_positives": of_noise,
    "worst_cases": of_case,
    "best_cases": of_case,
    "comparison": of_comparison,
    "subgroups": of_subgroup,
    "seeds": of_seeds,
    "postprocess": of_postprocess,
    "left_out": of_left_out,
    "levers": of_lever,
}


def _banded(metric: str, number: Number, patients: int, what: str = "") -> Judgement:
    measure = measure_of(metric)
    # An IoU of j and a Dice of 2j / (1 + j) are the same overlap.
    parts = (number.value, number.low, number.high)
    at = Number(*(2 * part / (1 + part) for part in parts)) if metric == "iou" else number
    bands = _bands(at, RULES[measure.bands].thresholds) if measure.bands else ()
    facts = {"bands": bands, "measure": measure, "what": what, "number": number, "patients": patients}
    outcome = Outcome.BAND if bands and patients >= FEWEST_FOR_P else Outcome.UNBANDED
    return Judgement(measure.bands or "data", outcome, facts)


def _bands(number: Number, limits: Mapping[str, float]) -> tuple[str, ...]:
    """Return the band of a value, or the two bands that its interval reaches from and to."""

    def band(at: float) -> str:
        return next((name for name in BANDS if name in limits and at >= limits[name]), "low")

    if not number.has_interval or band(number.low) == band(number.high):
        return (band(number.value),)
    return band(number.low), band(number.high)


def _frequency(rule: str, row: Row, rate: str, columns: tuple[str, int, str]) -> list[Judgement]:
    """Judge how often a class is hallucinated or missed; the thresholds hold for the interval by patient."""
    number, limits = Number.of(row, rate), RULES[rule].thresholds
    hits, total, patients = count(row[columns[0]]), columns[1], count(row[columns[2]])
    facts = {"count": hits, "total": total, "number": number, "patients": patients}
    if not hits:
        return []
    if patients < FEWEST_FOR_P or not number.has_interval:
        return [Judgement(rule, Outcome.TOO_FEW_TO_SAY_HOW_OFTEN, facts)]
    if number.value < limits["sometimes"]:
        return []
    if number.value < limits["often"]:
        return [Judgement(rule, Outcome.SOMETIMES, facts)]
    return [Judgement(rule, Outcome.OFTEN if number.low >= limits["often"] else Outcome.MAYBE_OFTEN, facts)]


def count(value: Any) -> int:
    """Return a table's count, 0 where it is unknown."""
    return int(value) if value is not None and not pd.isna(value) else 0


def _float(value: Any) -> float:
    return float(value) if value is not None and not pd.isna(value) else nan

"""Is it better, how good is it: the typed answer of one model on one cohort. No words in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from posttx.analysis.comparison import PRIMARY
from posttx.analysis.interpretation_rules import RULES
from posttx.analysis.judgements import Judgement, Number, Outcome, Row, count, records
from posttx.conventions import PRESENT_ONLY

FEW = int(RULES["answer"].thresholds["few"])
# In the order in which a headline names them: what was found, what may be, what could not be.
VERDICTS = (
    Outcome.BETTER,
    Outcome.WORSE,
    Outcome.EQUIVALENT,
    Outcome.NOT_AFTER_HOLM,
    Outcome.NOT_SHOWN,
    Outcome.TOO_FEW_PATIENTS,
    Outcome.NOT_EXAMINED,
    Outcome.NO_REFERENCE_HAS_IT,
)


@dataclass(frozen=True)
class ClassResult:
    """Dice of one class where it is present: of the model, and beside its baseline where there is one.

    With a baseline all values are over the scans that both models have. ``outcome`` is one of ``VERDICTS``; without a
    baseline it says only whether the class can be judged (``UNBANDED``).
    """

    region: str
    n: int
    n_patients: int
    dice: Number
    outcome: Outcome
    baseline: Number | None = None
    difference: Number | None = None


@dataclass(frozen=True)
class Primary:
    """The primary endpoint of a model against its baseline, over the scans of both."""

    row: Row
    value: Number
    difference: Number
    outcome: Outcome
    shared: int
    known: int


def baseline_of(comparison: pd.DataFrame | None, model: str) -> str | None:
    """Return what a model is set against: itself in an earlier run, else the first named before it; no other seed."""
    found = [baseline for baseline, other in _pairs(comparison) if other == model]
    return next((name for name in found if name == f"{model} (previous)"), found[0] if found else None)


def set_against(comparison: pd.DataFrame | None, baseline: str) -> list[str]:
    """Return the models that are compared with this one as their baseline; no other seed of it."""
    return [model for first, model in _pairs(comparison) if first == baseline]


def in_order(models: Sequence[str], comparison: pd.DataFrame | None) -> list[str]:
    """Return the models of a cohort, the one asked about first: that of the first pair; then as configured."""
    asked = [model for _, model in _pairs(comparison) if model in models][:1]
    return sorted(models, key=lambda model: (model not in asked, models.index(model)))


def _pairs(comparison: pd.DataFrame | None) -> list[tuple[str, str]]:
    """Return (baseline, model) of all pairs in their order, without those that differ by their seed alone."""
    if comparison is None:
        return []
    kept = comparison.loc[comparison["verdict"] != Outcome.SEED_ALONE, ["baseline", "model"]]
    return list(dict.fromkeys(zip(kept["baseline"], kept["model"], strict=True)))


def class_results(per_region: pd.DataFrame, pair: pd.DataFrame | None) -> list[ClassResult]:
    """Return one result per label, in their order; ``pair``: the rows of the comparison with the baseline."""
    own = _present(per_region)
    if pair is None:
        return [
            ClassResult(row["region"], count(row["n"]), count(row["n_patients"]), Number.of(row, "value"), _alone(row))
            for row in records(own)
        ]
    compared = {row["region"]: row for row in records(_present(pair))}
    return [_compared(compared[region]) for region in own["region"] if region in compared]


def _present(table: pd.DataFrame) -> pd.DataFrame:
    rows = (table["convention"] == PRESENT_ONLY.name) & (table["metric"] == "dice") & table["label"].notna()
    return table[rows]


def _alone(row: Row) -> Outcome:
    scans = count(row["n"])
    if not scans:
        return Outcome.NO_REFERENCE_HAS_IT
    return Outcome.TOO_FEW_PATIENTS if scans < FEW else Outcome.UNBANDED


def _compared(row: Row) -> ClassResult:
    alone = _alone(row)
    return ClassResult(
        row["region"],
        count(row["n"]),
        count(row["n_patients"]),
        Number.of(row, "model_value"),
        Outcome(row["verdict"]) if alone is Outcome.UNBANDED else alone,
        Number.of(row, "baseline_value"),
        _difference(row),
    )


def _difference(row: Row) -> Number:
    return Number(float(row["difference"]), float(row["ci_low"]), float(row["ci_high"]))


def headline(results: Sequence[ClassResult], baseline: str | None) -> Judgement:
    """Return what the first line says: every class under its verdict, or the classes of highest and lowest Dice."""
    if not any(result.n for result in results):
        return Judgement("answer", Outcome.NOTHING_SCORED)
    if baseline is not None:
        groups = {
            outcome: [result.region for result in results if result.outcome is outcome]
            for outcome in VERDICTS
            if any(result.outcome is outcome for result in results)
        }
        return Judgement("answer", Outcome.COMPARED, {"groups": groups, "baseline": baseline})
    judged = sorted(
        (result for result in results if result.outcome is Outcome.UNBANDED and result.dice.known),
        key=lambda result: -result.dice.value,
    )
    if not judged:
        return Judgement("answer", Outcome.TOO_FEW_PATIENTS, {"patients": max(result.n_patients for result in results)})
    outcome = Outcome.HIGHEST if len(judged) > 1 else Outcome.OVERALL
    return Judgement("answer", outcome, {"best": judged[0], "weakest": judged[-1]})


def primary(pair: pd.DataFrame) -> Primary | None:
    """Return the primary endpoint of a pair; None where there is none or no scan of both."""
    rows = records(pair[pair["endpoint"] == PRIMARY])
    if not rows or not count(rows[0]["n"]):
        return None
    row = rows[0]
    shared = (int(row["n_baseline"]) + int(row["n_model"]) - int(row["n_unpaired"])) // 2
    few = count(row["n"]) < FEW
    outcome = Outcome.TOO_FEW_PATIENTS if few else Outcome(row["verdict"])
    return Primary(
        row, Number.of(row, "model_value"), _difference(row), outcome, shared, shared + int(row["n_unpaired"])
    )


def size_dependent(volume_bias: pd.DataFrame, judged: Mapping[str, Outcome]) -> list[Row]:
    """Return the rows of the classes whose small lesions are shown to be segmented worse, in enough scans to say so."""
    return [
        row
        for row in records(volume_bias)
        if judged.get(row["region"]) is Outcome.SMALLER_WORSE and count(row["n"]) >= FEW
    ]

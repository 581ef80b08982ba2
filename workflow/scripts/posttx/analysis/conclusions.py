"""The conclusions of a report: what its tables carry, gathered over the classes, by the same listed rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from posttx.analysis.comparison import IMPROVED, WORSE
from posttx.analysis.interpretation import (
    INTERFERENCE,
    SUPPORT,
    ZEROS,
    Row,
    Sentence,
    dependency_of,
    of_class,
    of_noise,
    of_size,
    of_summary,
    records,
)
from posttx.analysis.interpretation_rules import RULES


def conclusions(tables: Mapping[str, pd.DataFrame], comparison: pd.DataFrame | None = None) -> list[Sentence]:
    """Return the conclusions of one model on one cohort, most general first.

    ``tables`` are those of ``posttx.analysis.tables``; ``comparison`` is that of the cohort, where there is one.
    Without a scored case the one sentence says so.
    """
    classes = records(tables["per_class"])
    if not sum(int(row["n_present"]) + int(row["n_absent"]) for row in classes):
        return [Sentence("data", "Nothing was scored: no case has both a reference and a prediction.")]
    found = [_overall(records(tables["summary"]), classes[0]["convention"]), *_ranks(classes)]
    found += _named("convention", classes, of_class, "depends on the convention", "The Dice of")
    found += _named("hallucination", classes, of_class, "Often hallucinated", "Often hallucinated where absent:")
    found += _named("missing", classes, of_class, "Often missed", "Often missed completely:")
    found += _sizes(records(tables["volume_bias"]))
    found += _dependencies(records(tables["inter_class"]))
    found += _errors(records(tables["false_positives"]))
    if comparison is not None and len(comparison):
        found += _comparisons(comparison)
    patients = int(tables["summary"]["n_patients"].max())
    if patients < 2:
        found.append(Sentence("data", "All cases are of one patient: no interval, and nothing that generalises."))
    elif patients < RULES["data"].thresholds["few"]:
        found.append(Sentence("data", f"Only {patients} patients: all intervals are rough."))
    return found


def _overall(summary: list[Row], convention: str) -> Sentence:
    row = next(row for row in summary if row["metric"] == "dice" and row["convention"] == convention)
    sentence = of_summary(row)[0]
    return Sentence(sentence.rule, f"Over all classes ({convention}): {sentence.text[0].lower()}{sentence.text[1:]}")


def _ranks(classes: list[Row]) -> list[Sentence]:
    scored = sorted((row for row in classes if pd.notna(row["dice"])), key=lambda row: row["dice"])
    if len(scored) < 2:
        return []
    weakest, strongest, others = scored[0], scored[-1], scored
    apart_below = all(weakest["dice_ci_high"] < row["dice_ci_low"] for row in others if row is not weakest)
    apart_above = all(strongest["dice_ci_low"] > row["dice_ci_high"] for row in others if row is not strongest)
    return [
        _rank("strongest", "highest", strongest, apart_above),
        _rank("weakest", "lowest", weakest, apart_below),
    ]


def _rank(word: str, extreme: str, row: Row, apart: bool) -> Sentence:
    if apart:
        return Sentence("rank", f"{row['region']} is the {word} class (Dice {row['dice']:.3f}).")
    text = f"{row['region']} has the {extreme} Dice ({row['dice']:.3f}), but its interval does not stand apart."
    return Sentence("rank", text)


def _named(rule: str, rows: list[Row], judge: Any, mark: str, opening: str) -> list[Sentence]:
    """Return one sentence that names the classes of which ``judge`` said ``mark`` under ``rule``."""
    regions = [row["region"] for row in rows if any(s.rule == rule and mark in s.text for s in judge(row))]
    if not regions:
        return []
    ending = f" {mark}." if opening.endswith("of") else "."
    return [Sentence(rule, f"{opening} {_list(regions)}{ending}")]


def _sizes(rows: list[Row]) -> list[Sentence]:
    said = {row["region"]: of_size(row)[0] for row in rows}
    groups = {
        "Larger is segmented better": "smaller ones are segmented worse",
        "Larger is segmented worse": "larger ones are segmented worse",
        "Size-independent": "Size-independent",
        "No dependence on size is shown, nor its absence": "nor its absence",
    }
    found = []
    for opening, mark in groups.items():
        regions = [region for region, sentence in said.items() if sentence.rule == "size" and mark in sentence.text]
        if regions:
            found.append(Sentence("size", f"{opening}: {_list(regions)}."))
    return found


def _dependencies(rows: list[Row]) -> list[Sentence]:
    pairs = [row for row in rows if row["volume_label"] != row["dice_label"] and pd.notna(row["pearson_r_ci_low"])]
    openings = {
        SUPPORT: "The Dice rises with the volume of another class (an association)",
        INTERFERENCE: "The Dice falls with the volume of another class (an association)",
        ZEROS: "Correlations that rest on hallucinated zeros and carry no conclusion",
    }
    found = []
    for outcome, opening in openings.items():
        named = [f"{row['dice_region']} with {row['volume_region']}" for row in pairs if dependency_of(row) == outcome]
        if named:
            found.append(Sentence("dependency", f"{opening}: {_list(named)}."))
    if pairs and not found:
        found.append(Sentence("dependency", "No dependency between classes is shown."))
    return found


def _errors(rows: list[Row]) -> list[Sentence]:
    found = _named("noise", rows, of_noise, "High", "High false-positive volume:")
    found += _named("noise", rows, of_noise, "to high", "False-positive volume that may be high (its interval says):")
    found += _named("noise", rows, of_noise, "Free of false", "Free of false positives:")
    found += _named("conservative", rows, of_noise, "Conservative", "Conservative (leaves out more than it adds) for")
    return found + _named("conservative", rows, of_noise, "Generous", "Generous (adds more than it leaves out) for")


def _comparisons(comparison: pd.DataFrame) -> list[Sentence]:
    found = []
    for (baseline, model), rows in comparison.groupby(["baseline", "model"], sort=False):
        measured = rows[rows["convention"] == rows["convention"].iloc[0]]
        parts = [
            f"{verdict} for {_list(list(measured.loc[measured['verdict'] == verdict, 'region']))}"
            for verdict in (IMPROVED, WORSE)
            if (measured["verdict"] == verdict).any()
        ]
        text = "; ".join(parts) or "no difference is shown for any region"
        convention, metric = measured[["convention", "metric"]].iloc[0]
        found.append(Sentence("comparison", f"Model {model} against {baseline} ({metric}, {convention}): {text}."))
    return found


def _list(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

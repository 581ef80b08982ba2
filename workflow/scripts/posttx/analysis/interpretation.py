"""Sentences that follow from the numbers of the tables by the rules of ``interpretation_rules``, and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from posttx.analysis.comparison import IMPROVED, LOWER_IS_BETTER, NO_INTERVAL, OPEN, VERDICTS
from posttx.analysis.interpretation_rules import LEVEL_TEXT, RULES
from posttx.conventions import ABSENT, HALLUCINATED, MISSED, PRESENT

Row = Mapping[str, Any]
BANDS = ("high", "good", "moderate")
SUPPORT, INTERFERENCE, ZEROS = "support", "interference", "hallucinated zeros"
FRAGILE, ONLY_PRESENT = "not without hallucinated zeros", "only where present"
CONTRADICTORY, NOTHING, TOO_FEW = "contradictory", "not shown", "too few cases"
_COEFFICIENTS = ("pearson_r", "spearman_r")
_METRIC_NAMES = {"dice": "overlap (Dice)", "iou": "overlap (IoU)", "precision": "precision", "recall": "recall"}


@dataclass(frozen=True)
class Sentence:
    """A plain sentence, and the id of the rule (``interpretation_rules.RULES``) that produced it."""

    rule: str
    text: str


def sentences(tables: Mapping[str, pd.DataFrame]) -> dict[str, list[list[Sentence]]]:
    """Return table -> one list of sentences per row, in the order of the rows; tables without rules are left out."""
    of_row: Mapping[str, Callable[[Row], list[Sentence]]] = {
        "summary": of_summary,
        "per_class": of_class,
        "volume_bias": of_size,
        "inter_class": of_dependency,
        "false_positives": of_noise,
        "worst_cases": of_case,
        "best_cases": of_case,
        "comparison": of_comparison,
    }
    return {name: [of_row[name](row) for row in records(table)] for name, table in tables.items() if name in of_row}


def records(table: pd.DataFrame) -> list[Row]:
    """Return the rows of a table, column -> value."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def of_summary(row: Row) -> list[Sentence]:
    """Judge one global value."""
    if not _known(row["value"]):
        return [_nothing()]
    return [_banded(_METRIC_NAMES[row["metric"]], row["metric"], row["value"], row["ci_low"], row["ci_high"])]


def of_class(row: Row) -> list[Sentence]:
    """Judge one class: its overlap, what the convention does to it, hallucination, misses, and how few cases it has."""
    present, absent = _count(row["n_present"]), _count(row["n_absent"])
    said = []
    if not present + absent:
        return [_nothing()]
    if not present:
        said.append(Sentence("data", f"No reference has {row['region']}: how well it is segmented cannot be said."))
    elif _known(row["dice"]):
        said.append(_banded("overlap", "dice", row["dice"], row["dice_ci_low"], row["dice_ci_high"]))
        said += _few(present, f"{present} of {present + absent} cases have it")
    values = [row[name] for name in ("dice", "dice_present", "dice_absent_is_one") if _known(row[name])]
    if present and values and max(values) - min(values) >= RULES["convention"].thresholds["gap"]:
        text = (
            f"The value depends on the convention: {_n(row['dice'])} ({row['convention']}), "
            f"{_n(row['dice_present'])} where present, {_n(row['dice_absent_is_one'])} with absent as 1."
        )
        said.append(Sentence("convention", text))
    said += _frequency("hallucination", _count(row["n_hallucinated"]), absent, "hallucinated", "cases without it")
    said += _frequency("missing", _count(row["n_missed"]), present, "missed", "cases with it")
    return said


def of_size(row: Row) -> list[Sentence]:
    """Judge whether the Dice of a class depends on its volume."""
    limits = RULES["size"].thresholds
    reason = _too_few(row)
    if reason:
        return [reason]
    r, rho = _Coefficient.of(row, "pearson_r"), _Coefficient.of(row, "spearman_r")
    numbers = _pair(row)
    shown = [part for part in (r, rho) if part.sign]
    if not shown:
        if r.within(limits["null"]) and rho.within(limits["null"]):
            return [Sentence("size", f"Size-independent: {numbers}.")]
        return [Sentence("size", f"No dependence on size is shown, nor its absence: {numbers}.")]
    if len({part.sign for part in shown}) > 1:
        return [Sentence("size", f"The two coefficients contradict each other: {numbers}.")]
    largest = max(abs(part.value) for part in shown)
    strength = "Strong" if largest >= limits["strong"] else "Moderate" if largest >= limits["moderate"] else "Weak"
    kind = "smaller ones are segmented worse" if shown[0].sign > 0 else "larger ones are segmented worse"
    text = f"{strength} size bias, {kind}: {numbers}."
    if rho.sign and (rho.value - r.value) * rho.sign >= limits["curved"]:
        text += " The relation is curved, so Pearson's r understates it."
    return [Sentence("size", text)]


def of_dependency(row: Row) -> list[Sentence]:
    """Judge whether the Dice of one class goes with the volume of another."""
    if row["volume_label"] == row["dice_label"]:
        return [Sentence("size", "The class itself: see its size bias.")]
    reason = _too_few(row)
    if reason:
        return [reason]
    numbers = f"with all cases {_pair(row)}; without hallucinated zeros {_pair(row, '_present')}"
    outcome = {
        SUPPORT: "Rises with it (support, an association)",
        INTERFERENCE: "Falls with it (interference, an association)",
        ZEROS: "Rests on hallucinated zeros, without which nothing is shown",
        FRAGILE: "Not shown without hallucinated zeros",
        ONLY_PRESENT: "Shown only where both are in the reference",
        CONTRADICTORY: "The coefficients contradict each other",
        NOTHING: "No dependency is shown",
    }[dependency_of(row)]
    return [Sentence("dependency", f"{outcome}: {numbers}.")]


def dependency_of(row: Row) -> str:
    """Return what the rule ``dependency`` finds in a row of ``inter_class``: one of the outcomes of this module."""
    few = RULES["data"].thresholds["few"]
    if _count(row["n"]) < few:
        return TOO_FEW
    enough = _count(row["n_both_present"]) >= few
    with_zeros, without = _shown(row, ""), _shown(row, "_present") if enough else set()
    if len(with_zeros | without) > 1:
        return CONTRADICTORY
    if with_zeros and without:
        return SUPPORT if 1 in without else INTERFERENCE
    if with_zeros:
        before, after = (max(_sizes(row, suffix)) for suffix in ("", "_present"))
        return ZEROS if enough and after <= before * (1 - RULES["dependency"].thresholds["loss"]) else FRAGILE
    return ONLY_PRESENT if without else NOTHING


def of_noise(row: Row) -> list[Sentence]:
    """Judge the false-positive volume of a class, and whether the model is conservative about it."""
    if not _count(row["n"]):
        return [_nothing()]
    if not _known(row["fp_percent"]):
        none = row["mean_fp_mm3"] == 0
        text = "No reference has the class, and it is never predicted." if none else "No reference has the class."
        return [Sentence("noise", text)]
    if row["fp_percent"] == 0:
        said = [Sentence("noise", "Free of false positives: not one voxel.")]
    else:
        limits = RULES["noise"].thresholds
        interval = _interval(row["fp_percent_ci_low"], row["fp_percent_ci_high"], 1)
        bands = _bands(row["fp_percent"], row["fp_percent_ci_low"], row["fp_percent_ci_high"], limits)
        text = f"{bands.capitalize()} false-positive volume: {row['fp_percent']:.1f} % of the reference{interval}."
        said = [Sentence("noise", text)]
    return said + _conservative(row)


def of_case(row: Row) -> list[Sentence]:
    """Name what is wrong in one listed case, and what the convention gives it for nothing."""
    states = {name.removeprefix("state_"): state for name, state in row.items() if name.startswith("state_")}
    poor = RULES["case"].thresholds["poor"]
    parts = [
        f"{word} {', '.join(regions)}"
        for word, regions in (
            ("hallucinated:", [name for name, state in states.items() if state == HALLUCINATED]),
            ("missed:", [name for name, state in states.items() if state == MISSED]),
            (
                f"overlap below {poor:g}:",
                [name for name, state in states.items() if state == PRESENT and row[f"dice_{name}"] < poor],
            ),
        )
        if regions
    ]
    absent = sum(state == ABSENT for state in states.values())
    if absent and row.get("convention") != "present-only":
        parts.append(f"absent in both, counted as 1: {absent} of {len(states)} classes")
    text = "; ".join(parts)
    return [Sentence("case", f"{text[0].upper()}{text[1:]}.")] if text else []


def of_comparison(row: Row) -> list[Sentence]:
    """Say whether a model is better than its baseline for one region and measure."""
    if row["verdict"] == NO_INTERVAL:
        return [Sentence("comparison", f"No verdict: {VERDICTS[NO_INTERVAL]}.")]
    better = "lower is better" if row["metric"] in LOWER_IS_BETTER else "higher is better"
    numbers = f"{row['difference']:+.3f}{_interval(row['ci_low'], row['ci_high'], 3)}, {better}"
    counts = f"better in {row['wins']}, equal in {row['ties']}, worse in {row['losses']} cases"
    word = "Improved" if row["verdict"] == IMPROVED else "No difference shown" if row["verdict"] == OPEN else "Worse"
    return [Sentence("comparison", f"{word}: {numbers}; {counts}.")]


@dataclass(frozen=True)
class _Coefficient:
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, row: Row, name: str) -> _Coefficient:
        return cls(float(row[name]), float(row[f"{name}_ci_low"]), float(row[f"{name}_ci_high"]))

    @property
    def sign(self) -> int:
        """Return 1 or -1 where the interval excludes 0, else 0."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0

    def within(self, bound: float) -> bool:
        return -bound <= self.low and self.high <= bound

    def __str__(self) -> str:
        return f"{self.value:.2f}{_interval(self.low, self.high, 2)}"


def _shown(row: Row, suffix: str) -> set[int]:
    """Return the signs of the coefficients that the rule ``dependency`` calls shown."""
    found = set()
    for name, p in (("pearson_r", "p_holm_patient"), ("spearman_r", "spearman_p_holm_patient")):
        part = _Coefficient.of(row, f"{name}{suffix}")
        adjusted = row[f"{p}{suffix}"]
        if part.sign and _known(adjusted) and adjusted < RULES["dependency"].thresholds["alpha"]:
            found.add(part.sign)
    return found


def _sizes(row: Row, suffix: str) -> list[float]:
    return [abs(row[f"{name}{suffix}"]) for name in _COEFFICIENTS if _known(row[f"{name}{suffix}"])] or [0.0]


def _pair(row: Row, suffix: str = "") -> str:
    r, rho = (_Coefficient.of(row, f"{name}{suffix}") for name in _COEFFICIENTS)
    return f"Pearson {r}, Spearman {rho}"


def _too_few(row: Row) -> Sentence | None:
    cases = _count(row["n"])
    if cases < RULES["data"].thresholds["few"]:
        return Sentence("data", f"Too few cases ({cases}) for a correlation.")
    if not _known(row["pearson_r"]):
        return Sentence("data", "No correlation: the values do not vary.")
    if not _known(row["pearson_r_ci_low"]):
        return Sentence("data", "All cases are of one patient: no interval, so nothing is claimed.")
    return None


def _conservative(row: Row) -> list[Sentence]:
    ratio = [row.get(f"fp_fn_ratio{suffix}", np.nan) for suffix in ("", "_ci_low", "_ci_high")]
    if not all(_known(part) for part in ratio):
        return []
    value, low, high = ratio
    numbers = f"{value:.2f} mm³ added per mm³ left out{_interval(low, high, 2)}"
    word = "Conservative" if high < 1 else "Generous" if low > 1 else "Neither conservative nor generous is shown"
    return [Sentence("conservative", f"{word}: {numbers}.")]


def _banded(what: str, metric: str, value: float, low: float, high: float) -> Sentence:
    rule = "overlap" if metric in ("dice", "iou") else "reliability"
    limits = RULES[rule].thresholds
    # An IoU of j and a Dice of 2j / (1 + j) are the same overlap.
    at, start, end = (2 * part / (1 + part) if metric == "iou" else part for part in (value, low, high))
    bands = _bands(at, start, end, limits)
    return Sentence(rule, f"{bands.capitalize()} {what}: {_n(value)}{_interval(low, high, 3)}.")


def _bands(value: float, low: float, high: float, limits: Mapping[str, float]) -> str:
    """Return the band of a value, or the two bands that its interval reaches from and to."""

    def band(number: float) -> str:
        return next((name for name in BANDS if name in limits and number >= limits[name]), "low")

    if not (_known(low) and _known(high)) or band(low) == band(high):
        return band(value)
    return f"{band(low)} to {band(high)}"


def _frequency(rule: str, count: int, total: int, word: str, of_what: str) -> list[Sentence]:
    if not total or count / total < RULES[rule].thresholds["sometimes"]:
        return []
    often = "Often" if count / total >= RULES[rule].thresholds["often"] else "Sometimes"
    return [Sentence(rule, f"{often} {word}: in {count} of {total} {of_what} ({100 * count / total:.0f} %).")]


def _few(count: int, what: str) -> list[Sentence]:
    return [Sentence("data", f"Few cases: {what}.")] if count < RULES["data"].thresholds["few"] else []


def _nothing() -> Sentence:
    return Sentence("data", "Nothing was scored: no case has both a reference and a prediction.")


def _known(value: Any) -> bool:
    return value is not None and not pd.isna(value)


def _count(value: Any) -> int:
    return int(value) if _known(value) else 0


def _n(value: float) -> str:
    return f"{value:.3f}" if _known(value) else "undefined"


def _interval(low: float, high: float, digits: int) -> str:
    if not (_known(low) and _known(high)):
        return " (no interval)"
    return f" ({LEVEL_TEXT} {low:.{digits}f} to {high:.{digits}f})"

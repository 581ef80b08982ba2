"""Tables of scores as the report's template shows them: cells with text, sort value and interval, nothing marked up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from posttx.analysis.interpretation import dependency_of, of_case, records
from posttx.conventions import CONVENTIONS

DASH = "–"


@dataclass(frozen=True)
class Cell:
    """One cell: what is shown, what it sorts by, the interval below it, a mark (colour) and a class for the look."""

    text: str
    sort: float | str | None = None
    interval: str = ""
    color: str = ""
    kind: str = ""
    title: str = ""
    link: str = ""


@dataclass(frozen=True)
class View:
    """A table ready to be shown; ``files`` are (name, relative link) of its data, ``note`` a sentence below it."""

    id: str
    caption: str
    headers: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Cell]]
    files: Sequence[tuple[str, str]] = field(default_factory=tuple)
    note: str = ""
    large: bool = False


NOTHING = Cell("")


def number(value: Any, digits: int = 4, low: Any = None, high: Any = None, title: str = "") -> Cell:
    """Return a cell of a number with its interval; undefined is a dash, an interval that is none is left out."""
    known = finite(value)
    text = DASH if known is None else f"{known:,.{digits}f}"
    low, high = finite(low), finite(high)
    interval = "" if low is None or high is None else f"{low:,.{digits}f} to {high:,.{digits}f}"
    return Cell(text, -math.inf if known is None else known, interval, kind="number", title=title)


def count(value: Any) -> Cell:
    """Return a cell of a whole number."""
    known = finite(value)
    return Cell(DASH if known is None else f"{int(known):,}", -1 if known is None else known, kind="number")


def finite(value: Any) -> float | None:
    """Return a finite number, None for anything that is not known."""
    if value is None or value is pd.NA:
        return None
    return float(value) if math.isfinite(float(value)) else None


def text(value: Any, color: str = "", kind: str = "") -> Cell:
    """Return a cell of text; nothing known is a dash."""
    known = "" if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)) else str(value)
    return Cell(known or DASH, known.lower(), color=color, kind=kind or ("name" if color else ""))


def estimate(row: Any, name: str, digits: int = 4) -> Cell:
    """Return a cell of a table's estimate with the interval in its ``_ci_low`` and ``_ci_high`` columns."""
    get = row.get if isinstance(row, Mapping) else row.to_dict().get
    return number(get(name), digits, get(f"{name}_ci_low"), get(f"{name}_ci_high"))


def global_table(summary: pd.DataFrame, key: str, headline: str, files: Sequence[tuple[str, str]]) -> View:
    """Make the global table (5.1): one row per metric, one column per convention, the headline convention first."""
    conventions = sorted(dict.fromkeys(summary["convention"]), key=lambda name: name != headline)
    rows = []
    for metric in dict.fromkeys(summary["metric"]):
        cells = [text(METRIC_NAMES.get(metric, metric))]
        for name in conventions:
            found = summary[(summary["metric"] == metric) & (summary["convention"] == name)]
            cells.append(_with_n(found.iloc[0]) if len(found) else text(""))
        rows.append(cells)
    headers = [("Metric", ""), *[(name, "headline convention" if name == headline else "") for name in conventions]]
    return View(f"global-{key}", "Global values under each convention", headers, rows, files)


METRIC_NAMES = {
    "dice": "Dice similarity coefficient",
    "iou": "Intersection over union",
    "precision": "Precision",
    "recall": "Recall",
}


SHORT_NAMES = {
    "dice": "Dice", "iou": "IoU", "precision": "Precision", "recall": "Recall", "hd95_mm": "HD95, mm",
    "nsd_0.5": "NSD at 0.5 mm", "nsd_1.0": "NSD at 1 mm",
}  # fmt: skip


def _with_n(row: pd.Series) -> Cell:
    digits = 1 if row["metric"] == "hd95_mm" else 4
    cell = number(row["value"], digits)
    # the interval with a digit less: five conventions have to stand side by side
    cell = replace(cell, interval=number(0, max(1, digits - 1), row["ci_low"], row["ci_high"]).interval)
    n, infinite = finite(row["n"]), finite(row.get("n_infinite"))
    told = [cell.interval, f"n = {int(n)}" if n is not None else "", f"{int(infinite)} infinite" if infinite else ""]
    return Cell(cell.text, cell.sort, ", ".join(part for part in told if part), kind="number")


def per_class(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the per-class table (5.2) under the headline convention, with the states counted."""
    rows = []
    for _, row in table.iterrows():
        cells = [count(row["label"]), text(row["region"], colors.get(row["region"], ""))]
        cells += [estimate(row, name) for name in ("dice", "iou", "precision", "recall")]
        cells += [count(row[name]) for name in ("n_present", "n_absent", "n_hallucinated", "n_missed")]
        rows.append([*cells, count(row["n"])])
    headers = [
        ("Label", "the integer in the files"), ("Class", ""), ("Dice", ""), ("IoU", "intersection over union"),
        ("Precision", ""), ("Recall", ""), ("Present", "cases whose reference has the class"),
        ("Absent", "cases whose reference lacks it"), ("Hallucinated", "of the absent ones: predicted all the same"),
        ("Missed", "of the present ones: not one voxel predicted"), ("n", "cases that enter the mean Dice"),
    ]  # fmt: skip
    return View(f"per-class-{key}", "Values by class", headers, rows, files)


def by_convention(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of every region and measure (5.2), one column per convention.

    ``table`` is ``per_region``. A value left out of a mean because a distance is infinite is counted beside n.
    """
    conventions = list(dict.fromkeys(table["convention"]))
    rows = []
    for (region, metric), part in table.groupby(["region", "metric"], sort=False):
        values = {str(row["convention"]): _with_n(row) for _, row in part.iterrows()}
        measure = text(SHORT_NAMES.get(str(metric), str(metric)), kind="name")
        rows.append(
            [text(region, colors.get(str(region), "")), measure, *[values.get(c, text("")) for c in conventions]]
        )
    headers = [("Region", ""), ("Measure", ""), *[(name, _averaged(name)) for name in conventions]]
    return View(f"conventions-{key}", "Every measure under every convention", headers, rows, files)


def _averaged(name: str) -> str:
    """Return how a convention averages precision and recall, nothing for one that does not speak of them."""
    convention = CONVENTIONS.get(name)
    told = convention is not None and "precision" in convention.metrics
    return f"precision and recall {convention.precision_recall}" if convention and told else ""


def volume_bias(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of volume against Dice (5.3)."""
    rows = [
        [count(row["label"]), text(row["region"], colors.get(row["region"], "")), estimate(row, "pearson_r", 3),
         estimate(row, "spearman_r", 3), _p(row["p_value"]), _p(row.get("p_patient")), count(row["n"])]
        for _, row in table.iterrows()
    ]  # fmt: skip
    headers = [
        ("Label", ""), ("Class", ""), ("Pearson r", "linear in volume"), ("Spearman r", "by rank"),
        ("p", "of Pearson's r, scans taken for independent"), ("p by patient", "patients resampled"), ("n", "cases"),
    ]  # fmt: skip
    return View(
        f"volume-bias-{key}", "Reference volume against Dice, where the reference has the class", headers, rows, files
    )


def inter_class(
    table: pd.DataFrame, key: str, names: Mapping[int, str], files: Sequence[tuple[str, str]]
) -> tuple[View, View]:
    """Make the tables of all pairs (5.3), volume of one class against Dice of another."""
    headers = [
        ("Volume of", ""), ("Dice of", ""), ("Pearson r", "linear in volume"),
        ("p, Holm", "of Pearson's r, scans taken for independent, adjusted for all pairs of this table"),
        ("p by patient, Holm", "of Pearson's r, patients resampled, adjusted likewise"), ("Spearman r", "by rank"),
        ("p, Holm (rank)", "of Spearman's r, scans taken for independent"),
        ("p by patient, Holm (rank)", "of Spearman's r, patients resampled"), ("n", "cases"),
    ]  # fmt: skip
    finding = ("Finding", "by rule, from both tables; the rules stand in section 6")
    found = records(table)
    pairs = [[*_pair(row, names), text(_finding(row))] for row in found]
    present = [_pair(row, names, "_present") for row in found]
    zeros_in = View(
        f"inter-class-{key}", "Reference volume of one class against Dice of another, hallucinated zeros in",
        [*headers, finding], pairs, files,
    )  # fmt: skip
    zeros_out = View(
        f"inter-class-present-{key}", "The same where the reference has both classes: hallucinated zeros out",
        headers, present, files,
    )  # fmt: skip
    return zeros_in, zeros_out


def _pair(row: Mapping[str, Any], names: Mapping[int, str], suffix: str = "") -> list[Cell]:
    cells = [text(names.get(int(row[column]), row[column])) for column in ("volume_label", "dice_label")]
    for name, holm in (("pearson_r", "p_holm"), ("spearman_r", "spearman_p_holm")):
        low, high = (row.get(f"{name}{suffix}_ci_{end}") for end in ("low", "high"))
        cells.append(number(row.get(f"{name}{suffix}"), 3, low, high))
        cells += [_p(row.get(f"{p}{suffix}")) for p in (holm, f"{holm}_patient")]
    return [*cells, count(row.get("n_both_present" if suffix else "n"))]


def _finding(row: Mapping[str, Any]) -> str:
    return "" if row["volume_label"] == row["dice_label"] else dependency_of(row)


def _p(value: Any) -> Cell:
    known = finite(value)
    if known is None:
        return Cell(DASH, 2.0, kind="number")
    return Cell("< 0.0001" if known < 1e-4 else f"{known:.4f}", known, kind="number")


def false_positives(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of false-positive volume (5.3)."""
    rows = [
        [count(row["label"]), text(row["region"], colors.get(row["region"], "")), estimate(row, "mean_fp_mm3", 1),
         estimate(row, "mean_ref_mm3", 1), estimate(row, "fp_percent", 1), count(row.get("n"))]
        for _, row in table.iterrows()
    ]  # fmt: skip
    headers = [
        ("Label", ""), ("Class", ""), ("Mean false positives, mm³", "over all cases"),
        ("Mean reference, mm³", "over all cases"), ("False positives, % of the reference", ""), ("n", "cases"),
    ]  # fmt: skip
    return View(f"false-positives-{key}", "False-positive volume beside reference volume", headers, rows, files)


def extreme_cases(
    table: pd.DataFrame, key: str, kind: str, files: Sequence[tuple[str, str]], pictured: Mapping[str, str]
) -> View:
    """Make the table of worst or best cases (5.4): Dice and state of each class, and what is wrong in words.

    ``pictured`` maps a case with a picture to its place on the page.
    """
    regions = [name.removeprefix("dice_") for name in table.columns if name.startswith("dice_")]
    rows = []
    for row in records(table):
        link = pictured.get(row["case"], "")
        cells = [count(row["rank"]), replace(text(row["case"], kind="case"), link=link), number(row["mean_dice"])]
        cells += [_state_cell(row[f"dice_{region}"], row[f"state_{region}"]) for region in regions]
        rows.append([*cells, text(" ".join(sentence.text for sentence in of_case(row)), kind="long")])
    headers = [
        ("Rank", ""),
        ("Case", ""),
        ("Mean Dice", "over the classes"),
        *[(f"Dice {name}", "") for name in regions],
        ("What it says", "by rule; the rules stand in section 6"),
    ]
    return View(f"{kind}-{key}", f"The {len(table)} {kind} cases by mean Dice", headers, rows, files)


def _state_cell(dice: Any, state: Any) -> Cell:
    cell = number(dice)
    if state in ("absent", "hallucinated", "missed"):
        return Cell(cell.text if state != "absent" else DASH, cell.sort, str(state), kind=f"number state-{state}")
    return cell


def comparison(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of paired differences of models (5.5): model minus baseline, with interval and verdict."""
    rows = [
        [text(row["baseline"]), text(row["model"]), text(f"{METRIC_NAMES.get(row['metric'], row['metric'])}"),
         text(row["convention"]), text(row["region"], colors.get(row["region"], "")), number(row["baseline_value"]),
         number(row["model_value"]), number(row["difference"], 4, row["ci_low"], row["ci_high"]), _p(row["p_holm"]),
         Cell(f"{row['wins']} / {row['ties']} / {row['losses']}"), count(row["n"]),
         text(row["verdict"], kind="verdict")]
        for _, row in table.iterrows()
    ]  # fmt: skip
    headers = [
        ("Baseline", ""), ("Model", ""), ("Measure", ""), ("Convention", ""),
        ("Region", "mean: over the classes of a case"),
        ("Baseline's value", ""), ("Model's value", ""), ("Difference", "model minus baseline, paired by case"),
        ("p, Holm", "permutation by patient, adjusted over the regions of a measure"),
        ("Better / equal / worse", "cases"), ("n", "cases of both"), ("Verdict", "from the interval alone"),
    ]  # fmt: skip
    return View(f"comparison-{key}", "Paired differences of models", headers, rows, files)

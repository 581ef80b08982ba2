"""Tables about the data and the training as the report's template shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from posttx.cases import MODALITIES
from posttx.reporting.palettes import MODALITY_NAMES
from posttx.reporting.report_cells import DASH, NOTHING, Cell, View, count, number, text

# no line break within a size
WITHHELD = (
    "Files, comments and names that are no case of a cohort are not told here, because pages are passed on: the full "
    "messages stand in results/audit and results/scored where the run was made."
)
TIMES = "\u00a0×\u00a0"


def snapshot(cohorts: Mapping[str, Mapping[str, Any]]) -> View:
    """Make the dataset snapshot; each cohort gives ``table`` (None: counts only), use, source, n."""
    rows, cases, patients = [], 0, 0
    for name, cohort in cohorts.items():
        table = cohort["table"]
        cases, patients = cases + cohort["cases"], patients + cohort["patients"]
        described = [DASH] * 5 if table is None else [
            ", ".join(_of_modality(table, m) for m in MODALITIES if table[m].notna().any()) or DASH,
            _several(table, "shape", TIMES), _several(table, "spacing", TIMES), _several(table, "orientation"),
            f"{int(table['seg'].notna().sum())} of {len(table)}",
        ]  # fmt: skip
        rows.append([
            text(name), text(cohort["use"]), text(cohort["source"]), count(cohort["cases"]), count(cohort["patients"]),
            *[text(value) for value in described],
        ])  # fmt: skip
    rows.append([text("total", kind="total"), NOTHING, NOTHING, count(cases), count(patients), *[NOTHING] * 5])
    headers = [
        ("Cohort", ""), ("Use", "train, test (held out) or predict (no reference)"), ("Source", ""), ("Cases", "scans"),
        ("Patients", ""), ("Modalities", ""), ("Grid", "voxels"), ("Spacing", "mm"), ("Orientation", "axis codes"),
        ("References", "cases with a reference segmentation"),
    ]  # fmt: skip
    links = [
        (f"{name}.parquet", f"../cohorts/{name}.parquet") for name in cohorts if cohorts[name]["table"] is not None
    ]
    minor = ("Source", "Spacing", "Orientation")
    return View("dataset", "Cases by cohort", headers, rows, links, minor=minor)


def _of_modality(table: pd.DataFrame, modality: str) -> str:
    """Return the modality's name, and how many cases have it where not all have."""
    there, name = int(table[modality].notna().sum()), MODALITY_NAMES[modality]
    return name if there == len(table) else f"{name} in {there}"


def _several(table: pd.DataFrame, what: str, times: str = "") -> str:
    """Return the values of all modalities and their number of files, the most frequent first, three at most."""
    columns = [f"{what}_{name}" for name in MODALITIES if f"{what}_{name}" in table]
    counts = (
        pd.concat([table[column] for column in columns]).dropna().value_counts() if columns else pd.Series(dtype=int)
    )
    shown = [str(value).replace("x", times) if times else str(value) for value in counts.index]
    if len(shown) <= 1:
        return shown[0] if shown else DASH
    parts = [f"{value} ({100 * n / counts.sum():.0f} %)" for value, n in zip(shown[:3], counts, strict=False)]
    return ", ".join(parts) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def intensities(intensity: pd.DataFrame) -> View:
    """Make the table of 99th percentiles: mean, smallest and largest per cohort and modality, and the dtypes."""
    rows = []
    for (cohort, modality), part in intensity.groupby(["cohort", "modality"], sort=False):
        types = ", ".join(f"{name} {n}" for name, n in part["dtype"].value_counts().items())
        p99 = part["p99"]
        rows.append([
            text(cohort), text(MODALITY_NAMES.get(str(modality), modality)), count(len(part)), number(p99.mean(), 2),
            number(p99.min(), 2), number(p99.max(), 2), number(_ratio(p99.max(), p99.min()), 1),
            number(100 * part["negative_fraction"].mean(), 2), text(types),
        ])  # fmt: skip
    headers = [
        ("Cohort", ""), ("Modality", ""), ("n", "cases"), ("Mean p99", "mean of the cases' 99th percentiles"),
        ("Smallest p99", ""), ("Largest p99", ""), ("Largest / smallest", ""),
        ("Negative voxels %", "mean share of voxels below 0"), ("Stored as", "dtype and number of files"),
    ]  # fmt: skip
    files = [("intensity.parquet", "../audit/intensity.parquet")]
    minor = ("Negative voxels %", "Stored as")
    return View("intensity", "99th percentile of the non-zero voxels, scanner units", headers, rows, files, minor=minor)


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan


def class_balance(labels: pd.DataFrame, colors: Mapping[str, str]) -> View:
    """Make the class balance: share of the labelled voxels, presence and median volume per cohort and class."""
    rows = []
    totals = labels.groupby("cohort")["voxels"].sum().to_dict()
    for (cohort, label, name), part in labels.groupby(["cohort", "label", "name"], sort=False):
        there = part[part["voxels"] > 0]
        share = 100 * float(part["voxels"].sum()) / float(totals[cohort]) if totals[cohort] else math.nan
        rows.append([
            text(cohort), count(label), text(name, colors.get(str(name), "")), count(part["voxels"].sum()),
            number(share, 2), Cell(f"{len(there)} of {len(part)}", len(there), kind="number"),
            number(100 * len(there) / len(part) if len(part) else math.nan, 1),
            number(there["volume_mm3"].median() / 1000 if len(there) else math.nan, 2),
            number(there["volume_mm3"].min() / 1000 if len(there) else math.nan, 3),
        ])  # fmt: skip
    headers = [
        ("Cohort", ""), ("Label", "the integer in the files"), ("Class", ""), ("Voxels", ""),
        ("Share %", "of all labelled voxels of the cohort"), ("Present in", "cases whose reference has the class"),
        ("Present %", ""), ("Median ml", "where present"), ("Smallest ml", "where present"),
    ]  # fmt: skip
    files = [("labels.parquet", "../audit/labels.parquet")]
    return View("classes", "Classes in the references", headers, rows, files, minor=("Label", "Present %"))


def findings(table: pd.DataFrame, limit: int) -> tuple[View, View]:
    """Make the audit's summary (one row per severity, code and cohort) and its list, errors first, ``limit`` rows."""
    order = table.assign(rank=table["severity"].map({"error": 0, "warning": 1, "info": 2})).sort_values(
        ["rank", "code", "cohort", "case"], kind="stable"
    )
    grouped = order.groupby(["severity", "code", "cohort"], sort=False)
    short = [
        [text(severity, kind=f"severity {severity}"), text(code), text(cohort), count(len(part)),
         count(part["case"].nunique()), text(_first(part["message"])), text(_first(part.get("remedy")))]
        for (severity, code, cohort), part in grouped
    ]  # fmt: skip
    rows = [
        [text(row.severity, kind=f"severity {row.severity}"), text(row.code), text(row.cohort), text(row.case),
         text(row.modality), text(row.message), text(getattr(row, "remedy", ""))]
        for row in order.head(limit).itertuples()
    ]  # fmt: skip
    files = [("findings.parquet", "../audit/findings.parquet")]
    summary = View(
        "findings-summary", "Findings of the audit by kind",
        [("Severity", ""), ("Code", ""), ("Cohort", ""), ("Findings", ""), ("Cases", "distinct cases"),
         ("First of them", ""), ("What to do", "")],
        short, files, WITHHELD,
    )  # fmt: skip
    note = f"The first {limit:,} of {len(table):,}; all are in the file. " if len(table) > limit else ""
    whole = View(
        "findings-list", "All findings",
        [("Severity", ""), ("Code", ""), ("Cohort", ""), ("Case", ""), ("Modality", ""), ("Finding", ""),
         ("What to do", "")],
        rows, files, note + WITHHELD, large=True,
    )  # fmt: skip
    return summary, whole


def _first(column: pd.Series | None) -> str:
    known = [] if column is None else list(column.dropna())
    return str(known[0]) if known else ""


def training(folds: Mapping[str, pd.DataFrame], key: str) -> View:
    """Make the table of a training's folds: epochs, last losses, best pseudo Dice, hours."""
    rows = []
    for fold, table in folds.items():
        last = table.iloc[-1] if len(table) else None
        best = table["pseudo_dice"].max() if len(table) else math.nan
        seconds = table["seconds"].sum() if len(table) and table["seconds"].notna().any() else math.nan
        rows.append([
            text(fold), count(len(table)), number(np.nan if last is None else last["train_loss"], 3),
            number(np.nan if last is None else last["val_loss"], 3),
            number(np.nan if last is None else last["pseudo_dice"], 3), number(best, 3), number(seconds / 60, 1),
        ])  # fmt: skip
    headers = [
        ("Fold", ""), ("Epochs", ""), ("Training loss", "last epoch"), ("Validation loss", "last epoch"),
        ("Pseudo Dice", "last epoch, mean over classes"), ("Best pseudo Dice", ""), ("Minutes", "time in epochs"),
    ]  # fmt: skip
    return View(f"training-{key}", "Training of the folds", headers, rows)

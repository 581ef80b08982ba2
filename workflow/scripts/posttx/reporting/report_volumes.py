"""Tables about volumes and presence as the report's template shows them: agreement, change, presence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from posttx.analysis.judgements import records
from posttx.reporting.report_cells import Cell, View, count, estimate, finite, number, text

Files = Sequence[tuple[str, str]]


def volume_agreement(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Files) -> View:
    """Make the table of predicted against reference volumes."""
    rows = [
        [*_class(row, colors), number(row["icc"], 3), estimate(row, "icc_diameter", 3),
         count(row["n"]), count(row["n_patients"]), estimate(row, "ratio", 2), _limits(row),
         count(row["n_ratio"]), count(row["n_patients_ratio"])]
        for row in records(table)
    ]  # fmt: skip
    headers = [
        ("Label", ""), ("Class", ""), ("ICC(A,1)", "absolute agreement, single measurement; absent counts as 0"),
        ("ICC of diameters", "of spheres of these volumes; interval from 60 patients on"),
        ("n", "cases"), ("Patients", ""), ("Mean ratio", "predicted / reference volume, geometric"),
        ("Limits", "95 % of the ratios of single scans"), ("n of ratios", "cases in which both volumes are above 0"),
        ("Patients of ratios", ""),
    ]  # fmt: skip
    return View(f"volume-agreement-{key}", "Predicted against reference volume", headers, rows, files,
                minor=("Label", "n of ratios", "Patients of ratios"))  # fmt: skip


def _limits(row: Mapping[str, Any]) -> Cell:
    low, high = finite(row["limit_low"]), finite(row["limit_high"])
    return text(None if low is None or high is None else f"{low:,.2f} to {high:,.2f}")


def change(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Files) -> View:
    """Make the table of changes between consecutive scans of a patient."""
    rows = [
        [*_class(row, colors), estimate(row, "sign_agreement", 3), count(row["n"]), count(row["n_patients"]),
         estimate(row, "sign_agreement_changed", 3), count(row["n_changed"]), count(row["n_patients_changed"]),
         estimate(row, "spearman_r", 3)]
        for row in records(table)
    ]  # fmt: skip
    headers = [
        ("Label", ""), ("Class", ""), ("Same direction", "both grow, both shrink or both stay, share of all pairs"),
        ("Pairs", "of consecutive scans"), ("Patients", ""),
        ("Same direction, changed", "the same of the pairs whose reference volume changes"), ("Changed pairs", ""),
        ("Patients of these", ""), ("Spearman r", "predicted with reference change, all pairs"),
    ]  # fmt: skip
    return View(f"change-{key}", "Change of volume from a scan to the next", headers, rows, files,
                minor=("Label", "Patients of these"))  # fmt: skip


def presence(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Files) -> View:
    """Make the table of sensitivity and specificity for the presence of each class, by scan and by patient."""
    by_scan = (("sensitivity", "present"), ("specificity", "absent"))
    rows = []
    for row in records(table):
        cells = _class(row, colors)
        for name, state in by_scan:
            patients = f"of {int(row[f'n_patients_{state}'])} patients"
            cells += [estimate(row, name, 3), replace(count(row[f"n_{state}"]), interval=patients)]
        for name, state in by_scan:
            cells += [estimate(row, f"patient_{name}", 3), count(row[f"patient_n_{state}"])]
        rows.append(cells)
    headers = [
        ("Label", ""), ("Class", ""), ("Sensitivity", "predicted, of the scans that have it"), ("Present", "scans"),
        ("Specificity", "not predicted, of the scans without it"), ("Absent", "scans"),
        ("Sensitivity, patients", "predicted in any scan, of the patients with it in any"),
        ("Patients with it", ""),
        ("Specificity, patients", "predicted in no scan, of the patients without it in any"),
        ("Patients without", ""),
    ]  # fmt: skip
    return View(f"presence-{key}", "Presence of each class", headers, rows, files,
                minor=("Label", "Patients with it", "Patients without"))  # fmt: skip


def _class(row: Mapping[str, Any], colors: Mapping[str, str]) -> list[Cell]:
    return [count(row["label"]), text(row["region"], colors.get(row["region"], ""))]

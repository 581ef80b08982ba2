"""What only whole cohorts show: patients in two cohorts, the same scan twice, outliers, missing classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from posttx.auditing.duplicates import duplicate_findings
from posttx.auditing.findings import Finding
from posttx.cases import MODALITIES

OUTLIER_Z = 6.0
OUTLIER_FACTOR = 10.0
OUTLIER_CASES = 8


def cohort_findings(
    cohorts: pd.DataFrame,
    intensity: pd.DataFrame,
    labels: pd.DataFrame,
    evidence: pd.DataFrame,
    uses: Mapping[str, str],
) -> list[Finding]:
    """Return all findings that need more than one case; ``uses``: cohort -> train, test or predict."""
    return [
        *shared_patients(cohorts, uses),
        *timepoint_gaps(cohorts),
        *duplicate_findings(evidence),
        *intensity_outliers(intensity),
        *class_findings(labels),
    ]


def shared_patients(cohorts: pd.DataFrame, uses: Mapping[str, str]) -> list[Finding]:
    """Return an error per patient who has scans in a train cohort and in another one."""
    found = []
    train = cohorts["cohort"].map(uses) == "train"
    for patient, scans in cohorts[~train].groupby("patient"):
        twins = cohorts[train & (cohorts["patient"] == patient)]
        for cohort, rows in scans.groupby("cohort"):
            if len(twins):
                message = (
                    f"patient {patient} also has {len(twins)} scans in {', '.join(sorted(twins['cohort'].unique()))}"
                    f" ({', '.join(twins['case'].head(3))})"
                )
                found.append(Finding("COH005", str(cohort), message, str(rows["case"].iloc[0])))
    return found


def timepoint_gaps(cohorts: pd.DataFrame) -> list[Finding]:
    """Return one remark per cohort that counts the patients whose timepoints are not consecutive."""
    found = []
    for cohort, rows in cohorts.groupby("cohort"):
        spans = rows.groupby("patient")["timepoint"].agg(["min", "max", "nunique"])
        gaps = spans[spans["max"] - spans["min"] + 1 > spans["nunique"]]
        if len(gaps):
            shown = ", ".join(map(str, gaps.index[:5]))
            found.append(Finding("COH006", str(cohort), f"{len(gaps)} of {len(spans)} patients have gaps: {shown}"))
    return found


def intensity_outliers(intensity: pd.DataFrame) -> list[Finding]:
    """Return the images whose 99th percentile lies far from their modality's in the cohort.

    Both must hold on the log scale: six robust standard deviations (median, MAD) and a factor of ten from the median.
    Scanners alone spread BraTS over two decades, which a fixed range would call outliers. Below eight scans: none.
    """
    found = []
    for (cohort, modality), rows in intensity[intensity["p99"] > 0].groupby(["cohort", "modality"]):
        if len(rows) < OUTLIER_CASES:
            continue
        logs = np.log10(rows["p99"].to_numpy(float))
        centre = float(np.median(logs))
        spread = max(1.4826 * float(np.median(np.abs(logs - centre))), 0.05)
        limit = max(OUTLIER_Z * spread, np.log10(OUTLIER_FACTOR))
        for case, p99, log in zip(rows["case"], rows["p99"], logs, strict=True):
            if abs(log - centre) > limit:
                message = f"the 99th percentile is {p99:.4g}, the cohort's median is {10**centre:.4g}"
                found.append(Finding("INT007", str(cohort), message, str(case), str(modality)))
    return found


def class_findings(labels: pd.DataFrame) -> list[Finding]:
    """Return per cohort its class balance, and the classes that none of its references holds."""
    found = []
    for cohort, rows in labels.groupby("cohort"):
        totals = rows.groupby(["label", "name"], sort=True)["voxels"].sum()
        whole = int(totals.sum())
        for (label, name), voxels in zip(totals.index, totals, strict=True):
            if not voxels:
                message = f"no reference holds label {label} ({name})"
                found.append(Finding("LAB006", str(cohort), message))
        if whole:
            shares = ", ".join(
                f"{name} {voxels / whole:.1%}" for (_, name), voxels in zip(totals.index, totals, strict=True)
            )
            found.append(Finding("LAB007", str(cohort), f"{whole} labelled voxels: {shares}"))
    return found


def cohort_table(intensity: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Return, per cohort, mean and range of p99 per modality (kind ``p99``), voxels and share per class (``class``)."""
    rows: list[dict[str, Any]] = []
    for cohort in sorted({*intensity["cohort"], *labels["cohort"]}):
        for modality in MODALITIES:
            p99 = intensity.loc[(intensity["cohort"] == cohort) & (intensity["modality"] == modality), "p99"].dropna()
            if len(p99):
                told = {"n": len(p99), "mean": p99.mean(), "min": p99.min(), "max": p99.max()}
                rows.append({"cohort": cohort, "kind": "p99", "name": modality, **told})
        own = labels[labels["cohort"] == cohort]
        whole = int(own["voxels"].sum())
        for (_, name), part in own.groupby(["label", "name"], sort=True):
            voxels = int(part["voxels"].sum())
            share = voxels / whole if whole else float("nan")
            told = {"n": int((part["voxels"] > 0).sum()), "voxels": voxels, "share": share}
            volumes = part["volume_mm3"]
            told |= {"mean": volumes.mean(), "min": volumes.min(), "max": volumes.max()}
            rows.append({"cohort": cohort, "kind": "class", "name": name, **told})
    return pd.DataFrame(rows, columns=["cohort", "kind", "name", "n", "mean", "min", "max", "voxels", "share"])

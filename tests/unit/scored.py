"""Metrics tables made by hand for the tests of statistics, tables and sentences."""

import numpy as np
import pandas as pd

from posttx.schemas import CASE_METRICS, checked

REGIONS = {"A": [1], "B": [2], "AB": [1, 2]}


def ratio(numerator, denominator):
    return numerator / denominator if denominator else np.nan


def row(case, region, label, tp, fp, fn, model="one", voxel=1.0):
    return {
        "cohort": "c", "model": model, "case": case, "patient": case.rsplit("-", 1)[0],
        "timepoint": int(case.rsplit("-", 1)[1]), "region": region, "label": label,
        "tp": tp, "fp": fp, "fn": fn, "tn": 1000, "n_ref": tp + fn, "n_pred": tp + fp,
        "dice": ratio(2 * tp, 2 * tp + fp + fn), "iou": ratio(tp, tp + fp + fn),
        "precision": ratio(tp, tp + fp), "recall": ratio(tp, tp + fn),
        "volume_ref_mm3": (tp + fn) * voxel, "volume_pred_mm3": (tp + fp) * voxel,
    }  # fmt: skip


def metrics(rows) -> pd.DataFrame:
    """Make a valid metrics table of some columns; the others are undefined."""
    table = pd.DataFrame(rows)
    return checked(table.reindex(columns=list(CASE_METRICS.columns)), CASE_METRICS)


def by_counts(counts, model="one", voxel=1.0) -> pd.DataFrame:
    """Make metrics from {case: {region: (tp, fp, fn)}} of the labels A and B."""
    labels = {"A": 1, "B": 2, "AB": None}
    return metrics(
        [
            row(case, region, labels[region], *numbers, model=model, voxel=voxel)
            for case, regions in counts.items()
            for region, numbers in regions.items()
        ]
    )


def random_counts(cases, seed=0, scans=2):
    """Draw counts of labels A and B with all four states, ``scans`` scans per patient."""
    draw = np.random.default_rng(seed)
    counts = {}
    for number in range(cases):
        case = f"P-{number // scans:05d}-{100 + number % scans}"
        counts[case] = {}
        for region in ("A", "B"):
            size = int(draw.lognormal(5, 1.5)) + 1
            tp = int(size * draw.uniform(0.1, 1))
            fp = int(draw.lognormal(3, 1))
            state = draw.choice(["present", "absent", "hallucinated", "missed"], p=[0.7, 0.1, 0.1, 0.1])
            counts[case][region] = {
                "present": (tp, fp, size - tp),
                "absent": (0, 0, 0),
                "hallucinated": (0, fp + 1, 0),
                "missed": (0, 0, size),
            }[state]
    return counts


def without_reference(table: pd.DataFrame) -> pd.DataFrame:
    """Make of a table that of a cohort without references."""
    table = table.copy()
    for name in ("tp", "fp", "fn", "tn", "n_ref"):
        table[name] = pd.array([pd.NA] * len(table), dtype="Int64")
    for name in ("dice", "iou", "precision", "recall", "volume_ref_mm3"):
        table[name] = np.nan
    return table

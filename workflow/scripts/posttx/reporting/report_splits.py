"""The report's section on folds: what they separate, what they hold out, and what a split by case would have leaked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from posttx.files import read_parquet
from posttx.networks.left_out import LEFT_OUT
from posttx.reporting.report_cells import Cell, View, count, number, text

FILES = [(f"{name}.{kind}", f"../tables/{name}.{kind}") for name in ("folds", "splits") for kind in ("csv", "parquet")]


def section(results: Path, fact: str = "") -> dict[str, Any]:
    """Return the two tables and the sentences of the section; nothing where no model is trained here.

    ``fact`` is what the folds leave out one value of each, "" where they are mixed.
    """
    path = results / "tables/folds.parquet"
    if not path.is_file():
        return {}
    folds = read_parquet(path)
    ours, default = (folds[(folds["split"] == "by patient") == known] for known in (True, False))
    return {
        "left_out": fact,
        "proof": proof(ours),
        "border": border(folds, fact),
        "balance": balance(ours, fact),
        "default": proof(default),
    }


def proof(folds: pd.DataFrame) -> str:
    """Return in a sentence how many held-out scans have another scan of their patient in training; "" for no fold."""
    if not len(folds):
        return ""
    leaked, held_out = int(folds["leaked_cases"].sum()), int(folds["held_out_cases"].sum())
    share = f" ({100 * leaked / held_out:.1f} %)" if leaked else ""
    return f"{leaked:,} of {held_out:,} held-out scans{share} have another scan of their patient in training"


def border(folds: pd.DataFrame, fact: str = "") -> View:
    """Make the table of what lies on both sides of each fold's border, ours first; ``fact`` is what folds leave out."""
    rows = [
        [text(row["split"]), count(row["fold"]), *_left_out(row, fact), count(row["train_cases"]),
         count(row["held_out_cases"]), count(row["held_out_patients"]), count(row["shared_patients"]),
         count(row["leaked_cases"])]
        for _, row in folds.iterrows()
    ]  # fmt: skip
    headers = [
        ("Split", "ours by patient, and the one that nnU-Net makes when it finds none"), ("Fold", ""),
        *_left_out_header(fact),
        ("Training scans", ""), ("Held-out scans", ""), ("Held-out patients", ""),
        ("Patients on both sides", "with scans in training and held out"),
        ("Leaked scans", "held-out scans of these patients"),
    ]  # fmt: skip
    return View("folds-border", "Patients across each fold's border", headers, rows, FILES)


def _left_out(row: pd.Series, fact: str) -> list[Cell]:
    return [text(row[LEFT_OUT])] if fact else []


def _left_out_header(fact: str) -> list[tuple[str, str]]:
    return [(f"Leaves out ({fact})", "held out, and in no training scan")] if fact else []


def balance(folds: pd.DataFrame, fact: str = "") -> View:
    """Make the table of what each fold holds out: per label the scans that have it, and their volume."""
    labels = [str(name).removeprefix("present_") for name in folds.columns if str(name).startswith("present_")]
    rows = []
    for _, row in folds.iterrows():
        held_out = int(row["held_out_cases"])
        cells = [count(row["fold"]), *_left_out(row, fact), count(held_out)]
        for label in labels:
            present = int(row[f"present_{label}"])
            share = f"{present} ({100 * present / held_out:.0f} %)" if held_out else "0"
            cells += [Cell(share, present, kind="number"), number(row[f"volume_{label}"] / 1000, 1)]
        rows.append(cells)
    headers = [("Fold", ""), *_left_out_header(fact), ("Held-out scans", "")]
    for label in labels:
        headers += [(f"{label} in", "held-out scans that have the class"), (f"{label} ml", "summed over these")]
    minor = [f"{label} ml" for label in labels]
    return View("folds-balance", "What each fold holds out", headers, rows, FILES, minor=minor)

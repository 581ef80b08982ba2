"""A results folder of an audit, made without running it: what the audit's page reads."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import results_tree as tree
from PIL import Image

from posttx.auditing.findings import Finding, findings_table
from posttx.auditing.scheme_test import scheme_tests
from posttx.auditing.shift import groups_table, shift_table
from posttx.facts import CATEGORICAL, Fact
from posttx.files import read_parquet, write_json, write_parquet
from posttx.reporting import figures
from posttx.schemas import COHORT, FINDINGS, INTENSITY, LABEL_VOLUMES, THUMBNAILS, write_table
from write_audit_page import write_page_and_pictures

HOSTILE = "<img src=x onerror=alert(1)>\"'&"
SIDE = 40
SETTINGS: dict[str, Any] = {
    "cohorts": {"training": "train", "additional": "test"},
    "fail_on": ["error"],
    "geometry": "fail",
    "labels": tree.NAMES,
    "colors": tree.COLORS,
}


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def thumbnail_row(cohort: str, case: str, number: int) -> dict[str, Any]:
    """Return a slice with a square of each label; the third case has no image, the fourth no reference."""
    row = {"cohort": cohort, "case": case, "modality": None, "image": None, "labels": None}
    if number == 2:
        return row | {"row_mm": float("nan"), "column_mm": float("nan")}
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for label in tree.NAMES:
        labels[8 * label - 4 : 8 * label, 10:20] = label
    image = np.random.default_rng(number).integers(1, 255, (SIDE, SIDE), np.uint8)
    return row | {
        "modality": "t2f",
        "image": png(image),
        "labels": None if number == 3 else png(labels),
        "row_mm": 1.0,
        "column_mm": 1.0,
    }


def default_findings(cases: dict[str, list[str]]) -> list[Finding]:
    first = cases["training"]
    return [
        Finding("FIL004", "training", f"torn {HOSTILE}", first[2], "t1n"),
        Finding("INT005", "training", "saturated", first[0], "t1c"),
        *(Finding("LAB005", "training", "specks", case, "seg") for case in first),
        Finding("LAB007", "training", "all labelled voxels"),
    ]


def write_tables(results: Path, sizes: dict[str, int]) -> dict[str, list[str]]:
    """Write cohort and audit tables and their figures; return the cases of each cohort."""
    cases = {}
    for name, size in sizes.items():
        table = tree.cohort_table(name, size).reindex(columns=list(COHORT.columns))
        if size > 3:
            table.loc[table.index[3], "seg"] = None
        write_table(table, COHORT, results / f"cohorts/{name}.parquet")
        cases[name] = table["case"].tolist()
    made = tree.audit_tables(sizes)
    for name, schema in (("intensity", INTENSITY), ("labels", LABEL_VOLUMES)):
        write_table(made[name].reindex(columns=list(schema.columns)), schema, results / f"audit/{name}.parquet")
    tree.draw_kind(results, figures.DATA)
    return cases


def write_groups(results: Path, sizes: dict[str, int]) -> None:
    """Write what the audit finds by a fact: the hospital of each patient, a hostile name among them."""
    parts = [tree.cohort_table(name, size)[["cohort", "case", "patient"]] for name, size in sizes.items()]
    cohorts = pd.concat([pd.DataFrame(columns=["cohort", "case", "patient"]), *parts], ignore_index=True)
    known = {patient: HOSTILE if n % 2 else "B" for n, patient in enumerate(cohorts["patient"].unique())}
    facts = {name: [Fact("hospital", "patient", CATEGORICAL, known)] for name in sizes}
    audit = [read_parquet(results / f"audit/{name}.parquet") for name in ("intensity", "labels")]
    uses = {name: SETTINGS["cohorts"][name] for name in sizes}
    write_parquet(groups_table(cohorts, *audit, facts), results / "audit/groups.parquet")
    write_parquet(shift_table(cohorts, *audit, facts, uses), results / "audit/shift.parquet")


def write_audit(
    results: Path, sizes: dict[str, int], findings: list[Finding] | None = None, fail_on: list[str] | None = None
) -> Path:
    """Write tables, figures, pictures and the page; return the page."""
    cases = write_tables(results, sizes)
    told = findings if findings is not None else default_findings(cases)
    write_table(findings_table(told), FINDINGS, results / "audit/findings.parquet")
    nothing = pd.DataFrame(columns=["cohort", "case", "patient", "modality", "label", "voxels", "median"])
    write_json(results / "audit/scheme.json", scheme_tests(nothing, tree.NAMES))
    write_groups(results, sizes)
    rows = [thumbnail_row(name, case, i) for name in sizes for i, case in enumerate(cases[name])]
    shard = results / "audit/shards/thumbnails.parquet"
    write_table(pd.DataFrame(rows, columns=list(THUMBNAILS.columns)), THUMBNAILS, shard)
    page = results / "report/audit.html"
    settings = {**SETTINGS, "cohorts": {name: SETTINGS["cohorts"][name] for name in sizes}}
    settings["fail_on"] = fail_on or ["error"]
    write_page_and_pictures([shard], results, tree.ASSETS, page, results / "report/audit", settings, 2)
    return page

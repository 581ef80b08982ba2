"""Whatever there is to report on, a page comes out that says what it can and cannot show."""

import re

import numpy as np
import pandas as pd
import pytest
import results_tree as tree
import scored
from test_report import Page

from posttx.reporting.report import write_report

COUNTS = {"cohorts": {"additional": {"use": "test"}}, "models": {"m": {"counts": {"additional": "summary.json"}}}}
CLINIC = {"cohorts": {"clinic": {"path": "x", "use": "predict"}}, "models": {"m": {"predictions": {"clinic": "y"}}}}


def metrics(cases, cohort="additional"):
    return tree.case_metrics(cases, cohort, "m")


def emptied(table, rows):
    """Make a region absent in both in the given rows: all quotients are undefined."""
    table = table.copy()
    table.loc[rows, ["tp", "fp", "fn", "n_ref", "n_pred"]] = 0
    table.loc[rows, ["dice", "iou", "precision", "recall"]] = np.nan
    table.loc[rows, ["volume_ref_mm3", "volume_pred_mm3"]] = 0.0
    return table


def never(region):
    table = metrics(12)
    return emptied(table, table["region"] == region)


def nothing_anywhere():
    table = metrics(12)
    return emptied(table, table["region"].notna())


def with_long_ids(cases):
    table = metrics(cases)
    return table.assign(case="x" * (300 - table["case"].str.len().max()) + table["case"])


INPUTS = {
    "no case": (COUNTS, lambda: metrics(0), ["There is no case", "counts alone are known"]),
    "one case": (COUNTS, lambda: metrics(1), ["Only 1 patient: no interval", "Too few patients (1)"]),
    "one class never present": (COUNTS, lambda: never("ET"), ["No reference has ET: how well it is segmented cannot"]),
    "all Dice undefined": (
        COUNTS,
        nothing_anywhere,
        ["No reference has NETC", "No reference has the class, and it is"],
    ),
    "one patient": (
        COUNTS,
        lambda: metrics(12).assign(patient="P"),
        ["Only 1 patient: no interval", "(no interval)"],
    ),
    "no references": (
        CLINIC,
        lambda: scored.without_reference(metrics(6, "clinic")),
        ["No case of this cohort has a reference: there is nothing to score", "Nothing was scored"],
    ),
    "counts alone": (
        COUNTS,
        lambda: metrics(12),
        ["No cohort has images here: nothing was audited", "counts alone are known, no picture"],
    ),
    "1,621 cases with 300 characters": (COUNTS, lambda: with_long_ids(1621), ["x" * 200, "The 4 worst cases"]),
}


@pytest.mark.parametrize("name", INPUTS)
def test_a_page_says_what_it_can_and_cannot_show(tmp_path, name):
    changes, made, phrases = INPUTS[name]
    cohort = next(iter(changes["cohorts"]))
    with_images = "path" in changes["cohorts"][cohort]
    settings = tree.settings_of(tree.configured(**changes), {cohort: with_images}, trained=False)
    if with_images:
        tree.write_data(tmp_path, {cohort: 6})
    table = made()
    tree.write_scores(tmp_path, table, cohort, "m")
    write_report(tmp_path, tree.ASSETS, tmp_path / "report/index.html", settings)
    content = (tmp_path / "report/index.html").read_text()
    page = Page(content)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert len(content.encode()) < 10e6
    assert set(pd.read_parquet(tmp_path / "tables/checklist.parquet")["anchor"]) - {""} <= set(page.ids)
    for phrase in phrases:
        assert phrase in page.text
    assert not re.search(r"\bnan\b|\bNone\b|<NA>", page.text)
    if table["patient"].nunique() < 2:
        summary = pd.read_parquet(tmp_path / f"tables/{cohort}/m/summary.parquet")
        assert summary[["ci_low", "ci_high"]].isna().all(axis=None)
        assert not re.search(r"0\.\d+ to 0\.\d+", page.text)

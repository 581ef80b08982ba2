"""The report's section on levers: what each changes against the model without any, what it costs, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from posttx.analysis.judgements import Outcome, of_lever, records
from posttx.analysis.levers import LEVER_VERDICTS, primary_rows
from posttx.analysis.subgroups import MEAN
from posttx.analysis.wording import worded
from posttx.files import read_parquet
from posttx.measures import measure_of
from posttx.reporting.report_cells import DASH, Cell, View, count, finite, number, slug, text
from posttx.reporting.report_tables import p_value

FILES = [(f"levers.{kind}", f"../tables/levers.{kind}") for kind in ("csv", "parquet")]


def section(results: Path, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return table and sentences per cohort; nothing where no two models differ in one lever alone."""
    if not settings["levers"]:
        return []
    table = read_parquet(results / "tables/levers.parquet")
    shown = primary_rows(table)
    cohorts = [name for name in settings["cohorts"] if name in set(shown["cohort"])]
    return [
        {
            "cohort": cohort,
            "view": view(shown[shown["cohort"] == cohort], slug(cohort)).of(table[table["cohort"] == cohort]),
            "said": said(shown[shown["cohort"] == cohort], settings["config"]["statistics"]["primary"]["region"]),
        }
        for cohort in cohorts
    ]


def said(table: pd.DataFrame, region: str) -> list[tuple[str, str]]:
    """Return a sentence per lever: the verdict on the primary endpoint."""
    rows = records(table[table["region"] == region])
    return [("", worded(judgement).text) for row in rows for judgement in of_lever(row)]


def view(table: pd.DataFrame, key: str) -> View:
    """Make the table of levers: the effect per region with interval and adjusted p, cost and verdict."""
    first = records(table)[0]
    measure = measure_of(first["metric"])
    regions = list(dict.fromkeys(table["region"]))
    rows = []
    for _, part in table.groupby(["lever", "model"], sort=False):
        values = {row["region"]: row for row in records(part)}
        one = values.get(MEAN, next(iter(values.values())))
        rows.append(
            [
                replace(text(str(one["lever"]).replace("_", " ")), interval=str(one["setting"])),
                replace(text(one["model"]), interval=f"against {one['baseline']}"),
                _verdict(part),
                *[_effect(values.get(region), measure.digits) for region in regions],
                _hours(one), _parameters(one), count(one["n_seeds"]),
                replace(count(one["n"]), interval=f"{one['n_patients']} patients"),
            ]
        )  # fmt: skip
    headers = [
        ("Lever", "and how it is set"), ("Model", ""), ("Verdict", "on the primary endpoint, by rule"),
        *[(region, "over the classes of a case" if region == MEAN else "") for region in regions],
        ("Training", "hours over all folds, and times the baseline's"), ("Parameters", "millions"),
        ("Seeds", ""), ("n", "cases of both"),
    ]  # fmt: skip
    caption = f"{measure.title} ({first['convention']}): each lever minus the model without any, p after Holm"
    return View(f"levers-{key}", caption, headers, rows, FILES, minor=("Seeds", "n", "Parameters"))


def _verdict(part: pd.DataFrame) -> Cell:
    primary = part[part["endpoint"] == "primary"]
    verdict = str((primary if len(primary) else part)["verdict"].iloc[0])
    return replace(text(verdict, kind="verdict"), title=LEVER_VERDICTS[Outcome(verdict)])


def _effect(row: Mapping[str, Any] | None, digits: int) -> Cell:
    """Return a cell of a difference; below it interval and adjusted p."""
    if row is None:
        return Cell(DASH, kind="number")
    cell = number(row["difference"], digits, row["ci_low"], row["ci_high"])
    p = p_value(row["p_holm"]).text
    below = ", ".join(part for part in (cell.interval, f"p {p}" if p != DASH else "") if part)
    sign = "+" if (known := finite(row["difference"])) is not None and known > 0 else ""
    return replace(cell, text=f"{sign}{cell.text}", interval=below)


def _hours(row: Mapping[str, Any]) -> Cell:
    own, baseline = finite(row["hours"]), finite(row["baseline_hours"])
    cell = number(own, 2)
    return replace(cell, interval=f"{own / baseline:.2f} times") if own is not None and baseline else cell


def _parameters(row: Mapping[str, Any]) -> Cell:
    own = finite(row["parameters"])
    return number(None if own is None else own / 1e6, 2)


def as_markdown(views: Sequence[View]) -> str:
    """Return tables as Markdown: cells with what stands below them in brackets."""
    return "\n".join(part for view in views for part in _markdown(view))


def _markdown(view: View) -> list[str]:
    names = [name for name, _ in view.headers]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in view.rows:
        cells = [f"{cell.text} ({cell.interval})" if cell.interval else cell.text for cell in row]
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return [view.caption, "", *lines, ""]

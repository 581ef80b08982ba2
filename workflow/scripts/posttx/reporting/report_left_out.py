"""The report's section on folds that leave a site out: scores of each, and what they lose against mixed folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from posttx.analysis.comparison import PRIMARY, VERDICTS
from posttx.analysis.conclusions import gaps
from posttx.analysis.judgements import Judgement, Outcome, of_left_out, records
from posttx.analysis.wording import concluded, worded
from posttx.files import read_parquet
from posttx.measures import measure_of
from posttx.networks.left_out import leave_out_of
from posttx.reporting import report_tables as views
from posttx.reporting.report_cells import View, count, number, slug, text


def section(results: Path, settings: Mapping[str, Any], colors: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return, per model trained here with folds that leave out, tables and sentences; nothing where folds are mixed."""
    config = settings["config"]
    fact, convention, found = leave_out_of(config), config["report"]["convention"], []
    cohorts = [name for name, cohort in config["cohorts"].items() if cohort["use"] == "train"]
    for cohort, model in [(cohort, model) for cohort in cohorts for model in settings["trained"] if fact]:
        folder, key = f"tables/{cohort}/{model}", f"{slug(cohort)}-{slug(model)}"
        scores = read_parquet(results / f"{folder}/subgroups.parquet")
        own = scores[scores["fact"] == fact]
        path = results / f"{folder}/left_out.parquet"
        compared = read_parquet(path) if path.is_file() else pd.DataFrame()
        found.append(
            {
                "model": model,
                "cohort": cohort,
                "fact": fact,
                "scores": views.subgroups(own, f"left-out-{key}", convention, _files(folder, "subgroups")).of(own),
                "gaps": [("", concluded(gap).text) for gap in gaps(records(own), convention)],
                "view": view(compared, key, fact, colors, _files(folder, "left_out")) if len(compared) else None,
                "said": [("", worded(judgement).text) for judgement in judged(compared, fact)],
            }
        )
    return found


def judged(table: pd.DataFrame, fact: str) -> list[Judgement]:
    """Judge the primary endpoint of each value left out; without an earlier run with mixed folds say so."""
    if not len(table):
        return [Judgement("left out", Outcome.NO_MIXED_FOLDS, {"fact": fact})]
    return [judgement for row in records(table[table["endpoint"] == PRIMARY]) for judgement in of_left_out(row)]


def view(table: pd.DataFrame, key: str, fact: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of the primary endpoint's measure by value and region, by both kinds of folds."""
    first = records(table[table["endpoint"] == PRIMARY])[0]
    measure = measure_of(first["metric"])
    shown = table[(table["metric"] == first["metric"]) & (table["convention"] == first["convention"])]
    rows = [
        [text(row["left_out"]), text(row["region"], colors.get(row["region"], "")),
         number(row["baseline_value"], measure.digits), number(row["model_value"], measure.digits),
         number(row["difference"], measure.digits, row["ci_low"], row["ci_high"]), views.p_value(row["p_holm"]),
         replace(text(row["verdict"], kind="verdict"), title=VERDICTS[Outcome(row["verdict"])]),
         count(row["n"]), count(row["n_patients"])]
        for row in records(shown)
    ]  # fmt: skip
    headers = [
        (f"Left out ({fact})", ""), ("Region", "mean: over the classes of a case"),
        ("Mixed folds", "the earlier run, over the cases of both"), ("Left out", "this run, over the cases of both"),
        ("Difference", "left out minus mixed, paired by case"), ("p, Holm", "adjusted over all values and rows"),
        ("Verdict", "from the interval and the adjusted p"), ("n", "cases of both"), ("Patients", ""),
    ]  # fmt: skip
    caption = f"{measure.title} ({first['convention']}) of what training never saw, against mixed folds"
    return View(f"left-out-{key}", caption, headers, rows, files).of(table)


def _files(folder: str, name: str) -> list[tuple[str, str]]:
    return [(f"{name}.{kind}", f"../{folder}/{name}.{kind}") for kind in ("csv", "parquet")]

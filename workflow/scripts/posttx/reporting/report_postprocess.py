"""The report's section on post-processing: the rules of each model, and what they do out of fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from posttx.analysis.judgements import judged, records
from posttx.analysis.postprocess_words import RAISED
from posttx.analysis.wording import worded
from posttx.files import read_parquet
from posttx.reporting.report_cells import View, count, number, slug, text


def section(results: Path, settings: Mapping[str, Any], colors: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return table and sentences of every model that has a post-processed one beside it."""
    trained = [name for name, cohort in settings["config"]["cohorts"].items() if cohort["use"] == "train"]
    found = []
    for cohort, (model, post) in [(cohort, pair) for cohort in trained for pair in settings["postprocessed"].items()]:
        folder = f"tables/{cohort}/{model}/postprocess"
        table = read_parquet(results / f"{folder}.parquet")
        files = [(f"postprocess.{kind}", f"../{folder}.{kind}") for kind in ("csv", "parquet")]
        files.append((f"{model}.json", f"../postprocess/{model}.json"))
        said = [("", worded(one).text) for row in judged({"postprocess": table})["postprocess"] for one in row]
        shown = view(table, f"{slug(cohort)}-{slug(model)}", colors, files)
        found.append({"cohort": cohort, "model": model, "post": post, "view": shown, "said": said})
    return found


def view(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of the rules of a model: one row per class."""
    rows = [
        [text(row["region"], colors.get(row["region"], "")), text(row["rule"]), number(row["before"], 3),
         number(row["after"], 3), number(row["gain"], 3, row["ci_low"], row["ci_high"]), count(row["removed_false"]),
         count(row["removed_true"]), count(row["missed_before"]), count(row["missed_after"]), text(row["outcome"]),
         count(row["n"]), count(row["n_patients"])]
        for row in records(table)
    ]  # fmt: skip
    headers = [
        ("Class", ""), ("Rule", "for cohorts that are not trained on"), ("Before", "mean over cases"),
        ("After", "each case by the rules of its fold"), ("Gain", "with its interval by patient"),
        ("False removed", "components that share no voxel with the reference of their class"),
        ("True removed", "components that share some"), ("Missed before", "lesions of the reference"),
        ("Missed after", "lesions of the reference"), ("Outcome", ""), ("n", "cases"), ("Patients", ""),
    ]  # fmt: skip
    measure = RAISED[str(table["measure"].iloc[0])] if len(table) else ""
    note = "Where a class has no rule, the values are those of the rules that were tried on the folds."
    return View(f"postprocess-{key}", f"Rules of post-processing by {measure}, out of fold", headers, rows, files, note)

"""The report's section on seeds: how far the scores of one training spread when it starts from other random numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from posttx.analysis.judgements import judged, records
from posttx.analysis.subgroups import MEAN
from posttx.analysis.wording import worded
from posttx.files import read_parquet
from posttx.measures import measure_of
from posttx.reporting.report_cells import View, count, number, slug, text


def section(results: Path, settings: Mapping[str, Any], colors: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return table and sentences of every model with several seeds on every cohort that it is scored on."""
    convention, trained, found = settings["config"]["report"]["convention"], settings["trained"], []
    for cohort, models in settings["models"].items():
        for model in (name for name in models if name in settings["seeds"]):
            folder = f"tables/{cohort}/{model}/seeds"
            table = read_parquet(results / f"{folder}.parquet")
            files = [(f"seeds.{kind}", f"../{folder}.{kind}") for kind in ("csv", "parquet")]
            shown = table[(table["convention"] == convention) & (table["measure"] == "dice")]
            rows = judged({"seeds": shown[shown["region"] == MEAN]}).get("seeds", [])
            found.append(
                {
                    "cohort": cohort,
                    "model": model,
                    "seeds": [trained[name]["train"]["seed"] for name in (model, *settings["seeds"][model])],
                    "view": view(shown, f"{slug(cohort)}-{slug(model)}", model, convention, colors, files),
                    "said": [(model, worded(judgement).text) for row in rows for judgement in row],
                }
            )
    return found


def view(
    table: pd.DataFrame,
    key: str,
    model: str,
    convention: str,
    colors: Mapping[str, str],
    files: Sequence[tuple[str, str]],
) -> View:
    """Make the table of the spread of Dice over seeds: one row per region, the mean over labels last."""
    digits = measure_of("dice").digits
    rows = [
        [text(row["region"], colors.get(row["region"], "")), count(row["n_seeds"]), number(row["seeds_mean"], digits),
         number(row["seeds_sd"], digits), number(row["seeds_lowest"], digits), number(row["seeds_highest"], digits),
         number(row["seeds_difference"], digits), number(row["value"], digits, row["ci_low"], row["ci_high"]),
         count(row["n_patients"])]
        for row in records(table)
    ]  # fmt: skip
    headers = [
        ("Region", "mean: over the classes"), ("Seeds", ""), ("Mean", "over seeds"),
        ("SD", "between seeds"), ("Lowest", "of the seeds"), ("Highest", "of the seeds"),
        ("Two seeds differ by up to", "in 95 % of the cases, by Student's t"),
        (model, "one of the seeds, with its interval by patient"), ("Patients", ""),
    ]  # fmt: skip
    note = "All measures under this convention, and the lesion-wise ones: in the file."
    return View(f"seeds-{key}", f"Dice over seeds ({convention})", headers, rows, files, note)

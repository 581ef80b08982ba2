"""What the review page's comparison shows of the pipeline: paired differences with their verdicts, and settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from posttx.analysis.comparison import PRIMARY
from posttx.analysis.judgements import records
from posttx.conventions import ABSENT_IS_ONE, PRESENT_ONLY
from posttx.measures import measure_of
from posttx.redaction import public_config
from posttx.reporting.asked import comparison_of

# Beside the primary endpoint, the measure of the page's points under the conventions that score every pair alike.
SHOWN_MEASURE = "dice"
SHOWN_CONVENTIONS = (ABSENT_IS_ONE.name, PRESENT_ONLY.name)
TEXTS = ("baseline", "model", "convention", "region", "endpoint", "verdict")
COUNTS = ("n", "n_patients", "n_unpaired")
NUMBERS = ("difference", "ci_low", "ci_high", "p_holm")


def facts(results: str | Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparisons of every cohort that has some, and the settings of every model, as plain data.

    ``settings`` are those of the report. Differences are model minus baseline in the measure's unit, null where
    undefined; settings are ``key -> value`` with the keys of nested ones joined by a dot, without any path.
    """
    tables = {cohort: comparison_of(Path(results), cohort) for cohort in settings["models"]}
    models = public_config(settings["config"])["models"]
    return {
        "comparisons": {cohort: comparison_rows(table) for cohort, table in tables.items() if table is not None},
        "settings": {name: flattened(model) for name, model in models.items()},
    }


def comparison_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows that the page shows: those of the primary endpoint's measure and convention, and of Dice."""
    if table.empty:
        return []
    primary = table.loc[table["endpoint"] == PRIMARY, ["metric", "convention"]].drop_duplicates()
    shown = {(SHOWN_MEASURE, name) for name in SHOWN_CONVENTIONS} | set(primary.itertuples(index=False, name=None))
    return [_row(row) for row in records(table) if (row["metric"], row["convention"]) in shown]


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    measure = measure_of(str(row["metric"]))
    return {
        "measure": measure.title,
        "digits": measure.digits,
        **{name: str(row[name]) for name in TEXTS},
        **{name: int(row[name]) for name in COUNTS},
        **{name: _number(row[name]) for name in NUMBERS},
    }


def _number(value: Any) -> float | None:
    return float(value) if pd.notna(value) and math.isfinite(value) else None


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as one level of texts: ``train.plan.batch_size -> 2``; what is null reads ``null``."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = "null" if value is None else str(value)
    return flat

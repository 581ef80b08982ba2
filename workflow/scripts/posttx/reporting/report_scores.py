"""The parts of the report's page about scores: each model on each cohort, models beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from posttx.analysis.conclusions import conclusions, gaps
from posttx.analysis.judgements import Outcome, records
from posttx.analysis.wording import Sentence, concluded, sentences
from posttx.files import read_parquet
from posttx.measures import CONTRACT, measure_of
from posttx.reporting import report_compared as compared_views
from posttx.reporting import report_tables as views
from posttx.reporting import report_volumes as volume_views
from posttx.reporting.asked import Asked, comparison_of
from posttx.reporting.figures import COMPARISON, SCORES
from posttx.reporting.page_figures import shown
from posttx.reporting.report_cases import not_drawn
from posttx.reporting.report_cells import View, count, number, slug
from posttx.reporting.worst_scan import pictured


def block(one: Asked, colors: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page shows of one model on one cohort; ``colors`` go by region."""
    results, settings, key, tables = one.results, one.settings, one.key, one.tables
    convention = settings["config"]["report"]["convention"]
    counts = "counts" in settings["config"]["models"][one.model]
    names = {region["label"]: name for name, region in settings["regions"].items() if region["label"] is not None}

    def files(table: str) -> list[tuple[str, str]]:
        return [
            (f"{table}.{kind}", f"../tables/{one.cohort}/{one.model}/{table}.{kind}") for kind in ("csv", "parquet")
        ]

    said = sentences(tables)
    states = tables["per_class"][["n_present", "n_absent"]].fillna(0)
    names_of = {"cohort": one.cohort, "model": one.model}
    return {
        "key": key, **names_of, "scored": bool(states.to_numpy().sum()), "known_cases": len(one.scores.cases),
        "use": settings["config"]["cohorts"][one.cohort]["use"],
        "made_here": one.model in settings["made_here"],
        "counts": counts,
        "headline": _headline(tables["summary"], key, one.cohort, one.model, convention),
        "global": views.global_table(tables["summary"], key, convention, files("summary")).of(tables["summary"]),
        "inter_class": [
            view.of(tables["inter_class"])
            for view in views.inter_class(tables["inter_class"], key, names, files("inter_class"))
        ],
        "subgroups": views.subgroups(tables["subgroups"], key, convention, files("subgroups")).of(tables["subgroups"]),
        **{
            name: view(tables[table], key, colors, files(table)).of(tables[table])
            for name, (table, view) in BY_CLASS.items()
        },
        **_extremes(one, tables, key, files),
        "not_drawn": not_drawn(results, one.cohort, one.model),
        "said": {table: _named_rows(tables[table], rows) for table, rows in said.items() if "region" in tables[table]}
        | {"summary": _headline_rows(tables["summary"], said["summary"], convention)},
        "gaps": [("", concluded(gap).text) for gap in gaps(records(tables["subgroups"]), convention)],
        "conclusions": [sentence.text for sentence in conclusions(tables, _against_baselines(one))],
        "figures": shown(results, SCORES, key, counts, settings["regions"], **names_of, convention=convention),
    }  # fmt: skip


BY_CLASS = {
    "per_class": ("per_class", views.per_class),
    "behind_means": ("per_class", views.behind_means),
    "by_convention": ("per_region", views.by_convention),
    "volume_bias": ("volume_bias", views.volume_bias),
    "false_positives": ("false_positives", views.false_positives),
    "volume_agreement": ("volume_agreement", volume_views.volume_agreement),
    "change": ("change", volume_views.change),
    "presence": ("presence", volume_views.presence),
}


def _extremes(one: Asked, tables: Mapping[str, pd.DataFrame], key: str, files: Any) -> dict[str, View]:
    """Return the tables of worst and best cases; those with pictures lead to the review page."""
    made = {}
    for kind in ("worst", "best"):
        table = tables[f"{kind}_cases"]
        links = {row["case"]: one.link(case=row["case"]) for row in pictured(one.results, one.cohort, one.model, table)}
        made[kind] = compared_views.extreme_cases(table, key, kind, files(f"{kind}_cases"), links).of(table)
    return made


def _named_rows(table: pd.DataFrame, rows: Sequence[Sequence[Sentence]]) -> list[tuple[str, str]]:
    """Return (region, what is said of its row) for a table with one row per region."""
    return [
        (str(region), " ".join(sentence.text for sentence in row))
        for region, row in zip(table["region"], rows, strict=True)
    ]


def _headline_rows(summary: pd.DataFrame, rows: Sequence[Sequence[Sentence]], convention: str) -> list[tuple[str, str]]:
    """Return (measure, what is said of it) of the global values under the headline convention."""
    return [
        (measure_of(metric).long_name, " ".join(sentence.text for sentence in row))
        for metric, name, row in zip(summary["metric"], summary["convention"], rows, strict=True)
        if name == convention
    ]


def comparisons(results: Path, cohorts: Sequence[str], colors: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the comparison of models of every cohort that has one, in the order of ``cohorts``."""
    found = []
    for cohort in cohorts:
        table = comparison_of(results, cohort)
        if table is not None:
            files = [(f"{cohort}.{kind}", f"../comparisons/{cohort}.{kind}") for kind in ("csv", "parquet")]
            said = sentences({"comparison": table}).get("comparison", [])
            pairs = [view.of(table) for view in compared_views.comparisons(table, slug(cohort), colors, files)]
            found.append({"cohort": cohort, "pairs": pairs, "said": _compared(table, said), **_ranks(results, cohort)})
    return found


def uneven(headlines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence per cohort whose models are scored on different numbers of scans."""
    told = []
    for cohort in dict.fromkeys(one["cohort"] for one in headlines):
        counts = {one["model"]: one["n"].text for one in headlines if one["cohort"] == cohort}
        if len(set(counts.values())) > 1:
            most = max(counts.values(), key=lambda text: int(text.replace(",", "")) if text[0].isdigit() else 0)
            parts = [f"{model} on {n} of {most} scans" for model, n in counts.items() if n != most]
            told.append(
                f"The models of {cohort} are scored on different scans: {', '.join(parts)}. Compare them only on the "
                "scans that both have."
            )
    return told


def _ranks(results: Path, cohort: str) -> dict[str, Any]:
    """Return table and figures of a cohort's models on the scans that all of them have; nothing without two of them."""
    path = results / f"ranks/{cohort}.parquet"
    table = read_parquet(path) if path.is_file() else pd.DataFrame()
    if table.empty:
        return {"ranks": None, "figures": []}
    files = [(f"{cohort}.{kind}", f"../ranks/{cohort}.{kind}") for kind in ("csv", "parquet")]
    drawn = shown(results, COMPARISON, slug(cohort), cohort=cohort)
    return {"ranks": compared_views.ranks(table, slug(cohort), files).of(table), "figures": drawn}


def _against_baselines(one: Asked) -> pd.DataFrame | None:
    """Return the rows of the cohort's comparison in which the model is set against a baseline; None without any."""
    return None if one.comparison is None else one.comparison[one.comparison["model"] == one.model]


def _compared(table: pd.DataFrame, rows: Sequence[Sequence[Sentence]]) -> list[tuple[str, str]]:
    """Return (models, measure and region; what is said) of the rows with a verdict for or against a model."""
    named = table.assign(said=[" ".join(sentence.text for sentence in row) for row in rows] if rows else "")
    decided = named[named["verdict"].isin([Outcome.BETTER, Outcome.WORSE, Outcome.EQUIVALENT])]
    return [
        (
            f"{row['model']} against {row['baseline']}, {row['metric']} {row['region']} ({row['convention']})",
            row["said"],
        )
        for _, row in decided.iterrows()
    ]


def _headline(summary: pd.DataFrame, key: str, cohort: str, model: str, convention: str) -> dict[str, Any]:
    rows = summary[summary["convention"] == convention].set_index("metric")
    cells = {}
    for metric in CONTRACT:
        row = rows.loc[metric] if metric in rows.index else {"value": None, "ci_low": None, "ci_high": None}
        cells[metric] = number(row["value"], 4, row["ci_low"], row["ci_high"])
    n = rows["n"].max() if len(rows) else 0
    patients = rows["n_patients"].max() if "n_patients" in rows else None
    return {
        "key": key,
        "cohort": cohort,
        "model": model,
        "cells": cells,
        "n": count(n),
        "patients": count(patients),
    }

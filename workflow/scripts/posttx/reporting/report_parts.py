"""The parts of the report's page: what its template is told of the data, the methods, each model on each cohort."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup
from PIL import Image

from posttx.analysis.conclusions import conclusions, gaps
from posttx.analysis.judgements import Outcome, records
from posttx.analysis.wording import Sentence, concluded, sentences
from posttx.auditing.findings import findings_table
from posttx.errors import PostTxError
from posttx.files import read_json, read_parquet
from posttx.measures import CONTRACT, measure_of
from posttx.redaction import public_findings
from posttx.reporting import methods
from posttx.reporting import report_data as data_views
from posttx.reporting import report_tables as views
from posttx.reporting import report_volumes as volume_views
from posttx.reporting.accepted import accepted_findings
from posttx.reporting.figures import COMPARISON, DATA, SCORES, TRAINING
from posttx.reporting.figures_training import read_progress
from posttx.reporting.page_figures import shown
from posttx.reporting.report_cases import all_cases, case_entries, case_scores, ranked

FINDINGS_SHOWN = 500
SOURCES = {"path": "a folder of cases", "sheet": "a sheet of cases", "phantom": "phantom (simulated)"}


def slug(name: str) -> str:
    """Return ``name`` as part of an HTML id, another one for every name: ``-x42-`` for a B; as ``viewer.js`` does."""
    return re.sub(r"[^a-z0-9_]", lambda sign: f"-x{ord(sign[0]):x}-", str(name))


def data(results: Path, settings: Mapping[str, Any], colors: Mapping[str, str]) -> dict[str, Any]:
    """Return the sections about the data alone: snapshot, audit, class balance, their figures."""
    cohorts = {name: _cohort(results, name, settings) for name in settings["config"]["cohorts"]}
    data: dict[str, Any] = {"snapshot": data_views.snapshot(cohorts), "audited": any(settings["cohorts"].values())}
    data["accepted"], data["figures"] = None, []
    tables = {name: cohort["table"] for name, cohort in cohorts.items()}
    findings = public_findings(_findings(results, settings), tables)
    if not data["audited"]:
        # Of counts alone: there is no table of the audit to show and link.
        data["told"] = [f"{row.severity}, {row.code}: {row.message}" for row in findings.itertuples()]
    else:
        audited = public_findings(read_parquet(results / "audit/findings.parquet"), tables)
        data["accepted"] = accepted_findings(audited, settings["config"]["audit"]["fail_on"])
        data["severities"] = {name: int((findings["severity"] == name).sum()) for name in ("error", "warning", "info")}
        data["findings"], data["all_findings"] = data_views.findings(findings, FINDINGS_SHOWN)
        data["intensity"] = data_views.intensities(read_parquet(results / "audit/intensity.parquet"))
        data["classes"] = data_views.class_balance(read_parquet(results / "audit/labels.parquet"), colors)
        data["figures"] = shown(results, DATA, regions=settings["regions"])
    return data


def _findings(results: Path, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return the findings of the audit, and those of scoring (predictions that belong to no case, say)."""
    paths = [results / "audit/findings.parquet"]
    paths += [
        results / f"scored/{cohort}/{model}_findings.parquet"
        for cohort, models in settings["models"].items()
        for model in models
    ]
    tables = [read_parquet(path) for path in paths if path.is_file()]
    if not tables:
        return findings_table([])
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)


def _cohort(results: Path, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    cohort = settings["config"]["cohorts"][name]
    source = next((known for kind, known in SOURCES.items() if kind in cohort), "counts alone, no images")
    known = known_cases(results, name, settings)
    table = known if settings["cohorts"][name] else None
    counts = {f"{what}s": int(known[what].nunique()) if len(known) else 0 for what in ("case", "patient")}
    return {"table": table, "use": cohort["use"], "source": source, **counts}


def known_cases(results: Path, name: str, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table with the cases of a cohort: of its images, else of the first model's metrics, else empty."""
    if settings["cohorts"][name]:
        return read_parquet(results / f"cohorts/{name}.parquet")
    models = settings["models"].get(name) or []
    return read_parquet(results / f"metrics/{name}/{models[0]}.parquet") if models else pd.DataFrame()


def methods_section(
    results: Path, assets: Path, settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Return section 4: paragraphs, figures and tables of every model trained here, and the same as Markdown."""
    config = settings["config"]
    models, plans = [], {}
    for name, model in settings["trained"].items():
        plans[name] = read_json(results / model["plans"])
        folder = results / model["folder"]
        folds = {
            str(fold): read_progress(folder / f"fold_{fold}/progress.jsonl") for fold in range(model["train"]["folds"])
        }
        models.append({
            "name": name,
            "network": methods.network(plans[name], model["train"]),
            "training": methods.training(model["train"]),
            "folds": data_views.training(folds, slug(name)),
            "figures": shown(results, TRAINING, slug(name), model=name),
        })  # fmt: skip
    return {
        "markdown": methods.markdown(config, settings["trained"], plans, provenance),
        "bibliography": methods.bibliography(assets, config),
        "preprocessing": methods.preprocessing(config) if models else [],
        "models": models,
        "evaluation": methods.evaluation(config),
        "software": methods.software(provenance),
        "elsewhere": [name for name in config["models"] if name not in settings["trained"]],
    }


def block(results: Path, cohort: str, model: str, settings: Mapping[str, Any], budget: list[int]) -> dict[str, Any]:
    """Return what the page shows of one model on one cohort."""
    folder = results / f"tables/{cohort}/{model}"
    tables = {path.stem: read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
    missing = {
        "summary",
        "per_class",
        "volume_bias",
        "inter_class",
        "false_positives",
        "per_region",
        "class_differences",
        "volume_agreement",
        "change",
        "presence",
        "subgroups",
    } - set(tables)
    if missing:
        raise PostTxError(f"there is no table {', '.join(sorted(missing))}", remedy="Run the workflow", file=folder)
    regions, convention = settings["regions"], settings["config"]["report"]["convention"]
    counts = "counts" in settings["config"]["models"][model]
    colors = {name: region["color"] for name, region in regions.items()}
    names = {region["label"]: name for name, region in regions.items() if region["label"] is not None}
    key = f"{slug(cohort)}-{slug(model)}"

    def files(table: str) -> list[tuple[str, str]]:
        return [(f"{table}.{kind}", f"../tables/{cohort}/{model}/{table}.{kind}") for kind in ("csv", "parquet")]

    metrics = read_parquet(results / f"metrics/{cohort}/{model}.parquet")
    said = sentences(tables)
    figures = results / f"figures/{cohort}/{model}"
    scores = case_scores(metrics, names)
    viewer = (results / f"report/viewer/{cohort}/{model}", f"viewer/index.html#{cohort}/{model}")
    links = (f"../figures/{cohort}/{model}/cases", budget, viewer)
    montages = {name: _montage(figures / f"{name}.png", budget) for name in ("worst", "best")}
    cases = case_entries(tables | {"all_cases": ranked(scores, convention)}, figures / "cases", *links)
    # The id as it is: a slug ends where a hyphen without an x after it follows, so that no two cases share an anchor.
    pictured = {entry["case"]: f"#case-{key}-{quote(entry['case'], safe='')}" for entry in cases}
    scored = bool(tables["per_class"]["n_present"].fillna(0).sum() + tables["per_class"]["n_absent"].fillna(0).sum())
    return {
        "key": key, "cohort": cohort, "model": model, "scored": scored, "known_cases": len(scores.cases),
        "use": settings["config"]["cohorts"][cohort]["use"],
        "trained": model in settings["trained"],
        "counts": counts,
        "headline": _headline(tables["summary"], key, cohort, model, convention),
        "global": views.global_table(tables["summary"], key, convention, files("summary")),
        "per_class": views.per_class(tables["per_class"], key, colors, files("per_class")),
        "behind_means": views.behind_means(tables["per_class"], key, colors, files("per_class")),
        "by_convention": views.by_convention(tables["per_region"], key, colors, files("per_region")),
        "said": {table: _named_rows(tables[table], rows) for table, rows in said.items() if "region" in tables[table]}
        | {"summary": _headline_rows(tables["summary"], said["summary"], convention)},
        "volume_bias": views.volume_bias(tables["volume_bias"], key, colors, files("volume_bias")),
        "inter_class": views.inter_class(tables["inter_class"], key, names, files("inter_class")),
        "subgroups": views.subgroups(tables["subgroups"], key, convention, files("subgroups")),
        "gaps": [
            ("", concluded(gap).text) for gap in gaps(records(tables["subgroups"]), convention)
        ],
        "false_positives": views.false_positives(tables["false_positives"], key, colors, files("false_positives")),
        **{
            name: view(tables[name], key, colors, files(name))
            for name, view in (
                ("volume_agreement", volume_views.volume_agreement),
                ("change", volume_views.change),
                ("presence", volume_views.presence),
            )
        },
        "worst": views.extreme_cases(tables["worst_cases"], key, "worst", files("worst_cases"), pictured),
        "best": views.extreme_cases(tables["best_cases"], key, "best", files("best_cases"), pictured),
        "all_cases": Markup(all_cases(scores, convention)),
        "conclusions": _sentences(conclusions(tables, _of_model(results, cohort, model))),
        "figures": shown(results, SCORES, key, counts, regions, cohort=cohort, model=model, convention=convention),
        "montages": montages,
        "cases": cases,
    }  # fmt: skip


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


def comparisons(results: Path, settings: Mapping[str, Any], colors: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the comparison of models of every cohort that has one."""
    found = []
    for cohort in settings["models"]:
        path = results / f"comparisons/{cohort}.parquet"
        table = read_parquet(path) if path.is_file() else pd.DataFrame()
        if len(table):
            files = [(f"{cohort}.{kind}", f"../comparisons/{cohort}.{kind}") for kind in ("csv", "parquet")]
            said = sentences({"comparison": table}).get("comparison", [])
            view = views.comparison(table, slug(cohort), colors, files)
            ranks = _ranks(results, cohort)
            found.append({"cohort": cohort, "view": view, "said": _compared(table, said), **ranks})
    return found


def _ranks(results: Path, cohort: str) -> dict[str, Any]:
    """Return table and figures of a cohort's models on the scans that all of them have; nothing without two of them."""
    path = results / f"ranks/{cohort}.parquet"
    table = read_parquet(path) if path.is_file() else pd.DataFrame()
    if table.empty:
        return {"ranks": None, "figures": []}
    files = [(f"{cohort}.{kind}", f"../ranks/{cohort}.{kind}") for kind in ("csv", "parquet")]
    drawn = shown(results, COMPARISON, slug(cohort), cohort=cohort)
    return {"ranks": views.ranks(table, slug(cohort), files), "figures": drawn}


def _sentences(said: Sequence[Sentence]) -> list[str]:
    return [sentence.text for sentence in said]


def _of_model(results: Path, cohort: str, model: str) -> pd.DataFrame | None:
    """Return the rows of a cohort's comparison in which a model is set against a baseline; None without one."""
    path = results / f"comparisons/{cohort}.parquet"
    if not path.is_file():
        return None
    table = read_parquet(path)
    return table[table["model"] == model]


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
        cells[metric] = views.number(row["value"], 4, row["ci_low"], row["ci_high"])
    n = rows["n"].max() if len(rows) else 0
    patients = rows["n_patients"].max() if "n_patients" in rows else None
    return {
        "key": key,
        "cohort": cohort,
        "model": model,
        "cells": cells,
        "n": views.count(n),
        "patients": views.count(patients),
    }


def _montage(path: Path, budget: list[int]) -> str:
    if not path.is_file():
        return ""
    stream = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").save(stream, "WEBP", quality=72, method=4)
    budget[0] -= stream.tell()
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


def read_known(path: Path) -> dict[str, Any]:
    """Read a JSON object; a file that is not there gives an empty one."""
    return read_json(path) if path.is_file() else {}

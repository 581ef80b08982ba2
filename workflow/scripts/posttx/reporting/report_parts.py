"""The parts of the report's page about data and methods: what its template is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from posttx.auditing.findings import findings_table
from posttx.files import read_json, read_parquet
from posttx.redaction import public_findings
from posttx.reporting import methods, report_ensembles
from posttx.reporting import report_data as data_views
from posttx.reporting.accepted import accepted_findings
from posttx.reporting.figures import DATA, TRAINING
from posttx.reporting.figures_training import read_progress
from posttx.reporting.page_figures import shown
from posttx.reporting.report_cells import slug

FINDINGS_SHOWN = 500
SOURCES = {"path": "a folder of cases", "sheet": "a sheet of cases", "phantom": "phantom (simulated)"}


def data(
    results: Path, settings: Mapping[str, Any], colors: Mapping[str, str], findings: pd.DataFrame
) -> dict[str, Any]:
    """Return the sections about the data alone: snapshot, audit, class balance, their figures; see ``all_findings``."""
    cohorts = {name: _cohort(results, name, settings) for name in settings["config"]["cohorts"]}
    data: dict[str, Any] = {"snapshot": data_views.snapshot(cohorts), "audited": any(settings["cohorts"].values())}
    data["accepted"], data["figures"] = None, []
    tables = {name: cohort["table"] for name, cohort in cohorts.items()}
    findings = public_findings(findings, tables)
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


def all_findings(results: Path, settings: Mapping[str, Any]) -> pd.DataFrame:
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
    """Return section 4: paragraphs, figures and tables of every model made here, and the same as Markdown."""
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
    ensembles = report_ensembles.section(results, settings)
    return {
        "markdown": methods.markdown(config, settings["trained"], plans, provenance, ensembles),
        "bibliography": methods.bibliography(assets, config),
        "preprocessing": methods.preprocessing(config) if models else [],
        "models": models,
        "ensembles": ensembles,
        "evaluation": methods.evaluation(config),
        "software": methods.software(provenance),
        "elsewhere": [name for name in config["models"] if name not in settings["made_here"]],
    }


def read_known(path: Path) -> dict[str, Any]:
    """Read a JSON object; a file that is not there gives an empty one."""
    return read_json(path) if path.is_file() else {}

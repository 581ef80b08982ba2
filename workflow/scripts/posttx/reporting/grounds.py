"""What the checks of trust look at, read from the results."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from pathlib import Path

import pandas as pd

from posttx.analysis.answers import ClassResult
from posttx.analysis.trust import Grounds
from posttx.files import read_json, read_parquet
from posttx.reporting.accepted import accepted_findings
from posttx.reporting.asked import Asked
from posttx.reporting.report_parts import known_cases
from posttx.reporting.worst_scan import pictured

SILENT = "FCT002"
EVERY_COHORT = "all"


def grounds(one: Asked, findings: pd.DataFrame, classes: Sequence[ClassResult]) -> Grounds:
    """Return what is known of one model on one cohort; ``findings`` are those of the audit and of scoring."""
    results, settings, cohort, model = one.results, one.settings, one.cohort, one.model
    config = settings["config"]
    widths = [result.dice.high - result.dice.low for result in classes if result.dice.has_interval]
    audited = bool(settings["cohorts"][cohort])
    own = findings[findings["cohort"].isin([cohort, EVERY_COHORT])]
    return Grounds(
        held_out=config["cohorts"][cohort]["use"] == "test",
        patients=len(set(one.scores.patients)),
        widest=max(widths, default=nan),
        phantom="phantom" in config["cohorts"][cohort],
        counts_only="counts" in config["models"][model],
        shared_patients=_shared(one),
        scheme=_scheme(results, cohort) if audited else None,
        errors=_accepted(own, config["audit"]["fail_on"]) if audited else None,
        rare=_rare(results, cohort) if audited else None,
        silent=int((own["code"] == SILENT).sum()),
        to_rate=len(pictured(results, cohort, model, one.tables["worst_cases"])),
    )


def _shared(one: Asked) -> int | None:
    """Return how many patients training had too, or scans that a fold leaks; None for a model from elsewhere."""
    results, settings = one.results, one.settings
    if one.model not in settings["made_here"]:
        return None
    uses = {name: one["use"] for name, one in settings["config"]["cohorts"].items()}
    if uses[one.cohort] == "train":
        folds = read_parquet(results / "tables/folds.parquet")
        return int(folds.loc[folds["split"] == "by patient", "leaked_cases"].sum())
    trained = {
        patient
        for name, use in uses.items()
        if use == "train" and settings["cohorts"].get(name)
        for patient in known_cases(results, name, settings)["patient"]
    }
    return len(trained & set(one.scores.patients))


def _scheme(results: Path, cohort: str) -> str:
    path = results / "audit/scheme.json"
    if not path.is_file():
        return "undecided"
    scheme = read_json(path)
    verdicts = {scheme["verdict"], scheme["cohorts"].get(cohort, scheme)["verdict"]}
    return next((word for word in ("contradicted", "confirmed") if word in verdicts), "undecided")


def _accepted(findings: pd.DataFrame, fail_on: Sequence[str]) -> tuple[int, int]:
    accepted = accepted_findings(findings, fail_on)
    kinds = [*accepted.scheme, *accepted.others]
    return sum(kind.findings for kind in kinds), sum(kind.cases for kind in kinds)


def _rare(results: Path, cohort: str) -> list[str] | None:
    """Return what a held-out cohort has and training hardly has; None where they were not compared."""
    path = results / "audit/shift.parquet"
    shift = read_parquet(path) if path.is_file() else pd.DataFrame(columns=["cohort"])
    own = shift[shift["cohort"] == cohort]
    if own.empty:
        return None
    rare = own[own["under_represented"]]
    return [f"{row['name']} {row['group']} ({100 * row['share']:.0f} %)" for _, row in rare.iterrows()]

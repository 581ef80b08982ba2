"""The audit's page: what is wrong with the data, told and shown before anything is trained on it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from posttx.auditing.finding_codes import CODES
from posttx.auditing.findings import count_by_code, fatal_severities
from posttx.files import read_json, read_parquet, write_text
from posttx.redaction import public_findings
from posttx.reporting import report_data
from posttx.reporting.figures import DATA
from posttx.reporting.page_figures import readings, shown
from posttx.reporting.pages import digest, environment, joined, run_digest, texts
from posttx.reporting.palettes import MODALITY_NAMES
from posttx.reporting.report_cells import View, count, number, text
from posttx.schemas import COHORT, FINDINGS, INTENSITY, LABEL_VOLUMES, read_table

logger = logging.getLogger(__name__)
SCRIPTS = ("vendor/datatables/dataTables.min.js", "csv.js", "kept.js", "page.js", "ratings.js", "audit.js")
STYLES = ("vendor/datatables/dataTables.dataTables.min.css", "style.css", "audit.css", "print.css")
# Rows of the findings table in the page, errors first: with 1,621 pictured cases it stays below 10 MB.
MOST_FINDINGS = 6000
REASONS = 2
GROUP_KINDS = {"p99": "99th percentile, median", "presence": "present, share", "volume": "volume, median mm³"}


def write_audit_page(
    results: str | Path, assets: str | Path, output: str | Path, pictures: Mapping[tuple[str, str], str],
    settings: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write the page from the tables and figures below ``results``, with template and texts of ``assets``.

    ``pictures``: (cohort, case) -> link of its picture, cases without one left out. ``settings`` holds ``cohorts``
    (cohort -> use), ``fail_on``, ``geometry``, ``labels`` (integer -> name), ``colors`` (name ->
    ``#rrggbb``) and ``modality`` (what the pictures show, in words).
    """
    context = page_context(Path(results), Path(assets), pictures, settings)
    page = environment(Path(assets)).get_template("audit.html.j2").render(**context)
    write_text(output, page)
    logger.info("the audit's page has %.1f MB and %d pictures", len(page.encode()) / 1e6, len(pictures))


def page_context(
    results: Path, assets: Path, pictures: Mapping[tuple[str, str], str], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return everything that the template shows."""
    cohorts = {cohort: read_table(results / f"cohorts/{cohort}.parquet", COHORT) for cohort in settings["cohorts"]}
    findings = public_findings(read_table(results / "audit/findings.parquet", FINDINGS), cohorts)
    labels = read_table(results / "audit/labels.parquet", LABEL_VOLUMES)
    counts = count_by_code(findings)
    fatal = fatal_severities(counts, settings["fail_on"])
    intensity = read_table(results / "audit/intensity.parquet", INTENSITY)
    script = joined(assets, SCRIPTS)
    figures = shown(results, DATA)
    return {
        "texts": texts(assets),
        "run": run_digest("audit", {"intensity": intensity[["cohort", "case", "modality", "mean", "std"]]}),
        "style": Markup(joined(assets, STYLES)),
        "script": Markup(script),
        "script_hash": digest(script),
        "fail_on": list(settings["fail_on"]),
        "geometry": settings["geometry"],
        "fatal": {severity: sum(counts[severity].values()) for severity in fatal},
        "totals": {severity: sum(codes.values()) for severity, codes in counts.items()},
        "codes": codes_view(findings, counts),
        "findings": report_data.findings(findings, MOST_FINDINGS)[1],
        "intensity": report_data.intensities(intensity),
        "classes": report_data.class_balance(labels, settings["colors"]),
        "figures": figures,
        "figure_readings": readings(figures),
        "shift": shift_view(read_parquet(results / "audit/shift.parquet")),
        "groups": groups_view(read_parquet(results / "audit/groups.parquet")),
        "scheme": scheme_parts(read_json(results / "audit/scheme.json"), settings["colors"]),
        "colors": {f"{label} {name}": settings["colors"][name] for label, name in settings["labels"].items()},
        "modality": settings["modality"],
        "cohorts": [
            cohort_part(cohorts[cohort], use, findings, pictures) for cohort, use in settings["cohorts"].items()
        ],
    }  # fmt: skip


def codes_view(findings: pd.DataFrame, counts: Mapping[str, Mapping[str, int]]) -> View:
    """Make the table of counts per code, errors first, with what each code means and what to do."""
    cases = findings.drop_duplicates(["code", "cohort", "case"]).groupby("code")["case"].count()
    rows = [
        [text(severity, kind=f"severity {severity}"), text(code), text(CODES[code].title), count(n),
         count(cases.get(code) or None), text(CODES[code].meaning), text(CODES[code].remedy)]
        for severity, codes in counts.items() for code, n in codes.items()
    ]  # fmt: skip
    headers = [
        ("Severity", ""), ("Code", ""), ("Finding", ""), ("Findings", ""), ("Cases", "distinct cases"),
        ("What it means", ""), ("What to do", ""),
    ]  # fmt: skip
    return View("codes", "Findings by code", headers, rows)


def shift_view(shift: pd.DataFrame) -> View:
    """Make the table of what held-out cohorts have that the training cohort hardly has, those told first."""
    rows = [
        [text(row["cohort"]), text(row["kind"]), text(row["name"]), text(row["group"]), count(row["n_patients"]),
         number(100 * row["share"], 0), count(row["train_n_patients"]), number(100 * row["train_share"], 0),
         text("yes" if row["under_represented"] else "no")]
        for _, row in shift.sort_values("under_represented", ascending=False, kind="stable").iterrows()
    ]  # fmt: skip
    headers = [
        ("Cohort", ""), ("Kind", ""), ("What", ""), ("Group", ""), ("Patients", ""), ("Share, %", ""),
        ("Patients in training", ""), ("Share in training, %", ""), ("Rare in training", ""),
    ]  # fmt: skip
    return View("shift", "Held-out cohorts beside the training cohort", headers, rows)


def groups_view(groups: pd.DataFrame) -> View:
    """Make the table of intensities, presence and volumes by group of each fact: one row per group."""
    described = groups[groups["kind"] != "cases"]
    columns = list(dict.fromkeys(zip(described["kind"], described["name"], strict=True)))
    rows = []
    for (cohort, fact, read_as, group), part in groups.groupby(["cohort", "fact", "fact_kind", "group"], sort=False):
        found = {(row["kind"], row["name"]): row["value"] for _, row in part.iterrows()}
        first = part.iloc[0]
        cells = [*map(text, (cohort, fact, read_as, group)), count(first["n"]), count(first["n_patients"])]
        rows.append([*cells, *(number(found.get(column), 2 if column[0] == "presence" else 0) for column in columns)])
    heads = [("Cohort", ""), ("Fact", ""), ("Read as", ""), ("Group", ""), ("Scans", ""), ("Patients", "")]
    heads += [(f"{name} {GROUP_KINDS[kind]}", "") for kind, name in columns]
    return View("groups", "Scans by group of each fact", heads, rows)


def scheme_parts(scheme: Mapping[str, Any], colors: Mapping[str, str]) -> dict[str, Any]:
    """Return the scheme test as shown: verdicts per cohort, the label names, the ranking of assignments, odd cases."""
    best = scheme["best"] or {}
    names = [
        [count(label), text(name, colors.get(name, "")), text(best.get(label), colors.get(best.get(label, ""), ""))]
        for label, name in scheme["configured"].items()
    ]
    verdicts = [("all", scheme), *scheme["cohorts"].items()]
    rows = [
        [text(name), text(part["verdict"], kind="verdict"), count(part["patients"]), number(part.get("margin"), 3),
         number(part.get("log_odds_second"), 1), text(part["reason"])]
        for name, part in verdicts
    ]  # fmt: skip
    labels = list(map(str, scheme.get("labels", [])))
    ranking = [
        [*[text(name, colors.get(name, "")) for name in part["names"]], number(part["misfit"], 3)]
        for part in scheme.get("ranking", [])
    ]
    verdict_headers = [
        ("Cohort", ""), ("Verdict", ""), ("Patients", "with a label that can be judged"),
        ("Margin", "misfit of the second best assignment minus that of the best"),
        ("Log odds", "of the best assignment against the second best; clear from 4.6"), ("In words", ""),
    ]  # fmt: skip
    return {
        "verdict": scheme["verdict"],
        "reason": scheme["reason"],
        "odd_cases": scheme["odd_cases"],
        "verdicts": View("scheme-verdicts", "The scheme test by cohort", verdict_headers, rows),
        "names": View("scheme-names", "Names of the integers",
                      [("Label", ""), ("Configured", ""), ("Fits best", "of all assignments, all cohorts")], names),
        "ranking": View("scheme-ranking", "The assignments that fit best",
                        [*[(f"Label {label}", "") for label in labels], ("Misfit", "0 (perfect) to 4")], ranking),
    }  # fmt: skip


def cohort_part(
    cases: pd.DataFrame, use: str, findings: pd.DataFrame, pictures: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    """Return the picture grid of a cohort: one entry per case of its table, with its findings and why nothing shows."""
    cohort = str(cases["cohort"].iloc[0])
    own = findings[findings["cohort"] == cohort]
    by_case = {str(case): part for case, part in own.groupby("case")}
    entries = [
        case_entry(case, isinstance(seg, str), by_case.get(case, own.head(0)), pictures.get((cohort, case), ""))
        for case, seg in zip(cases["case"].astype(str), cases["seg"], strict=True)
    ]  # fmt: skip
    return {"name": cohort, "use": use, "cases": entries}


def case_entry(case: str, labelled: bool, findings: pd.DataFrame, picture: str) -> dict[str, Any]:
    """Return what the grid shows of one case: picture or reason, caption, its findings of weight."""
    weighty = findings[findings["severity"].isin(["error", "warning"])]
    unread = weighty[weighty["code"].str.match(r"FIL|GEO007")]
    told = [
        f"{row.code}{f' {row.modality}' if isinstance(row.modality, str) else ''}: {row.message}"
        for row in unread.head(REASONS).itertuples()
    ]
    blank = set(findings["code"]) & {"LAB004"}
    unreadable = bool((unread["modality"] == "seg").any())
    note = "reference unreadable" if unreadable else "empty reference" if blank else "" if labelled else "no reference"
    return {
        "case": case,
        "picture": picture,
        "reason": "" if picture else ("; ".join(told) or "no image of this case can be shown"),
        "note": note,
        "errors": int((weighty["severity"] == "error").sum()),
        "warnings": int((weighty["severity"] == "warning").sum()),
        "codes": ", ".join(dict.fromkeys(weighty["code"])),
    }


def grid_modality(thumbnails: pd.DataFrame) -> str:
    """Return which modality the pictures show, in words, the most frequent first."""
    counts = thumbnails["modality"].dropna().value_counts()
    return ", else ".join(MODALITY_NAMES[str(name)] for name in counts.index)

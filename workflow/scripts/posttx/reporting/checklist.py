"""The checklist of CLAIM 2024 and Metrics Reloaded for a run: as a table, and as the page shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from posttx.analysis.subgroups import COHORT, VISIT, VOLUME
from posttx.csv_text import write_csv
from posttx.files import read_parquet, write_parquet
from posttx.reporting.checklist_items import CLAIM, ITEMS, Run, Status
from posttx.reporting.methods import has_distances
from posttx.reporting.report_cells import Cell, View, text
from posttx.reporting.report_parts import known_cases

COLUMNS = ("source", "item", "topic", "asks", "status", "told", "anchor")
# Facts that say at which hospital a scan was made.
SITE_FACTS = ("site", "hospital", "institution", "center", "centre")
FILES = [(f"checklist.{kind}", f"../tables/checklist.{kind}") for kind in ("csv", "parquet")]


def run_of(results: Path, settings: Mapping[str, Any], provenance: Mapping[str, Any]) -> Run:
    """Return what a run has; ``settings`` are those of ``write_report``, ``provenance`` its record, empty if none."""
    config = settings["config"]
    cohorts = config["cohorts"]
    uses = {use: [name for name in cohorts if cohorts[name]["use"] == use] for use in ("train", "test")}
    scored = [
        (cohort, model)
        for cohort, models in settings["models"].items()
        for model in models
        if _is_scored(results, cohort, model)
    ]
    groups = {key: read_parquet(results / "tables" / Path(*key) / "subgroups.parquet") for key in scored}
    summaries = [read_parquet(results / "tables" / Path(*key) / "summary.parquet") for key in scored]
    training_sites = _sites(groups, uses["train"])
    several = [cohort for cohort, models in settings["models"].items() if len(models) > 1]
    return Run(
        cohorts=tuple(cohorts),
        phantoms=tuple(name for name, cohort in cohorts.items() if "phantom" in cohort),
        test=tuple(uses["test"]),
        trained=tuple(settings["trained"]),
        elsewhere=tuple(name for name in config["models"] if name not in settings["made_here"]),
        shared_patients=_shared_patients(results, settings, uses),
        scored=bool(scored),
        scored_out_of_fold=any(cohort in uses["train"] and model in settings["made_here"] for cohort, model in scored),
        has_intervals=any(bool(summary["ci_low"].notna().any()) for summary in summaries),
        facts={
            cohort: frozenset(
                str(fact).lower()
                for (of, _), table in groups.items()
                if of == cohort
                for fact in set(table["fact"]) - {VISIT, VOLUME, COHORT}
            )
            for cohort in dict.fromkeys(cohort for cohort, _ in scored)
        },
        other_sites=tuple(
            cohort for cohort in uses["test"] if training_sites and _sites(groups, [cohort]) - training_sites
        ),
        has_distances=bool(scored) and has_distances(config),
        several_models=bool(several),
        several_seeds=bool(settings["seeds"]),
        ranked=any(
            _rows(results / f"ranks/{cohort}.parquet") and _rows(results / f"comparisons/{cohort}.parquet")
            for cohort in several
        ),
        has_versions=bool(provenance.get("packages")),
        missing=config["evaluation"]["missing"],
    )


def table_of(run: Run) -> pd.DataFrame:
    """Return one row per item: source, number, topic, what it asks, status, what is told, id in the page or ""."""
    rows = []
    for item in ITEMS:
        answer = item.answer(run)
        rows.append(
            (item.source, item.number, item.topic, item.asks, str(answer.status), f"{answer.told}.", answer.anchor)
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_table(table: pd.DataFrame, folder: Path) -> None:
    """Write the checklist as ``checklist.csv`` and ``checklist.parquet``."""
    write_csv(table, folder / "checklist.csv")
    write_parquet(table, folder / "checklist.parquet")


def view(table: pd.DataFrame) -> View:
    """Return the checklist as the page shows it: what is answered links to its place."""
    rows = [
        [
            text(row["source"]), Cell(row["item"], place), text(row["topic"]), text(row["asks"]), text(row["status"]),
            Cell(row["told"], row["told"].lower(), link=f"#{row['anchor']}" if row["anchor"] else ""),
        ]
        for place, row in enumerate(table.to_dict("records"))
    ]  # fmt: skip
    headers = [
        ("Source", ""), ("Item", "number in the source; Metrics Reloaded has none, R1 ... are ours"), ("Topic", ""),
        ("Asks for", "in our words"), ("Status", ""), ("Where, or what to supply", ""),
    ]  # fmt: skip
    return View("checklist", "Reporting checklist", headers, rows, FILES, plain=True)


def counted(table: pd.DataFrame) -> str:
    """Return in words how many items of each source are answered, of those that apply."""
    said = []
    for source, part in table[table["status"] != Status.NONE].groupby("source", sort=False):
        name = "items" if source == CLAIM else "recommendations"
        said.append(f"{(part['status'] == Status.ANSWERED).sum()} of {len(part)} {name} of {source}")
    return " and ".join(said)


def _is_scored(results: Path, cohort: str, model: str) -> bool:
    table = read_parquet(results / f"tables/{cohort}/{model}/per_class.parquet")
    return bool(table[["n_present", "n_absent"]].fillna(0).to_numpy().sum())


def _rows(path: Path) -> int:
    return len(read_parquet(path)) if path.is_file() else 0


def _sites(groups: Mapping[tuple[str, str], pd.DataFrame], cohorts: Sequence[str]) -> set[str]:
    """Return the sites of which cohorts have scored scans, by the facts of their subgroups."""
    tables = [table for (cohort, _), table in groups.items() if cohort in cohorts]
    return {
        str(group).strip().lower()
        for table in tables
        for group in table.loc[table["fact"].astype(str).str.lower().isin(SITE_FACTS), "group"]
    }


def _shared_patients(results: Path, settings: Mapping[str, Any], uses: Mapping[str, Sequence[str]]) -> int:
    """Return how many patients are trained on and held out; in folds, those of the fold with most of them."""
    trained, held_out = (_patients(results, settings, uses[use]) for use in ("train", "test"))
    path = results / "tables/folds.parquet"
    folds = read_parquet(path) if path.is_file() else pd.DataFrame({"split": [], "shared_patients": []})
    across = folds.loc[folds["split"] == "by patient", "shared_patients"]
    return max(len(trained & held_out), int(across.max()) if len(across) else 0)


def _patients(results: Path, settings: Mapping[str, Any], cohorts: Iterable[str]) -> set[str]:
    tables = [known_cases(results, name, settings) for name in cohorts]
    return {str(patient) for table in tables if len(table) for patient in table["patient"]}

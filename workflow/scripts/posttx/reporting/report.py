"""The report: what stands in ``results/`` turned into one page that opens from disk with no network."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from markupsafe import Markup

from posttx.analysis.interpretation_rules import RULES
from posttx.files import read_parquet, write_text
from posttx.measures import CONTRACT
from posttx.networks.left_out import leave_out_of
from posttx.redaction import public_config, public_digest, public_provenance
from posttx.reporting import checklist, report_left_out, report_levers, report_postprocess, report_seeds, report_splits
from posttx.reporting import report_parts as parts
from posttx.reporting import report_scores as scores
from posttx.reporting.answer import answer
from posttx.reporting.asked import asked, cohorts_in_order
from posttx.reporting.page_figures import readings
from posttx.reporting.pages import digest, environment, joined, run_digest, texts
from posttx.reporting.palettes import palette_style
from posttx.reporting.report_tables import averaged_header

logger = logging.getLogger(__name__)


def write_report(results: str | Path, assets: str | Path, output: str | Path, settings: Mapping[str, Any]) -> None:
    """Write the page from the tables and figures below ``results``, with templates and texts of ``assets``.

    ``settings`` holds ``config`` (completed), ``cohorts`` (name -> has images), ``models`` (cohort -> models scored),
    ``trained`` (model -> its folder, plans file and train settings), ``made_here`` (models whose segmentations the
    workflow makes), ``levers`` (whether models differ in a lever alone), ``regions`` (name -> long name, label,
    colour), ``scheme`` (the label scheme in words). What is not there for a cohort or model (images, training,
    references) is said on the page. The checklist of the page is written below ``results/tables``, too.
    """
    results, assets = Path(results), Path(assets)
    shown = context(results, assets, settings)
    items = checklist.table_of(checklist.run_of(results, settings, shown["provenance"]))
    checklist.write_table(items, results / "tables")
    listed = {"view": checklist.view(items), "counted": checklist.counted(items)}
    page = environment(assets).get_template("index.html.j2").render(**shown, checklist=listed)
    write_text(output, page)
    logger.info("the report has %.1f MB", len(page.encode()) / 1e6)


def context(results: Path, assets: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything the template shows."""
    # the page leaves the machine: none of its parts is told a path
    config, regions = public_config(settings["config"]), settings["regions"]
    settings = {**settings, "config": config}
    # readers switch palettes: swatches name the class, the style sheet its colours
    colors = {name: f"var(--class-{i})" for i, name in enumerate(regions)}
    shown = asked(results, settings)
    blocks = [scores.block(one, colors) for one in shown]
    script = joined(assets, SCRIPTS)
    provenance = public_provenance(parts.read_known(results / "provenance.json"))
    findings = parts.all_findings(results, settings)
    data = parts.data(results, settings, colors, findings)
    methods = parts.methods_section(results, assets, settings, provenance)
    comparisons = scores.comparisons(results, cohorts_in_order(settings), colors)
    headlines = [block["headline"] for block in blocks]
    scored = [block for block in blocks if block["scored"]]
    pictures = [part["figures"] for part in (data, *methods["models"], *scored, *comparisons)]
    return {
        "title": config["report"]["title"],
        "run": run_of(results, settings),
        "texts": texts(assets),
        "style": Markup(f"{palette_style(regions)}\n{joined(assets, STYLES)}"),
        "palette": config["report"]["palette"],
        "script": Markup(script),
        "script_hash": digest(script),
        "answers": [answer(one, findings) for one in shown],
        "phantoms": [name for name, cohort in config["cohorts"].items() if "phantom" in cohort],
        "convention": config["report"]["convention"],
        "label_scheme": config["labels"],
        "label_description": settings["scheme"],
        "regions": regions,
        "data": data,
        "figure_readings": readings(chain.from_iterable(pictures)),
        "splits": report_splits.section(results, leave_out_of(config)),
        "methods": methods,
        "blocks": blocks,
        "rules": [(rule.id, rule.title, rule.described) for rule in RULES.values()],
        "comparisons": comparisons,
        "seeds": report_seeds.section(results, settings, colors),
        "postprocess": report_postprocess.section(results, settings, colors),
        "left_out": report_left_out.section(results, settings, colors),
        "levers": report_levers.section(results, settings),
        "headline": headlines,
        "headers": {name: averaged_header(name, config["report"]["convention"]) for name in CONTRACT},
        "uneven": scores.uneven(headlines),
        "provenance": provenance,
        "config_text": yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
    }


def run_of(results: str | Path, settings: Mapping[str, Any]) -> str:
    """Return what tells the pages of this run from those of others; see ``pages.run_digest``."""
    return run_digest(public_digest(settings["config"]), _scores(Path(results), settings["models"]))


def _scores(results: Path, models: Mapping[str, Sequence[str]]) -> dict[str, pd.DataFrame]:
    """Return what tells the segmentations of one run from those of another: the counts of every case."""
    names = [f"{cohort}/{model}" for cohort in models for model in models[cohort]]
    columns = ("case", "region", "tp", "n_ref", "n_pred")
    return {name: read_parquet(results / f"metrics/{name}.parquet", columns) for name in names}


SCRIPTS = ("vendor/datatables/dataTables.min.js", "csv.js", "kept.js", "page.js", "answer.js")
STYLES = ("vendor/datatables/dataTables.dataTables.min.css", "style.css", "answer.css", "print.css")

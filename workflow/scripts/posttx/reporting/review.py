"""The review page: cases, viewer, ratings, comparison and patients in one document, which loads the data beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from posttx.files import replacing, write_text
from posttx.reporting.pages import digest, environment, joined

SCRIPTS = (
    "csv.js", "review_data.js", "review_store.js", "review_table.js", "review_charts.js", "review_list.js",
    "review_compare.js", "review_patients.js", "review_shell.js",
)  # fmt: skip
STYLES = ("review.css", "review_panes.css")
LIBRARY = "vendor/niivue/niivue.umd.js"


def write_review(
    assets: str | Path,
    page: str | Path,
    library: str | Path,
    settings: Mapping[str, Any],
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write the review page from the templates in ``assets``, and beside it the library that draws volumes.

    ``settings`` are those of the report; only its title is taken. ``facts`` (``review_facts.facts``) is what the
    comparison of models tells; without it, that the pipeline compared none. All else comes from ``data/cases.js`` and
    the scripts of the cases, which the page loads when it is opened.
    """
    assets = Path(assets)
    script = joined(assets, SCRIPTS)
    content = environment(assets).get_template("review.html.j2").render(
        title=settings["config"]["report"]["title"],
        style=Markup(joined(assets, STYLES)),
        facts=Markup(json.dumps(facts or {}, separators=(",", ":")).replace("<", "\\u003c")),
        script=Markup(script),
        script_hash=digest(script),
    )  # fmt: skip
    with replacing(library) as beside:
        shutil.copyfile(assets / LIBRARY, beside)
    write_text(page, content)

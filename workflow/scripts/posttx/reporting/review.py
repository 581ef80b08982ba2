"""The review page: cases, viewer, ratings, comparison and patients in one document, which loads the data beside it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from posttx.files import replacing, write_text
from posttx.reporting.pages import digest, environment, joined
from posttx.reporting.script_json import script_json

SCRIPTS = (
    "csv.js", "kept.js", "review_data.js", "review_store.js", "review_exchange.js", "review_table.js",
    "review_charts.js", "review_list.js", "review_compare.js", "review_patients.js", "review_volumes.js",
    "review_viewer.js", "review_case.js", "review_overlay.js", "review_rating.js", "review_keys.js", "review_shell.js",
)  # fmt: skip
STYLES = ("review.css", "review_panes.css", "review_case.css")
LIBRARY = "vendor/niivue/niivue.umd.js"
# Keys of the case view, what they do, and what the line below the slices calls that (empty: only the table has it).
KEYS = (
    (("←", "→"), "previous and next case of the list", "case"),
    (("j", "k"), "slice below and above; the wheel does it in every plane", "slice"),
    (("1", "2", "3", "4"), "T1, T1-Gd, T2, FLAIR", "image"),
    (("o",), "contours of both: reference solid, prediction dashed", ""),
    (("r", "p"), "reference alone, prediction alone", "overlay"),
    (("e",), "errors: missed filled, added pale with a dashed contour", "errors"),
    (("h",), "no overlay", ""),
    (("Space",), "hides the overlay while it is held", "hold: no overlay"),
    (("Tab", "Shift Tab"), "next and previous finding; behind the last one it leaves the slices", "finding"),
    (("z",), "zooms to the finding, and back", "zoom"),
    (("right drag",), "window (right is wider) and level (down is darker)", "window"),
    (("0",), "window and level as they were", "reset"),
    (("m",), "the same case by the next model", "model"),
    (
        ("a", "s", "d", "w", "x"),
        "accept, small edits, redo, reference wrong, exclude scan; once more takes it back",
        "rate",
    ),
    (("c",), "colours: the label scheme's or colour-blind safe", ""),
    (("Esc",), "back to the list", "list"),
    (("?",), "this table", "keys"),
)


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
        keys_line=[(keys[:1] if keys[0] == "Tab" else keys, told) for keys, _, told in KEYS if told],
        keys_table=[(keys, what) for keys, what, _ in KEYS],
        style=Markup(joined(assets, STYLES)),
        facts=Markup(script_json(facts or {})),
        script=Markup(script),
        script_hash=digest(script),
    )  # fmt: skip
    with replacing(library) as beside:
        shutil.copyfile(assets / LIBRARY, beside)
    write_text(page, content)

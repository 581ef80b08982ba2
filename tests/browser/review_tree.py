"""A review page with cases of three rows, made by hand: what its shell and its ratings are tried with."""

import json
from pathlib import Path

import numpy as np
import results_tree as tree
from PIL import Image

from posttx.reporting.review import write_review

PRESENT, MISSED, INVENTED, ABSENT = 0, 1, 2, 3
CASES = {
    "schema": 1, "run": "0123abcd", "title": "A study", "convention": "published",
    "classes": [
        {"name": "ET", "long_name": "enhancing tissue", "label": 3, "color": "#3388cc", "alternative": "#0072B2"},
        {"name": "RC", "long_name": "cavity", "label": 4, "color": "#ddbb33", "alternative": "#E69F00"},
    ],
    "palette": "scheme",
    "modalities": [["t1n", "T1"], ["t1c", "T1-Gd"], ["t2w", "T2"], ["t2f", "FLAIR"]],
    "states": ["present", "missed", "hallucinated", "absent", "unknown"],
    "low_dice": 0.2, "small_ml": 1.0,
    "failures": [
        {"id": "invented", "title": "invented"}, {"id": "missed", "title": "missed"},
        {"id": "low", "title": "Dice below 0.2"}, {"id": "small", "title": "lesion below 1 ml missed"},
    ],
    "cohorts": [
        {"name": "test", "use": "test", "phantom": False, "models": ["new", "old"], "baseline": "old"},
        {"name": "train", "use": "train", "phantom": True, "models": ["new"], "baseline": None},
    ],
}  # fmt: skip


def rows(*cases):
    """Return rows of cases.js: (case, has, state of ET, Dice of ET)."""
    made = []
    for case, has, state, dice in cases:
        et = [dice, state, 1.0, 1.2, 1 if state == MISSED else 0, 1]
        made.append([case, case[:3], 100, dice, has, [et, [0.8, PRESENT, 2.0, 2.1, 0, 0]]])
    return {"convention_n": len(made), "rows": made}


def write_review_page(folder: Path, facts=None, **changes) -> Path:
    """Write ``review.html`` with its library and its table of cases; ``changes`` are of that table. Return the page."""
    settings = tree.settings_of(tree.configured(), {"training": True, "additional": True})
    page = folder / "review.html"
    write_review(tree.ASSETS, page, folder / "niivue.js", settings, facts)
    three = rows(("p01-a", 3, MISSED, 0.0), ("p01-b", 3, PRESENT, 0.1), ("p02-a", 0, INVENTED, None))
    cases = {"test/new": three, "test/old": three, "train/new": rows(("p07-a", 0, ABSENT, None))}
    content = {**CASES, "cases": cases, **changes}
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data/cases.js").write_text(f"posttxCases({json.dumps(content)});\n", encoding="utf-8")
    write_thumbs(folder, content["cases"])
    return page


def write_thumbs(folder: Path, cases) -> None:
    """Write a small picture of every case that is said to have one; ``cases`` maps cohort/model -> rows."""
    thumb = Image.fromarray(np.arange(0, 192, dtype=np.uint8).reshape(12, 16)).resize((160, 120))
    for name, given in cases.items():
        (folder / f"thumbs/{name}").mkdir(parents=True, exist_ok=True)
        for row in given["rows"]:
            if row[4] & 2:
                thumb.save(folder / f"thumbs/{name}/{row[0]}.webp")

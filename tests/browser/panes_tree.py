"""Review pages of many random cases of two models, made without running the workflow: what the panes are tried with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import results_tree as tree
from review_tree import write_case, write_review_page

from posttx.analysis.failures import CaseArrays, case_arrays
from posttx.reporting.case_data import PICTURED, THUMB, case_rows
from posttx.scoring.scores import scores_from

COHORT = {"name": "additional", "use": "test", "phantom": False, "models": ["new", "old"], "baseline": "old"}
ALTERNATIVE = ("#D55E00", "#56B4E9", "#0072B2", "#F0E442", "#009E73")
CLASSES = [
    {"name": label.name, "long_name": label.long_name, "label": label.value, "color": tree.COLORS[label.name],
     "alternative": ALTERNATIVE[i]}
    for i, label in enumerate(tree.SCHEME.labels)
]  # fmt: skip
TINY = (12, 14, 10)
READY = "body[data-ready='1']"


def other_model(metrics: pd.DataFrame, seed: int = 5) -> pd.DataFrame:
    """Return metrics of another model on the same references: some lesions missed, other false positives."""
    draw = np.random.default_rng(seed)
    reference = metrics["n_ref"].to_numpy(float)
    kept = np.floor(np.minimum(metrics["tp"].to_numpy(float) * draw.uniform(0.5, 1.1, len(metrics)), reference))
    tp = np.where(draw.random(len(metrics)) < 0.08, 0, kept)
    fp = np.floor(np.where(draw.random(len(metrics)) < 0.35, 0, draw.uniform(1, 500, len(metrics))))
    either = reference + tp + fp
    counts = {"tp": tp, "fp": fp, "fn": reference - tp, "n_pred": tp + fp}
    return metrics.assign(
        model="old",
        dice=np.where(either > 0, 2 * tp / np.where(either > 0, either, 1), np.nan),
        volume_pred_mm3=tp + fp,
        **{name: pd.array(values.astype(np.int64), dtype="Int64") for name, values in counts.items()},
    )


def arrays_of(metrics: pd.DataFrame) -> CaseArrays:
    """Return what the pipeline counts failures from."""
    return case_arrays(scores_from(metrics, tree.SCHEME.scoring()), lesions_of(metrics))


def lesions_of(metrics: pd.DataFrame) -> pd.DataFrame | None:
    """Return a table of their lesions, None without references."""
    return tree.lesion_table(metrics) if metrics["n_ref"].notna().any() else None


def rows_of(metrics: pd.DataFrame, opened: int = 40) -> dict[str, Any]:
    """Return the rows of ``cases.js``: the worst ``opened`` cases open in the viewer, most others have a thumb."""
    rows = case_rows(scores_from(metrics, tree.SCHEME.scoring()), lesions_of(metrics), "published")
    for place, row in enumerate(rows):
        row[4] = PICTURED | THUMB if place < opened else THUMB if place % 3 else 0
    return {"rows": rows}


def write_panes(
    folder: Path,
    rows: Mapping[str, Mapping[str, Any]],
    classes: Sequence[Mapping[str, Any]] = CLASSES,
    facts: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """Write a review page of the cohort ``additional`` from model -> rows and what is told of them; return the page."""
    cohort = {**COHORT, "models": list(rows), "baseline": "old" if "old" in rows else None}
    cases = {f"additional/{model}": given for model, given in rows.items()}
    return write_review_page(folder, facts, **{"classes": classes, "cohorts": [cohort], "cases": cases, **changes})


def write_opened_cases(page: Path) -> None:
    """Write tiny images and labels of every case of a page that opens in the viewer."""
    for name, given in written(page)["cases"].items():
        cohort, model = name.split("/")
        for row in given["rows"]:
            if row[4] & PICTURED:
                write_case(page.parent, row[0], (model,), TINY, cohort=cohort)


def written(page: Path) -> dict[str, Any]:
    """Return the content of ``cases.js`` beside a page."""
    text = (page.parent / "data/cases.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("posttxCases(").removesuffix(");\n"))


def opened_at(opened, page_file: Path, place: str = "", **options: Any):
    """Return the page opened at an address, once it is ready."""
    page = opened(page_file, place, **options)
    page.wait_for_selector(READY)
    return page

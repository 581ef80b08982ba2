"""Review pages of many random cases of two models, made without running the workflow: what the panes are tried with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import results_tree as tree
from review_tree import CASES, write_review_page

from posttx.analysis.failures import CaseArrays, case_arrays
from posttx.conventions import case_means, convention_of
from posttx.reporting.report_cases import case_scores

COHORT = {"name": "additional", "use": "test", "phantom": False, "models": ["new", "old"], "baseline": "old"}
STATES = CASES["states"]
ALTERNATIVE = ("#D55E00", "#56B4E9", "#0072B2", "#F0E442", "#009E73")
CLASSES = [
    {"name": label.name, "long_name": label.long_name, "label": label.value, "color": tree.COLORS[label.name],
     "alternative": ALTERNATIVE[i]}
    for i, label in enumerate(tree.SCHEME.labels)
]  # fmt: skip
OPENS, THUMB = 1, 2
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
    lesions = tree.lesion_table(metrics) if metrics["n_ref"].notna().any() else None
    return case_arrays(case_scores(metrics, tree.NAMES), lesions)


def case_rows(metrics: pd.DataFrame, opened: int = 40) -> dict[str, Any]:
    """Return the rows of ``cases.js``: the worst ``opened`` cases open in the viewer, most others have a thumb."""
    scores, arrays = case_scores(metrics, tree.NAMES), arrays_of(metrics)
    mean = case_means(convention_of("published"), scores["dice"], scores.states)
    volumes = [scores[name] / 1000 for name in ("volume_ref_mm3", "volume_pred_mm3")]
    rows = []
    for place, i in enumerate(np.argsort(np.where(np.isnan(mean), 9, mean), kind="stable")):
        cells = [
            [_rounded(arrays.dice[i, k], 4), STATES.index(arrays.states[i, k] or "unknown"),
             *[_rounded(part[i, k], 3) for part in volumes],
             int(arrays.small_missed[i, k]), int(arrays.small_present[i, k])]
            for k in range(len(arrays.regions))
        ]  # fmt: skip
        has = OPENS | THUMB if place < opened else THUMB if place % 3 else 0
        who = [scores.cases[i], scores.patients[i], int(scores.timepoints[i])]
        rows.append([*who, _rounded(mean[i], 4), has, cells])
    return {"convention_n": int(np.isfinite(mean).sum()), "rows": rows}


def _rounded(value: float, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


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
    return write_review_page(folder, facts, classes=classes, cohorts=[cohort], cases=cases, **changes)


def written(page: Path) -> dict[str, Any]:
    """Return the content of ``cases.js`` beside a page."""
    text = (page.parent / "data/cases.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("posttxCases(").removesuffix(");\n"))


def opened_at(opened, page_file: Path, place: str = "", **options: Any):
    """Return the page opened at an address, once it is ready."""
    page = opened(page_file, **options)
    page.goto(page_file.as_uri() + place)
    page.reload()
    page.wait_for_selector(READY)
    return page

"""``data/cases.js``: one row per case and model, which review.html lists, filters and opens; and what it leads to."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from posttx.analysis.failures import FAILURES, LOW_DICE, case_arrays
from posttx.conventions import ABSENT, HALLUCINATED, MISSED, PRESENT, case_means, convention_of
from posttx.files import write_text
from posttx.reporting.asked import Asked, cohorts_in_order
from posttx.reporting.case_scripts import script
from posttx.reporting.palettes import MODALITY_NAMES
from posttx.scoring.scores import Scores

SCHEMA = 1
# Relative to the report's folder: this table; and beside the folders of models, that of the lists of small pictures.
TABLE, DRAWN = "data/cases.js", "_drawn"
UNKNOWN = "unknown"
STATES = (PRESENT, MISSED, HALLUCINATED, ABSENT, UNKNOWN)
PICTURED, THUMB = 1, 2
FUNCTION = "posttxCases"
Row = list[Any]


def images_path(cohort: str, case: str) -> str:
    """Return where the images of a case stand, relative to the report's folder."""
    return f"images/{cohort}/{case}.js"


def labels_path(cohort: str, model: str, case: str) -> str:
    """Return where a model's labels of a case stand, relative to the report's folder."""
    return f"labels/{cohort}/{model}/{case}.js"


def thumb_path(cohort: str, model: str, case: str) -> str:
    """Return where the small picture of a model's labels of a case stands, relative to the report's folder."""
    return f"thumbs/{cohort}/{model}/{case}.webp"


def write_cases(results: str | Path, output: str | Path, settings: Mapping[str, Any], run: str) -> None:
    """Write the table of all cases from the metrics and lesions below ``results``; ``settings`` are the report's.

    ``run`` tells this run from others, as on the report's page.
    """
    results, report = Path(results), Path(output).parents[1]
    convention = settings["config"]["report"]["convention"]
    cases = {}
    for cohort, models in settings["models"].items():
        for model in models:
            one = Asked(results, settings, cohort, model)
            rows = case_rows(one.scores, one.lesions, convention, _has(report, cohort, model))
            cases[f"{cohort}/{model}"] = {"rows": rows}
    content = {**head(settings, run), "cases": cases}
    write_text(output, script(FUNCTION, content))


def head(settings: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Return what is true of all cases: classes, colours, kinds of failure, cohorts with their models."""
    config = settings["config"]
    return {
        "schema": SCHEMA,
        "run": run,
        "title": config["report"]["title"],
        "convention": config["report"]["convention"],
        "classes": [
            {
                "name": name,
                "long_name": region["long_name"],
                "label": region["label"],
                "color": region["scheme_color"],
                "alternative": region["alternative"],
            }
            for name, region in settings["regions"].items()
            if region["label"] is not None
        ],
        "palette": config["report"]["palette"],
        "modalities": [[name, title] for name, title in MODALITY_NAMES.items()],
        "states": list(STATES),
        "low_dice": LOW_DICE,
        "failures": [{"id": failure.id, "title": failure.title} for failure in FAILURES.values()],
        "cohorts": [
            {
                "name": cohort,
                "use": config["cohorts"][cohort]["use"],
                "phantom": "phantom" in config["cohorts"][cohort],
                "models": list(settings["models"][cohort]),
                # of a pair that is compared, the one named first is the baseline
                "baseline": settings["models"][cohort][0] if len(settings["models"][cohort]) > 1 else None,
            }
            for cohort in cohorts_in_order(settings)
        ],
    }


def case_rows(
    scores: Scores, lesions: pd.DataFrame | None, convention: str, has: Callable[[str], int] = lambda case: 0
) -> list[Row]:
    """Return one row per case, the worst mean Dice first (undefined ones last, then by id), of single labels.

    A row is case, patient, timepoint, mean Dice by ``convention``, what there is of it (``has``), and per class Dice,
    index in ``STATES``, ml of reference and prediction, small lesions missed and all small lesions. Undefined is None;
    no Dice is rounded over ``LOW_DICE``.
    """
    arrays, single = case_arrays(scores, lesions), scores.per_label
    means = case_means(convention_of(convention), single["dice"], single.states)
    number = {state: i for i, state in enumerate(STATES)}
    states = [[number.get(state, number[UNKNOWN]) for state in line] for line in single.states.tolist()]
    dice = [[_on_its_side(value) for value in line] for line in single["dice"].tolist()]
    volumes = [_rounded(single[f"volume_{side}_mm3"] / 1000, 3) for side in ("ref", "pred")]
    small = [arrays.small_missed.tolist(), arrays.small_present.tolist()]
    columns = [dice, states, *volumes, *small]
    mean = _rounded(means[:, None], 4)
    order = np.lexsort([np.arange(len(means)), np.nan_to_num(means, nan=np.inf)])
    return [
        [
            single.cases[i],
            single.patients[i],
            single.timepoints[i],
            mean[i][0],
            has(single.cases[i]),
            [[column[i][j] for column in columns] for j in range(len(single.regions))],
        ]
        for i in order.tolist()
    ]


def reachable(table: str | Path) -> list[str]:
    """Return the files that the review page can load by its table of cases, relative to the report's folder."""
    text = Path(table).read_text(encoding="utf-8")
    content = json.loads(text.removeprefix(f"{FUNCTION}(").rstrip().removesuffix(");"))
    files: dict[str, None] = {}
    for key, entry in content["cases"].items():
        cohort, model = key.split("/")
        for case, _, _, _, has, _ in entry["rows"]:
            if has & PICTURED:
                files |= dict.fromkeys((images_path(cohort, case), labels_path(cohort, model, case)))
            if has & THUMB:
                files[thumb_path(cohort, model, case)] = None
    return list(files)


def _has(report: Path, cohort: str, model: str) -> Callable[[str], int]:
    """Return what says of a case whether its images and labels (``PICTURED``) and its small picture are there."""
    there = {
        kind: {path.name for path in (report / path).parent.glob("*")} if (report / path).parent.is_dir() else set()
        for kind, path in (
            ("images", images_path(cohort, "x")), ("labels", labels_path(cohort, model, "x")),
            ("thumbs", thumb_path(cohort, model, "x")),
        )
    }  # fmt: skip

    def has(case: str) -> int:
        pictured = f"{case}.js" in there["images"] and f"{case}.js" in there["labels"]
        return PICTURED * pictured + THUMB * (f"{case}.webp" in there["thumbs"])

    return has


def _on_its_side(dice: float) -> float | None:
    """Return a Dice to 4 digits, or all of them where those would count another failure than the pipeline does."""
    if not math.isfinite(dice):
        return None
    short = round(dice, 4)
    return dice if (short < LOW_DICE) != (dice < LOW_DICE) else short


def _rounded(values: np.ndarray, digits: int) -> list[list[float | None]]:
    return [
        [round(value, digits) if math.isfinite(value) else None for value in line]
        for line in np.asarray(values, dtype=np.float64).tolist()
    ]

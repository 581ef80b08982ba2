"""The cases of the report: their pictures, inlined as far as the page's weight allows, and their scores as text."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from posttx.analysis.tables import extremes
from posttx.auditing.finding_codes import CODES
from posttx.conventions import case_means, convention_of
from posttx.files import read_json
from posttx.scoring.scores import Scores, scores_from

# Beside the pictures: case -> the code of what keeps it from having one.
NOT_DRAWN = "not_drawn.json"


def case_entries(
    tables: Mapping[str, pd.DataFrame],
    folder: Path,
    link: str,
    budget: list[int],
    viewer: tuple[Path, str] | None = None,
) -> list[dict[str, Any]]:
    """Return one entry per case that was to be drawn, the extremes first: id, kind, sentence, and picture or its link.

    ``budget`` is the bytes left for pictures on the page, used up in the order of the cases, as its one item;
    ``tables`` are worst_cases, best_cases, and all_cases for those that were asked for; ``viewer`` is the folder and
    the link of the viewer's cases. Cases without scores come last, in the order of their names; after them those that
    could not be drawn, with the reason as ``missing``.
    """
    pictures = {path.stem: path for path in sorted(folder.glob("*.webp"))} if folder.is_dir() else {}
    entries: list[dict[str, Any]] = []
    seen: set[str] = set()
    for name, kind in (("worst_cases", "worst"), ("best_cases", "best"), ("all_cases", "shown")):
        table = tables.get(name, pd.DataFrame())
        for _, row in table.iterrows():
            if row["case"] in pictures and row["case"] not in seen:
                seen.add(row["case"])
                entries.append(_entry(row["case"], kind, describe(row), pictures[row["case"]], link, budget))
    rest = {case: path for case, path in pictures.items() if case not in seen}
    entries += [_entry(case, "shown", "", path, link, budget) for case, path in rest.items()]
    missed = read_json(folder / NOT_DRAWN) if (folder / NOT_DRAWN).is_file() else {}
    entries += [
        {"case": case, "kind": "shown", "sentence": "no picture", "source": "", "link": "", "missing": _told(code)}
        for case, code in missed.items()
    ]
    for entry in entries:
        scripted = viewer is not None and (viewer[0] / f"{entry['case']}.js").is_file()
        entry["viewer"] = f"{viewer[1]}/{entry['case']}" if viewer and scripted else ""
    return entries


def _told(code: str) -> str:
    """Return in words what a finding code stands for: the page is passed on, and names no file."""
    return f"{CODES[code].title} ({code})" if code in CODES else "its files cannot be laid together"


def _entry(case: str, kind: str, sentence: str, path: Path, link: str, budget: list[int]) -> dict[str, Any]:
    size = path.stat().st_size * 4 // 3
    source = ""
    if size <= budget[0]:
        budget[0] -= size
        source = f"data:image/webp;base64,{base64.b64encode(path.read_bytes()).decode()}"
    return {
        "case": case,
        "kind": kind,
        "sentence": sentence,
        "source": source,
        "link": f"{link}/{path.name}",
        "missing": "",
    }


def describe(row: pd.Series) -> str:
    """Return a case's scores as a sentence: mean Dice, then every class with its Dice or state."""
    parts = []
    for name in row.index:
        if name.startswith("dice_"):
            region = name.removeprefix("dice_")
            state = row.get(f"state_{region}")
            dice = row[name]
            known = isinstance(dice, float) and math.isfinite(dice)
            told = state if isinstance(state, str) else "unknown"
            parts.append(f"{region} {f'{dice:.3f}' if known and told == 'present' else told}")
    mean = f"mean Dice {row['mean_dice']:.3f}" if math.isfinite(row["mean_dice"]) else "no mean Dice"
    return f"{mean}; {', '.join(parts)}"


def case_scores(metrics: pd.DataFrame, names: Mapping[int, str]) -> Scores:
    """Return the scores of every case, single labels only; ``names`` maps label to region."""
    single = metrics[metrics["region"].isin(list(names.values()))]
    return scores_from(single, {name: [label] for label, name in names.items()}).per_label


def ranked(scores: Scores, convention: str) -> pd.DataFrame:
    """Return all cases that have a mean Dice, the worst first, with the columns of the table of worst cases."""
    return extremes(scores, convention_of(convention), len(scores.cases), best=False)


def all_cases(scores: Scores, convention: str) -> str:
    """Return the table of all cases as JSON for a script element: columns (title, kind) and rows.

    Cells of kind ``scored`` are [Dice or null, state]. The mean Dice of a case follows ``convention``. Nothing in the
    text can end the element: ``<`` is escaped.
    """
    mean = case_means(convention_of(convention), scores["dice"], scores.states)
    rows = [
        [
            str(scores.cases[i]),
            str(scores.patients[i]),
            str(scores.timepoints[i]),
            _rounded(mean[i]),
            *[
                [_rounded(dice), str(state or "unknown")]
                for dice, state in zip(scores["dice"][i], scores.states[i], strict=True)
            ],
        ]
        for i in range(len(scores.cases))
    ]
    columns = [["Case", "text"], ["Patient", "text"], ["Timepoint", "text"], ["Mean Dice", "number"]]
    columns += [[f"Dice {name}", "scored"] for name in scores.regions]
    return json.dumps({"columns": columns, "rows": rows}, separators=(",", ":")).replace("<", "\\u003c")


def _rounded(value: float) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None

"""The worst scan of the first screen: its picture at the failing lesion, small, and what is wrong with it."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from posttx.analysis.answer_words import case_sentence
from posttx.analysis.judgements import records

# The picture of a case has its axial slices on top: they end near a third of it, where a row is darkest.
FIRST_ROW = (0.25, 0.5)
WIDTH, QUALITY = 760, 74


def pictured(results: Path, cohort: str, model: str, worst: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of the table of worst cases that have a picture, the worst first."""
    drawn = {path.stem for path in (results / f"figures/cases/{cohort}/{model}").glob("*.webp")}
    return [dict(row) for row in records(worst) if row["case"] in drawn]


def worst_scan(results: Path, cohort: str, model: str, worst: pd.DataFrame) -> dict[str, Any]:
    """Return case, sentence, picture (a WebP data URL) of the worst case that has one, and all of the worst that have.

    Without a picture of any: the worst case and its sentence alone; without a scored case nothing but zeros.
    """
    found, rows = pictured(results, cohort, model, worst), records(worst)
    if not rows:
        return {"case": "", "sentence": "", "picture": "", "cases": []}
    row, picture = (found[0] if found else rows[0]), ""
    if found:
        shown = axial(results / f"figures/cases/{cohort}/{model}/{row['case']}.webp")
        picture = f"data:image/webp;base64,{base64.b64encode(shown).decode()}"
    return {
        "case": row["case"],
        "sentence": case_sentence(row),
        "picture": picture,
        "cases": [row["case"] for row in found],
    }


def axial(path: Path) -> bytes:
    """Return the first row of a case's picture as a smaller WebP."""
    with Image.open(path) as image:
        picture = image.convert("RGB")
    brightest = np.asarray(picture.convert("L")).max(axis=1)
    first, last = (round(share * picture.height) for share in FIRST_ROW)
    end = first + int(np.argmin(brightest[first:last])) if last > first else picture.height
    cut = picture.crop((0, 0, picture.width, end))
    size = (WIDTH, max(1, round(WIDTH * cut.height / cut.width)))
    stream = io.BytesIO()
    cut.resize(size, Image.Resampling.LANCZOS).save(stream, "WEBP", quality=QUALITY, method=4)
    return stream.getvalue()

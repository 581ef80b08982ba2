"""Why a case of the report has no picture."""

from __future__ import annotations

from pathlib import Path

from posttx.auditing.finding_codes import CODES
from posttx.files import read_json

# Beside the pictures of a cohort: model -> case -> the code of what keeps it from having one.
NOT_DRAWN = "not_drawn.json"


def not_drawn(results: Path, cohort: str, model: str) -> list[tuple[str, str]]:
    """Return the cases that could not be drawn, and why in words; none where nothing was to be drawn."""
    path = results / f"figures/cases/{cohort}/{NOT_DRAWN}"
    missed = read_json(path).get(model, {}) if path.is_file() else {}
    return [(case, _told(code)) for case, code in missed.items()]


def _told(code: str) -> str:
    """Return in words what a finding code stands for: the page is passed on, and names no file."""
    return f"{CODES[code].title} ({code})" if code in CODES else "its files cannot be laid together"

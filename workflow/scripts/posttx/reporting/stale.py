"""What of the report's folder is of an earlier configuration, or of cases that are gone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posttx.reporting.case_data import DRAWN, TABLE, reachable

# Folders of cohorts in the report's, and how deep models lie in them.
BY_COHORT = ("images",)
BY_MODEL = ("labels", "thumbs")


def remove_stale(report: str | Path, settings: Mapping[str, Any]) -> None:
    """Remove from the report's folder what is not of today: cohorts, models, small pictures of cases, the audit.

    ``settings`` are those of the report; the table of all cases is today's and says which small pictures are. Images
    and labels of cases are gone with the folders that drawing makes anew. Links are removed, not followed.
    """
    report, models = Path(report), settings["config"]["models"]
    today = {
        (cohort, model)
        for cohort, with_images in settings["cohorts"].items()
        for model in settings["models"][cohort]
        if with_images and "counts" not in models[model]
    }
    cohorts = {cohort for cohort, _ in today}
    stale = [
        path for name in (*BY_COHORT, *BY_MODEL) for path in (report / name).glob("*/") if path.name not in cohorts
    ]
    stale += [
        path
        for name in BY_MODEL
        for path in (report / name).glob("*/*")
        if path.parent.name in cohorts and path.name != DRAWN and (path.parent.name, path.name) not in today
    ]
    wanted = {report / name for name in reachable(report / TABLE)}
    stale += [path for path in (report / "thumbs").glob("*/*/*.webp") if path not in wanted]
    stale.append(report / "viewer")  # of versions before 2026-12
    if not any(settings["cohorts"].values()):
        stale += [report / "audit.html", report / "audit"]
    for path in stale:
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

"""Each model on each cohort that the report tells of: in which order, and where what is known of it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from posttx.analysis.answers import in_order
from posttx.analysis.failures import Failed, case_arrays, failures
from posttx.errors import PostTxError
from posttx.files import read_parquet
from posttx.reporting.report_cells import slug
from posttx.scoring.scores import Scores, scores_from

REVIEW = "review.html"
# Held-out cohorts are what a reader asks about.
USES = ("test", "train", "predict")
LESION_COLUMNS = ("case", "region", "source", "volume_mm3", "state")
NEEDED = {
    "summary", "per_class", "volume_bias", "inter_class", "false_positives", "per_region", "class_differences",
    "volume_agreement", "change", "presence", "subgroups", "worst_cases", "best_cases",
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """One model on one cohort, and what stands of it below ``results``; each of its tables is read once."""

    results: Path
    settings: Mapping[str, Any]
    cohort: str
    model: str

    @property
    def key(self) -> str:
        """Return what names it in HTML ids."""
        return f"{slug(self.cohort)}-{slug(self.model)}"

    @cached_property
    def scores(self) -> Scores:
        """Return the scores of every case, single labels only."""
        regions = {
            name: region["labels"] for name, region in self.settings["regions"].items() if region["label"] is not None
        }
        table = read_parquet(self.results / f"metrics/{self.cohort}/{self.model}.parquet")
        return scores_from(table[table["region"].isin(list(regions))], regions)

    @cached_property
    def lesions(self) -> pd.DataFrame | None:
        """Return the columns of its table of lesions that failures are counted from; None where there is no table."""
        path = self.results / f"lesions/{self.cohort}/{self.model}.parquet"
        return read_parquet(path, LESION_COLUMNS) if path.is_file() else None

    @cached_property
    def failures(self) -> list[Failed]:
        """Return its failures, the most frequent first."""
        return failures(case_arrays(self.scores, self.lesions))

    @cached_property
    def comparison(self) -> pd.DataFrame | None:
        """Return the comparison of the cohort's models, None where there is nothing to compare."""
        return comparison_of(self.results, self.cohort)

    def by(self, model: str) -> Asked:
        """Return the same cohort by another model."""
        return replace(self, model=model)

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Return its tables by name. Raises a ``PostTxError`` where one of those that the report shows is missing."""
        folder = self.results / f"tables/{self.cohort}/{self.model}"
        tables = {path.stem: read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
        if missing := NEEDED - set(tables):
            raise PostTxError(f"there is no table {', '.join(sorted(missing))}", remedy="Run the workflow", file=folder)
        return tables

    def link(self, **more: str) -> str:
        """Return the address of its cases in the review page."""
        parts = {"cohort": self.cohort, "model": self.model, **more}
        return f"{REVIEW}#" + "&".join(f"{key}={quote(value, safe='')}" for key, value in parts.items())


def cohorts_in_order(settings: Mapping[str, Any]) -> list[str]:
    """Return the cohorts that have models, held-out ones first, then training, then those without references."""
    uses = {name: cohort["use"] for name, cohort in settings["config"]["cohorts"].items()}
    known = [cohort for cohort, models in settings["models"].items() if models]
    return sorted(known, key=lambda cohort: USES.index(uses[cohort]))


def asked(results: Path, settings: Mapping[str, Any]) -> list[Asked]:
    """Return every model on every cohort, the one that the page opens with first."""
    return [
        Asked(results, settings, cohort, model)
        for cohort in cohorts_in_order(settings)
        for model in in_order(settings["models"][cohort], comparison_of(results, cohort))
    ]


def comparison_of(results: Path, cohort: str) -> pd.DataFrame | None:
    """Return the comparison of a cohort's models, None where there is nothing to compare."""
    path = results / f"comparisons/{cohort}.parquet"
    table = read_parquet(path) if path.is_file() else None
    return None if table is None or table.empty else table

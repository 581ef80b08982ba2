"""The files of a case that is drawn, as it was scored: images, reference, every model's prediction and lesions."""

from __future__ import annotations

import csv
import logging
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttx.analysis.failures import LOW_DICE
from posttx.case_ids import MODALITIES
from posttx.errors import PostTxError
from posttx.geometry.reading import Reading
from posttx.nifti import Scratch
from posttx.parallel import UNEXPECTED
from posttx.reporting.case_findings import MOST, Finding, findings
from posttx.reporting.case_volumes import CaseVolumes, read_scan
from posttx.rows import read_rows
from posttx.schemas import LESIONS
from posttx.scoring.evaluation import Target
from posttx.scoring.scoring_schemes import ScoringScheme, scoring_scheme

logger = logging.getLogger(__name__)
# The code of a case none of whose files could be read when it was audited.
UNREADABLE = "FIL002"


@dataclass(frozen=True)
class Look:
    """How cases are drawn: colours and names by label, and the scheme that delimits lesions."""

    colors: Mapping[int, str]
    names: Mapping[int, str]
    rules: ScoringScheme

    @property
    def classes(self) -> dict[str, int]:
        """Return the integers of the classes by name."""
        return {name: label for label, name in self.names.items()}


@dataclass(frozen=True)
class CaseSheet:
    """The files of one case; ``predictions`` and ``lesions`` go by model."""

    case: str
    images: Mapping[str, str]
    reference: str | None
    reading: Reading
    predictions: Mapping[str, str]
    lesions: Mapping[str, Path]

    def volumes(self, images: Mapping[str, str], scratch: Scratch) -> tuple[dict[str, CaseVolumes], dict[str, str]]:
        """Read these of its images and its reference once, then every prediction.

        Returns the case as each model segmented it, and the finding code of each model whose prediction (or of all,
        where the case itself) cannot be read or laid on the case's grid; why is logged.
        """
        try:
            scan = read_scan(self.case, images, self.reference, self.reading, scratch)
        except PostTxError as error:
            return {}, dict.fromkeys(self.predictions, told(self.case, error))
        segmented: dict[str, CaseVolumes] = {}
        missed: dict[str, str] = {}
        for model, prediction in self.predictions.items():
            try:
                segmented[model] = scan.with_prediction(prediction, scratch)
            except PostTxError as error:
                missed[model] = told(self.case, error, model)
        return segmented, missed

    def findings(self, model: str, volumes: CaseVolumes, look: Look, most: int = MOST) -> tuple[list[Finding], int]:
        """Return what is to be looked at in a model's prediction, the worst first, and how many more there are."""
        rows = read_rows(self.lesions[model], LESIONS)
        return findings(volumes, rows, look.classes, look.rules, LOW_DICE, most)


def look_of(settings: Mapping[str, Any]) -> Look:
    """Return how cases are drawn from a rule's settings."""
    return Look(
        settings["colors"],
        settings["names"],
        scoring_scheme(settings["scheme"], settings.get("snfh_dilation", "executed")),
    )


def case_sheets(
    rows: Iterable[Mapping[str, Any]],
    cohort: str,
    scored: Sequence[str | Path],
    readings: Mapping[str, Reading],
    references: bool = True,
    wanted: Container[str] | None = None,
) -> tuple[dict[str, CaseSheet], dict[str, str]]:
    """Return the cases that can be drawn (those with images and a prediction), and the code of those that cannot.

    ``rows`` are those of ``schemas.COHORT``, ``scored`` the lists of scored cases, which name the predictions;
    ``wanted``: these cases alone. ``references`` is False for a cohort that has none by its use.
    """
    predictions: dict[str, dict[str, str]] = {}
    for path in map(Path, scored):
        with open(path, encoding="utf-8", newline="") as stream:
            for line in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE):
                if line["file"]:
                    predictions.setdefault(line["case"], {})[line["model"]] = line["file"]
    results = Path(scored[0]).parents[2] if scored else Path()
    sheets, missed = {}, {}
    for row in rows:
        case = str(row["case"])
        images = {name: row[name] for name in MODALITIES if row[name]}
        if not images or case not in predictions or (wanted is not None and case not in wanted):
            continue
        if case not in readings:
            missed[case] = UNREADABLE
            logger.warning("case %s has no picture: none of its files could be read when it was audited", case)
            continue
        target = Target(results, cohort, row["shard"])
        lesions = {model: target.path("lesions", model, case) for model in predictions[case]}
        reference = row["seg"] if references and row["seg"] else None
        sheets[case] = CaseSheet(case, images, reference, readings[case], predictions[case], lesions)
    return sheets, missed


def told(case: str, error: PostTxError, model: str = "") -> str:
    """Log why a case has no picture, and return the code of it."""
    logger.warning("case %s%s has no picture: %s", case, f", model {model}," if model else "", error)
    return error.code or UNEXPECTED

"""What the user accepted: errors of the audit that `audit.fail_on` let pass, told where the report concludes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from posttx.auditing.finding_codes import CODES

SCHEME_CONTRADICTED = "SCH001"


@dataclass(frozen=True)
class Kind:
    """All accepted findings of one code in one cohort: how many, of how many cases, and what the first one says."""

    code: str
    title: str
    cohort: str
    findings: int
    cases: int
    first: str


@dataclass(frozen=True)
class Accepted:
    """What the conclusions rest on in spite of the audit; ``scheme``: contradictions of the label scheme alone."""

    scheme: tuple[Kind, ...]
    others: tuple[Kind, ...]


def accepted_findings(findings: pd.DataFrame, fail_on: Sequence[str]) -> Accepted:
    """Return the errors of the audit's findings that did not stop the run, by code and cohort, in that order.

    ``findings`` has the columns of ``schemas.FINDINGS``. Where errors stop a run there is nothing to accept.
    """
    errors = findings[findings["severity"] == "error"] if "error" not in fail_on else findings[:0]
    kinds = [
        Kind(
            str(code),
            CODES[str(code)].title,
            str(cohort),
            len(rows),
            int(rows["case"].nunique()),
            str(rows["message"].iloc[0]),
        )
        for (code, cohort), rows in errors.groupby(["code", "cohort"], observed=True)
    ]
    contradicted = tuple(kind for kind in kinds if kind.code == SCHEME_CONTRADICTED)
    return Accepted(contradicted, tuple(kind for kind in kinds if kind.code != SCHEME_CONTRADICTED))

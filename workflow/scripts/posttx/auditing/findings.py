"""Findings: what can be wrong with a cohort, under stable codes, each with its meaning and its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from posttx.auditing.finding_codes import CODES, SEVERITIES, Code
from posttx.errors import PostTxError, one_line
from posttx.schemas import FINDINGS

COLUMNS = tuple(FINDINGS.columns)


@dataclass(frozen=True)
class Finding:
    """One problem or remark: ``message`` says what was seen, with numbers; code, severity and remedy say the rest."""

    code: str
    cohort: str
    message: str
    case: str | None = None
    modality: str | None = None
    remedy: str = ""

    def row(self) -> dict[str, Any]:
        """Return the finding as a row of the findings table, its severity and default remedy looked up."""
        known = code_of(self.code)
        return {
            "severity": known.severity,
            "code": self.code,
            "cohort": self.cohort,
            "case": None if self.case is None else one_line(self.case),
            "modality": None if self.modality is None else one_line(self.modality),
            "message": one_line(self.message),
            "remedy": one_line(self.remedy or known.remedy),
        }


def code_of(code: str) -> Code:
    """Return what is known about a finding code; an unknown one is a defect of this program."""
    if code not in CODES:
        raise ValueError(f"{code!r} is no finding code")
    return CODES[code]


def from_error(error: PostTxError, cohort: str, case: str, modality: str | None = None) -> Finding:
    """Turn an error about one file, or a case, into a finding, so that the audit of the other files goes on."""
    code = error.code if error.code in CODES else "FIL002"
    message = f"{error.problem.rstrip('.')} ({error.file})" if error.file else error.problem
    return Finding(code, cohort, message, case, modality, error.remedy)


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """Return findings as a table, errors first, then by code, cohort, case, modality. None: an empty, typed table."""
    rows = [finding.row() for finding in findings]
    return sort_findings(pd.DataFrame(rows, columns=list(COLUMNS)).astype("str" if not rows else {}))


def sort_findings(table: pd.DataFrame) -> pd.DataFrame:
    """Return a findings table with errors first, then by code, cohort, case and modality."""
    rank = table["severity"].map({name: place for place, name in enumerate(SEVERITIES)})
    keys = ["code", "cohort", "case", "modality", "message"]
    return (
        table.assign(_rank=rank)
        .sort_values(["_rank", *keys], na_position="first")
        .drop(columns="_rank")
        .reset_index(drop=True)
    )


def count_by_code(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return severity -> code -> number of findings, severities and codes in fixed order."""
    counts: dict[str, dict[str, int]] = {severity: {} for severity in SEVERITIES}
    for (severity, code), rows in table.groupby(["severity", "code"], observed=True):
        counts[str(severity)][str(code)] = len(rows)
    return counts


def fatal_severities(counts: Mapping[str, Mapping[str, int]], fail_on: Iterable[str]) -> list[str]:
    """Return the severities that stop the run: those of ``fail_on`` that have findings, the worst first."""
    accepted = set(fail_on)
    return [severity for severity, codes in counts.items() if severity in accepted and codes]


def summary_text(counts: Mapping[str, Mapping[str, int]], severities: Iterable[str]) -> str:
    """Return one line per code of these severities: how many, the code, the severity and its title."""
    lines = []
    for severity in severities:
        lines += [f"{count:6d} x {code} {severity}: {CODES[code].title}" for code, count in counts[severity].items()]
    return "\n".join(lines)


def codes_markdown() -> str:
    """Return the Markdown table of all finding codes that stands in ``config/README.md``."""
    lines = ["| code | severity | finding | what it means | remedy |", "|---|---|---|---|---|"]
    lines += [
        f"| `{name}` | {code.severity} | {code.title} | {code.meaning} | {code.remedy} |"
        for name, code in CODES.items()
    ]
    return "\n".join(lines) + "\n"

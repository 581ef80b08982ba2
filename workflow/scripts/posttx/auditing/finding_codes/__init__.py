"""The table of all finding codes: data, from which the findings, their severities and the documentation are made."""

from __future__ import annotations

from posttx.auditing.finding_codes import cohorts, facts, files, geometry, images, labels, predictions, privacy
from posttx.auditing.finding_codes.code import SEVERITIES, Code

__all__ = ["CODES", "SEVERITIES", "Code"]

CODES: dict[str, Code] = {
    code: entry
    for family in (files, cohorts, geometry, images, labels, privacy, facts, predictions)
    for code, entry in family.CODES.items()
}

"""The same image twice: within a case, under two ids, in two cohorts."""

from __future__ import annotations

import pandas as pd

from posttx.auditing.findings import Finding


def duplicate_findings(evidence: pd.DataFrame) -> list[Finding]:
    """Return the images whose content stands twice; ``evidence`` has a digest per image in its rows of label 0."""
    images = evidence[(evidence["label"] == 0) & (evidence["modality"] != "seg")].dropna(subset=["content"])
    found = []
    for _, twins in images.groupby("content", sort=True):
        if len(twins) < 2:
            continue
        for (cohort, case), own in twins.groupby(["cohort", "case"], sort=True):
            if len(own) > 1:
                names = " and ".join(sorted(own["modality"]))
                found.append(Finding("DUP001", str(cohort), f"{names} hold the same voxels", str(case), names))
        cases = twins.drop_duplicates(["cohort", "case"]).sort_values(["cohort", "case"])
        first = cases.iloc[0]
        for other in cases.iloc[1:].itertuples():
            code = "DUP002" if other.cohort == first["cohort"] else "DUP003"
            message = f"the same voxels as case {first['case']} {first['modality']} of cohort {first['cohort']}"
            found.append(Finding(code, str(other.cohort), message, str(other.case), str(other.modality)))
    return found

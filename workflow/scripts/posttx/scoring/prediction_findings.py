"""What is told of a folder of predictions beside its scores: what was matched how, and what was passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from posttx.auditing.findings import Finding
from posttx.file_names import MOST_NAMED, shortened
from posttx.scoring.predictions import WAYS, Found


def matching_findings(found: Found, folder: str | Path, cohort: str, model: str, cases: Sequence[str]) -> list[Finding]:
    """Return findings on a model's folder: files of no case, passed over or matched by more than the id."""
    findings = [
        Finding("EVA009", cohort, f"model {model}: {path} is the prediction of no case of the cohort; it is not scored")
        for path in found.unknown[:MOST_NAMED]
    ]
    if len(found.unknown) > MOST_NAMED:
        more = len(found.unknown) - MOST_NAMED
        findings.append(Finding("EVA009", cohort, f"model {model}: {more} more files are of no case of the cohort"))
    for kind, paths in (("named like scans", found.images), ("hidden or clutter", found.hidden)):
        if paths:
            text = f"model {model}: {len(paths)} volumes {kind} were passed over: {_names(paths, folder)}"
            findings.append(Finding("EVA011", cohort, text))
    for way, count in Counter(way for way in found.ways.values() if way != "<case>").items():
        case = next(case for case, one in found.ways.items() if one == way)
        told = f"{count} predictions were matched by {WAYS[way]} ({way}), such as {found.files[case].name}"
        text = f"model {model}: {told}"
        findings.append(Finding("EVA012", cohort, text, case))
    if absent := sorted(set(cases) - set(found.files)):
        text = f"model {model}: {len(absent)} of {len(cases)} cases have no prediction: {shortened(absent)}"
        findings.append(Finding("EVA013", cohort, text))
    return findings


def _names(paths: Sequence[Path], folder: str | Path) -> str:
    return shortened(sorted(str(path.relative_to(folder)) for path in paths))

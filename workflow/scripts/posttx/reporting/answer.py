"""The first screen: is it better, where does it fail, can it be trusted, the worst scan; per model and cohort."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from posttx.analysis import answer_words as words
from posttx.analysis.answers import (
    ClassResult,
    Primary,
    baseline_of,
    class_results,
    headline,
    primary,
    set_against,
    size_dependent,
)
from posttx.analysis.failures import Failed
from posttx.analysis.judgements import Number, of_size, records
from posttx.analysis.trust import GOOD, Check, Verdict, checks, conclusion
from posttx.reporting.asked import Asked
from posttx.reporting.grounds import grounds
from posttx.reporting.report_cells import slug
from posttx.reporting.worst_scan import worst_scan

SHOWN, NEXT = 3, 3
# The axis of the forest plot, in percent of its width.
AXIS = [(f"{at:g}", 100 * at) for at in (0, 0.25, 0.5, 0.75, 1)]


def answer(one: Asked, findings: pd.DataFrame) -> dict[str, Any]:
    """Return the four boxes of one model on one cohort; ``findings``: of audit and scoring."""
    comparison = one.comparison
    baseline = baseline_of(comparison, one.model)
    pair = None
    if comparison is not None and baseline is not None:
        pair = comparison[(comparison["model"] == one.model) & (comparison["baseline"] == baseline)]
    results = class_results(one.tables["per_region"], pair)
    scored = any(result.n for result in results)
    found = checks(grounds(one, findings, results))
    held_out = one.settings["config"]["cohorts"][one.cohort]["use"] == "test"
    return {
        "key": one.key,
        "cohort": one.cohort,
        "model": one.model,
        "use": one.settings["config"]["cohorts"][one.cohort]["use"],
        "baseline": baseline,
        "cases": len(one.scores.cases),
        "patients": len(set(one.scores.patients)),
        "links": {name: one.link(**more) for name, more in LINKS.items()},
        "question": words.question(baseline),
        "headline": words.answer(headline(results, baseline)),
        "lines": _lines(one, primary(pair) if pair is not None else None, baseline, comparison),
        "classes": [_class(result, one.settings) for result in results],
        "axis": AXIS,
        "failed": _failed(one, baseline, scored),
        "trust": {
            "headline": words.trust_headline(conclusion(found), held_out),
            "checks": [_check(check, one) for check in found],
        },
        "worst": worst_scan(one.results, one.cohort, one.model, one.tables["worst_cases"]),
    }


LINKS: Mapping[str, Mapping[str, str]] = {
    "cases": {},
    "compare": {"view": "compare"},
    "patients": {"view": "patients"},
    "review": {"review": "worst"},
}


def _lines(one: Asked, found: Primary | None, baseline: str | None, comparison: pd.DataFrame | None) -> list[str]:
    if baseline is None:
        others = set_against(comparison, one.model)
        return [words.is_baseline(others) if others else words.NO_BASELINE]
    if found is None:
        return [words.NOTHING_SHARED]
    return [words.primary_line(found), f"{words.cases_line(found)} {words.change_line(found.row)}".strip()]


def _class(result: ClassResult, settings: Mapping[str, Any]) -> dict[str, Any]:
    names = list(settings["regions"])
    verdict = words.VERDICT_WORDS[result.outcome]
    return {
        "region": result.region,
        "index": names.index(result.region),
        "n": result.n,
        "patients": result.n_patients,
        "dice": f"{result.dice.value:.2f}" if result.dice.known else "–",
        "interval": words.interval(result.dice),
        "difference": words.difference_text(result),
        "verdict": verdict,
        "kind": slug(verdict.replace(" ", "_")),
        "model": _bar(result.dice),
        "before": _bar(result.baseline) if result.baseline is not None else None,
    }


def _bar(value: Number) -> dict[str, float] | None:
    """Return where a mark and its interval lie on the axis, in percent; None where there is nothing to draw."""
    if not value.known:
        return None
    low, high = (value.low, value.high) if value.has_interval else (value.value, value.value)
    return {
        name: round(100 * min(max(at, 0), 1), 2) for name, at in (("at", value.value), ("low", low), ("high", high))
    }


def _failed(one: Asked, baseline: str | None, scored: bool) -> dict[str, Any]:
    found = one.failures
    before: Mapping[str, int] | None = None
    if baseline in one.settings["models"][one.cohort]:
        other = one.by(str(baseline))
        if set(other.scores.cases) == set(one.scores.cases):
            before = {failed.key: failed.affected for failed in other.failures}
    most = found[0].affected if found else 1
    bias = one.tables["volume_bias"]
    size = {row["region"]: of_size(row)[0].outcome for row in records(bias)}

    def entry(failed: Failed) -> dict[str, Any]:
        was = None if before is None else before.get(failed.key, 0)
        return {
            "name": words.failure_name(failed),
            "count": words.failure_count(failed, was),
            "affected": failed.affected,
            "of": failed.of,
            "link": one.link(filter=failed.key),
            "width": round(100 * failed.affected / most, 1),
        }

    return {
        "headline": words.failure_headline(found, scored),
        "first": [entry(failed) for failed in found[:SHOWN]],
        "next": [entry(failed) for failed in found[SHOWN : SHOWN + NEXT]],
        "all": [entry(failed) for failed in found],
        "size": words.size_line(size_dependent(bias, size)),
    }


def _check(check: Check, one: Asked) -> dict[str, Any]:
    return {
        "id": check.id,
        "word": str(check.verdict),
        "kind": "good" if check.verdict in GOOD else "open" if check.verdict is Verdict.UNKNOWN else "bad",
        "text": words.check_text(check),
        "link": one.link(review="worst") if check.id == "rated" else PROOFS[check.id],
        "of": check.facts.get("of", 0),
    }


# Where the page, or the audit's, proves what a check says.
PROOFS: Mapping[str, str] = {
    "phantom": "#dataset",
    "split": "#dataset",
    "patients": "#per-class",
    "scheme": "#findings",
    "errors": "#findings",
    "shift": "#audit",
    "images": "#dataset",
}

"""Is one model better than another? Paired by case, with intervals and a permutation test by patient."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from posttx.analysis.statistics import RESAMPLES, SEED, Estimate, bootstrap, holm, means, sign_flip_p
from posttx.conventions import ABSENT_IS_ONE, LESION_WISE, PRESENT_ONLY, WHERE_DEFINED, Convention, apply
from posttx.errors import PostTxError
from posttx.scoring.scores import Scores, scores_from

logger = logging.getLogger(__name__)
FloatArray = npt.NDArray[np.float64]

IMPROVED, WORSE, OPEN, NO_INTERVAL = "improved", "worse", "no difference shown", "no interval"
VERDICTS: Mapping[str, str] = {
    IMPROVED: "the whole interval of the paired difference lies on the better side of 0",
    WORSE: "the whole interval of the paired difference lies on the worse side of 0",
    OPEN: "the interval holds 0: the data do not decide, which is not the same as equality",
    NO_INTERVAL: "fewer than two patients are scored by both models",
}
# Differences smaller than this are a tie: far below what a voxel changes, above rounding.
TIE = 1e-9
MEAN = "mean"
# The published convention leaves a correct empty answer out and counts a hallucinated one 0: a case of one model would
# have no partner in the other. These conventions score every pair alike.
COMPARED: Sequence[tuple[Convention, str]] = (
    (ABSENT_IS_ONE, "dice"),
    (PRESENT_ONLY, "dice"),
    *((LESION_WISE, metric) for metric in LESION_WISE.metrics),
    *((WHERE_DEFINED, metric) for metric in WHERE_DEFINED.metrics),
)
LOWER_IS_BETTER = ("hd95_mm",)
COLUMNS = (
    "baseline", "model", "convention", "metric", "label", "region", "baseline_value", "model_value", "difference",
    "ci_low", "ci_high", "p_value", "p_holm", "wins", "ties", "losses", "n", "n_patients", "n_unpaired", "verdict",
)  # fmt: skip


def compare_models(
    metrics: Mapping[str, pd.DataFrame],
    regions: Mapping[str, Sequence[int]],
    resamples: int = RESAMPLES,
    seed: int = SEED,
    baselines_only: Sequence[str] = (),
) -> pd.DataFrame:
    """Compare every two models of a cohort, the earlier named being the baseline; one row per region and measure.

    ``metrics`` maps model -> its metrics table. ``difference`` is model minus baseline, mean over the cases that both
    have; ``verdict`` follows its interval alone (``VERDICTS``). ``wins`` counts cases where the model is better. The
    row ``mean`` is over the labels of each case. ``p_holm`` is adjusted over the rows of one measure. ``n_unpaired``
    counts the cases that only one of the two has: they are left out, and named in the log. A reference that differs
    between the models is an error. Models of ``baselines_only`` (an earlier run's) are not compared with each other.
    Fewer than two models: no rows.
    """
    scores = {model: scores_from(table, regions) for model, table in metrics.items()}
    parts = [
        _compare(baseline, model, scores[baseline], scores[model], resamples, seed)
        for baseline, model in combinations(scores, 2)
        if not {baseline, model} <= set(baselines_only)
    ]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))
    integers = ("label", "wins", "ties", "losses", "n", "n_patients", "n_unpaired")
    texts = ("baseline", "model", "convention", "metric", "region", "verdict")
    kinds = dict.fromkeys(COLUMNS, "float64") | dict.fromkeys(integers, "Int64") | dict.fromkeys(texts, "str")
    return table[list(COLUMNS)].astype(kinds)


def verdict_of(difference: float, low: float, high: float, *, lower_is_better: bool = False) -> str:
    """Return the verdict on a paired difference (model minus baseline) from its interval; see ``VERDICTS``."""
    if np.isnan(difference) or np.isnan(low) or np.isnan(high):
        return NO_INTERVAL
    if lower_is_better:
        low, high = -high, -low
    return IMPROVED if low > 0 else WORSE if high < 0 else OPEN


def _compare(baseline: str, model: str, first: Scores, second: Scores, resamples: int, seed: int) -> pd.DataFrame:
    shared = sorted(set(first.cases) & set(second.cases))
    alone = sorted(set(first.cases) ^ set(second.cases))
    if alone:
        logger.warning("%s and %s: %d cases have one of them only: %s", baseline, model, len(alone), ", ".join(alone))
    first, second = _same_regions(first.select(shared), second.select(shared))
    _refuse_other_reference(first, second, baseline, model)
    draw = bootstrap(first.patients, resamples, seed)
    parts = []
    for convention, metric in COMPARED:
        column = convention.column(metric)
        if convention.source and not (first.measured(column) and second.measured(column)):
            continue
        before, after = (_with_mean(score, convention, metric) for score in (first, second))
        paired = ~np.isnan(before) & ~np.isnan(after)
        before, after = np.where(paired, before, np.nan), np.where(paired, after, np.nan)
        estimate = draw.estimate(means(after - before), paired)
        p = sign_flip_p(after - before, draw.patients, resamples, seed)
        part = _rows(first, before, after, estimate, p, metric)
        parts.append(part.assign(convention=convention.name, metric=metric))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(baseline=baseline, model=model, n_unpaired=len(alone))


def _rows(
    scores: Scores, before: FloatArray, after: FloatArray, estimate: Estimate, p: FloatArray, metric: str
) -> pd.DataFrame:
    lower = metric in LOWER_IS_BETTER
    gain = (before - after) if lower else (after - before)
    mean_before, mean_after = (means(values)(np.ones((1, len(values))))[0] for values in (before, after))
    return pd.DataFrame(
        {
            "label": pd.array([None, *scores.labels], dtype="Int64"),
            "region": [MEAN, *scores.regions],
            "baseline_value": mean_before,
            "model_value": mean_after,
            "difference": estimate.value,
            "ci_low": estimate.low,
            "ci_high": estimate.high,
            "p_value": p,
            "p_holm": holm(p),
            "wins": (gain > TIE).sum(axis=0),
            "ties": (np.abs(gain) <= TIE).sum(axis=0),
            "losses": (gain < -TIE).sum(axis=0),
            "n": estimate.n,
            "n_patients": estimate.n_patients,
            "verdict": [
                verdict_of(*interval, lower_is_better=lower)
                for interval in zip(estimate.value, estimate.low, estimate.high, strict=True)
            ],
        }
    )


def _with_mean(scores: Scores, convention: Convention, metric: str) -> FloatArray:
    """Return (cases, 1 + regions): the mean over the labels of a case first, then each region; infinite is NaN."""
    values = scores[convention.column(metric)]
    if metric in convention.undefined.get("absent", {}):
        values = apply(convention, metric, values, scores.states)
    values = np.where(np.isfinite(values), values, np.nan)
    labels = values[:, : sum(label is not None for label in scores.labels)]
    defined = ~np.isnan(labels)
    count = defined.sum(axis=1)
    mean = np.where(count > 0, np.where(defined, labels, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
    return np.hstack([mean[:, None], values])


def _same_regions(first: Scores, second: Scores) -> tuple[Scores, Scores]:
    """Leave out the composites when one of the two models (counts) has none."""
    return (first, second) if first.regions == second.regions else (first.per_label, second.per_label)


def _refuse_other_reference(first: Scores, second: Scores, baseline: str, model: str) -> None:
    before, after = first["n_ref"], second["n_ref"]
    differing = ~((before == after) | (np.isnan(before) & np.isnan(after))).all(axis=1)
    if differing.any():
        raise PostTxError(
            f"{baseline} and {model} were scored against different references ({int(differing.sum())} cases)",
            remedy="Score both against the same reference and with the same label scheme",
            case=first.cases[int(np.flatnonzero(differing)[0])],
        )

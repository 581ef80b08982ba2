"""Models ranked as the BraTS challenges rank them, on the cases that all of them have, with intervals of the ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from posttx.analysis.comparison import Endpoints, paired_values
from posttx.analysis.estimates import case_values, scale_of
from posttx.analysis.statistics import FEWEST_FOR_INTERVAL, LEVEL, SEED, Patients, means
from posttx.conventions import ABSENT_IS_ONE, LESION_WISE, Convention, convention_of
from posttx.measures import Measure, measure_of
from posttx.scoring.scores import Scores, scores_from

FloatArray = npt.NDArray[np.float64]

RESAMPLES = 2000
COLUMNS = (
    "model", "place", "place_ci_low", "place_ci_high", "first_percent", "mean_rank", "mean_rank_ci_low",
    "mean_rank_ci_high", "metric", "convention", "region", "value", "ci_low", "ci_high", "n", "n_patients", "n_scored",
    "n_any",
)  # fmt: skip
_INTEGERS = ("n", "n_patients", "n_scored", "n_any")
_TEXTS = ("model", "metric", "convention", "region")


def rank_models(
    metrics: Mapping[str, pd.DataFrame],
    regions: Mapping[str, Sequence[int]],
    endpoints: Endpoints = Endpoints(),  # noqa: B008 - frozen
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> pd.DataFrame:
    """Return one row per model of a cohort, the best first, from the cases that all models have.

    In every case the models are ranked by each measure of each label (Dice with absent as 1; lesion-wise Dice and HD95
    where all models have them), ties sharing their mean rank; ``mean_rank`` is the mean over measures, labels and
    cases, ``place`` its order (BraTS; Maier-Hein et al. 2018). Intervals and ``first_percent``, the share of the
    resamples that a model wins, are of a bootstrap over patients; empty below ``FEWEST_FOR_INTERVAL`` patients.
    ``value`` is the primary endpoint on the same cases. ``n`` of ``n_any`` cases are those that all have, ``n_scored``
    those of the model. Fewer than two models, or no common case: no rows.
    """
    scores = {model: scores_from(table, regions).per_label for model, table in metrics.items()}
    common = sorted(set.intersection(*(set(each.cases) for each in scores.values()))) if scores else []
    if len(scores) < 2 or not common:
        return _typed(pd.DataFrame(columns=list(COLUMNS)))
    shared = [each.select(common) for each in scores.values()]
    patients = Patients.of(shared[0].patients, seed)
    by_case = case_ranks(shared)
    mean, places, low_high = _bootstrapped(by_case, patients, resamples)
    convention, measure = convention_of(endpoints.convention), measure_of(endpoints.measure)
    rows, place = [], np.asarray(stats.rankdata(mean))
    for k, (model, each) in enumerate(scores.items()):
        value = _primary(shared[k], convention, measure, endpoints.region)
        found = patients.estimate(means(value), ~np.isnan(value), scale_of(measure))
        rows.append({
            "model": model, "place": place[k],
            **dict(zip(("place_ci_low", "place_ci_high"), _ends(places[:, k], patients), strict=True)),
            "first_percent": 100 * (places[:, k] == 1).mean() if patients.count >= FEWEST_FOR_INTERVAL else np.nan,
            "mean_rank": mean[k],
            **dict(zip(("mean_rank_ci_low", "mean_rank_ci_high"), _ends(low_high[:, k], patients), strict=True)),
            "metric": measure.id, "convention": convention.name, "region": endpoints.region,
            "value": found.value[0], "ci_low": found.low[0], "ci_high": found.high[0], "n": len(common),
            "n_patients": patients.count, "n_scored": len(each.cases),
            "n_any": len(set.union(*(set(one.cases) for one in scores.values()))),
        })  # fmt: skip
    return _typed(pd.DataFrame(rows).sort_values("mean_rank", kind="stable", ignore_index=True))


def case_ranks(scores: Sequence[Scores]) -> FloatArray:
    """Return the mean rank (models, cases) of each model in each case, 1 the best; NaN where nothing is scored."""
    ranks = []
    for convention, measure in _ranked_by(scores):
        values = np.stack([case_values(each, convention, measure) for each in scores])
        known = ~np.isnan(values).any(axis=0)
        oriented = np.where(known, -values if measure.higher_is_better else values, 0.0)
        ranks.append(np.where(known, stats.rankdata(oriented, axis=0), np.nan))
    stacked = np.concatenate(ranks, axis=2)
    count = (~np.isnan(stacked)).sum(axis=2)
    return np.where(count > 0, np.nansum(stacked, axis=2) / np.maximum(count, 1), np.nan)


def _ranked_by(scores: Sequence[Scores]) -> list[tuple[Convention, Measure]]:
    wise = [(LESION_WISE, measure_of(name)) for name in ("dice", "hd95_mm")]
    lesions = [
        (convention, measure)
        for convention, measure in wise
        if all(each.measured(convention.column(measure)) for each in scores)
    ]
    return [(ABSENT_IS_ONE, measure_of("dice")), *lesions]


def _bootstrapped(ranks: FloatArray, patients: Patients, resamples: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the mean ranks (models,), and places and mean ranks of each resample of patients (resamples, models)."""
    known = np.asarray(~np.isnan(ranks).any(axis=0), dtype=bool)
    sums = patients.sums(np.where(known, ranks, 0.0).T)
    counts = patients.sums(known.astype(np.float64).reshape(-1, 1))
    drawn = np.random.default_rng(patients.seed).multinomial(
        patients.count, np.full(patients.count, 1 / patients.count), size=resamples
    )
    resampled = (drawn @ sums) / np.maximum(drawn @ counts, 1)
    mean = sums.sum(axis=0) / max(float(counts.sum()), 1.0)
    return mean, stats.rankdata(resampled, axis=1, method="min"), resampled


def _ends(resampled: FloatArray, patients: Patients) -> tuple[float, float]:
    if patients.count < FEWEST_FOR_INTERVAL:
        return np.nan, np.nan
    low, high = np.quantile(resampled, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def _primary(scores: Scores, convention: Convention, measure: Measure, region: str) -> FloatArray:
    values = paired_values(scores, convention, measure)
    names = ["mean", *scores.regions]
    return values[:, [names.index(region)]] if region in names else np.full((len(values), 1), np.nan)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    kinds = dict.fromkeys(COLUMNS, "float64") | dict.fromkeys(_INTEGERS, "Int64") | dict.fromkeys(_TEXTS, "str")
    return table[list(COLUMNS)].astype(kinds)

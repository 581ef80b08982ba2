"""Is one model better than another? Paired by case, tested by patient, one primary endpoint and Holm over the rest."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from posttx.analysis.estimates import case_values, scale_of
from posttx.analysis.evidence import Evidence, evidence
from posttx.analysis.judgements import UNSHOWN, Outcome, Row, records
from posttx.analysis.statistics import FEWEST_FOR_P, SEED, Patients, holm, means
from posttx.conventions import (
    ABSENT_IS_ONE,
    HALLUCINATED,
    LESION_WISE,
    MISSED,
    PRESENT_ONLY,
    WHERE_DEFINED,
    Convention,
    convention_of,
)
from posttx.errors import PostTxError
from posttx.measures import Measure, measure_of
from posttx.scoring.scores import Scores, scores_from

logger = logging.getLogger(__name__)
FloatArray = npt.NDArray[np.float64]

VERDICTS: Mapping[Outcome, str] = {
    Outcome.BETTER: "the interval of the paired difference lies on the better side of 0, its adjusted p is below 0.05",
    Outcome.WORSE: "the same on the worse side",
    Outcome.EQUIVALENT: "the interval lies within the margin: what difference there may be does not matter",
    Outcome.NOT_SHOWN: "the data do not decide, which is not the same as equality",
    Outcome.NOT_AFTER_HOLM: "the interval excludes 0, but p does not hold after adjustment for all comparisons",
    Outcome.TOO_FEW_PATIENTS: f"fewer than {FEWEST_FOR_P} patients are scored by both models",
    Outcome.DIFFERENT_CASES: "which cases count depends on the predictions: missing a hard case would look like a gain",
    Outcome.NOT_EXAMINED: "no interval can be given",
    Outcome.SEED_ALONE: "the two differ by the seed of their training alone: their difference is one of chance",
}
PRIMARY, SECONDARY, DESCRIPTIVE = "primary", "secondary", "descriptive"
# Differences smaller than this are a tie: far below what a voxel changes, above rounding.
TIE = 1e-9
# The other rows are tested beside the primary endpoint: at half its level, so that two equal models get any verdict in
# less than 0.05 + 0.025 of the comparisons, however the rows depend on each other.
SECOND_CHANCE = 2
MEAN = "mean"
POWER = 0.80
# The published convention leaves a correct empty answer out and counts a hallucinated one 0: a case of one model would
# have no partner in the other. These conventions score every pair alike, or say nothing (WHERE_DEFINED).
COMPARED: Sequence[Convention] = (ABSENT_IS_ONE, PRESENT_ONLY, LESION_WISE, WHERE_DEFINED)
_INTEGERS = (
    "label", "wins", "ties", "losses", "n", "n_patients", "n_baseline", "n_model", "n_unpaired", "missed_change",
    "hallucinated_change",
)  # fmt: skip
_TEXTS = ("baseline", "model", "convention", "metric", "region", "endpoint", "verdict")
COLUMNS = (
    "baseline", "model", "convention", "metric", "label", "region", "endpoint", "baseline_value", "model_value",
    "difference", "ci_low", "ci_high", "p_value", "p_holm", "margin", "detectable", "wins", "ties", "losses", "n",
    "n_patients", "n_baseline", "n_model", "n_unpaired", "missed_change", "hallucinated_change", "verdict",
    "baseline_value_ci_low", "baseline_value_ci_high", "model_value_ci_low", "model_value_ci_high",
)  # fmt: skip
KINDS = dict.fromkeys(COLUMNS, "float64") | dict.fromkeys(_INTEGERS, "Int64") | dict.fromkeys(_TEXTS, "str")


@dataclass(frozen=True)
class Endpoints:
    """The primary endpoint, named before the data are seen; by measure, the margins within which models are equal."""

    measure: str = "dice"
    convention: str = ABSENT_IS_ONE.name
    region: str = MEAN
    margins: Mapping[str, float] = field(default_factory=dict)

    def of(self, convention: Convention, measure: Measure, region: str) -> str:
        """Return which endpoint a row is."""
        if not convention.same_cases:
            return DESCRIPTIVE
        here = (measure.id, convention.name, region)
        return PRIMARY if here == (self.measure, self.convention, self.region) else SECONDARY


def compare_models(
    cohorts: Mapping[str, Mapping[str, pd.DataFrame]],
    regions: Mapping[str, Sequence[int]],
    endpoints: Endpoints = Endpoints(),
    seed: int = SEED,
    baselines_only: Sequence[str] = (),
    seeds: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, pd.DataFrame]:
    """Compare every two models of each cohort on the cases that both have; return cohort -> one row per pair and value.

    ``cohorts`` maps cohort -> model -> its metrics table; of a pair the earlier named is the baseline. ``difference``
    is model minus baseline, the mean over the cases of both, as are the values of each with their intervals;
    ``n_baseline`` and ``n_model`` count the cases each has, ``n_unpaired`` those that only one has: they are left out,
    and named in the log. The row ``mean`` is over the labels of each case. ``p_holm`` is adjusted over the primary
    endpoints of all pairs and cohorts, or over all other rows of all pairs and cohorts and for being a second chance
    (``SECOND_CHANCE``); rows whose cases depend on the predictions are ``descriptive`` and have none. ``detectable`` is
    the smallest difference that so many patients would have shown with a power of 80 %. ``wins`` counts cases where the
    model is better, ``missed_change`` and ``hallucinated_change`` how many more regions it misses or invents. A
    reference that differs between the models is an error. Models of ``baselines_only`` (an earlier run's) are not
    compared with each other. ``seeds`` maps a model to those that differ from it by the seed of their training alone:
    such a pair is shown, but neither tested nor judged. Fewer than two models: no rows.
    """
    parts = []
    for cohort, metrics in cohorts.items():
        scores = {model: scores_from(table, regions) for model, table in metrics.items()}
        parts += [
            compare_pair(baseline, model, [scores[baseline]], [scores[model]], endpoints, seed).assign(cohort=cohort)
            for baseline, model in combinations(scores, 2)
            if not {baseline, model} <= set(baselines_only)
        ]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*COLUMNS, "cohort"])
    alone = _seed_alone(table, seeds or {})
    table.loc[alone, "p_value"] = np.nan
    table = with_verdicts(table)
    table.loc[alone, "verdict"] = str(Outcome.SEED_ALONE)
    return {
        cohort: table.loc[table["cohort"] == cohort, list(COLUMNS)].astype(KINDS).reset_index(drop=True)
        for cohort in cohorts
    }


def with_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Return rows of ``compare_pair`` with ``p_holm`` adjusted over all of them, by endpoint, and their verdicts."""
    table = table.copy()
    for endpoint, factor in ((PRIMARY, 1), (SECONDARY, SECOND_CHANCE)):
        family = (table["endpoint"] == endpoint).to_numpy(bool)
        table.loc[family, "p_holm"] = adjusted(table.loc[family, "p_value"].to_numpy(np.float64), factor)
    table["verdict"] = [str(verdict_of(row)) for row in records(table)]
    return table


def _seed_alone(table: pd.DataFrame, seeds: Mapping[str, Sequence[str]]) -> npt.NDArray[np.bool_]:
    """Return which rows are of two models that differ by the seed of their training alone."""
    first = {model: name for name, models in seeds.items() for model in (name, *models)}
    pairs = zip(table["baseline"], table["model"], strict=True)
    return np.array([baseline in first and first[baseline] == first.get(model) for baseline, model in pairs], bool)


def adjusted(p: FloatArray, factor: int = 1) -> FloatArray:
    """Return p-values adjusted by Holm within their family, and by a factor for the family being a second chance."""
    return np.minimum(holm(p) * factor, 1.0)


def verdict_of(row: Row) -> Outcome:
    """Return the verdict on a paired difference (model minus baseline) from its row; see ``VERDICTS``."""
    low, high = float(row["ci_low"]), float(row["ci_high"])
    if int(row["n_patients"]) < FEWEST_FOR_P:
        return Outcome.TOO_FEW_PATIENTS
    if row["endpoint"] == DESCRIPTIVE:
        return Outcome.DIFFERENT_CASES
    found = evidence(low, high, float(row["p_holm"]), int(row["n_patients"]))
    if found.sign:
        better = (found.sign > 0) == measure_of(str(row["metric"])).higher_is_better
        return Outcome.BETTER if better else Outcome.WORSE
    margin = float(row["margin"])
    if found is not Evidence.NOT_EXAMINED and -margin <= low and high <= margin:
        return Outcome.EQUIVALENT
    return UNSHOWN[found]


def paired_values(scores: Scores, convention: Convention, measure: Measure) -> FloatArray:
    """Return (cases, 1 + regions): the mean over the labels of a case first, then each region; infinite is NaN."""
    known = convention.column(measure) in scores.columns
    values = case_values(scores, convention, measure) if known else np.full(scores.states.shape, np.nan)
    labels = values[:, : sum(label is not None for label in scores.labels)]
    return np.hstack([_row_means(labels)[:, None], values])


def _row_means(values: FloatArray) -> FloatArray:
    defined = ~np.isnan(values)
    count = defined.sum(axis=1)
    return np.where(count > 0, np.where(defined, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def compared_by(endpoints: Endpoints, first: Scores, second: Scores) -> list[tuple[Convention, Measure]]:
    """Return the conventions and measures by which two models are compared, the primary endpoint's first."""
    primary = (convention_of(endpoints.convention), measure_of(endpoints.measure))
    found = [
        (convention, measure)
        for convention in COMPARED
        for measure in convention.measures(first.columns)
        if (measure.compared if convention.voxel_wise else _measured(convention, measure, first, second))
    ]
    return [primary, *[pair for pair in found if (pair[0].name, pair[1].id) != (primary[0].name, primary[1].id)]]


def _measured(convention: Convention, measure: Measure, first: Scores, second: Scores) -> bool:
    column = convention.column(measure)
    return first.measured(column) and second.measured(column)


def compare_pair(
    baseline: str, model: str, before: Sequence[Scores], after: Sequence[Scores], endpoints: Endpoints, seed: int
) -> pd.DataFrame:
    """Return one row per value of one pair of models, p not yet adjusted, no verdict; columns as ``compare_models``.

    Each model is given by its scores, or by those of several seeds of its training: values are averaged over the seeds
    of a case, and changes of missed and invented regions summed over them.
    """
    every = [*before, *after]
    shared = sorted(set.intersection(*(set(one.cases) for one in every)))
    alone = sorted(set.union(*(set(one.cases) for one in every)) - set(shared))
    counts = {"n_baseline": len(before[0].cases), "n_model": len(after[0].cases), "n_unpaired": len(alone)}
    if alone:
        logger.warning("%s and %s: %d cases have one of them only: %s", baseline, model, len(alone), ", ".join(alone))
    every = _same_regions([one.select(shared) for one in every])
    for one in every[1:]:
        _refuse_other_reference(every[0], one, baseline, model)
    first, second = every[: len(before)], every[len(before) :]
    patients = Patients.of(every[0].patients, seed)
    parts = [
        _rows(first, second, convention, measure, endpoints, patients)
        for convention, measure in compared_by(endpoints, first[0], second[0])
    ]
    return pd.concat(parts, ignore_index=True).assign(baseline=baseline, model=model, **counts)


def _rows(
    first: Sequence[Scores],
    second: Sequence[Scores],
    convention: Convention,
    measure: Measure,
    endpoints: Endpoints,
    patients: Patients,
) -> pd.DataFrame:
    before, after = (
        np.mean([paired_values(scores, convention, measure) for scores in seeds], axis=0) for seeds in (first, second)
    )
    paired = ~np.isnan(before) & ~np.isnan(after)
    before, after = np.where(paired, before, np.nan), np.where(paired, after, np.nan)
    difference = after - before
    estimate = patients.estimate(means(difference), paired)
    each = {
        name: patients.estimate(means(values), paired, scale_of(measure))
        for name, values in (("baseline", before), ("model", after))
    }
    gain = difference if measure.higher_is_better else -difference
    regions = [MEAN, *first[0].regions]
    endpoint = [endpoints.of(convention, measure, region) for region in regions]
    p = patients.flip_p(difference) if convention.same_cases else np.full(len(regions), np.nan)
    return pd.DataFrame(
        {
            "convention": convention.name,
            "metric": measure.id,
            "label": pd.array([None, *first[0].labels], dtype="Int64"),
            "region": regions,
            "endpoint": endpoint,
            **{f"{name}_value": one.value for name, one in each.items()},
            **{f"{name}_value_ci_low": one.low for name, one in each.items()},
            **{f"{name}_value_ci_high": one.high for name, one in each.items()},
            "difference": estimate.value,
            "ci_low": estimate.low,
            "ci_high": estimate.high,
            "p_value": p,
            "p_holm": np.nan,
            "margin": endpoints.margins.get(measure.id, np.nan),
            "detectable": _detectable(estimate.error, estimate.n_patients),
            "wins": (gain > TIE).sum(axis=0),
            "ties": (np.abs(gain) <= TIE).sum(axis=0),
            "losses": (gain < -TIE).sum(axis=0),
            "n": estimate.n,
            "n_patients": estimate.n_patients,
            "missed_change": _change(first, second, MISSED),
            "hallucinated_change": _change(first, second, HALLUCINATED),
        }
    )


def _detectable(error: FloatArray, n_patients: npt.NDArray[np.int64]) -> FloatArray:
    freedom = np.maximum(n_patients - 1, 1)
    return error * (stats.t.ppf(0.975, freedom) + stats.t.ppf(POWER, freedom))


def _change(first: Sequence[Scores], second: Sequence[Scores], state: str) -> npt.NDArray[np.int64]:
    """Return how many more regions the second model has in a state: over all labels first, then each region."""
    before, after = (sum((one.states == state).sum(axis=0) for one in seeds) for seeds in (first, second))
    change = np.asarray(after - before)
    return np.append(change[: sum(label is not None for label in first[0].labels)].sum(), change)


def _same_regions(scores: Sequence[Scores]) -> list[Scores]:
    """Leave out the composites when one of the models (counts) has none."""
    same = len({one.regions for one in scores}) == 1
    return list(scores) if same else [one.per_label for one in scores]


def _refuse_other_reference(first: Scores, second: Scores, baseline: str, model: str) -> None:
    before, after = first["n_ref"], second["n_ref"]
    differing = ~((before == after) | (np.isnan(before) & np.isnan(after))).all(axis=1)
    if differing.any():
        raise PostTxError(
            f"{baseline} and {model} were scored against different references ({int(differing.sum())} cases)",
            remedy="Score both against the same reference and with the same label scheme",
            case=first.cases[int(np.flatnonzero(differing)[0])],
        )

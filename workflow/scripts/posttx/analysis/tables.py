"""The tables of the report: contract's columns first, n and a bootstrap interval beside every estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from posttx.analysis.statistics import (
    RESAMPLES,
    SEED,
    Bootstrap,
    Estimate,
    Statistic,
    average,
    bootstrap,
    correlation_p,
    fisher_z,
    holm,
    means,
    pearson,
    ratios,
    spearman,
    spread_p,
)
from posttx.conventions import (
    ABSENT_IS_ONE,
    CONVENTIONS,
    HALLUCINATED,
    METRICS,
    MISSED,
    POOLED,
    PRESENT_ONLY,
    Convention,
    apply,
    case_means,
    convention_of,
)
from posttx.scoring.scores import Scores, scores_from

FloatArray = npt.NDArray[np.float64]
Columns = dict[str, object]

TABLES = (
    "summary", "per_class", "volume_bias", "inter_class", "false_positives", "worst_cases", "best_cases",
    "per_region",
)  # fmt: skip
# The part of each quotient's denominator that its numerator is not.
POOLED_ERRORS = {"precision": "fp", "recall": "fn"}


def make_tables(
    metrics: pd.DataFrame,
    regions: Mapping[str, Sequence[int]],
    convention: str = "published",
    extreme_cases: int = 20,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, pd.DataFrame]:
    """Make all tables of one model on one cohort from its metrics (``schemas.CASE_METRICS``).

    ``regions`` maps region -> integers (``LabelScheme.scoring()``). ``convention`` rules the class values of
    ``per_class`` and the mean Dice of ``worst_cases`` and ``best_cases``; ``summary`` holds all conventions. No case,
    or no reference: the same columns, n = 0, NaN. One patient: estimates without intervals.
    """
    rule = convention_of(convention)
    every_region = scores_from(metrics, regions)
    scores = every_region.per_label
    draw = bootstrap(scores.patients, resamples, seed)
    return {
        "summary": summary(scores, draw),
        "per_class": per_class(scores, draw, rule),
        "volume_bias": volume_bias(scores, draw),
        "inter_class": inter_class(scores, draw),
        "false_positives": false_positives(scores, draw),
        "worst_cases": extremes(scores, rule, extreme_cases, best=False),
        "best_cases": extremes(scores, rule, extreme_cases, best=True),
        "per_region": per_region(every_region, draw),
    }


def summary(scores: Scores, draw: Bootstrap) -> pd.DataFrame:
    """Return the global values, one row per convention and metric: the mean of the labels' values.

    Published precision and recall are pooled over voxels and labels. ``n`` counts cases with at least one value, and
    ``n_values`` the case-label pairs. A convention whose columns were not measured has no rows.
    """
    rows = []
    for convention in CONVENTIONS.values():
        for metric in _measured_metrics(scores, convention):
            if metric not in METRICS:
                continue
            statistic, used = _class_statistic(scores, convention, metric, over_labels=True)
            estimate = draw.estimate(statistic, np.asarray(used.any(axis=1)).reshape(-1, 1))
            rows.append({
                "metric": metric, "value": estimate.value[0], "convention": convention.name,
                "ci_low": estimate.low[0], "ci_high": estimate.high[0], "n": estimate.n[0],
                "n_patients": estimate.n_patients[0], "n_values": int(used.sum()),
            })  # fmt: skip
    return pd.DataFrame(rows).astype(dict.fromkeys(("n", "n_patients", "n_values"), "Int64"))


def per_class(scores: Scores, draw: Bootstrap, convention: Convention) -> pd.DataFrame:
    """Return one row per label: its metrics under ``convention``, its states counted, its Dice under the others.

    ``n_absent`` counts cases whose reference lacks the label, ``n_hallucinated`` those of them where it is predicted;
    ``n_missed`` cases of ``n_present`` without one predicted voxel. ``precision_per_case`` and ``recall_per_case`` are
    means over the cases where they are defined.
    """
    estimates = {metric: draw.estimate(*_class_statistic(scores, convention, metric)) for metric in METRICS}
    others = {
        "dice_present": draw.estimate(*_class_statistic(scores, PRESENT_ONLY, "dice")),
        "dice_absent_is_one": draw.estimate(*_class_statistic(scores, ABSENT_IS_ONE, "dice")),
    }
    per_case = {f"{metric}_per_case": draw.estimate(*_defined(scores[metric])) for metric in POOLED_ERRORS}
    if scores.measured("lesion_dice"):
        per_case["lesion_dice"] = draw.estimate(*_defined(scores["lesion_dice"]))
    reference = scores["n_ref"]
    columns: Columns = {**_keys(scores), **_values(estimates)}
    columns["n_present"] = (reference > 0).sum(axis=0)
    columns["n_absent"] = (reference == 0).sum(axis=0)
    columns["n_hallucinated"] = (scores.states == HALLUCINATED).sum(axis=0)
    columns["n_missed"] = (scores.states == MISSED).sum(axis=0)
    columns |= {**_values(others), **_intervals(estimates), **_intervals(others), "convention": convention.name}
    columns |= {"n": estimates["dice"].n, "n_patients": estimates["dice"].n_patients}
    for name, estimate in per_case.items():
        columns |= {**_values({name: estimate}), **_intervals({name: estimate}), f"{name}_n": estimate.n}
    return _frame(columns)


def volume_bias(scores: Scores, draw: Bootstrap) -> pd.DataFrame:
    """Return per label the correlation of its reference volume with its Dice, over the cases that have it (missed: 0).

    ``p_value`` is that of Pearson's r with scans taken for independent, ``p_patient`` the one with patients resampled.
    """
    used = (scores["n_ref"] > 0) & ~np.isnan(scores["dice"])
    columns = _correlations(scores.reference_volume, scores["dice"], used, draw)
    return _frame({**_keys(scores), **columns, "convention": PRESENT_ONLY.name})


def inter_class(scores: Scores, draw: Bootstrap) -> pd.DataFrame:
    """Return for all ordered pairs (X, Y) the correlation of the reference volume of X with the Dice of Y.

    Taken over the cases whose reference has X and where the Dice of Y is defined, as published: that includes the zeros
    of Y hallucinated. The columns ending in ``_present`` leave those out (the reference has X and Y). ``p_holm`` is
    adjusted for all pairs; ``p_holm_patient`` likewise, from patients resampled instead of scans.
    """
    count = len(scores.regions)
    x, y = np.repeat(np.arange(count), count), np.tile(np.arange(count), count)
    volume, dice, reference = scores.reference_volume[:, x], scores["dice"][:, y], scores["n_ref"]
    used = (reference[:, x] > 0) & ~np.isnan(dice)
    labels, regions = np.array(scores.labels, dtype=object), np.array(scores.regions, dtype=object)
    columns: Columns = {
        "volume_label": pd.array(labels[x], dtype="Int64"),
        "dice_label": pd.array(labels[y], dtype="Int64"),
        **_with_holm(_correlations(volume, dice, used, draw)),
        "volume_region": regions[x],
        "dice_region": regions[y],
        "convention": "published",
    }
    present = _with_holm(_correlations(volume, dice, used & (reference[:, y] > 0), draw))
    return _frame(columns | {_present(name): values for name, values in present.items()})


def false_positives(scores: Scores, draw: Bootstrap) -> pd.DataFrame:
    """Return per label the mean false-positive and reference volumes over all cases, and their quotient in percent.

    ``fp_fn_ratio`` is false-positive / false-negative volume: below 1 the model leaves out more than it adds. Where the
    voxel size is unknown the means are NaN and the quotients are those of voxels.
    """
    size = scores.voxel_mm3[:, None]
    size = np.where((scores["fp"] == 0) & (scores["n_ref"] == 0) & np.isnan(size), 1.0, size)
    known = not (np.isnan(size) & ~np.isnan(scores["fp"])).any()
    factor = size if known else np.ones_like(size)
    false, true, left_out = (scores[name] * factor for name in ("fp", "n_ref", "fn"))
    used = ~np.isnan(false) & ~np.isnan(true)
    hidden = np.nan if not known else 1.0
    estimates = {
        "mean_fp_mm3": draw.estimate(means(false * hidden), used),
        "mean_ref_mm3": draw.estimate(means(true * hidden), used),
        "fp_percent": draw.estimate(ratios(100 * false, true), used),
    }
    errors = {
        "mean_fn_mm3": draw.estimate(means(left_out * hidden), used),
        "fp_fn_ratio": draw.estimate(ratios(false, left_out), used),
    }
    last = estimates["fp_percent"]
    return _frame({
        **_keys(scores), **_values(estimates), **_intervals(estimates), "n": last.n, "n_patients": last.n_patients,
        **_values(errors), **_intervals(errors), "convention": "published",
    })  # fmt: skip


def extremes(scores: Scores, convention: Convention, count: int, *, best: bool) -> pd.DataFrame:
    """Return the ``count`` cases with the highest or the lowest mean Dice, rank 1 being the most extreme.

    Of equal means the case with more wrong voxels is the worse one. Cases without a mean (no reference, or nothing to
    score under the convention) are not listed.
    """
    mean = case_means(convention, scores["dice"], scores.states)
    wrong = np.nan_to_num(scores["fp"] + scores["fn"]).sum(axis=1)
    sign = -1.0 if best else 1.0
    order = np.lexsort((np.arange(len(mean)), -sign * wrong, sign * mean))
    order = order[~np.isnan(mean[order])][: max(count, 0)]
    columns: Columns = {
        "rank": np.arange(1, len(order) + 1),
        "case": np.array(scores.cases, dtype=object)[order],
        "mean_dice": mean[order],
    }
    columns |= {f"dice_{name}": scores["dice"][order, k] for k, name in enumerate(scores.regions)}
    columns |= {f"state_{name}": scores.states[order, k] for k, name in enumerate(scores.regions)}
    columns["patient"] = np.array(scores.patients, dtype=object)[order]
    columns["timepoint"] = np.array(scores.timepoints, dtype=np.int64)[order]
    return _frame(columns | {"convention": convention.name, "n": int((~np.isnan(mean)).sum())}, len(order))


def per_region(scores: Scores, draw: Bootstrap) -> pd.DataFrame:
    """Return every metric of every region, composite ones too, under every convention: one row each.

    ``n_infinite`` counts the values left out because a distance is infinite. Columns that were not measured (surfaces
    and lesions of a model known by its counts) have no rows.
    """
    parts = []
    for convention in CONVENTIONS.values():
        for metric in _measured_metrics(scores, convention):
            estimate = draw.estimate(*_class_statistic(scores, convention, metric))
            parts.append(_frame({
                **_keys(scores), "metric": metric, "value": estimate.value, "convention": convention.name,
                "ci_low": estimate.low, "ci_high": estimate.high, "n": estimate.n, "n_patients": estimate.n_patients,
                "n_infinite": np.isinf(scores[convention.column(metric)]).sum(axis=0),
            }))  # fmt: skip
    table = pd.concat(parts, ignore_index=True)
    order = {name: index for index, name in enumerate(scores.regions)}
    return table.sort_values("region", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def _measured_metrics(scores: Scores, convention: Convention) -> list[str]:
    """Return the metrics of a convention; of those with columns of their own, the ones that have any value."""
    return [
        metric for metric in convention.metrics if not convention.source or scores.measured(convention.column(metric))
    ]


def _class_statistic(
    scores: Scores, convention: Convention, metric: str, *, over_labels: bool = False
) -> tuple[Statistic, npt.NDArray[np.bool_]]:
    """Return the statistic of a metric per label (or over all of them) and the cases x labels it rests on."""
    if metric in POOLED_ERRORS and convention.precision_recall == POOLED:
        hits, errors = scores["tp"], scores[POOLED_ERRORS[metric]]
        known = ~np.isnan(hits) & ~np.isnan(errors)
        if over_labels:
            hits, errors = (np.where(known, part, 0.0).sum(axis=1, keepdims=True) for part in (hits, errors))
        return ratios(hits, hits + errors), known
    column = scores[convention.column(metric)]
    statistic, used = _defined(apply(convention, metric, column, scores.states))
    return (average(statistic) if over_labels else statistic), used


def _defined(values: FloatArray) -> tuple[Statistic, npt.NDArray[np.bool_]]:
    finite = np.where(np.isfinite(values), values, np.nan)
    return means(finite), ~np.isnan(finite)


def _correlations(x: FloatArray, y: FloatArray, used: npt.NDArray[np.bool_], draw: Bootstrap) -> Columns:
    estimates = {
        "pearson_r": draw.estimate(pearson(x, y, used), used, fisher_z),
        "spearman_r": draw.estimate(spearman(x, y, used), used, fisher_z),
    }
    linear, ranked = estimates.values()
    return {
        **_values(estimates),
        "p_value": correlation_p(linear.value, linear.n),
        "n": linear.n,
        **_intervals(estimates),
        "n_patients": linear.n_patients,
        "spearman_p_value": correlation_p(ranked.value, ranked.n),
        "p_patient": spread_p(linear.value, linear.spread),
        "spearman_p_patient": spread_p(ranked.value, ranked.spread),
    }


def _with_holm(columns: Columns) -> Columns:
    adjusted = {
        name.replace("p_value", "p_holm").replace("p_patient", "p_holm_patient"): holm(np.asarray(values))
        for name, values in columns.items()
        if name.endswith(("p_value", "p_patient"))
    }
    return columns | adjusted


def _present(name: str) -> str:
    for suffix in ("_ci_low", "_ci_high"):
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix)}_present{suffix}"
    return "n_both_present" if name == "n" else f"{name}_present"


def _keys(scores: Scores) -> Columns:
    return {"label": pd.array(list(scores.labels), dtype="Int64"), "region": np.array(scores.regions, dtype=object)}


def _values(estimates: Mapping[str, Estimate]) -> Columns:
    return {name: estimate.value for name, estimate in estimates.items()}


def _intervals(estimates: Mapping[str, Estimate]) -> Columns:
    columns: Columns = {}
    for name, estimate in estimates.items():
        columns |= {f"{name}_ci_low": estimate.low, f"{name}_ci_high": estimate.high}
    return columns


def _frame(columns: Columns, rows: int | None = None) -> pd.DataFrame:
    """Make a table whose integers are Int64 and whose texts are strings, whatever the number of rows."""
    table = pd.DataFrame(columns, index=None if rows is None else range(rows))
    for name in table.columns:
        if pd.api.types.is_integer_dtype(table[name]):
            table[name] = table[name].astype("Int64")
        elif not pd.api.types.is_float_dtype(table[name]):
            table[name] = table[name].astype("str")
    return table

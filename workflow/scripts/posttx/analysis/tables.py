"""The tables of the report: contract's columns first; n, patients and an interval by patient beside every estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pandas as pd

from posttx.analysis.correlations import inter_class, volume_bias
from posttx.analysis.estimates import Spread, case_values, estimate, measured, pooled, scale_of, spread
from posttx.analysis.frames import Columns, frame, intervals, keys, values
from posttx.analysis.statistics import (
    POSITIVE,
    SEED,
    SHARE,
    Estimate,
    Patients,
    average,
    divide,
    holm,
    means,
    ratios,
)
from posttx.analysis.volumes import change, volume_agreement
from posttx.conventions import (
    ABSENT_IS_ONE,
    CONVENTIONS,
    HALLUCINATED,
    LESION_WISE,
    MISSED,
    PRESENT_ONLY,
    PUBLISHED,
    Convention,
    case_means,
    convention_of,
)
from posttx.measures import CATALOGUE, CONTRACT, Measure, from_counts
from posttx.scoring.scores import Scores, scores_from

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

TABLES = (
    "summary", "per_class", "volume_bias", "inter_class", "false_positives", "worst_cases", "best_cases",
    "per_region", "class_differences", "volume_agreement", "change", "presence",
)  # fmt: skip
# So many patients are asked how much of the false positives they hold.
HEAVIEST = 5
DICE = CATALOGUE["dice"]


def make_tables(
    metrics: pd.DataFrame,
    regions: Mapping[str, Sequence[int]],
    convention: str = "published",
    extreme_cases: int = 20,
    seed: int = SEED,
) -> dict[str, pd.DataFrame]:
    """Make all tables of one model on one cohort from its metrics (``schemas.CASE_METRICS``).

    ``regions`` maps region -> integers (``LabelScheme.scoring()``). ``convention`` rules the class values of
    ``per_class`` and the mean Dice of ``worst_cases`` and ``best_cases``; ``summary`` holds all conventions. ``seed``
    is that of the sign flips. No case, or no reference: the same columns, n = 0, NaN. Few patients: no intervals, no p.
    """
    rule = convention_of(convention)
    every_region = scores_from(metrics, regions)
    scores = every_region.per_label
    patients = Patients.of(scores.patients, seed)
    return {
        "summary": summary(scores, patients),
        "per_class": per_class(scores, patients, rule),
        "volume_bias": volume_bias(scores, patients),
        "inter_class": inter_class(scores, patients),
        "false_positives": false_positives(scores, patients),
        "worst_cases": extremes(scores, rule, extreme_cases, best=False),
        "best_cases": extremes(scores, rule, extreme_cases, best=True),
        "per_region": per_region(every_region, patients),
        "class_differences": class_differences(scores, patients, rule),
        "volume_agreement": volume_agreement(scores, patients),
        "change": change(scores, seed),
        "presence": presence(scores, patients),
    }


def summary(scores: Scores, patients: Patients) -> pd.DataFrame:
    """Return the global values, one row per convention and measure of counts: the mean of the labels' values.

    Published precision and recall are pooled over voxels and labels; ``per_case`` is then the mean over labels of the
    mean over cases, which says what one case may expect, and ``per_case_present`` that where the class is present.
    ``n`` counts cases with at least one value, and ``n_values`` the case-label pairs. ``patient_weighted``
    and ``first_scan`` are the same mean over labels with every patient weighed alike, and over the first scan of each.
    A convention whose columns were not measured has no rows.
    """
    rows = []
    present = {
        measure.id: float(estimate(scores, PRESENT_ONLY, measure, over_labels=True, patients=patients).value[0])
        for measure in from_counts()
    }
    for convention in CONVENTIONS.values():
        for measure in measured(scores, convention):
            if not measure.parts:
                continue
            found = estimate(scores, convention, measure, over_labels=True, patients=patients)
            each = case_values(scores, convention, measure)
            per_case = patients.estimate(average(means(each)), _any(~np.isnan(each)), scale_of(measure))
            hidden = spread(scores, convention, measure, patients)
            rows.append({
                "metric": measure.id, "value": found.value[0], "convention": convention.name,
                "ci_low": found.low[0], "ci_high": found.high[0], "n": found.n[0],
                "n_patients": found.n_patients[0], "n_values": int((~np.isnan(each)).sum()),
                "pooled": pooled(convention, measure),
                "per_case_present": present[measure.id],
                "per_case": per_case.value[0], "per_case_ci_low": per_case.low[0],
                "per_case_ci_high": per_case.high[0],
                "patient_weighted": _mean(hidden.patient_weighted), "first_scan": _mean(hidden.first_scan),
            })  # fmt: skip
    return pd.DataFrame(rows).astype(dict.fromkeys(("n", "n_patients", "n_values"), "Int64"))


def per_class(scores: Scores, patients: Patients, convention: Convention) -> pd.DataFrame:
    """Return one row per label: its measures under ``convention``, its states counted, its Dice under the others.

    ``n_absent`` counts cases whose reference lacks the label, ``n_hallucinated`` those of them where it is predicted;
    ``n_missed`` cases of ``n_present`` without one predicted voxel. ``hallucination_rate`` and ``miss_rate`` are those
    shares with intervals by patient, over ``n_patients_absent`` and ``n_patients_present``. ``precision_per_case`` and
    ``recall_per_case`` are means over the cases where they are defined. The columns ``dice_median`` to
    ``dice_n_effective`` are what the mean Dice hides (``estimates.Spread``).
    """

    def of(rule: Convention, measure: Measure) -> Estimate:
        return estimate(scores, rule, measure, patients=patients)

    counted = {name: of(convention, CATALOGUE[name]) for name in CONTRACT}
    others = {"dice_present": of(PRESENT_ONLY, DICE), "dice_absent_is_one": of(ABSENT_IS_ONE, DICE)}
    reference, states = scores["n_ref"], scores.states
    present, absent = reference > 0, reference == 0
    rates = {
        "hallucination_rate": patients.estimate(means(_shares(states == HALLUCINATED, absent)), absent, SHARE),
        "miss_rate": patients.estimate(means(_shares(states == MISSED, present)), present, SHARE),
    }
    columns: Columns = {**keys(scores), **values(counted)}
    columns["n_present"] = present.sum(axis=0)
    columns["n_absent"] = absent.sum(axis=0)
    columns["n_hallucinated"] = (states == HALLUCINATED).sum(axis=0)
    columns["n_missed"] = (states == MISSED).sum(axis=0)
    columns |= {**values(others), **intervals(counted), **intervals(others), "convention": convention.name}
    columns |= {"n": counted["dice"].n, "n_patients": counted["dice"].n_patients}
    columns |= {"n_patients_present": rates["miss_rate"].n_patients}
    columns |= {"n_patients_absent": rates["hallucination_rate"].n_patients}
    columns |= {**values(rates), **intervals(rates)}
    for name, found in _further(scores, patients, convention).items():
        columns |= {**values({name: found}), **intervals({name: found}), f"{name}_n": found.n}
    return frame(columns | _prefixed("dice", spread(scores, convention, DICE, patients)))


def _further(scores: Scores, patients: Patients, convention: Convention) -> dict[str, Estimate]:
    """Return what stands after the contract's columns: means per case of what is pooled, and further measures."""
    found = {}
    for measure in from_counts():
        if measure.pooled:
            scored = scores[measure.id]
            found[f"{measure.id}_per_case"] = patients.estimate(means(scored), ~np.isnan(scored), scale_of(measure))
        if measure.id not in CONTRACT:
            found[measure.id] = estimate(scores, convention, measure, patients=patients)
    if scores.measured(LESION_WISE.column(DICE)):
        found["lesion_dice"] = estimate(scores, LESION_WISE, DICE, patients=patients)
    return found


def false_positives(scores: Scores, patients: Patients) -> pd.DataFrame:
    """Return per label the mean false-positive and reference volumes over all cases, and their quotient in percent.

    ``fp_error_share`` is the false-positive part of all wrong volume, ``fp_fn_ratio`` the same as false-positive /
    false-negative volume: below 1 the model leaves out more than it adds; ``p_value`` tests by patient whether both are
    equal, ``p_holm`` adjusts it for all labels. ``heaviest_percent`` is the share of the false-positive volume that the
    ``HEAVIEST`` patients with most of it hold: a pooled value rests on them. Where the voxel size is unknown the means
    are NaN and the quotients are those of voxels.
    """
    size = scores.voxel_mm3[:, None]
    size = np.where((scores["fp"] == 0) & (scores["n_ref"] == 0) & np.isnan(size), 1.0, size)
    known = not (np.isnan(size) & ~np.isnan(scores["fp"])).any()
    factor = size if known else np.ones_like(size)
    false, true, left_out = (scores[name] * factor for name in ("fp", "n_ref", "fn"))
    used = ~np.isnan(false) & ~np.isnan(true)
    hidden, wrong = np.nan if not known else 1.0, false + left_out
    estimates = {
        "mean_fp_mm3": patients.estimate(means(false * hidden), used, POSITIVE),
        "mean_ref_mm3": patients.estimate(means(true * hidden), used, POSITIVE),
        "fp_percent": patients.estimate(ratios(100 * false, true), used, POSITIVE, np.nan_to_num(true)),
    }
    errors = {
        "mean_fn_mm3": patients.estimate(means(left_out * hidden), used, POSITIVE),
        "fp_error_share": patients.estimate(ratios(false, wrong), used & (wrong > 0), SHARE, np.nan_to_num(wrong)),
    }
    p = np.where(
        np.isnan(errors["fp_error_share"].value), np.nan, patients.flip_p(np.where(used, false - left_out, np.nan))
    )
    last = estimates["fp_percent"]
    return frame({
        **keys(scores), **values(estimates), **intervals(estimates), "n": last.n, "n_patients": last.n_patients,
        **values(errors), **intervals(errors), **_as_ratio(errors["fp_error_share"]),
        "n_patients_with_errors": errors["fp_error_share"].n_patients, "p_value": p, "p_holm": holm(p),
        "heaviest_percent": _heaviest(patients.sums(false)), "convention": PUBLISHED.name,
    })  # fmt: skip


def _as_ratio(share: Estimate) -> Columns:
    """Return a share of two parts as their quotient; NaN where the second part is 0."""
    quotients = {"": share.value, "_ci_low": share.low, "_ci_high": share.high}
    return {f"fp_fn_ratio{name}": divide(part, 1 - part) for name, part in quotients.items()}


def _heaviest(sums: FloatArray) -> FloatArray:
    return divide(100 * np.sort(sums, axis=0)[-HEAVIEST:].sum(axis=0), sums.sum(axis=0))


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
    return frame(columns | {"convention": convention.name, "n": int((~np.isnan(mean)).sum())}, len(order))


def per_region(scores: Scores, patients: Patients) -> pd.DataFrame:
    """Return every measure of every region, composite ones too, under every convention: one row each.

    ``n_infinite`` counts the values left out because a distance is infinite; the columns after it are what the mean
    hides (``estimates.Spread``). Columns that were not measured (surfaces and lesions of a model known by its counts)
    have no rows.
    """
    parts = []
    for convention in CONVENTIONS.values():
        for measure in measured(scores, convention):
            found = estimate(scores, convention, measure, patients=patients)
            parts.append(frame({
                **keys(scores), "metric": measure.id, "value": found.value, "convention": convention.name,
                "ci_low": found.low, "ci_high": found.high, "n": found.n, "n_patients": found.n_patients,
                "n_infinite": np.isinf(scores[convention.column(measure)]).sum(axis=0),
                **asdict(spread(scores, convention, measure, patients)),
            }))  # fmt: skip
    table = pd.concat(parts, ignore_index=True)
    order = {name: index for index, name in enumerate(scores.regions)}
    return table.sort_values("region", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def class_differences(scores: Scores, patients: Patients, convention: Convention) -> pd.DataFrame:
    """Return for every pair of labels the difference of their Dice under ``convention``, over the cases of both.

    Positive: the first is segmented better. ``p_holm`` is adjusted for all pairs.
    """
    first, second = np.triu_indices(len(scores.regions), 1)
    dice = case_values(scores, convention, DICE)
    difference = dice[:, first] - dice[:, second]
    found = patients.estimate(means(difference), ~np.isnan(difference))
    p = patients.flip_p(difference)
    return frame({
        **_named(scores, first), **{f"other_{name}": column for name, column in _named(scores, second).items()},
        "difference": found.value, "ci_low": found.low, "ci_high": found.high, "p_value": p,
        "p_holm": holm(p), "n": found.n, "n_patients": found.n_patients, "convention": convention.name,
    })  # fmt: skip


def presence(scores: Scores, patients: Patients) -> pd.DataFrame:
    """Return per label how well a prediction says whether the label is there at all: one voxel is enough.

    ``sensitivity`` is the share of the ``n_present`` cases whose reference has the label in which it is predicted,
    ``specificity`` the share of the ``n_absent`` others in which it is not. The columns that begin with ``patient_``
    are the same of patients, who have the label where any of their scans has it; ``patient_n_present`` and
    ``patient_n_absent`` count them. No reference: n = 0, NaN.
    """
    known = ~np.isnan(scores["n_ref"])
    there, found = scores["n_ref"] > 0, scores["n_pred"] > 0
    by_case = _sensitivity_specificity(known, there, found, patients)
    whose = patients.having(known), patients.having(there), patients.having(found & known)
    by_patient = {
        f"patient_{name}": made
        for name, made in _sensitivity_specificity(*whose, Patients(np.arange(patients.count), patients.seed)).items()
    }
    present, absent = by_case.values()
    return frame({
        **keys(scores), **values(by_case), **intervals(by_case),
        "n": known.sum(axis=0), "n_patients": whose[0].sum(axis=0),
        "n_present": present.n, "n_patients_present": present.n_patients,
        "n_absent": absent.n, "n_patients_absent": absent.n_patients,
        **values(by_patient), **intervals(by_patient),
        "patient_n_present": by_patient["patient_sensitivity"].n,
        "patient_n_absent": by_patient["patient_specificity"].n,
    })  # fmt: skip


def _sensitivity_specificity(
    known: BoolArray, there: BoolArray, found: BoolArray, patients: Patients
) -> dict[str, Estimate]:
    present, absent = known & there, known & ~there
    return {
        "sensitivity": patients.estimate(means(_shares(found, present)), present, SHARE),
        "specificity": patients.estimate(means(_shares(~found, absent)), absent, SHARE),
    }


def _named(scores: Scores, rows: npt.NDArray[np.intp]) -> Columns:
    labels, regions = np.array(scores.labels, dtype=object), np.array(scores.regions, dtype=object)
    return {"label": pd.array(labels[rows], dtype="Int64"), "region": regions[rows]}


def _prefixed(name: str, hidden: Spread) -> Columns:
    return {f"{name}_{what}": column for what, column in asdict(hidden).items()}


def _any(used: BoolArray) -> BoolArray:
    return np.asarray(used.any(axis=1)).reshape(-1, 1)


def _shares(hit: BoolArray, among: BoolArray) -> FloatArray:
    return np.where(among, hit.astype(np.float64), np.nan)


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")

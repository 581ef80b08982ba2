"""Scores from counts alone: nnU-Net's ``summary.json`` as rows of the metrics table."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from posttx.case_ids import BRATS_ID, check_case_id
from posttx.errors import PostTxError
from posttx.files import is_file
from posttx.scoring.metrics import overlap
from posttx.scoring.predictions import case_of_name

logger = logging.getLogger(__name__)
COUNTS = ("TP", "FP", "FN", "TN")
MOST_DIGITS = 9
# How far voxels that are derived from a Dice may be from a whole number.
WHOLE_WITHIN = 0.01
MOST_VOXELS = 2**53  # the tables' integers and floats are both exact up to here


def read_counts(path: str | Path) -> list[Mapping[str, Any]]:
    """Read the entries of ``metric_per_case``, those of nnU-Net v1 in the form of v2.

    NaN, which is no JSON but nnU-Net's habit, is accepted, and so are UTF-8 with a byte order mark and UTF-16.
    """
    path = Path(path)
    if not is_file(path):
        raise PostTxError(
            "the counts file does not exist", remedy="Set the model's `counts` to it", file=path, code="CNT001"
        )
    try:
        content = json.loads(path.read_bytes())
        entries = _entries_of_v1(content) if "metric_per_case" not in content else content["metric_per_case"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PostTxError(
            f"not an nnU-Net summary.json ({type(error).__name__}: {error})",
            remedy="Give the summary.json that nnUNetv2_evaluate_folder writes",
            file=path,
            code="CNT001",
        ) from error
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise PostTxError("metric_per_case is no list of cases", remedy="Evaluate again", file=path, code="CNT001")
    return entries


def _entries_of_v1(content: Mapping[str, Any]) -> Any:
    """Return the cases of nnU-Net v1 as v2 writes them; a file of neither form raises the KeyError of v2's."""
    if not isinstance(content["metric_per_case" if "results" not in content else "results"], Mapping):
        raise KeyError("metric_per_case")
    entries = content["results"]["all"]
    if not isinstance(entries, list):
        return entries
    return [
        {
            "prediction_file": entry.get("test"),
            "reference_file": entry.get("reference"),
            "metrics": {key: _counts_of_v1(values) for key, values in entry.items() if isinstance(values, Mapping)},
        }
        for entry in entries
    ]


def _counts_of_v1(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return TP, FP, FN from nnU-Net v1's totals and Dice = 2 TP / (reference + test); nothing where they misfit."""
    n_ref, n_pred = _whole(values.get("Total Positives Reference")), _whole(values.get("Total Positives Test"))
    dice = values.get("Dice")
    if n_ref is None or n_pred is None or not isinstance(dice, int | float):
        return {}
    # Undefined where both are empty.
    tp = 0.0 if not n_ref + n_pred else dice * (n_ref + n_pred) / 2
    if not math.isfinite(tp) or abs(tp - round(tp)) > WHOLE_WITHIN or round(tp) > min(n_ref, n_pred):
        return {}
    return {"TP": round(tp), "FP": n_pred - round(tp), "FN": n_ref - round(tp)}


def case_of(entry: Mapping[str, Any], path: str | Path, known: Collection[str] = ()) -> str:
    """Return the case of an entry: by the prediction's (or else the reference's) file name, one of ``known`` if any."""
    for key in ("prediction_file", "reference_file"):
        if isinstance(entry.get(key), str):
            return case_of_name(re.split(r"[/\\]", entry[key])[-1], known)
    raise PostTxError(
        "an entry of metric_per_case names neither prediction_file nor reference_file",
        remedy="Evaluate again with nnUNetv2_evaluate_folder",
        file=path,
        code="CNT002",
    )


def labels_of_key(key: str) -> tuple[int, ...]:
    """Return the integers of a key of ``metrics``: ``"3"``, or ``"(1, 3)"`` as region-based nnU-Nets write it."""
    numbers = re.findall(r"-?[0-9]+", key)
    # Python refuses to read thousands of digits; -1 is no label of any scheme.
    return tuple(sorted(int(number) if len(number) <= MOST_DIGITS else -1 for number in numbers))


def rows_from_counts(
    path: str | Path,
    regions: Mapping[str, Sequence[int]],
    voxel_mm3: float = 1.0,
    people: Mapping[str, tuple[str, int]] | None = None,
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, BaseException]]:
    """Return per case the metric rows that a ``summary.json`` supports, and per case that it does not what is wrong.

    Patient and timepoint stand in each row; they come from ``people``, or else from the BraTS id; a case with
    another id then counts as a patient of its own. Rows are given for
    the regions that the file counts, single labels as a rule: those of a composite region cannot be derived from its
    labels' counts. Dice and its kin are computed again from the counts, NaN where undefined. Volumes are voxels times
    ``voxel_mm3``: the file does not know voxel sizes. A case that stands twice has no rows.
    """
    by_case: dict[str, list[dict[str, Any]]] = {}
    failures: dict[str, BaseException] = {}
    for number, entry in enumerate(read_counts(path)):
        case = f"entry {number}"
        try:
            case = case_of(entry, path, people or ())
            if case in by_case:
                raise PostTxError("the case stands twice", remedy="Keep one entry", case=case, file=path, code="CNT003")
            patient, timepoint = _person(case, path, people)
            rows = _case_rows(entry, case, path, regions, voxel_mm3)
            by_case[case] = [{"case": case, "patient": patient, "timepoint": timepoint, **row} for row in rows]
        except PostTxError as error:
            failures[f"{case} ({number})" if case in failures else case] = error
    failures |= {case: error for case, error in _unequal(by_case, path).items() if case not in failures}
    return {case: rows for case, rows in by_case.items() if case not in failures}, failures


def _person(case: str, path: str | Path, people: Mapping[str, tuple[str, int]] | None) -> tuple[str, int]:
    if people is None:
        match = BRATS_ID.fullmatch(check_case_id(case, path))
        return (match["patient"], int(match["timepoint"])) if match else (case, 0)
    if case not in people:
        raise PostTxError(
            "the counts are of a case that the cohort does not have",
            remedy="Correct the cohort or its sheet, or give the counts a cohort of their own",
            case=case,
            file=path,
            code="CNT004",
        )
    return people[case]


def _case_rows(
    entry: Mapping[str, Any], case: str, path: str | Path, regions: Mapping[str, Sequence[int]], voxel_mm3: float
) -> list[dict[str, Any]]:
    names = {tuple(sorted(labels)): name for name, labels in regions.items()}
    order = list(regions)
    rows = []
    metrics = entry.get("metrics") or {}
    if not isinstance(metrics, Mapping) or not all(isinstance(values, Mapping) for values in metrics.values()):
        raise PostTxError(
            "metrics holds no counts by label",
            remedy="Evaluate again with nnUNetv2_evaluate_folder",
            case=case,
            file=path,
            code="CNT006",
        )
    for key, values in metrics.items():
        labels = labels_of_key(key)
        if labels == (0,):
            continue
        if labels not in names:
            raise PostTxError(
                f"the counts are of label {key}, which the label scheme does not have",
                remedy="Choose the label scheme that the counts belong to (`labels` in the config)",
                case=case,
                file=path,
                code="CNT005",
            )
        counts = _counts(values, case, path, key)
        rows.append(
            {
                "region": names[labels],
                "label": labels[0] if len(labels) == 1 else None,
                **counts,
                **overlap(counts["tp"], counts["fp"], counts["fn"]),  # type: ignore[arg-type]
                "volume_ref_mm3": counts["n_ref"] * voxel_mm3,  # type: ignore[operator]
                "volume_pred_mm3": counts["n_pred"] * voxel_mm3,  # type: ignore[operator]
            }
        )
    return sorted(rows, key=lambda row: order.index(row["region"]))


def _counts(values: Mapping[str, Any], case: str, path: str | Path, key: str) -> dict[str, int | None]:
    """Return the counts of one label; n_ref and n_pred may be missing or must agree, TN may be missing (null then)."""
    tp, fp, fn, tn = (_whole(values.get(name)) for name in COUNTS)
    if tp is None or fp is None or fn is None:
        raise PostTxError(
            f"label {key} has no whole, non-negative TP, FP and FN",
            remedy="Evaluate again with nnUNetv2_evaluate_folder",
            case=case,
            file=path,
            code="CNT006",
        )
    for name, total in (("n_ref", tp + fn), ("n_pred", tp + fp)):
        if _whole(values.get(name)) not in (None, total):
            raise PostTxError(
                f"label {key}: {name} is {values[name]}, its counts add up to {total}",
                remedy="Evaluate again with nnUNetv2_evaluate_folder",
                case=case,
                file=path,
                code="CNT006",
            )
    return {"tp": tp, "fp": fp, "fn": fn, "tn": tn, "n_ref": tp + fn, "n_pred": tp + fp}


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST_VOXELS:
        return None
    return int(value) if value == int(value) else None


def _unequal(by_case: Mapping[str, Sequence[Mapping[str, Any]]], path: str | Path) -> dict[str, BaseException]:
    """Return an error per case that has no counts, or whose regions are not those of the others."""
    every = {row["region"] for rows in by_case.values() for row in rows}
    return {
        case: PostTxError(
            f"the counts of {', '.join(sorted(every - {row['region'] for row in rows})) or 'all labels'} are missing",
            remedy="Evaluate all cases with the same labels",
            case=case,
            file=path,
            code="CNT005",
        )
        for case, rows in by_case.items()
        if not rows or {row["region"] for row in rows} != every
    }

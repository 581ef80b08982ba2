"""Folds: grouped by patient, balanced by what the labels hold, and what a split by case alone would leak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from posttx.errors import PostTxError
from posttx.files import read_json
from posttx.networks.left_out import LEFT_OUT

RESTARTS = 20
NNUNET_SEED = 12345
NNUNET_FOLDS = 5
Split = dict[str, list[str]]


def assign_folds(cases: pd.DataFrame, volumes: pd.DataFrame, folds: int, seed: int) -> dict[str, int]:
    """Return case -> fold so that no patient is in two folds and the folds resemble each other.

    ``cases`` has ``case`` and ``patient``; ``volumes`` is indexed by case with one column per label, in any unit. Folds
    are balanced in the number of scans and, per label, in the number of scans that have it and in the summed cube root
    of its volume (a lesion's diameter: the raw volume would let a few giants decide). Largest patients first, each to
    the fold where the squared deviation from equal shares grows least; the best of ``RESTARTS`` orders is kept, so that
    the answer depends on ``seed`` and the table alone, not on the order of its rows. More folds than patients is an
    error.
    """
    ordered = cases.sort_values("case")
    members = ordered.groupby("patient", sort=True)["case"].apply(list)
    if folds > len(members):
        raise PostTxError(
            f"{len(members)} patients cannot be divided into {folds} folds",
            remedy=f"Set models.<name>.train.folds to {len(members)} or fewer",
        )
    held = volumes.reindex(ordered["case"]).fillna(0.0)
    values = held.to_numpy(dtype=float)
    columns = np.column_stack([np.ones(len(values)), values > 0, np.cbrt(values)])
    weights = pd.DataFrame(columns, index=held.index)
    shares = weights.groupby(ordered.set_index("case")["patient"]).sum().loc[members.index].to_numpy(dtype=float)
    shares = shares / (np.maximum(shares.sum(axis=0), 1e-12) / folds)
    chosen = _balanced(shares, folds, np.random.default_rng(seed))
    return {case: int(fold) for group, fold in zip(members, chosen, strict=True) for case in group}


def _balanced(shares: np.ndarray, folds: int, random: np.random.Generator) -> np.ndarray:
    best, least = np.zeros(len(shares), int), np.inf
    for _ in range(RESTARTS):
        # Noise on the size orders patients of like size differently, and leaves the large ones first.
        order = np.argsort(-shares.sum(axis=1) * random.uniform(0.8, 1.25, len(shares)))
        loads, chosen = np.zeros((folds, shares.shape[1])), np.zeros(len(shares), int)
        counts = np.zeros(folds, int)
        for rank, patient in enumerate(order):
            growth = ((loads + shares[patient] - 1) ** 2 - (loads - 1) ** 2).sum(axis=1)
            if folds - np.count_nonzero(counts) >= len(order) - rank:
                growth = np.where(counts > 0, np.inf, growth)
            fold = int(np.argmin(growth))
            loads[fold] += shares[patient]
            counts[fold] += 1
            chosen[patient] = fold
        deviation = float(((loads - 1) ** 2).sum())
        if deviation < least - 1e-12:
            best, least = chosen, deviation
    return best


def splits_of(folds: Mapping[str, int]) -> list[Split]:
    """Return nnU-Net's form of case -> fold: per fold the cases to train on (``train``) and to hold out (``val``)."""
    cases = sorted(folds)
    return [
        {"train": [c for c in cases if folds[c] != fold], "val": [c for c in cases if folds[c] == fold]}
        for fold in range(max(folds.values(), default=-1) + 1)
    ]


def default_splits(cases: Sequence[str], folds: int = NNUNET_FOLDS) -> list[Split]:
    """Return the split that nnU-Net makes when it finds none: k-fold over the sorted cases, blind to patients."""
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    return generate_crossval_split(sorted(cases), seed=NNUNET_SEED, n_splits=folds)


def leaked_cases(splits: Sequence[Split], patients: Mapping[str, str]) -> set[str]:
    """Return the held-out cases whose fold trains on another scan of the same patient."""
    leaked: set[str] = set()
    for split in splits:
        trained = {patients[case] for case in split["train"]}
        leaked |= {case for case in split["val"] if patients[case] in trained}
    return leaked


def leaked_share(splits: Sequence[Split], patients: Mapping[str, str]) -> float:
    """Return the share of held-out cases that ``leaked_cases`` names; NaN where nothing is held out."""
    held_out = sum(len(split["val"]) for split in splits)
    return len(leaked_cases(splits, patients)) / held_out if held_out else float("nan")


def fold_table(splits: Mapping[str, Sequence[Split]], cases: pd.DataFrame) -> pd.DataFrame:
    """Return one row per split and fold: what it separates, and what it holds out.

    ``splits`` is name -> folds; ``cases`` has ``case``, ``patient`` and ``volume_<label>`` (mm3), as ``write_splits``
    leaves them. Columns: ``split``, ``fold``, cases and patients, ``shared_patients`` (with scans on both sides of the
    fold's border), ``leaked_cases`` (held-out scans of these), and per label ``present_<label>`` (held-out scans that
    have it) and ``volume_<label>`` (their sum, mm3). Where ``cases`` has ``left_out``, the column of that name lists
    the values that are held out and in no training case of the fold. No split gives an empty table.
    """
    patients = dict(zip(cases["case"], cases["patient"], strict=True))
    volumes = cases.set_index("case").filter(regex="^volume_")
    value = dict(zip(cases["case"], cases[LEFT_OUT], strict=True)) if LEFT_OUT in cases else {}
    rows: list[dict[str, Any]] = []
    for name, folds in splits.items():
        for number, split in enumerate(folds):
            trained, held_out = ({patients[case] for case in split[side]} for side in ("train", "val"))
            held = volumes.loc[split["val"]]
            row: dict[str, Any] = {
                "split": name,
                "fold": number,
                **({LEFT_OUT: ", ".join(_only_held_out(split, value))} if value else {}),
                "train_cases": len(split["train"]),
                "held_out_cases": len(held),
            }
            row |= {"held_out_patients": len(held_out), "shared_patients": len(trained & held_out)}
            row["leaked_cases"] = len(leaked_cases([split], patients))
            for column in volumes:
                label = str(column).removeprefix("volume_")
                row |= {f"present_{label}": int((held[column] > 0).sum()), f"volume_{label}": float(held[column].sum())}
            rows.append(row)
    return pd.DataFrame(rows)


def _only_held_out(split: Split, value: Mapping[str, str]) -> list[str]:
    return sorted({value[case] for case in split["val"]} - {value[case] for case in split["train"]})


def check_splits(splits: Sequence[Split], patients: Mapping[str, str]) -> None:
    """Raise an error unless every case is held out exactly once and no patient crosses a fold's border."""
    held_out = sorted(case for split in splits for case in split["val"])
    if held_out != sorted(patients):
        raise PostTxError("the folds do not hold out every case exactly once", remedy="Delete splits_final.json")
    for fold, split in enumerate(splits):
        if set(split["train"]) | set(split["val"]) != set(patients) or set(split["train"]) & set(split["val"]):
            raise PostTxError(
                f"fold {fold} does not divide the cases into two parts", remedy="Delete splits_final.json"
            )
    leaked = leaked_cases(splits, patients)
    if leaked:
        raise PostTxError(
            f"{len(leaked)} held-out cases have another scan of their patient in training, such as {min(leaked)}",
            remedy="Delete splits_final.json",
        )


def split_of_fold(path: Path, fold: int) -> dict[str, list[str]]:
    """Return the cases that a fold trains on and holds out (``splits_final.json``); no such fold is an error."""
    if not path.is_file():
        raise PostTxError("the folds are not written yet", remedy="Run write_splits first", file=path)
    splits: list[dict[str, list[str]]] = read_json(path)
    if not 0 <= fold < len(splits):
        raise PostTxError(
            f"there is no fold {fold}: the file holds folds 0 to {len(splits) - 1}",
            remedy="Train one of these; nnU-Net would have split at random instead",
            file=path,
        )
    return splits[fold]

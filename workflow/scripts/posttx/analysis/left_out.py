"""What it costs never to have seen a site: the same cases by folds that leave their site out, and by mixed folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from posttx.analysis.comparison import COLUMNS as COMPARED
from posttx.analysis.comparison import Endpoints, compare_models

MIXED, APART = "mixed folds", "left out"
COLUMNS = ("fact", "left_out", *COMPARED, "differs")
# What decides the folds, and what neither changes a network nor its scores.
NOT_TRAINING = ("folds", "leave_out", "device", "checkpoint_minutes", "further_seeds", "uncertainty")


def gaps_to_mixed(
    apart: pd.DataFrame,
    mixed: pd.DataFrame,
    values: Mapping[str, str],
    fact: str,
    regions: Mapping[str, Sequence[int]],
    endpoints: Endpoints,
    seed: int,
    differs: Sequence[str],
) -> pd.DataFrame:
    """Return one row per value of ``fact``, region and measure: Dice by the two kinds of folds, paired by case.

    ``apart`` and ``mixed`` are metrics of the same cases, predicted out of folds that leave the case's value out
    (``values``: case -> value) and out of mixed ones. Columns are those of ``compare_models`` (``difference`` is left
    out minus mixed; Holm goes over all values), with ``fact``, ``left_out``, and ``differs``: settings that also differ
    between the trainings, comma-separated. Cases that one of the two lacks are left out, and counted.
    """
    parts = {
        value: {name: table[table["case"].map(values) == value] for name, table in ((MIXED, mixed), (APART, apart))}
        for value in sorted(set(values.values()))
    }
    found = compare_models(parts, regions, endpoints, seed)
    rows = [table.assign(fact=fact, left_out=value) for value, table in found.items()]
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=list(COLUMNS))
    return table.assign(differs=", ".join(differs))[list(COLUMNS)]


def other_settings(ours: Mapping[str, Any], theirs: Mapping[str, Any], model: str) -> list[str]:
    """Return what else than the folds differs between the configurations of two runs for a model of both, by key.

    A model that is not trained in the other run: ``train`` itself.
    """
    mine = ours["models"][model]["train"]
    other = theirs.get("models", {}).get(model, {}).get("train")
    if other is None:
        return ["train"]
    keys = [key for key in mine if key not in NOT_TRAINING and mine[key] != other.get(key, mine[key])]
    standard = theirs.get("standardize", ours["standardize"])
    return [*keys, *(["standardize"] if standard != ours["standardize"] else [])]

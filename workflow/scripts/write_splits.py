"""Divide the train cohort into folds by patient, before any fold is trained."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from posttx.errors import PostTxError
from posttx.files import read_json, read_parquet, write_json, write_parquet
from posttx.logs import configure_logging
from posttx.networks.splits import assign_folds, check_splits, default_splits, leaked_share, splits_of

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def split_table(cases: pd.DataFrame, labels: pd.DataFrame, folds: int, seed: int) -> pd.DataFrame:
    """Return ``case, patient, fold, volume_<name>...`` (mm3), sorted by case; labels without a row count as absent."""
    volumes = labels.pivot(index="case", columns="name", values="volume_mm3").reindex(cases["case"]).fillna(0.0)
    order = labels.sort_values("label")["name"].unique()
    fold = assign_folds(cases, volumes[order], folds, seed)
    table = cases[["case", "patient"]].sort_values("case", ignore_index=True)
    table["fold"] = table["case"].map(fold).astype("int64")
    for name in order:
        table[f"volume_{name}"] = table["case"].map(volumes[name]).astype("float64")
    return table


def write_splits(
    dataset: str | Path,
    cohort: str | Path,
    labels: str | Path,
    splits: str | Path,
    table: str | Path,
    folds: int,
    seed: int,
) -> None:
    """Write ``splits_final.json`` for the cases of ``dataset`` and the table that proves what it separates."""
    wanted = set(read_json(dataset)["dataset"])
    cases = read_parquet(cohort, columns=["case", "patient", "cohort"])
    cases = cases[cases["case"].isin(wanted)]
    if len(cases) != len(wanted):
        absent = min(wanted - set(cases["case"]))
        raise PostTxError(
            "a training case is not in the cohort table", remedy="Run scan again", case=absent, file=cohort
        )
    volumes = read_parquet(labels)
    volumes = volumes[(volumes["cohort"] == cases["cohort"].iloc[0]) & volumes["case"].isin(wanted)]
    divided = split_table(cases, volumes, folds, seed)
    patients = dict(zip(divided["case"], divided["patient"], strict=True))
    content = splits_of(dict(zip(divided["case"], divided["fold"], strict=True)))
    check_splits(content, patients)
    # nnU-Net cannot make its default split of fewer cases than folds.
    default = leaked_share(default_splits(list(patients), folds), patients) if len(patients) >= folds else float("nan")
    logger.info(
        "%d cases of %d patients in %d folds; nnU-Net's default split would leak %.1f %% of the held-out cases",
        len(patients),
        len(set(patients.values())),
        folds,
        100 * default,
    )
    write_json(splits, content)
    write_parquet(divided, table, {"default_split_leaks": f"{default:.6f}"})


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    given, made = snakemake.input, snakemake.output
    options = snakemake.params
    write_splits(given.dataset, given.cohort, given.labels, made.splits, made.table, options.folds, options.seed)

"""Divide the train cohort into folds by patient, before any fold is trained."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from posttx.errors import PostTxError
from posttx.facts import cohort_facts
from posttx.files import digest_of, read_json, read_parquet, write_json, write_parquet
from posttx.logs import configure_logging
from posttx.networks.left_out import LEFT_OUT, folds_left_out, values_left_out
from posttx.networks.splits import assign_folds, check_splits, default_splits, leaked_share, splits_of

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mixed:
    """How many folds that resemble each other, drawn with which seed."""

    folds: int
    seed: int


# Of folds that leave something out: case -> what.
Division = Mixed | Mapping[str, str]


def split_table(cases: pd.DataFrame, labels: pd.DataFrame, divide: Division) -> pd.DataFrame:
    """Return ``case, patient, fold, volume_<name>...`` (mm3), sorted by case; labels without a row count as absent.

    Where folds leave out what a fact says, the column ``left_out`` after ``fold`` says it.
    """
    volumes = labels.pivot(index="case", columns="name", values="volume_mm3").reindex(cases["case"]).fillna(0.0)
    order = labels.sort_values("label")["name"].unique()
    table = cases[["case", "patient"]].sort_values("case", ignore_index=True)
    if isinstance(divide, Mixed):
        fold = assign_folds(cases, volumes[order], divide.folds, divide.seed)
    else:
        fold = folds_left_out(divide)
    table["fold"] = table["case"].map(fold).astype("int64")
    if not isinstance(divide, Mixed):
        table[LEFT_OUT] = table["case"].map(dict(divide))
    for name in order:
        table[f"volume_{name}"] = table["case"].map(volumes[name]).astype("float64")
    return table


def write_splits(
    dataset: str | Path,
    cohort: str | Path,
    labels: str | Path,
    splits: str | Path,
    table: str | Path,
    divide: Division,
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
    divided = split_table(cases, volumes, divide)
    patients = dict(zip(divided["case"], divided["patient"], strict=True))
    content = splits_of(dict(zip(divided["case"], divided["fold"], strict=True)))
    check_splits(content, patients)
    folds = len(content)
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


def left_out(cohort: str | Path, settings: Mapping[str, Any], name: str, digest: str) -> dict[str, str]:
    """Return case -> what the fact ``name`` says of it, for all cases of a cohort's table.

    ``settings`` is the cohort's entry of the config, which says where its facts come from; an error where they say
    something else than the run was planned on, whose ``digest`` is given.
    """
    table = read_parquet(cohort, columns=["case", "patient", "cohort"])
    people = dict(zip(table["case"], table["patient"], strict=True))
    values = values_left_out(name, str(table["cohort"].iloc[0]), people, cohort_facts(settings))
    if digest_of(values) != digest:
        raise PostTxError(
            f"what the table of facts says of {name!r} changed since the run was planned", remedy="Run again"
        )
    return values


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    given, made, options = snakemake.input, snakemake.output, snakemake.params
    divide: Division = Mixed(options.folds, options.seed)
    if isinstance(options.folds, Mapping):
        # Not a parameter: the archive of `snakemake --report` tells those, and a table has a path.
        cohorts = snakemake.config["cohorts"].values()
        settings = next(cohort for cohort in cohorts if cohort["use"] == "train")
        divide = left_out(given.cohort, settings, options.folds["leave_out"], options.folds["values"])
    write_splits(given.dataset, given.cohort, given.labels, made.splits, made.table, divide)

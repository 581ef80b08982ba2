"""Compare the models of every cohort, two by two, from their metrics."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from posttx.analysis.comparison import Endpoints, compare_models
from posttx.analysis.ranks import rank_models
from posttx.csv_text import write_csv
from posttx.errors import PostTxError
from posttx.files import write_parquet
from posttx.logs import configure_logging
from posttx.schemas import CASE_METRICS, read_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def write_comparisons(
    metrics: Sequence[str | Path],
    previous: Sequence[str | Path],
    folder: str | Path,
    regions: Mapping[str, Sequence[int]],
    primary: Mapping[str, str],
    margins: Mapping[str, float],
    ranks: str | Path,
    resamples: int,
    seed: int,
    seeds: Mapping[str, Sequence[str]],
) -> None:
    """Write ``<cohort>.parquet`` and ``.csv`` of every cohort: pairs of its models to ``folder``, ranks to ``ranks``.

    Metrics files are called ``<cohort>/<model>.parquet``; ``previous`` are those of an earlier run, whose models are
    called ``<model> (previous)`` and taken as baselines only; ``seeds``: model -> those that differ by their seed. All
    cohorts are one job, because the p-values of all pairs of all cohorts are adjusted together.
    """
    cohorts: dict[str, dict[str, pd.DataFrame]] = {}
    for paths, suffix, read in ((previous, " (previous)", _earlier), (metrics, "", _metrics)):
        for path in paths:
            cohorts.setdefault(Path(path).parent.name, {})[f"{Path(path).stem}{suffix}"] = read(path)
    earlier = [f"{Path(path).stem} (previous)" for path in previous]
    endpoints = Endpoints(primary["measure"], primary["convention"], primary["region"], dict(margins))
    compared = compare_models(cohorts, regions, endpoints, seed, earlier, seeds)
    for cohort, comparison in compared.items():
        logger.info("%s: %d models, %d rows", cohort, len(cohorts[cohort]), len(comparison))
        now = {model: table for model, table in cohorts[cohort].items() if model not in earlier}
        ranked = rank_models(now, regions, endpoints, resamples, seed)
        for table, where in ((comparison, folder), (ranked, ranks)):
            write_parquet(table, Path(where) / f"{cohort}.parquet", {"seed": str(seed)})
            write_csv(table, Path(where) / f"{cohort}.csv")


def _metrics(path: str | Path) -> pd.DataFrame:
    return read_table(path, CASE_METRICS)


def _earlier(path: str | Path) -> pd.DataFrame:
    """Read the metrics of an earlier run, which this one cannot make anew."""
    try:
        return _metrics(path)
    except PostTxError as error:
        raise PostTxError(
            f"this table of the earlier run that `statistics.previous` names cannot be used: {error.problem}",
            remedy="Make it anew where that run was made, or leave `statistics.previous` empty",
            file=path,
            lines=error.lines,
        ) from error


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    settings = {key: value for key, value in snakemake.params.items() if key not in ("code", "models")}
    write_comparisons(snakemake.input.metrics, snakemake.input.get("previous", []), **settings)

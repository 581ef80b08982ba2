"""Make the table of what each lever changes and costs, from the metrics of models that differ in one lever alone."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from posttx.analysis.comparison import Endpoints
from posttx.analysis.levers import lever_effects, with_costs
from posttx.csv_text import write_csv
from posttx.files import write_parquet
from posttx.logs import configure_logging
from posttx.networks.checkpoints import read_checkpoint
from posttx.networks.lever_pairs import LeverPair
from posttx.networks.training import PROGRESS, read_progress_lines
from posttx.schemas import CASE_METRICS, read_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def write_levers(
    metrics: Sequence[str | Path],
    folders: Mapping[str, str | Path],
    output: Mapping[str, str | Path],
    pairs: Sequence[LeverPair],
    regions: Mapping[str, Sequence[int]],
    statistics: Mapping[str, Any],
) -> None:
    """Write the table as ``parquet`` and ``csv``; see ``posttx.analysis.levers``.

    Metrics files are called ``<cohort>/<model>.parquet``; ``folders``: trained model -> its nnU-Net folder, of which
    training time and parameters are read as far as they are there. ``statistics`` is that section of the config.
    """
    cohorts: dict[str, dict[str, pd.DataFrame]] = {}
    for path in map(Path, metrics):
        cohorts.setdefault(path.parent.name, {})[path.stem] = read_table(path, CASE_METRICS)
    primary, seed = statistics["primary"], statistics["seed"]
    endpoints = Endpoints(primary["measure"], primary["convention"], primary["region"], statistics["margins"])
    costs = {name: cost_of(folder) for name, folder in folders.items()}
    table = with_costs(lever_effects(cohorts, pairs, regions, endpoints, seed), pairs, costs)
    logger.info("%d levers, %d rows", len(pairs), len(table))
    write_parquet(table, output["parquet"], {"seed": str(seed)})
    write_csv(table, output["csv"])


def cost_of(folder: str | Path) -> tuple[float, float]:
    """Return hours of training over all folds and parameters of the network; NaN where nothing says it.

    An epoch that a resumed training wrote twice counts once. Parameters are the numbers that a fold's final checkpoint
    holds; weights that two parts of the network share count once.
    """
    seconds, parameters = [], math.nan
    for fold in sorted(Path(folder).glob("fold_*")):
        rows = read_progress_lines(fold / PROGRESS) if (fold / PROGRESS).is_file() else []
        seconds += [float(second) for second in {row["epoch"]: row.get("seconds") for row in rows}.values() if second]
        final = fold / "checkpoint_final.pth"
        if math.isnan(parameters) and final.is_file():
            weights = read_checkpoint(final)[0]["network_weights"]
            # nnU-Net's decoder holds its encoder, whose weights thus stand in a checkpoint more than once
            known = {value.untyped_storage().data_ptr(): value.numel() for value in weights.values()}
            parameters = float(sum(known.values()))
    return (sum(seconds) / 3600 if seconds else math.nan), parameters


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    options = snakemake.params
    pairs = [LeverPair(**pair) for pair in options.pairs]
    write_levers(
        snakemake.input.metrics,
        options.folders,
        snakemake.output,
        pairs,
        options.regions,
        options.statistics,
    )

"""Make the table of what it costs a model never to have seen a site, against an earlier run with mixed folds."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from posttx.analysis.comparison import Endpoints
from posttx.analysis.left_out import COLUMNS, gaps_to_mixed, other_settings
from posttx.csv_text import write_csv
from posttx.files import read_json, read_parquet, write_parquet
from posttx.logs import configure_logging
from posttx.networks.left_out import LEFT_OUT
from posttx.schemas import CASE_METRICS, read_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def write_left_out(
    metrics: str | Path,
    splits: str | Path,
    earlier: Mapping[str, str | Path],
    output: Mapping[str, str | Path],
    config: Mapping[str, Any],
    model: str,
    fact: str,
    regions: Mapping[str, Sequence[int]],
) -> None:
    """Write the table as ``parquet`` and ``csv``; see ``posttx.analysis.left_out``.

    ``earlier`` are ``metrics``, ``splits`` and ``provenance`` of the run that ``statistics.previous`` names. Where its
    folds left something out, too, there is nothing to compare with, and the table has no rows.
    """
    table = pd.DataFrame(columns=list(COLUMNS))
    if LEFT_OUT in read_parquet(earlier["splits"]):
        logger.warning("the folds of the earlier run left something out, too: it has no mixed folds to compare with")
    else:
        own = read_parquet(splits)
        statistics = config["statistics"]
        primary = statistics["primary"]
        endpoints = Endpoints(primary["measure"], primary["convention"], primary["region"], statistics["margins"])
        table = gaps_to_mixed(
            read_table(metrics, CASE_METRICS),
            read_table(earlier["metrics"], CASE_METRICS),
            dict(zip(own["case"], own[LEFT_OUT], strict=True)),
            fact,
            regions,
            endpoints,
            statistics["seed"],
            other_settings(config, read_json(earlier["provenance"]).get("config", {}), model),
        )
    logger.info("%d rows", len(table))
    write_parquet(table, output["parquet"], {"seed": str(config["statistics"]["seed"])})
    write_csv(table, output["csv"])


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    given = snakemake.input
    write_left_out(
        given.metrics,
        given.splits,
        dict(zip(("metrics", "splits", "provenance"), given.earlier, strict=True)),
        snakemake.output,
        snakemake.config,
        snakemake.wildcards.model,
        snakemake.params.fact,
        snakemake.params.regions,
    )

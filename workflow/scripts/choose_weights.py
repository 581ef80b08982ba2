"""Choose the weights of an ensemble's members on out-of-fold predictions, cross-fitted by fold."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from posttx.csv_text import write_csv
from posttx.files import read_parquet, write_json, write_parquet
from posttx.logs import configure_logging
from posttx.networks.weighing import as_record, choose

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def choose_weights(
    counts: Sequence[str | Path], cohort: str | Path, members: Sequence[str], output: Mapping[str, str | Path]
) -> None:
    """Write ``weights`` (JSON) and the table of the choice (``parquet`` and ``csv``); see ``weighing.choose``.

    ``counts`` are the tables of all shards, ``cohort`` is the train cohort's, which says whose scans cases are.
    """
    table = pd.concat([shard for path in counts if len(shard := read_parquet(path))])
    people = read_parquet(cohort, columns=["case", "patient"])
    weights, choice = choose(table, members, dict(zip(people["case"], people["patient"], strict=True)))
    logger.info("weights of %s: %s", ", ".join(members), ", ".join(f"{weight:g}" for weight in weights.final))
    write_parquet(choice, output["parquet"])
    write_csv(choice, output["csv"])
    write_json(output["weights"], as_record(weights))


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    choose_weights(snakemake.input.counts, snakemake.input.cohort, snakemake.params.members, snakemake.output)

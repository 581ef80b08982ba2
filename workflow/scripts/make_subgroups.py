"""Make the table of subgroups of one model on one cohort from its metrics and the facts about the cohort's cases."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from posttx.analysis.subgroups import subgroups
from posttx.conventions import convention_of
from posttx.facts import cohort_facts
from posttx.files import replacing, write_parquet
from posttx.logs import configure_logging
from posttx.missing_modalities import missing_facts
from posttx.rows import read_rows
from posttx.schemas import CASE_METRICS, COHORT, read_table
from posttx.scoring.scores import scores_from

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def write_subgroups(
    metrics: str | Path,
    everywhere: Sequence[str | Path],
    cohort: Mapping[str, Any],
    output: Mapping[str, str | Path],
    regions: Mapping[str, Sequence[int]],
    convention: str,
    cases: str | Path = "",
) -> None:
    """Write the table as ``parquet`` and ``csv``; see ``posttx.analysis.subgroups``.

    ``metrics`` is the model's table on the cohort, ``everywhere`` its tables on all cohorts that have a reference;
    ``cohort`` is the cohort's entry of the config, which says where facts about its cases come from;
    ``cases`` is its table, "" where it is known by counts alone: which modalities a case lacks is a fact, too.
    """
    known = [*cohort_facts(cohort), *(missing_facts(read_rows(cases, COHORT)) if cases else [])]
    scores = scores_from(read_table(metrics, CASE_METRICS), regions)
    every = pd.concat([_apart(read_table(path, CASE_METRICS)) for path in everywhere], ignore_index=True)
    all_scores = scores_from(every, regions)
    cohorts = [case.split("/")[0] for case in all_scores.cases]
    table = subgroups(scores, known, convention_of(convention), all_scores, cohorts)
    logger.info("%d facts, %d rows of subgroups", len(known), len(table))
    write_parquet(table, output["parquet"], {"convention": convention})
    with replacing(output["csv"]) as beside:
        table.to_csv(beside, index=False)


def _apart(table: pd.DataFrame) -> pd.DataFrame:
    """Return a cohort's metrics with the cohort in the names of its cases: two cohorts may use one id."""
    return table.assign(case=table["cohort"] + "/" + table["case"])


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    write_subgroups(
        snakemake.input.metrics,
        snakemake.input.everywhere,
        # Not a parameter: the archive of `snakemake --report` tells those, and a sheet has a path.
        snakemake.config["cohorts"][snakemake.wildcards.cohort],
        snakemake.output,
        snakemake.params.regions,
        snakemake.params.convention,
        snakemake.input.get("cases", ""),
    )

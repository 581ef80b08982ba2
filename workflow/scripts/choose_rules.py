"""Choose the rules of post-processing of a model on its out-of-fold predictions, or score those that a user gives."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from posttx.csv_text import write_csv
from posttx.errors import PostTxError
from posttx.files import read_parquet, write_json, write_parquet
from posttx.logs import configure_logging
from posttx.postprocess.choice import Predicted, choose, judged_as_given
from posttx.postprocess.rules import RuleSet, rule_set
from posttx.postprocess.subsets import Cohort
from posttx.schemas import COMPONENTS, OVERLAPS, read_table
from posttx.scoring.scoring_schemes import scoring_scheme

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def choose_rules(
    overlaps: Sequence[str | Path],
    components: Sequence[str | Path],
    splits: str | Path,
    output: Mapping[str, str | Path],
    model: str,
    given: Mapping[str, Any] | None,
    names: Mapping[int, str],
    measure: str,
    scheme: str,
    snfh_dilation: str,
) -> None:
    """Write the rule file (``rules``) and the table (``parquet``, ``csv``) of a model.

    ``overlaps`` and ``components`` are the tables of all shards of the train cohort, ``names`` maps integer -> class,
    ``given`` is the content of a user's own file, which holds for all cases. No case with a reference is an error.
    """
    rows = pd.concat([read_table(path, OVERLAPS) for path in overlaps], ignore_index=True)
    if not len(rows):
        raise PostTxError(
            "no case of the train cohort has a reference that its prediction can be laid on: no rule can be chosen",
            remedy=f"Set models.{model}.train.postprocess to none, or see the findings of the audit",
        )
    cohort = Cohort.of(rows, {name: label for label, name in names.items()}, scoring_scheme(scheme, snfh_dilation))
    parts = [read_table(path, COMPONENTS) for path in components]
    table = read_parquet(splits)
    predicted = Predicted.of(cohort, pd.concat(parts, ignore_index=True), table)
    folds = int(table["fold"].max()) + 1
    if given:
        rules = rule_set(given)
        found = judged_as_given(predicted, measure, [rules.of_fold(fold) for fold in range(folds)], rules.rules)
    else:
        found = choose(predicted, measure, folds)
        rules = RuleSet(model, names, found.rules, measure, found.folds)
    logger.info("rules of %s: %s", model, rules.content()["rules"] or "none")
    write_json(Path(output["rules"]), rules.content())
    write_parquet(found.table, output["parquet"], {"measure": measure})
    write_csv(found.table, output["csv"])


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    settings = {key: value for key, value in snakemake.params.items() if key != "code"}
    inputs = snakemake.input
    choose_rules(
        inputs.overlaps,
        inputs.components,
        inputs.splits,
        snakemake.output,
        snakemake.wildcards.model,
        **settings,
    )

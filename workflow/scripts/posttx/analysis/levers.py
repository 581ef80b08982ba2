"""What each lever of an ablation changes: a model against the plain one that it differs from in that lever alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from posttx.analysis.comparison import COLUMNS as COMPARED
from posttx.analysis.comparison import KINDS, PRIMARY, VERDICTS, Endpoints, compare_pair, with_verdicts
from posttx.analysis.judgements import Outcome
from posttx.networks.lever_pairs import LeverPair
from posttx.scoring.scores import Scores, scores_from

LEVER_VERDICTS: Mapping[Outcome, str] = {
    **VERDICTS,
    Outcome.SEEDS_DISAGREE: "over all seeds a difference is shown, but one of them alone points the other way",
}
# Training time of all folds in hours and parameters of the network, of one seed.
COSTS = ("hours", "baseline_hours", "parameters", "baseline_parameters")
COLUMNS = (
    "cohort", "lever", "setting", *COMPARED, "n_seeds", "seed_models", "seeds_lowest", "seeds_highest", *COSTS
)  # fmt: skip
VALUE = ["convention", "metric", "region"]


def lever_effects(
    cohorts: Mapping[str, Mapping[str, pd.DataFrame]],
    pairs: Sequence[LeverPair],
    regions: Mapping[str, Sequence[int]],
    endpoints: Endpoints,
    seed: int,
) -> pd.DataFrame:
    """Return one row per cohort, pair and value, costs left NaN (``with_costs``).

    ``cohorts`` maps cohort -> model -> its metrics table; a pair that lacks one of its models there is left out.
    Values, intervals and p-values are those of ``compare_pair``, over the seeds that both models have, averaged case by
    case; p is adjusted by Holm over all pairs and cohorts of this table. ``seeds_lowest`` and ``seeds_highest`` are the
    differences of the seeds one by one, whose models ``seed_models`` names, `baseline:model`. A verdict for or against
    the lever that some seed contradicts is ``seeds disagree``.
    """
    parts = []
    for cohort, metrics in cohorts.items():
        there = [pair for pair in pairs if all(name in metrics for both in pair.seeds for name in both)]
        names = {name for pair in there for both in pair.seeds for name in both}
        scores = {name: scores_from(metrics[name], regions) for name in sorted(names)}
        parts += [_rows(pair, scores, endpoints, seed).assign(cohort=cohort) for pair in there]
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    table = with_verdicts(pd.concat(parts, ignore_index=True))
    claimed = table["verdict"].isin([Outcome.BETTER, Outcome.WORSE])
    torn = (np.sign(table["seeds_lowest"]) != np.sign(table["seeds_highest"])) & (table["n_seeds"] > 1)
    table.loc[claimed & torn, "verdict"] = str(Outcome.SEEDS_DISAGREE)
    for name in COSTS:
        table[name] = np.nan
    return table[list(COLUMNS)].astype(KINDS | {"n_seeds": "Int64"})


def _rows(pair: LeverPair, scores: Mapping[str, Scores], endpoints: Endpoints, seed: int) -> pd.DataFrame:
    before, after = ([scores[both[place]] for both in pair.seeds] for place in (0, 1))
    table = compare_pair(pair.baseline, pair.model, before, after, endpoints, seed)
    alone = [
        compare_pair(pair.baseline, pair.model, [one], [other], endpoints, seed)["difference"]
        for one, other in zip(before, after, strict=True)
    ]
    each = np.array(alone if len(alone) > 1 else [table["difference"]], np.float64)
    table = table.assign(lever=pair.lever, setting=pair.setting, n_seeds=len(pair.seeds))
    table = table.assign(seed_models=", ".join(map(":".join, pair.seeds)))
    return table.assign(seeds_lowest=each.min(axis=0), seeds_highest=each.max(axis=0))


def with_costs(
    table: pd.DataFrame, pairs: Sequence[LeverPair], costs: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    """Return the table with what each model and its baseline cost: the sum over the networks that it consists of.

    ``costs``: trained model -> (hours of training of all its folds, parameters of its network), NaN where not known.
    """
    unknown = (np.nan, np.nan)
    table = table.copy()
    for pair in pairs:
        rows = (table["model"] == pair.model) & (table["baseline"] == pair.baseline)
        own = np.sum([costs.get(name, unknown) for name in pair.networks] or [unknown], axis=0)
        table.loc[rows, list(COSTS)] = [own[0], costs.get(pair.baseline, unknown)[0],
                                        own[1], costs.get(pair.baseline, unknown)[1]]  # fmt: skip
    return table


def pairs_in(table: pd.DataFrame) -> list[LeverPair]:
    """Return the pairs that a table of ``lever_effects`` compares; what networks they consist of it does not say."""
    columns = ["lever", "setting", "model", "baseline", "seed_models"]
    found = table.drop_duplicates(columns)[columns].itertuples(index=False)
    return [
        LeverPair(lever, setting, model, baseline, tuple(_both(part) for part in models.split(", ")), ())
        for lever, setting, model, baseline, models in found
    ]


def _both(text: str) -> tuple[str, str]:
    baseline, model = text.split(":")
    return baseline, model


def primary_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the primary endpoint's measure and convention, all regions."""
    first = table[table["endpoint"] == PRIMARY]
    if first.empty:
        return first
    named = first.iloc[0]
    return table[(table["metric"] == named["metric"]) & (table["convention"] == named["convention"])]

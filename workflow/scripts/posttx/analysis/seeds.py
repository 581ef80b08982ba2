"""Spread over seeds: how far the same training, started from other random numbers, comes out elsewhere.

An interval by patient holds one trained network fixed; a training has a chance of its own. A difference between two
models that is no larger than that between two seeds of one says nothing of their methods (Bouthillier et al., MLSys
2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from posttx.analysis.estimates import estimate, measured
from posttx.analysis.statistics import LEVEL
from posttx.analysis.subgroups import MEAN
from posttx.conventions import LESION_WISE, Convention
from posttx.errors import PostTxError
from posttx.measures import Measure
from posttx.scoring.scores import Scores

FloatArray = npt.NDArray[np.float64]
COLUMNS = (
    "label", "region", "measure", "convention", "n_seeds", "seeds_mean", "seeds_sd", "seeds_lowest", "seeds_highest",
    "seeds_difference", "value", "ci_low", "ci_high", "n", "n_patients",
)  # fmt: skip


@dataclass(frozen=True)
class SeedSpread:
    """What k seeds (k, regions) come to, per region; NaN where fewer than two have a value."""

    count: npt.NDArray[np.int64]
    mean: FloatArray
    sd: FloatArray
    lowest: FloatArray
    highest: FloatArray

    @classmethod
    def of(cls, values: FloatArray) -> SeedSpread:
        """Return the spread of values (seeds, regions); the standard deviation is that of a sample."""
        count = (~np.isnan(values)).sum(axis=0)
        known = pd.DataFrame(np.where(count > 1, values, np.nan))
        parts = (known.mean(), known.std(), known.min(), known.max())
        return cls(count.astype(np.int64), *(part.to_numpy(np.float64) for part in parts))

    @property
    def difference(self) -> FloatArray:
        """Return what the difference of two further seeds stays within in 95 % of the cases, by Student's t."""
        freedom = np.maximum(self.count - 1, 1)
        return np.sqrt(2) * self.sd * stats.t.ppf((1 + LEVEL) / 2, freedom)


def seed_spread(models: Mapping[str, Scores], convention: Convention) -> pd.DataFrame:
    """Return one row per region (and mean over labels) and measure: its spread over seeds, and one model's interval.

    ``models`` are the scores of models that differ by the seed of their training alone, the one whose interval by
    patient stands beside first (``value``, ``ci_low``, ``ci_high``); all are scored on the same cases, else an error.
    Measures are those of ``convention`` and, where lesions were measured, the lesion-wise ones. ``seeds_difference`` is
    what the difference of two further seeds stays within in 95 % of the cases. Fewer than two models: no rows.
    """
    first, *others = models.values()
    if any(scores.cases != first.cases for scores in others):
        raise PostTxError(
            f"the models {', '.join(models)} are not scored on the same cases", remedy="Run the prediction again"
        )
    rows: list[dict[str, object]] = []
    for rule in dict.fromkeys((convention, LESION_WISE)) if others else ():
        for measure in measured(first, rule):
            rows += _rows(list(models.values()), rule, measure)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(("label", "n_seeds", "n", "n_patients"), "Int64"))


def _rows(models: list[Scores], convention: Convention, measure: Measure) -> list[dict[str, object]]:
    regions = [*zip(models[0].labels, models[0].regions, strict=True), (None, MEAN)]
    found = [_with_mean(scores, convention, measure) for scores in models]
    spread, one = SeedSpread.of(np.array([estimates[0] for estimates in found])), found[0]
    difference = spread.difference
    return [
        {
            "label": label, "region": region, "measure": measure.id, "convention": convention.name,
            "n_seeds": spread.count[k], "seeds_mean": spread.mean[k], "seeds_sd": spread.sd[k],
            "seeds_lowest": spread.lowest[k], "seeds_highest": spread.highest[k], "seeds_difference": difference[k],
            "value": one[0][k], "ci_low": one[1][k], "ci_high": one[2][k], "n": one[3][k], "n_patients": one[4][k],
        }
        for k, (label, region) in enumerate(regions)
    ]  # fmt: skip


def _with_mean(scores: Scores, convention: Convention, measure: Measure) -> tuple[npt.NDArray[np.generic], ...]:
    """Return value, low, high, n and n_patients of every region, and of the mean over labels last."""
    each = estimate(scores, convention, measure)
    over = estimate(scores.per_label, convention, measure, over_labels=True)

    def both(part: str) -> npt.NDArray[np.generic]:
        return np.concatenate([getattr(each, part), getattr(over, part)])

    return tuple(map(both, ("value", "low", "high", "n", "n_patients")))

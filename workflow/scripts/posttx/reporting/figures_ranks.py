"""The figure of models ranked against each other on one cohort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from posttx.reporting.style import INK, SMALL, WIDTH, figure, say


def draw_ranks(ranks: pd.DataFrame, path: str | Path) -> None:
    """Draw the mean rank of every model with its interval, the best on top, and how often it wins a resample.

    ``ranks`` is the table of ``analysis.ranks.rank_models``; a model without an interval is a point.
    """
    with figure(path, size=(WIDTH, 1.3 + 0.45 * max(1, len(ranks)))) as axes:
        if ranks.empty:
            return say(axes, "Fewer than two models have a case in common.")
        places = np.arange(len(ranks))
        mean = ranks["mean_rank"].to_numpy(float)
        reach = np.abs(ranks[["mean_rank_ci_low", "mean_rank_ci_high"]].to_numpy(float).T - mean)
        axes.errorbar(
            mean, places, xerr=np.nan_to_num(reach), fmt="o", color=INK, markersize=5, capsize=3, linewidth=1.2
        )
        axes.set_yticks(places, [str(name) for name in ranks["model"]], parse_math=False)
        for place, (_, row) in zip(places, ranks.iterrows(), strict=True):
            if np.isfinite(row["first_percent"]):
                told = f"first in {row['first_percent']:.0f} %"
                axes.annotate(told, (1.0, place), xycoords=("axes fraction", "data"),
                              xytext=(6, 0), textcoords="offset points", va="center", fontsize=SMALL)  # fmt: skip
        first = ranks.iloc[0]
        axes.set(
            ylim=(len(ranks) - 0.5, -0.5),
            xlabel=f"mean rank, 1 the best ({first['n']} of {first['n_any']} scans, {first['n_patients']} patients)",
        )
        axes.grid(axis="y", visible=False)

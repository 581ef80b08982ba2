"""The forest figure: Dice of every subgroup with its interval, one panel per class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from posttx.analysis.evidence import Evidence
from posttx.analysis.subgroups import MEAN
from posttx.reporting.style import INK, SMALL, entitle, panels, say

SHOWN = (Evidence.ABOVE, Evidence.BELOW)
NO_GROUPS = "There are no subgroups to compare."
LONGEST = 24
COLUMNS = 3


def draw_subgroups(subgroups: pd.DataFrame, colors: Mapping[str, str], convention: str, path: str | Path) -> None:
    """Draw the mean Dice of each subgroup with its interval, a panel per label and one for the mean over labels.

    ``subgroups`` is the table of ``analysis.subgroups``; filled marks have a gap to the rest that is shown, hollow
    ones have none. The number of patients stands beside each group's name; a group without interval is a mark alone.
    """
    rows = subgroups[(subgroups["convention"] == convention) & subgroups["value"].notna()]
    regions = [name for name in (*colors, MEAN) if name in set(rows["region"])]
    groups = list(dict.fromkeys(zip(rows["fact"], rows["group"], strict=True)))
    with panels(path, len(regions) if groups else 0, COLUMNS, 1.0 + 0.24 * len(groups), 0.0, sharex=True,
                sharey=True) as axes:  # fmt: skip
        if not groups:
            return say(axes[0], NO_GROUPS)
        for panel, region in zip(axes, regions, strict=True):
            own = rows[rows["region"] == region].set_index(["fact", "group"])
            for place, key in enumerate(groups):
                if key in own.index:
                    _mark(panel, place, own.loc[key], colors.get(region, INK))
            entitle(panel, "mean over labels" if region == MEAN else region, "patients")
            panel.set(ylim=(len(groups) - 0.4, -0.6), xlim=(-0.02, 1.14))
            panel.set_yticks(range(len(groups)), [_name(*key) for key in groups], parse_math=False, fontsize=SMALL)
            panel.grid(axis="y", visible=False)
            panel.set_xticks((0, 0.25, 0.5, 0.75, 1.0), ("0", ".25", ".5", ".75", "1"))
            panel.tick_params(labelbottom=True)
            panel.set_xlabel("Dice")


def _mark(panel: Axes, place: int, row: pd.Series, color: str) -> None:
    if not np.isnan(row["ci_low"]):
        panel.plot([row["ci_low"], row["ci_high"]], [place, place], color=color, linewidth=1.4)
    shown = row["outcome"] in SHOWN
    panel.plot(row["value"], place, "o", color=color, markersize=5, markerfacecolor=color if shown else "none")
    panel.annotate(
        f"{row['n_patients']}", (1.13, place), ha="right", va="center", fontsize=SMALL, color=INK, annotation_clip=False
    )


def _name(fact: str, group: str) -> str:
    name = f"{fact}: {group}"
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"

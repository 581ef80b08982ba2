"""Figures of the data alone: intensities, class shares, and which classes occur together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from posttx.cases import MODALITIES
from posttx.reporting.palettes import MODALITY_NAMES, cycle
from posttx.reporting.style import INK, ON_PALE, PALE, SMALL, WIDTH, figure, logarithmic, note, points, say

# of straight lines: circles make a file of 100 kB
HATCHES = ("", "//", "\\\\", "xx", "--", "||", "++")
COMBINATIONS = 12


def draw_intensities(intensity: pd.DataFrame, path: str | Path) -> None:
    """Draw the 99th percentile of every case, per modality and cohort, on a log axis.

    ``intensity`` has columns cohort, modality, p99 (scanner units, over non-zero voxels); values that are not above 0
    cannot stand on a log axis and are left out, their number written into the figure.
    """
    drawn = intensity[intensity["p99"] > 0]
    cohorts = list(dict.fromkeys(drawn["cohort"]))
    with figure(path, size=(WIDTH, 3.9)) as axes:
        if drawn.empty:
            return say(axes, "No image was audited.")
        colors = cycle(cohorts)
        options = {"x": "modality", "y": "p99", "hue": "cohort", "order": MODALITIES, "hue_order": cohorts}
        sns.boxplot(
            drawn, **options, palette=colors, ax=axes, fliersize=0, width=0.7, gap=0.12, linewidth=0.9, legend=True,
            linecolor=INK, boxprops={"alpha": 0.35},
        )  # fmt: skip
        _jitter(axes, drawn, cohorts, colors)
        logarithmic(axes, "y")
        axes.set_xticks(range(len(MODALITIES)), [MODALITY_NAMES[name] for name in MODALITIES])
        axes.set(xlabel="", ylabel="99th percentile of non-zero voxels\n(scanner units, log)")
        handles, labels = axes.get_legend_handles_labels()
        cases = drawn.groupby("cohort")["case"].nunique()
        axes.legend(handles, [f"{name} (n = {cases[name]})" for name in labels], ncols=3, loc="lower left",
                    bbox_to_anchor=(0, 1.0))  # fmt: skip
        left_out = len(intensity) - len(drawn)
        note(axes, f"{left_out} without a positive value not drawn" if left_out else "")


def draw_class_shares(labels: pd.DataFrame, colors: Mapping[str, str], path: str | Path) -> None:
    """Draw each class's share of all labelled voxels, one stacked bar per cohort.

    ``labels`` has columns cohort, label, name, voxels; names without a colour (integers the scheme does not know) are
    drawn grey.
    """
    totals = labels.groupby(["cohort", "label", "name"], sort=False)["voxels"].sum().reset_index()
    cohorts = list(dict.fromkeys(totals["cohort"]))
    with figure(path, size=(WIDTH, 1.3 + 0.62 * max(1, len(cohorts)))) as axes:
        if totals["voxels"].sum() == 0:
            return say(axes, "No reference segmentation holds a labelled voxel.")
        for i, (name, rows) in enumerate(totals.sort_values("label").groupby("name", sort=False)):
            values = rows.set_index("cohort")["voxels"].reindex(cohorts, fill_value=0).to_numpy(float)
            sums = totals.groupby("cohort")["voxels"].sum().reindex(cohorts).to_numpy(float)
            share = 100 * np.divide(values, sums, out=np.zeros_like(values), where=sums > 0)
            starts = _stacked(axes, len(cohorts))
            bars = axes.barh(
                range(len(cohorts)), share, left=starts, color=colors.get(str(name), "#888888"), label=str(name),
                hatch=HATCHES[i % len(HATCHES)], edgecolor="white", linewidth=0.6, height=0.62,
            )  # fmt: skip
            axes.bar_label(
                bars, [f"{value:.1f}" if value >= 4 else "" for value in share], label_type="center", fontsize=9,
                bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "boxstyle": "round,pad=0.15"},
                color=ON_PALE,
            )  # fmt: skip
        cases = labels.groupby("cohort")["case"].nunique()
        axes.set_yticks(range(len(cohorts)), [f"{name}\n(n = {cases[name]})" for name in cohorts], parse_math=False)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(xlim=(0, 100), xlabel="share of the labelled voxels (%)")
        axes.legend(ncols=7, loc="lower left", bbox_to_anchor=(0, 1.0))


def draw_presence(labels: pd.DataFrame, colors: Mapping[str, str], path: str | Path) -> None:
    """Draw which classes occur together: one row per combination, its share of the cases of each cohort.

    ``labels`` has columns cohort, case, label, name, voxels, one row per case and label of the scheme.
    """
    if labels.empty:
        with figure(path) as axes:
            return say(axes, "No reference segmentation was audited.")
    names = list(dict.fromkeys(labels.sort_values("label")["name"]))
    present = labels.assign(there=labels["voxels"] > 0).pivot_table(
        index=["cohort", "case"], columns="name", values="there", aggfunc="any", fill_value=False
    )[names]
    counts = present.groupby(names).size().sort_values(ascending=False).head(COMBINATIONS)
    cohorts = list(dict.fromkeys(labels["cohort"]))
    size = (WIDTH, 1.0 + len(counts) * (0.12 + 0.1 * len(cohorts)))
    with figure(path, 1, 2, size=size, width_ratios=(1, 2.4)) as axes:
        left, right = axes[0]
        for row, pattern in enumerate(counts.index):
            pattern = pattern if isinstance(pattern, tuple) else (pattern,)
            for column, (name, there) in enumerate(zip(names, pattern, strict=True)):
                left.scatter(column, row, s=70, color=colors.get(name, "#888888") if there else "none",
                             edgecolor=INK if there else PALE, linewidth=0.8)  # fmt: skip
        left.set_xticks(range(len(names)), names)
        left.set_yticks([])
        left.set(xlim=(-0.6, len(names) - 0.4), ylim=(len(counts) - 0.4, -0.6))
        left.grid(visible=False)
        left.spines[["left", "bottom"]].set_visible(False)
        left.tick_params(length=0)
        _share_bars(right, present, counts, cohorts)


def _share_bars(axes: Axes, present: pd.DataFrame, counts: pd.Series, cohorts: list[str]) -> None:
    names = list(present.columns)
    colors = cycle(cohorts)
    height = 0.78 / len(cohorts)
    for i, cohort in enumerate(cohorts):
        mine = present.loc[[cohort]]
        shares = mine.groupby(names).size().reindex(counts.index, fill_value=0) / len(mine) * 100
        places = np.arange(len(counts)) + (i - (len(cohorts) - 1) / 2) * height
        bars = axes.barh(places, shares, height=height * 0.92, color=colors[cohort], alpha=0.8,
                         label=f"{cohort} (n = {len(mine)})")  # fmt: skip
        axes.bar_label(bars, [f"{share:.0f}" if share else "" for share in shares], padding=2, fontsize=SMALL)
    axes.set(ylim=(len(counts) - 0.4, -0.6), xlabel="share of the cohort's cases (%)", yticks=[])
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3)


def _stacked(axes: Axes, count: int) -> np.ndarray:
    starts = np.zeros(count)
    for container in axes.containers:
        starts = starts + np.array([bar.get_width() for bar in container])
    return starts


def _jitter(axes: Axes, drawn: pd.DataFrame, cohorts: list[str], colors: Mapping[str, str]) -> None:
    """Draw single cases over the boxes with a seeded jitter, so that the same data give the same file."""
    draw = np.random.default_rng(0)
    width = 0.7 / len(cohorts)
    for i, cohort in enumerate(cohorts):
        for j, modality in enumerate(MODALITIES):
            values = drawn.loc[(drawn["cohort"] == cohort) & (drawn["modality"] == modality), "p99"].to_numpy(float)
            places = j + (i - (len(cohorts) - 1) / 2) * width + draw.uniform(-0.28, 0.28, len(values)) * width
            points(axes, places, values, colors[cohort], size=8)

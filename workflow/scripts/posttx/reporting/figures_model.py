"""Figures of one model on one cohort, from its case metrics and tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from posttx.analysis.agreement import log_limits
from posttx.conventions import states_of
from posttx.reporting.style import INK, STATES, figure, logarithmic, say

NO_REFERENCE = "No case has a reference for it."
BOOTSTRAPS = 400
SMALLEST_TREND = 5


def with_states(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose state is known (``posttx.conventions.STATES``), with a ``state`` column."""
    n_ref, n_pred = (
        np.asarray(metrics[name].astype("Float64").to_numpy(np.float64, na_value=np.nan), dtype=np.float64)
        for name in ("n_ref", "n_pred")
    )
    return metrics.assign(state=states_of(n_ref, n_pred)).dropna(subset=["state"])


def draw_dice(metrics: pd.DataFrame, colors: Mapping[str, str], path: str | Path) -> None:
    """Draw the Dice of every case per region; missed and hallucinated classes have their own marks at 0."""
    scored = with_states(metrics)
    regions = [name for name in colors if name in set(scored["region"])]
    with figure(path, size=(7.6, 4.4)) as axes:
        if not regions:
            return say(axes, NO_REFERENCE)
        draw = np.random.default_rng(0)
        for place, region in enumerate(regions):
            rows = scored[scored["region"] == region]
            _distribution(axes, place, rows, colors[region], draw)
        singles = [name for name in regions if scored.loc[scored["region"] == name, "label"].notna().any()]
        if len(singles) < len(regions):
            axes.axvline(len(singles) - 0.5, color=INK, linewidth=0.6, linestyle=":")
        axes.set_xticks(range(len(regions)), [_counts(region, scored) for region in regions])
        axes.set(ylim=(-0.09, 1.04), xlim=(-0.6, len(regions) - 0.4), ylabel="Dice")
        axes.grid(axis="x", visible=False)
        for state, marker in STATES.items():
            axes.scatter([], [], marker=marker, color=INK, s=22, label=state)
        axes.plot([], [], color=INK, linewidth=2, label="median, where present")
        axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2)


def _distribution(axes: Axes, place: int, rows: pd.DataFrame, color: str, draw: np.random.Generator) -> None:
    for state, marker in STATES.items():
        dice = rows.loc[rows["state"] == state, "dice"].to_numpy(float)
        depth = {"present": 0.0, "missed": -0.025, "hallucinated": -0.055}[state]
        places = place + draw.uniform(-0.27, 0.27, len(dice))
        axes.scatter(places, dice + depth, marker=marker, s=13 if state == "present" else 20, color=color,
                     alpha=0.65, linewidth=0, zorder=3)  # fmt: skip
    present = rows.loc[rows["state"].isin(["present", "missed"]), "dice"].dropna().to_numpy(float)
    if len(present) >= SMALLEST_TREND:
        axes.boxplot([present], positions=[place], widths=0.68, showfliers=False, patch_artist=True, zorder=2,
                     manage_ticks=False, boxprops={"facecolor": "none", "edgecolor": INK, "linewidth": 0.8},
                     whiskerprops={"color": INK, "linewidth": 0.8}, capprops={"color": INK, "linewidth": 0.8},
                     medianprops={"color": INK, "linewidth": 2})  # fmt: skip
    elif len(present):
        axes.hlines(np.median(present), place - 0.3, place + 0.3, color=INK, linewidth=2, zorder=4)


def _counts(region: str, scored: pd.DataFrame) -> str:
    counts = scored.loc[scored["region"] == region, "state"].value_counts()
    there = int(counts.get("present", 0) + counts.get("missed", 0))
    invented = int(counts.get("hallucinated", 0))
    lines = [f"present {there}", f"missed {counts.get('missed', 0)}", f"absent {counts.get('absent', 0) + invented}"]
    return "\n".join([region, *lines, f"halluc. {invented}"])


def draw_volume_dice(metrics: pd.DataFrame, colors: Mapping[str, str], path: str | Path) -> None:
    """Draw the Dice of a class against its reference volume (log axis), with the running trend and its interval.

    Only cases whose reference holds the class are drawn. The trend is a straight line of Dice on log10 volume; the band
    is the 95 % interval of that line from resampling patients.
    """
    singles = single_labels(metrics, colors)
    columns = min(2, max(1, len(singles)))
    rows = -(-max(1, len(singles)) // columns)
    with figure(path, rows, columns, size=(7.6, 2.6 * rows + 0.3), sharey=True) as axes:
        panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
        for panel in panels[len(singles) :]:
            say(panel, "" if singles else NO_REFERENCE)
        for panel, region in zip(panels, singles, strict=False):
            rows_ = metrics[(metrics["region"] == region) & (metrics["n_ref"] > 0).fillna(False)]
            panel.set_title(f"{region} (n = {len(rows_)})")
            panel.set_ylim(-0.04, 1.04)
            if rows_.empty:
                say(panel, NO_REFERENCE)
                continue
            volume = rows_["volume_ref_mm3"].fillna(rows_["n_ref"].astype(float)).to_numpy(float) / 1000
            dice = rows_["dice"].to_numpy(float)
            missed = (rows_["n_pred"] == 0).to_numpy(bool)
            for there, marker in ((~missed, STATES["present"]), (missed, STATES["missed"])):
                panel.scatter(volume[there], dice[there], marker=marker, s=17, color=colors[region], alpha=0.75,
                              linewidth=0, zorder=3)  # fmt: skip
            logarithmic(panel)
            _trend(panel, np.log10(volume), dice, rows_["patient"].to_numpy(str))
            panel.set(xlabel="reference volume (ml)", ylabel="Dice")


def single_labels(metrics: pd.DataFrame, colors: Mapping[str, str]) -> list[str]:
    """Return the regions that are one label and scored in some case, in the order of ``colors``."""
    single = set(metrics.loc[metrics["label"].notna() & metrics["n_ref"].notna(), "region"])
    return [name for name in colors if name in single]


def _trend(axes: Axes, x: np.ndarray, y: np.ndarray, patients: np.ndarray) -> None:
    known = np.isfinite(x) & np.isfinite(y)
    x, y, patients = x[known], y[known], patients[known]
    if len(x) < SMALLEST_TREND or np.ptp(x) == 0:
        return
    at = np.linspace(x.min(), x.max(), 40)
    fit = stats.linregress(x, y)
    axes.plot(10**at, fit.intercept + fit.slope * at, color=INK, linewidth=1.2, zorder=4)
    if len(np.unique(patients)) >= SMALLEST_TREND:
        low, high = np.percentile(resampled_lines(x, y, patients, at), [2.5, 97.5], axis=0)
        axes.fill_between(10**at, low, high, color=INK, alpha=0.13, linewidth=0, zorder=1)
    rho = stats.spearmanr(x, y).statistic if np.ptp(y) else float("nan")
    pearson = stats.pearsonr(10**x, y).statistic if np.ptp(y) else float("nan")
    axes.text(0.98, 0.04, f"Pearson {pearson:.2f}, Spearman {rho:.2f}", transform=axes.transAxes, ha="right",
              fontsize=8.5, zorder=5)  # fmt: skip


def resampled_lines(x: np.ndarray, y: np.ndarray, patients: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return straight lines by least squares at places ``at``, one row per draw of as many patients as there are.

    A draw of patients whose ``x`` is all the same has no line and is left out.
    """
    _, group = np.unique(patients, return_inverse=True)
    count = int(group.max()) + 1
    # how often each patient is drawn, and from that the sums over the cases drawn: no fit is made case by case
    picked = np.random.default_rng(0).integers(0, count, (BOOTSTRAPS, count))
    often = np.array([np.bincount(row, minlength=count) for row in picked])
    x, origin = x - x.mean(), x.mean()
    parts = (np.ones(len(x)), x, y, x * x, x * y)
    n, sx, sy, sxx, sxy = (often @ np.bincount(group, part, count) for part in parts)
    spread = n * sxx - sx * sx
    kept = spread > 1e-12 * n * n
    slope = (n * sxy - sx * sy)[kept] / spread[kept]
    middle = (sy[kept] - slope * sx[kept]) / n[kept]
    return middle[:, None] + slope[:, None] * (at - origin)


def draw_inter_class(inter_class: pd.DataFrame, names: Mapping[int, str], path: str | Path) -> None:
    """Draw the Pearson correlation of each class's volume with each class's Dice as an annotated heat map.

    ``inter_class`` is the table of that name (all ordered pairs); pairs with too few cases are empty and say so.
    """
    with figure(path, size=(4.8, 3.9)) as axes:
        if inter_class.empty:
            return say(axes, NO_REFERENCE)
        values = inter_class.pivot(index="volume_label", columns="dice_label", values="pearson_r").astype(float)
        counts = inter_class.pivot(index="volume_label", columns="dice_label", values="n")
        grid, pairs = values.to_numpy(np.float64), counts.to_numpy(np.int64)
        axes.pcolormesh(grid, cmap="RdBu_r", vmin=-1, vmax=1, edgecolors="white", linewidth=2)
        for row in range(values.shape[0]):
            for column in range(values.shape[1]):
                value, n = float(grid[row, column]), int(pairs[row, column])
                text = f"{value:.2f}\nn = {n}" if np.isfinite(value) else f"n = {n}\ntoo few"
                axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8.5,
                          color="white" if abs(value) > 0.6 else "#1f2329")  # fmt: skip
        axes.set_facecolor("#e8eaed")
        axes.set_xticks(np.arange(values.shape[1]) + 0.5, [names.get(int(i), str(i)) for i in values.columns])
        axes.set_yticks(np.arange(values.shape[0]) + 0.5, [names.get(int(i), str(i)) for i in values.index])
        axes.set(xlabel="Dice of ...", ylabel="reference volume of ...", title="Pearson r")
        _as_matrix(axes)


def draw_volumes(metrics: pd.DataFrame, colors: Mapping[str, str], path: str | Path) -> None:
    """Draw the ratio of predicted to reference volume against their geometric mean per class (Bland and Altman).

    Solid: the mean ratio; dashed: the limits within which 95 % of the ratios lie, with the variance within patients
    counted (``analysis.agreement``). Cases that miss or invent the class have no ratio and are counted in the title.
    """
    singles = single_labels(metrics, colors)
    columns = min(2, max(1, len(singles)))
    rows = -(-max(1, len(singles)) // columns)
    with figure(path, rows, columns, size=(7.6, 2.6 * rows + 0.3)) as axes:
        panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
        for panel in panels[len(singles) :]:
            say(panel, "" if singles else NO_REFERENCE)
        for panel, region in zip(panels, singles, strict=False):
            there = metrics[
                (metrics["region"] == region) & (metrics["n_ref"].fillna(0) + metrics["n_pred"].fillna(0) > 0)
            ]
            ref, pred = (there[f"volume_{name}_mm3"].to_numpy(float) / 1000 for name in ("ref", "pred"))
            known = np.isfinite(ref) & np.isfinite(pred)
            ref, pred = ref[known], pred[known]
            limits = log_limits(ref, pred, there["patient"].to_numpy(object)[known])
            without = len(ref) - limits.n
            counted = f"n = {limits.n}, {limits.n_patients} patients"
            panel.set_title(f"{region} ({counted}{f'; {without} missed or halluc.' if without else ''})", fontsize=9)
            if not limits.n:
                say(panel, "No volume is known." if len(there) and not len(ref) else NO_REFERENCE if not len(ref)
                    else "No case has the class in both.")  # fmt: skip
                continue
            both = (ref > 0) & (pred > 0)
            middle, ratio = np.sqrt(ref[both] * pred[both]), pred[both] / ref[both]
            panel.scatter(middle, ratio, s=15, color=colors[region], alpha=0.75, linewidth=0, zorder=3)
            logarithmic(panel)
            logarithmic(panel, "y")
            panel.set_ylim(min(0.08, 0.8 * float(ratio.min())), max(12.0, 1.25 * float(ratio.max())))
            for value, style in ((limits.ratio, "-"), (limits.low, "--"), (limits.high, "--")):
                if np.isfinite(value):
                    panel.axhline(value, color=INK, linewidth=0.9, linestyle=style)
            panel.set(xlabel="geometric mean of both (ml)", ylabel="prediction / reference")


def draw_confusion(confusion: pd.DataFrame, names: Mapping[int, str], path: str | Path) -> None:
    """Draw what became of each class's reference voxels: one row per reference class, in % of the row.

    ``confusion`` has columns label_ref, label_pred (integers, 0 the background) and voxels. Background that stays
    background is of no interest and would drown the rest, so the row of the background is in % of its errors.
    """
    with figure(path, size=(5.6, 4.1)) as axes:
        if confusion.empty:
            return say(axes, NO_REFERENCE)
        order = [0, *[int(i) for i in names]]
        summed = confusion.groupby(["label_ref", "label_pred"])["voxels"].sum().unstack(fill_value=0)
        voxels = summed.reindex(index=order, columns=order, fill_value=0).to_numpy(np.float64, copy=True)
        voxels[0, 0] = np.nan
        sums = np.nansum(voxels, axis=1, keepdims=True)
        share = 100 * np.divide(voxels, sums, out=np.full_like(voxels, np.nan), where=sums > 0)
        axes.pcolormesh(share, cmap="Blues", vmin=0, vmax=100, edgecolors="white", linewidth=2)
        axes.set_facecolor("#e8eaed")
        for row in range(len(order)):
            for column in range(len(order)):
                value = share[row, column]
                axes.text(column + 0.5, row + 0.5, f"{value:.1f}" if np.isfinite(value) else "-", ha="center",
                          va="center", fontsize=9, color="white" if value > 60 else "#1f2329")  # fmt: skip
        texts = ["background", *names.values()]
        axes.set_xticks(np.arange(len(order)) + 0.5, texts)
        axes.set_yticks(np.arange(len(order)) + 0.5, texts)
        axes.set(xlabel="predicted as", ylabel="reference", title="% of each row")
        _as_matrix(axes)


def _as_matrix(axes: Axes) -> None:
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)

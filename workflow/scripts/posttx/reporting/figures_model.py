"""Figures of one model on one cohort, from its case metrics and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from posttx.analysis.agreement import log_limits
from posttx.conventions import states_of
from posttx.reporting.style import (
    INK,
    ON_PALE,
    STATES,
    WIDTH,
    counted,
    entitle,
    figure,
    logarithmic,
    note,
    panels,
    points,
    say,
)

NO_REFERENCE = "No case has a reference for it."
BOOTSTRAPS = 400
# No correlation and no trend of fewer cases, no box and no band of fewer.
SMALLEST_TREND = 10
SMALLEST_BOX = 5


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
    with figure(path, size=(WIDTH, 4.4)) as axes:
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
        axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0))


def _distribution(axes: Axes, place: int, rows: pd.DataFrame, color: str, draw: np.random.Generator) -> None:
    for state, marker in STATES.items():
        dice = rows.loc[rows["state"] == state, "dice"].to_numpy(float)
        depth = {"present": 0.0, "missed": -0.025, "hallucinated": -0.055}[state]
        places = place + draw.uniform(-0.27, 0.27, len(dice))
        points(axes, places, dice + depth, color, marker, size=13 if state == "present" else 20)
    present = rows.loc[rows["state"].isin(["present", "missed"]), "dice"].dropna().to_numpy(float)
    if len(present) >= SMALLEST_BOX:
        axes.boxplot([present], positions=[place], widths=0.68, showfliers=False, patch_artist=True, zorder=4,
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
    with_class = metrics[(metrics["n_ref"] > 0).fillna(False)]
    shown = [name for name in singles if (with_class["region"] == name).any()]
    with panels(path, len(shown), sharey=True) as axes:
        if not shown:
            return say(axes[0], NO_REFERENCE)
        for panel, region in zip(axes, shown, strict=True):
            rows = with_class[with_class["region"] == region]
            volume = rows["volume_ref_mm3"].fillna(rows["n_ref"].astype(float)).to_numpy(float) / 1000
            dice = rows["dice"].to_numpy(float)
            missed = (rows["n_pred"] == 0).to_numpy(bool)
            for there, state in ((~missed, "present"), (missed, "missed")):
                points(panel, volume[there], dice[there], colors[region], STATES[state])
            logarithmic(panel)
            trend = _trend(panel, np.log10(volume), dice, rows["patient"].to_numpy(str))
            entitle(panel, region, counted(len(rows), rows["patient"].nunique()))
            panel.set(xlabel=f"reference volume (ml)\n{trend}", ylabel="Dice", ylim=(-0.04, 1.04))
        note(axes[0], absent(singles, shown))


def absent(regions: Sequence[str], shown: Sequence[str]) -> str:
    """Return the sentence that names the classes without a panel; nothing where all have one."""
    missing = [name for name in regions if name not in shown]
    return f"Not shown, for no case has a value: {', '.join(missing)}." if missing else ""


def single_labels(metrics: pd.DataFrame, colors: Mapping[str, str]) -> list[str]:
    """Return the regions that are one label and scored in some case, in the order of ``colors``."""
    single = set(metrics.loc[metrics["label"].notna() & metrics["n_ref"].notna(), "region"])
    return [name for name in colors if name in single]


def _trend(axes: Axes, x: np.ndarray, y: np.ndarray, patients: np.ndarray) -> str:
    """Draw the line of ``y`` on ``x`` with its band, and return what the correlations are."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y, patients = x[known], y[known], patients[known]
    if len(x) < SMALLEST_TREND or np.ptp(x) == 0:
        return "too few for a trend"
    at = np.linspace(x.min(), x.max(), 40)
    fit = stats.linregress(x, y)
    axes.plot(10**at, fit.intercept + fit.slope * at, color=INK, linewidth=1.2, zorder=4)
    if len(np.unique(patients)) >= SMALLEST_BOX:
        low, high = np.percentile(resampled_lines(x, y, patients, at), [2.5, 97.5], axis=0)
        axes.fill_between(10**at, low, high, color=INK, alpha=0.13, linewidth=0, zorder=1)
    if not np.ptp(y):
        return "no correlation: all Dice are the same"
    return f"Pearson {stats.pearsonr(10**x, y).statistic:.2f}, Spearman {stats.spearmanr(x, y).statistic:.2f}"


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
    cells = {
        name: inter_class.pivot(index="volume_label", columns="dice_label", values=name)
        for name in ("pearson_r", "pearson_r_ci_low", "pearson_r_ci_high", "n")
    }
    there = [label for label in cells["n"].index if cells["n"].loc[label].any() or cells["n"][label].any()]
    grid, low, high, counts = (cell.loc[there, there].to_numpy(np.float64, na_value=np.nan) for cell in cells.values())
    grid = np.where(counts < SMALLEST_TREND, np.nan, grid)
    with figure(path, size=(5.6, 0.9 + 0.85 * max(1, len(there)))) as axes:
        if not np.isfinite(grid).any():
            return say(axes, f"Too few cases: no pair of classes has {SMALLEST_TREND}." if there else NO_REFERENCE)
        axes.pcolormesh(grid, cmap="RdBu_r", vmin=-1, vmax=1, edgecolors="white", linewidth=2)
        for (row, column), value in np.ndenumerate(grid):
            lines = [f"{value:.2f}" if np.isfinite(value) else "too few"]
            if np.isfinite(value) and np.isfinite(low[row, column]):
                lines.append(f"{low[row, column]:.2f} to {high[row, column]:.2f}")
            lines.append(f"n = {counts[row, column]:.0f}")
            axes.text(column + 0.5, row + 0.5, "\n".join(lines), ha="center", va="center", fontsize=8,
                      color="white" if abs(value) > 0.6 else ON_PALE)  # fmt: skip
        axes.set_facecolor("#e8eaed")
        shown = [names.get(int(label), str(label)) for label in there]
        axes.set_xticks(np.arange(len(there)) + 0.5, shown)
        axes.set_yticks(np.arange(len(there)) + 0.5, shown)
        axes.set(xlabel="Dice of ...", ylabel="reference volume of ...", title="Pearson r, 95 % interval")
        _as_matrix(axes)
        note(axes, absent(list(names.values()), shown))


def draw_volumes(metrics: pd.DataFrame, colors: Mapping[str, str], path: str | Path) -> None:
    """Draw the ratio of predicted to reference volume against their geometric mean per class (Bland and Altman).

    Solid: the mean ratio; dashed: the limits within which 95 % of the ratios lie, with the variance within patients
    counted (``analysis.agreement``). Cases that miss or invent the class have no ratio and are counted below the axis.
    """
    singles = single_labels(metrics, colors)
    pairs = {name: _volumes(metrics[metrics["region"] == name]) for name in singles}
    limits = {name: log_limits(*pair) for name, pair in pairs.items()}
    shown = [name for name in singles if limits[name].n]
    with panels(path, len(shown)) as axes:
        if not shown:
            return say(axes[0], "No case has a class in both reference and prediction." if singles else NO_REFERENCE)
        for panel, region in zip(axes, shown, strict=True):
            (ref, pred, _), found = pairs[region], limits[region]
            both = (ref > 0) & (pred > 0)
            ratio = pred[both] / ref[both]
            points(panel, np.sqrt(ref[both] * pred[both]), ratio, colors[region])
            logarithmic(panel)
            logarithmic(panel, "y")
            panel.set_ylim(min(0.08, 0.8 * float(ratio.min())), max(12.0, 1.25 * float(ratio.max())))
            for value, style in ((found.ratio, "-"), (found.low, "--"), (found.high, "--")):
                if np.isfinite(value):
                    panel.axhline(value, color=INK, linewidth=0.9, linestyle=style, zorder=4)
            without = f"\n{len(ref) - found.n} without ratio" if len(ref) > found.n else ""
            entitle(panel, region, counted(found.n, found.n_patients))
            panel.set(xlabel=f"geometric mean of both (ml){without}", ylabel="prediction / reference")
        note(axes[0], absent(singles, shown))


def _volumes(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return reference and predicted volume in ml, and patient, of the cases in which either has the class."""
    there = rows[rows["n_ref"].fillna(0) + rows["n_pred"].fillna(0) > 0]
    ref, pred = (there[f"volume_{name}_mm3"].to_numpy(float) / 1000 for name in ("ref", "pred"))
    known = np.isfinite(ref) & np.isfinite(pred)
    return ref[known], pred[known], there["patient"].to_numpy(object)[known]


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
        for (row, column), value in np.ndenumerate(share):
            axes.text(column + 0.5, row + 0.5, f"{value:.1f}" if np.isfinite(value) else "-", ha="center", va="center",
                      fontsize=9, color="white" if value > 60 else ON_PALE)  # fmt: skip
        texts = ["background", *names.values()]
        axes.set_xticks(np.arange(len(order)) + 0.5, texts)
        axes.set_yticks(np.arange(len(order)) + 0.5, texts)
        axes.set(xlabel="predicted as", ylabel="reference")
        entitle(axes, "% of each row", f"n = {confusion['case'].nunique()}")
        _as_matrix(axes)


def _as_matrix(axes: Axes) -> None:
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)

"""Figures over patients and lesions of one model on one cohort: courses, detection by size, false positives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from posttx.analysis.statistics import SHARE, Patients, means
from posttx.conventions import HALLUCINATED
from posttx.reporting.figures_model import NO_REFERENCE, single_labels, with_states
from posttx.reporting.figures_training import LINES
from posttx.reporting.style import INK, SMALL, WIDTH, counted, figure, logarithmic, panels, say

PATIENTS = 12
# Bin edges in ml: half decades from a voxel of 1 mm to what only large lesions have.
SIZES = 10 ** np.arange(-3.0, 2.51, 0.5)
SMALLEST_BIN = 3


def draw_trajectories(metrics: pd.DataFrame, colors: Mapping[str, str], path: str | Path) -> None:
    """Draw each class's volume over the scans of the patients with most of them, reference solid, prediction dashed.

    At most ``PATIENTS`` patients with two scans or more; volumes in ml on an axis linear up to 0.1 ml and logarithmic
    above it, so that a class that vanishes is seen at 0.
    """
    single = metrics[metrics["label"].notna()]
    scans = single.groupby("patient")["timepoint"].nunique().sort_values(ascending=False, kind="stable")
    patients = list(scans[scans >= 2].index[:PATIENTS])
    with panels(path, len(patients), columns=4, height=1.9, more=0.6, sharey=True) as axes:
        if not patients:
            return say(axes[0], "No patient has two scans or more.")
        for panel, patient in zip(axes, patients, strict=True):
            _trajectory(panel, single[single["patient"] == patient], colors)
            panel.set_title(str(patient)[-16:], fontsize=SMALL, parse_math=False)
        volumes = single.loc[single["patient"].isin(patients), ["volume_ref_mm3", "volume_pred_mm3"]]
        largest = float(np.nanmax(volumes.to_numpy(np.float64), initial=1.0)) / 1000
        for panel in axes:
            panel.set_ylim(-0.01, 1.6 * largest)
        axes[0].figure.supxlabel("timepoint", fontsize=9.5)
        axes[0].figure.supylabel("volume (ml)", fontsize=9.5)
        names = [name for name in colors if name in set(single["region"])]
        handles = [axes[0].plot([], [], color=colors[name], linewidth=2)[0] for name in names]
        lines = [axes[0].plot([], [], color=INK, linestyle=style)[0] for style in ("-", "--")]
        axes[0].figure.legend([*handles, *lines], [*names, "reference", "prediction"],
                              loc="outside upper left", ncols=8)  # fmt: skip


def _trajectory(axes: Axes, rows: pd.DataFrame, colors: Mapping[str, str]) -> None:
    for region, part in rows.sort_values("timepoint").groupby("region", sort=False):
        if str(region) not in colors:
            continue
        for kind, style, marker in (("ref", "-", "o"), ("pred", "--", "^")):
            volume = part[f"volume_{kind}_mm3"].to_numpy(np.float64) / 1000
            if np.isfinite(volume).any():
                axes.plot(range(len(part)), volume, color=colors[str(region)], linestyle=style, marker=marker,
                          markersize=3, linewidth=1.1)  # fmt: skip
        axes.set_xticks(range(len(part)), part["timepoint"].astype(str))
    logarithmic(axes, "y", "symlog", linthresh=0.1)


def draw_detection(lesions: pd.DataFrame, colors: Mapping[str, str], path: str | Path) -> None:
    """Draw the share of reference lesions that were found, by their volume, with 95 % intervals by patient, per class.

    ``lesions`` has columns region, source, state, volume_mm3 (``schemas.LESIONS``); lesions that the scheme ignores are
    left out, and bins with fewer than ``SMALLEST_BIN`` lesions are not drawn. The right panel counts lesions that were
    predicted where there is none.
    """
    with figure(path, 1, 2, size=(WIDTH, 3.7), width_ratios=(2.2, 1)) as axes:
        found, false = axes[0]
        regions = [name for name in colors if name in set(lesions.get("region", []))]
        if not regions:
            say(found, "No lesions are known.")
            return false.set_axis_off()
        for region, line in zip(regions, LINES, strict=False):
            _detected(found, lesions[lesions["region"] == region], colors[region], line, region)
        found.set_xlim(SIZES[0], SIZES[-1])
        logarithmic(found)
        found.set(ylim=(-0.03, 1.03), xlabel="volume of the reference lesion (ml)", ylabel="share found")
        if found.get_legend_handles_labels()[0]:
            found.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0))
        else:
            say(found, f"No size has {SMALLEST_BIN} reference lesions of a class.")
        wrong = lesions[lesions["state"] == "false_positive"]
        counts = [int((wrong["region"] == region).sum()) for region in regions]
        bars = false.barh(regions, counts, color=[colors[region] for region in regions], height=0.6)
        false.bar_label(bars, padding=3, fontsize=SMALL)
        false.set(xlabel="false-positive lesions", xlim=(0, max(counts, default=0) * 1.25 + 1))
        false.grid(axis="y", visible=False)
        false.invert_yaxis()


def _detected(axes: Axes, lesions: pd.DataFrame, color: str, line: object, region: str) -> None:
    kept = lesions[(lesions["source"] == "reference") & lesions["state"].isin(["matched", "missed"])]
    bins = np.digitize(kept["volume_mm3"].to_numpy(np.float64) / 1000, SIZES)
    hit = (kept["state"] == "matched").to_numpy(np.float64)[:, None]
    patients = kept["patient"].to_numpy(object)
    places, shares, lows, highs = [], [], [], []
    for index in np.unique(bins):
        chosen = hit[bins == index]
        if len(chosen) >= SMALLEST_BIN:
            found = Patients.of(list(patients[bins == index])).estimate(means(chosen), np.isfinite(chosen), SHARE)
            places.append(SIZES[min(index, len(SIZES) - 1)] / 10**0.25)
            shares.append(found.value[0])
            lows.append(np.nan_to_num(found.value[0] - found.low[0]))
            highs.append(np.nan_to_num(found.high[0] - found.value[0]))
    if places:
        axes.errorbar(places, shares, yerr=np.clip([lows, highs], 0, 1), color=color, linestyle=line, marker="o",
                      markersize=4, linewidth=1.3, elinewidth=0.8, capsize=2,
                      label=f"{region} (n = {len(kept)})")  # fmt: skip


def draw_false_positives(
    metrics: pd.DataFrame, false_positives: pd.DataFrame, colors: Mapping[str, str], path: str | Path
) -> None:
    """Draw the mean false-positive volume per class, split into loose outlines and hallucinated classes.

    Shares are in % of the class's mean reference volume, over all cases; the hallucinated part (hatched) is that of the
    cases whose reference lacks the class. Intervals are those of the table ``false_positives``.
    """
    scored = with_states(metrics)
    regions = single_labels(scored, colors)
    with figure(path, size=(WIDTH, 1.2 + 0.5 * max(1, len(regions)))) as axes:
        if not regions:
            return say(axes, NO_REFERENCE)
        known = zip(false_positives["fp_percent_ci_low"], false_positives["fp_percent_ci_high"], strict=True)
        intervals = {region: _interval(*ends) for region, ends in zip(false_positives["region"], known, strict=True)}
        for row, region in enumerate(regions):
            shares = false_positive_shares(scored[scored["region"] == region])
            if shares is None:
                axes.text(0, row, " no reference has it", va="center", fontsize=SMALL)
                continue
            loose, invented = shares
            axes.barh(row, loose, color=colors[region], height=0.6)
            axes.barh(row, invented, left=loose, color=colors[region], height=0.6, hatch="////", edgecolor="white")
            interval = intervals.get(region, "")
            axes.annotate(f"{loose + invented:.1f} %{interval}; hallucinated {invented:.1f}", (loose + invented, row),
                          xytext=(4, 0), textcoords="offset points", va="center", fontsize=SMALL)  # fmt: skip
        axes.set_yticks(range(len(regions)), regions)
        size = counted(scored["case"].nunique(), scored["patient"].nunique())
        axes.set(ylim=(len(regions) - 0.5, -0.5), xlabel=f"false-positive volume (% of the reference volume), {size}")
        axes.set_xlim(0, max(0.1, axes.get_xlim()[1]) * 1.8)
        axes.grid(axis="y", visible=False)


def _interval(low: float, high: float) -> str:
    """Return an interval in words, of which an upper end above 1,000 % says no more; nothing where there is none."""
    return "" if np.isnan(low) else f" ({low:.1f} to {f'{high:.1f}' if high < 1000 else 'over 1,000'})"


def false_positive_shares(part: pd.DataFrame) -> tuple[float, float] | None:
    """Return the false-positive volume of a region in % of its reference volume: in cases that have it, and in others.

    ``part`` has a row per case, with its state; cases may have voxels of different sizes. Where no size is known,
    voxels are counted. No reference has the region: None.
    """
    sizes = [part[f"volume_{side}_mm3"] / part[f"n_{side}"].where(part[f"n_{side}"] > 0) for side in ("ref", "pred")]
    size = sizes[0].fillna(sizes[1]).astype(float)
    size = size if size.notna().any() else size.fillna(1.0)
    total = float((part["n_ref"] * size).sum())
    if not total:
        return None
    wrong, hallucinated = part["fp"] * size, part["state"] == HALLUCINATED
    return 100 * float(wrong[~hallucinated].sum()) / total, 100 * float(wrong[hallucinated].sum()) / total

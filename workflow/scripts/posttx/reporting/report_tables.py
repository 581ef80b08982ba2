"""Tables of the scores of one model on one cohort as the report's template shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from posttx.analysis.evidence import Evidence
from posttx.analysis.judgements import Outcome, dependency_of, records
from posttx.analysis.statistics import FEWEST_FOR_P
from posttx.analysis.subgroups import MEAN
from posttx.conventions import CONVENTIONS
from posttx.measures import CONTRACT, measure_of
from posttx.reporting.report_cells import DASH, Cell, View, count, estimate, finite, number, text


def global_table(summary: pd.DataFrame, key: str, headline: str, files: Sequence[tuple[str, str]]) -> View:
    """Make the global table: one row per metric, one column per convention, the headline convention first."""
    conventions = sorted(dict.fromkeys(summary["convention"]), key=lambda name: name != headline)
    rows = []
    for metric in dict.fromkeys(summary["metric"]):
        cells = [text(measure_of(metric).long_name)]
        for name in conventions:
            found = summary[(summary["metric"] == metric) & (summary["convention"] == name)]
            cells.append(_with_n(found.iloc[0]) if len(found) else text(""))
        rows.append(cells)
    headers = [("Metric", ""), *[convention_header(name, headline) for name in conventions]]
    return View(f"global-{key}", "Global values under each convention", headers, rows, files)


def _with_n(row: pd.Series) -> Cell:
    digits = measure_of(row["metric"]).digits
    cell = number(row["value"], digits)
    # the interval with a digit less: five conventions have to stand side by side
    cell = replace(cell, interval=number(0, max(1, digits - 1), row["ci_low"], row["ci_high"]).interval)
    n, infinite = finite(row["n"]), finite(row.get("n_infinite"))
    median, lowest, highest = (finite(row.get(name)) for name in ("median", "lowest", "highest"))
    if not cell.interval and lowest is not None:
        cell = replace(
            cell, interval=f"lowest {lowest:,.{max(1, digits - 1)}f}, highest {highest:,.{max(1, digits - 1)}f}"
        )
    if median is not None:
        quartiles = f"{row['q1']:,.{max(1, digits - 1)}f} to {row['q3']:,.{max(1, digits - 1)}f}"
        cell = replace(cell, title=f"median {median:,.{digits}f}, quartiles {quartiles}")
    told = [cell.interval, f"n = {int(n)}" if n is not None else "", f"{int(infinite)} infinite" if infinite else ""]
    return replace(cell, interval=", ".join(part for part in told if part))


def subgroups(table: pd.DataFrame, key: str, headline: str, files: Sequence[tuple[str, str]]) -> View:
    """Make the table of subgroups: one row per group, its Dice of every class under the headline convention."""
    own = table[table["convention"] == headline]
    regions = list(dict.fromkeys(own["region"]))
    rows = []
    for (fact, group), part in own.groupby(["fact", "group"], sort=False):
        found = {row["region"]: row for _, row in part.iterrows()}
        patients = max(int(row["n_patients"]) for row in found.values())
        cells = [text(fact), text(group), count(patients)]
        for region in regions:
            cells.append(_of_group(found[region]) if region in found else text(""))
        rows.append(cells)
    heads = [("Fact", ""), ("Group", ""), ("Patients", "with a value of any class")]
    heads += [("Mean" if region == MEAN else region, "Dice") for region in regions]
    note = (
        "↓ ↑: shown to be lower or higher than the other groups, with Holm over the table. Gaps, p-values: in the file."
    )
    return View(f"subgroups-{key}", f"Dice by subgroup ({headline})", heads, rows, files, note)


def _of_group(row: pd.Series) -> Cell:
    cell = number(row["value"], 3, row["ci_low"], row["ci_high"])
    sign = {Evidence.ABOVE: " ↑", Evidence.BELOW: " ↓"}.get(row["outcome"], "")
    told = [cell.interval, "too few patients" if row["outcome"] == Evidence.TOO_FEW else f"{int(row['n_patients'])} p."]
    return replace(cell, text=cell.text + sign, interval=", ".join(part for part in told if part))


def per_class(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the per-class table under the headline convention, with the failures counted."""
    rows = []
    for row in records(table):
        cells = [count(row["label"]), text(row["region"], colors.get(row["region"], ""))]
        cells += [estimate(row, name, measure_of(name).digits) for name in CONTRACT]
        cells += [_share(row["n_missed"], row["n_present"]), _share(row["n_hallucinated"], row["n_absent"])]
        rows.append([*cells, replace(count(row["n"]), interval=_of_patients(row["n_patients"]))])
    convention = str(table["convention"].iloc[0]) if len(table) else ""
    headers = [
        ("Label", "the integer in the files"), ("Class", ""),
        *[(averaged_header(name, convention) if convention else "", measure_of(name).long_name) for name in CONTRACT],
        ("Missed", "of the cases whose reference has the class: not one voxel predicted"),
        ("Invented", "of the cases whose reference lacks it: predicted all the same"),
        ("n", "cases that enter the mean Dice; the intervals count their patients"),
    ]  # fmt: skip
    return View(f"per-class-{key}", f"Values by class ({convention})", headers, rows, files,
                minor=("Label", averaged_header("iou", convention) if convention else ""))  # fmt: skip


def _share(hits: Any, total: Any) -> Cell:
    known = finite(hits)
    return Cell(
        DASH if known is None else f"{int(known)} of {int(total)}", -1 if known is None else known, kind="number"
    )


def _of_patients(patients: Any) -> str:
    known = finite(patients)
    return "" if known is None else f"{int(known)} patient{'' if known == 1 else 's'}"


def behind_means(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of what the mean Dice of each class hides: quartiles, penalties, weights, effective n."""
    columns = ("patient_weighted", "first_scan")
    rows = []
    for row in records(table):
        quartiles = _quartiles(row)
        cells = [
            count(row["label"]),
            text(row["region"], colors.get(row["region"], "")),
            estimate(row, "dice"),
            quartiles,
        ]
        cells += [number(row["dice_penalised_percent"], 1), *[number(row[f"dice_{name}"]) for name in columns]]
        cells += [
            number(row["dice_icc"], 2),
            number(row["dice_n_effective"], 0),
            count(row["n"]),
            count(row["n_patients"]),
        ]
        rows.append(cells)
    headers = [
        ("Label", ""), ("Class", ""), ("Mean Dice", "all scans weigh alike"), ("Median", "below it the quartiles"),
        ("Penalised, %", "cases that count as 0 because missed or hallucinated"),
        ("By patient", "every patient weighs alike"), ("First scan", "of each patient"),
        ("ICC", "how alike scans of one patient are: 0 not at all, 1 the same"),
        ("Effective n", "independent scans that would say as much"), ("n", "scans"), ("Patients", ""),
    ]  # fmt: skip
    minor = ("Label", "Penalised, %", "First scan", "ICC")
    return View(f"behind-means-{key}", "What the mean Dice hides", headers, rows, files, minor=minor)


def _quartiles(row: Mapping[str, Any]) -> Cell:
    median, low, high = (finite(row[f"dice_{name}"]) for name in ("median", "q1", "q3"))
    told = "" if low is None or high is None else f"quartiles {low:.3f}, {high:.3f}"
    return replace(number(median), interval=told)


def by_convention(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of every region and measure, one column per convention.

    ``table`` is ``per_region``. A value left out of a mean because a distance is infinite is counted beside n.
    """
    conventions = list(dict.fromkeys(table["convention"]))
    rows = []
    for (region, metric), part in table.groupby(["region", "metric"], sort=False):
        values = {str(row["convention"]): _with_n(row) for _, row in part.iterrows()}
        measure = text(measure_of(str(metric)).title, kind="name")
        rows.append(
            [text(region, colors.get(str(region), "")), measure, *[values.get(c, text("")) for c in conventions]]
        )
    headers = [("Region", ""), ("Measure", ""), *[convention_header(name) for name in conventions]]
    return View(f"conventions-{key}", "Every measure under every convention", headers, rows, files)


def convention_header(name: str, headline: str = "") -> tuple[str, str]:
    """Return the header of a convention's column: its name, and how it averages precision and recall."""
    convention = CONVENTIONS.get(name)
    told = "headline convention" if name == headline else ""
    if convention is None or not convention.voxel_wise:
        return name, told
    how = "pooled over voxels" if convention.pools else "mean over cases"
    return f"{name} (precision, recall: {how})", told


def averaged_header(name: str, convention: str) -> str:
    """Return the header of a measure's column under a convention: ``Precision, pooled over voxels``."""
    pooled = CONVENTIONS[convention].pools and name in ("precision", "recall")
    return f"{measure_of(name).title}, {'pooled over voxels' if pooled else 'mean over cases'}"


def volume_bias(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of volume against Dice."""
    rows = [
        [count(row["label"]), text(row["region"], colors.get(row["region"], "")), estimate(row, "pearson_r", 3),
         p_value(row["p_holm"]), estimate(row, "spearman_r", 3), p_value(row["spearman_p_holm"]), count(row["n"]),
         count(row["n_patients"])]
        for _, row in table.iterrows()
    ]  # fmt: skip
    headers = [
        ("Label", ""), ("Class", ""), ("Pearson r", "linear in volume; describes"),
        ("p, Holm", f"of Pearson's r, signs flipped by patient, adjusted for the classes; none below {FEWEST_FOR_P} "
         "patients"),
        ("Spearman r", "by rank; decides"), ("p, Holm (rank)", "of Spearman's r, likewise"), ("n", "cases"),
        ("Patients", ""),
    ]  # fmt: skip
    return View(
        f"volume-bias-{key}",
        "Reference volume against Dice, where the reference has the class",
        headers,
        rows,
        files,
        minor=("Label",),
    )


PEARSON = ("Pearson r", "p, Holm")


def inter_class(
    table: pd.DataFrame, key: str, names: Mapping[int, str], files: Sequence[tuple[str, str]]
) -> tuple[View, View]:
    """Make the tables of all pairs, volume of one class against Dice of another."""
    headers = [
        ("Volume of", ""), ("Dice of", ""), ("Pearson r", "linear in volume; describes"),
        ("p, Holm", "of Pearson's r, signs flipped by patient, adjusted for all pairs of this table"),
        ("Spearman r", "by rank; decides"), ("p, Holm (rank)", "of Spearman's r, likewise"), ("n", "cases"),
        ("Patients", ""),
    ]  # fmt: skip
    finding = ("Finding", "by rule, from both tables; the rules stand with the methods")
    found = records(table)
    pairs = [[*_pair(row, names), text(_finding(row))] for row in found]
    present = [_pair(row, names, "_present") for row in found]
    zeros_in = View(
        f"inter-class-{key}", "Reference volume of one class against Dice of another, hallucinated zeros in",
        [*headers, finding], pairs, files, minor=PEARSON,
    )  # fmt: skip
    zeros_out = View(
        f"inter-class-present-{key}", "The same where the reference has both classes: hallucinated zeros out",
        headers, present, files, minor=PEARSON,
    )  # fmt: skip
    return zeros_in, zeros_out


def _pair(row: Mapping[str, Any], names: Mapping[int, str], suffix: str = "") -> list[Cell]:
    cells = [text(names.get(int(row[column]), row[column])) for column in ("volume_label", "dice_label")]
    for name, holm in (("pearson_r", "p_holm"), ("spearman_r", "spearman_p_holm")):
        low, high = (row.get(f"{name}{suffix}_ci_{end}") for end in ("low", "high"))
        cells += [number(row.get(f"{name}{suffix}"), 3, low, high), p_value(row.get(f"{holm}{suffix}"))]
    counts = ("n_both_present", "n_patients_both_present") if suffix else ("n", "n_patients")
    return [*cells, *[count(row.get(name)) for name in counts]]


def _finding(row: Mapping[str, Any]) -> str:
    outcome = dependency_of(row)
    return "" if outcome is Outcome.ITSELF else str(outcome)


def p_value(value: Any) -> Cell:
    """Return a cell of a p-value; one that was not computed is a dash and sorts last."""
    known = finite(value)
    if known is None:
        return Cell(DASH, 2.0, kind="number")
    return Cell("< 0.0001" if known < 1e-4 else f"{known:.4f}", known, kind="number")


def false_positives(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of false-positive volume."""
    rows = [
        [count(row["label"]), text(row["region"], colors.get(row["region"], "")), estimate(row, "mean_fp_mm3", 1),
         estimate(row, "mean_ref_mm3", 1), estimate(row, "fp_percent", 1), number(row["heaviest_percent"], 1),
         count(row["n"]), count(row["n_patients"])]
        for _, row in table.iterrows()
    ]  # fmt: skip
    headers = [
        ("Label", ""), ("Class", ""), ("Mean false positives, mm³", "over all cases"),
        ("Mean reference, mm³", "over all cases"), ("False positives, % of the reference", ""),
        ("Five patients, %", "share of the false positives that the five patients with most of them hold"),
        ("n", "cases"), ("Patients", ""),
    ]  # fmt: skip
    return View(
        f"false-positives-{key}",
        "False-positive volume beside reference volume",
        headers,
        rows,
        files,
        minor=("Label",),
    )

"""Tables of scores as the report's template shows them: cells with text, sort value and interval, nothing marked up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from posttx.analysis.comparison import VERDICTS
from posttx.analysis.evidence import Evidence
from posttx.analysis.judgements import Outcome, dependency_of, of_case, records
from posttx.analysis.statistics import FEWEST_FOR_P
from posttx.analysis.subgroups import MEAN
from posttx.analysis.wording import worded
from posttx.conventions import CONVENTIONS
from posttx.measures import CONTRACT, measure_of

DASH = "–"


@dataclass(frozen=True)
class Cell:
    """One cell: what is shown, what it sorts by, the interval below it, a mark (colour) and a class for the look."""

    text: str
    sort: float | str | None = None
    interval: str = ""
    color: str = ""
    kind: str = ""
    title: str = ""
    link: str = ""


@dataclass(frozen=True)
class View:
    """A table ready to be shown; ``files`` are (name, relative link) of its data, ``note`` a sentence below it.

    ``plain``: all rows in their order, on paper too; others are sorted, searched and shown in pages.
    """

    id: str
    caption: str
    headers: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Cell]]
    files: Sequence[tuple[str, str]] = field(default_factory=tuple)
    note: str = ""
    large: bool = False
    plain: bool = False


NOTHING = Cell("")


def number(value: Any, digits: int = 4, low: Any = None, high: Any = None, title: str = "") -> Cell:
    """Return a cell of a number with its interval; undefined is a dash, an interval that is none is left out."""
    known = finite(value)
    text = DASH if known is None else f"{known:,.{digits}f}"
    low, high = finite(low), finite(high)
    interval = "" if low is None or high is None else f"{low:,.{digits}f} to {high:,.{digits}f}"
    return Cell(text, -math.inf if known is None else known, interval, kind="number", title=title)


def count(value: Any) -> Cell:
    """Return a cell of a whole number."""
    known = finite(value)
    return Cell(DASH if known is None else f"{int(known):,}", -1 if known is None else known, kind="number")


def finite(value: Any) -> float | None:
    """Return a finite number, None for anything that is not known."""
    if value is None or value is pd.NA:
        return None
    return float(value) if math.isfinite(float(value)) else None


def text(value: Any, color: str = "", kind: str = "") -> Cell:
    """Return a cell of text; nothing known is a dash."""
    known = "" if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)) else str(value)
    return Cell(known or DASH, known.lower(), color=color, kind=kind or ("name" if color else ""))


def estimate(row: Any, name: str, digits: int = 4) -> Cell:
    """Return a cell of a table's estimate with the interval in its ``_ci_low`` and ``_ci_high`` columns."""
    get = row.get if isinstance(row, Mapping) else row.to_dict().get
    return number(get(name), digits, get(f"{name}_ci_low"), get(f"{name}_ci_high"))


def global_table(summary: pd.DataFrame, key: str, headline: str, files: Sequence[tuple[str, str]]) -> View:
    """Make the global table (5.1): one row per metric, one column per convention, the headline convention first."""
    conventions = sorted(dict.fromkeys(summary["convention"]), key=lambda name: name != headline)
    rows = []
    for metric in dict.fromkeys(summary["metric"]):
        cells = [text(measure_of(metric).long_name)]
        for name in conventions:
            found = summary[(summary["metric"] == metric) & (summary["convention"] == name)]
            cells.append(_with_n(found.iloc[0]) if len(found) else text(""))
        rows.append(cells)
    headers = [("Metric", ""), *[(name, "headline convention" if name == headline else "") for name in conventions]]
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
    """Make the per-class table (5.2) under the headline convention, with the states counted."""
    rows = []
    for _, row in table.iterrows():
        cells = [count(row["label"]), text(row["region"], colors.get(row["region"], ""))]
        cells += [estimate(row, name, measure_of(name).digits) for name in CONTRACT]
        cells += [count(row[name]) for name in ("n_present", "n_absent", "n_hallucinated", "n_missed")]
        rows.append([*cells, count(row["n"]), count(row["n_patients"])])
    headers = [
        ("Label", "the integer in the files"), ("Class", ""),
        *[(measure_of(name).title, measure_of(name).long_name) for name in CONTRACT],
        ("Present", "cases whose reference has the class"),
        ("Absent", "cases whose reference lacks it"), ("Hallucinated", "of the absent ones: predicted all the same"),
        ("Missed", "of the present ones: not one voxel predicted"), ("n", "cases that enter the mean Dice"),
        ("Patients", "whose scans these are: the intervals count them"),
    ]  # fmt: skip
    return View(f"per-class-{key}", "Values by class", headers, rows, files)


def behind_means(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of what the mean Dice of each class hides (5.2): quartiles, penalties, weights, effective n."""
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
    return View(f"behind-means-{key}", "What the mean Dice hides", headers, rows, files)


def _quartiles(row: Mapping[str, Any]) -> Cell:
    median, low, high = (finite(row[f"dice_{name}"]) for name in ("median", "q1", "q3"))
    told = "" if low is None or high is None else f"quartiles {low:.3f}, {high:.3f}"
    return replace(number(median), interval=told)


def by_convention(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of every region and measure (5.2), one column per convention.

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
    headers = [("Region", ""), ("Measure", ""), *[(name, _averaged(name)) for name in conventions]]
    return View(f"conventions-{key}", "Every measure under every convention", headers, rows, files)


def _averaged(name: str) -> str:
    """Return how a convention averages precision and recall, nothing for one that does not speak of them."""
    convention = CONVENTIONS.get(name)
    told = convention is not None and convention.voxel_wise
    return f"precision and recall {convention.precision_recall}" if convention and told else ""


def volume_bias(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of volume against Dice (5.3)."""
    rows = [
        [count(row["label"]), text(row["region"], colors.get(row["region"], "")), estimate(row, "pearson_r", 3),
         _p(row["p_holm"]), estimate(row, "spearman_r", 3), _p(row["spearman_p_holm"]), count(row["n"]),
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
        f"volume-bias-{key}", "Reference volume against Dice, where the reference has the class", headers, rows, files
    )


def inter_class(
    table: pd.DataFrame, key: str, names: Mapping[int, str], files: Sequence[tuple[str, str]]
) -> tuple[View, View]:
    """Make the tables of all pairs (5.3), volume of one class against Dice of another."""
    headers = [
        ("Volume of", ""), ("Dice of", ""), ("Pearson r", "linear in volume; describes"),
        ("p, Holm", "of Pearson's r, signs flipped by patient, adjusted for all pairs of this table"),
        ("Spearman r", "by rank; decides"), ("p, Holm (rank)", "of Spearman's r, likewise"), ("n", "cases"),
        ("Patients", ""),
    ]  # fmt: skip
    finding = ("Finding", "by rule, from both tables; the rules stand in section 6")
    found = records(table)
    pairs = [[*_pair(row, names), text(_finding(row))] for row in found]
    present = [_pair(row, names, "_present") for row in found]
    zeros_in = View(
        f"inter-class-{key}", "Reference volume of one class against Dice of another, hallucinated zeros in",
        [*headers, finding], pairs, files,
    )  # fmt: skip
    zeros_out = View(
        f"inter-class-present-{key}", "The same where the reference has both classes: hallucinated zeros out",
        headers, present, files,
    )  # fmt: skip
    return zeros_in, zeros_out


def _pair(row: Mapping[str, Any], names: Mapping[int, str], suffix: str = "") -> list[Cell]:
    cells = [text(names.get(int(row[column]), row[column])) for column in ("volume_label", "dice_label")]
    for name, holm in (("pearson_r", "p_holm"), ("spearman_r", "spearman_p_holm")):
        low, high = (row.get(f"{name}{suffix}_ci_{end}") for end in ("low", "high"))
        cells += [number(row.get(f"{name}{suffix}"), 3, low, high), _p(row.get(f"{holm}{suffix}"))]
    counts = ("n_both_present", "n_patients_both_present") if suffix else ("n", "n_patients")
    return [*cells, *[count(row.get(name)) for name in counts]]


def _finding(row: Mapping[str, Any]) -> str:
    outcome = dependency_of(row)
    return "" if outcome is Outcome.ITSELF else str(outcome)


def _p(value: Any) -> Cell:
    known = finite(value)
    if known is None:
        return Cell(DASH, 2.0, kind="number")
    return Cell("< 0.0001" if known < 1e-4 else f"{known:.4f}", known, kind="number")


def false_positives(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of false-positive volume (5.3)."""
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
    return View(f"false-positives-{key}", "False-positive volume beside reference volume", headers, rows, files)


def extreme_cases(
    table: pd.DataFrame, key: str, kind: str, files: Sequence[tuple[str, str]], pictured: Mapping[str, str]
) -> View:
    """Make the table of worst or best cases (5.4): Dice and state of each class, and what is wrong in words.

    ``pictured`` maps a case with a picture to its place on the page.
    """
    regions = [name.removeprefix("dice_") for name in table.columns if name.startswith("dice_")]
    rows = []
    for row in records(table):
        link = pictured.get(row["case"], "")
        cells = [count(row["rank"]), replace(text(row["case"], kind="case"), link=link), number(row["mean_dice"])]
        cells += [_state_cell(row[f"dice_{region}"], row[f"state_{region}"]) for region in regions]
        rows.append([*cells, text(" ".join(worded(found).text for found in of_case(row)), kind="long")])
    headers = [
        ("Rank", ""),
        ("Case", ""),
        ("Mean Dice", "over the classes"),
        *[(f"Dice {name}", "") for name in regions],
        ("What it says", "by rule; the rules stand in section 6"),
    ]
    return View(f"{kind}-{key}", f"The {len(table)} {kind} cases by mean Dice", headers, rows, files)


def _state_cell(dice: Any, state: Any) -> Cell:
    cell = number(dice)
    if state in ("absent", "hallucinated", "missed"):
        return Cell(cell.text if state != "absent" else DASH, cell.sort, str(state), kind=f"number state-{state}")
    return cell


def ranks(table: pd.DataFrame, key: str, files: Sequence[tuple[str, str]]) -> View:
    """Make the table of a cohort's models on the scans that all of them have: primary endpoint, ranks, places."""
    found = records(table)
    rows = [
        [text(row["model"]), number(row["value"], 4, row["ci_low"], row["ci_high"]), number(row["place"], 0),
         number(row["mean_rank"], 2, row["mean_rank_ci_low"], row["mean_rank_ci_high"]),
         number(row["first_percent"], 0), count(row["n"]), count(row["n_patients"]), count(row["n_scored"])]
        for row in found
    ]  # fmt: skip
    first = found[0]
    primary = f"{measure_of(first['metric']).name} of {first['region']}, {first['convention']}"
    headers = [
        ("Model", ""), (primary, "the primary endpoint, over the scans of all models"), ("Place", "by mean rank"),
        ("Mean rank", "over measures, classes and scans; 1 is the best in all"),
        ("First, %", "of the resamples of patients"), ("n", "scans that all models have"), ("Patients", ""),
        ("Scored", "scans of this model: its own values stand on these"),
    ]  # fmt: skip
    caption = f"Models on the {first['n']} of {first['n_any']} scans that all of them have"
    return View(f"ranks-{key}", caption, headers, rows, files)


def comparison(table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]) -> View:
    """Make the table of paired differences of models (5.5): model minus baseline, with interval and verdict."""
    rows = [
        [text(row["baseline"]), text(row["model"]), text(measure_of(row["metric"]).title), text(row["convention"]),
         text(row["region"], colors.get(row["region"], "")), text(row["endpoint"]), *_values(row),
         _p(row["p_holm"]), Cell(f"{row['wins']} / {row['ties']} / {row['losses']}"), count(row["n"]),
         count(row["n_patients"]),
         replace(text(row["verdict"], kind="verdict"), title=VERDICTS[Outcome(row["verdict"])])]
        for row in records(table)
    ]  # fmt: skip
    headers = [
        ("Baseline", ""), ("Model", ""), ("Measure", ""), ("Convention", ""),
        ("Region", "mean: over the classes of a case"), ("Endpoint", "primary: named in the configuration"),
        ("Baseline's value", "over the cases of both"), ("Model's value", "over the cases of both"),
        ("Difference", "model minus baseline, paired by case"),
        ("p, Holm", "signs flipped by patient, adjusted over all pairs and cohorts; primary endpoints by themselves"),
        ("Better / equal / worse", "cases"), ("n", "cases of both"), ("Patients", ""),
        ("Verdict", "from the interval and the adjusted p"),
    ]  # fmt: skip
    return View(f"comparison-{key}", "Paired differences of models", headers, rows, files)


def _values(row: Mapping[str, Any]) -> list[Cell]:
    digits = measure_of(row["metric"]).digits
    values = [number(row[name], digits) for name in ("baseline_value", "model_value")]
    return [*values, number(row["difference"], digits, row["ci_low"], row["ci_high"])]

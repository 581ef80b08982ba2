"""Tables of cases and of models set against each other, as the report's template shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from posttx.analysis.comparison import SECONDARY, VERDICTS
from posttx.analysis.judgements import Outcome, of_case, records
from posttx.analysis.wording import worded
from posttx.measures import measure_of
from posttx.reporting.report_cells import DASH, Cell, View, count, estimate, number, slug, text
from posttx.reporting.report_tables import p_value


def extreme_cases(
    table: pd.DataFrame, key: str, kind: str, files: Sequence[tuple[str, str]], pictured: Mapping[str, str]
) -> View:
    """Make the table of worst or best cases: Dice and state of each class, and what is wrong in words.

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
        ("What it says", "by rule; the rules stand with the methods"),
    ]
    return View(f"{kind}-{key}", f"The {len(table)} {kind} cases by mean Dice", headers, rows, files, minor=("Rank",))


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
    return View(f"ranks-{key}", caption, headers, rows, files, minor=("Scored",))


def comparisons(
    table: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]
) -> list[View]:
    """Make one table per pair of models: differences paired by case, with interval and verdict."""
    pairs = table.groupby(["baseline", "model"], sort=False)
    return [_pair(str(baseline), str(model), part, key, colors, files) for (baseline, model), part in pairs]


def _pair(
    baseline: str, model: str, part: pd.DataFrame, key: str, colors: Mapping[str, str], files: Sequence[tuple[str, str]]
) -> View:
    rows = [
        [text(row["region"], colors.get(row["region"], "")),
         replace(text(measure_of(row["metric"]).title), interval=row["convention"]), *_values(row),
         p_value(row["p_holm"]),
         replace(text(row["verdict"], kind="verdict"), title=VERDICTS[Outcome(row["verdict"])],
                 interval="" if row["endpoint"] == SECONDARY else row["endpoint"]),
         Cell(f"{row['wins']} / {row['ties']} / {row['losses']}"),
         replace(count(row["n"]), interval=f"{row['n_patients']} patients")]
        for row in records(part)
    ]  # fmt: skip
    headers = [
        ("Region", "mean: over the classes of a case"), ("Measure", "below it the convention"),
        (f"{baseline}", "the baseline's value, over the cases of both"),
        (f"{model}", "the model's value, over the cases of both"),
        ("Difference", "model minus baseline, paired by case"),
        ("p, Holm", "signs flipped by patient, adjusted over all pairs and cohorts; primary endpoints by themselves"),
        ("Verdict", "from the interval and the adjusted p"), ("Better / equal / worse", "cases"),
        ("n", "cases of both"),
    ]  # fmt: skip
    first = records(part)[0]
    alone = int(first["n_unpaired"])
    both = (int(first["n_baseline"]) + int(first["n_model"]) - alone) // 2
    caption = f"{model} minus {baseline}, over the {both} of {both + alone} scans that have both"
    return View(f"comparison-{key}-{slug(baseline)}-{slug(model)}", caption, headers, rows, files)


def _values(row: Mapping[str, Any]) -> list[Cell]:
    digits = measure_of(row["metric"]).digits
    values = [estimate(row, name, digits) for name in ("baseline_value", "model_value")]
    return [*values, number(row["difference"], digits, row["ci_low"], row["ci_high"])]

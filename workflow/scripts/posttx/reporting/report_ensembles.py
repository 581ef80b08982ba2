"""The report's part on ensembles of models: who is in them, with which weights, and how these were chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from posttx.files import read_parquet
from posttx.networks.model_ensembles import EQUAL, ensembles, weighting
from posttx.networks.trainings import levers
from posttx.networks.weighing import ALL, candidates
from posttx.reporting.methods import Paragraph
from posttx.reporting.report_cells import View, count, number, slug, text

DIGITS = 3


def section(results: Path, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return name, paragraphs and table of weights (None where they are equal) of every ensemble of models."""
    config, found = settings["config"], []
    training = next((name for name, cohort in config["cohorts"].items() if cohort["use"] == "train"), "")
    for name, members in ensembles(config).items():
        folder = f"tables/{training}/{name}/weights"
        weighed = weighting(config["models"][name]) != EQUAL
        choice = read_parquet(results / f"{folder}.parquet") if weighed else None
        files = [(f"weights.{kind}", f"../{folder}.{kind}") for kind in ("csv", "parquet")]
        found.append(
            {
                "name": name,
                "paragraphs": paragraphs(members, "targets" in levers(config["models"][members[0]]["train"]), choice),
                "weights": None if choice is None else view(choice, members, slug(name), files).of(choice),
            }
        )
    return found


def paragraphs(members: Sequence[str], regions: bool, choice: pd.DataFrame | None) -> list[Paragraph]:
    """Return (heading, text) of an ensemble; ``choice`` is the table of its weights, None where they are equal.

    ``regions``: its members learn regions.
    """
    drawn = "regions were drawn where the mean exceeds 0.5" if regions else "a voxel got the class of the highest mean"
    head = "sigmoid" if regions else "softmax"
    equal = "with equal weights" if choice is None else "with weights chosen out of fold"
    told = [
        (
            "Ensemble of models",
            f"The probabilities of {', '.join(members)} were averaged {equal} on the grid of the standardised scan; "
            f"{drawn}. Each model's are the {head} of the mean logits of its folds; on the training cohort those of "
            "the one fold that had not seen the case (out of fold).",
        )
    ]
    if choice is None:
        return told
    final = choice[choice["fold"] == ALL]
    weights = ", ".join(f"{row['member']} {row['weight']:.2g}" for _, row in final.iterrows())
    row, crossed = final.iloc[0], _held_out(choice)
    told.append(
        (
            "Weights",
            f"The best of {len(candidates(len(members)))} candidates by mean Dice over classes and cases (1 for a "
            f"class that reference and prediction lack), chosen on out-of-fold predictions of {row['n']:,} cases of "
            f"{row['n_patients']:,} patients: {weights}. A tie keeps equal weights. The training cohort was predicted "
            "with weights chosen on the other folds; with these its mean Dice over classes and cases is "
            f"{crossed['dice_held_out']:.4f}, with equal weights {crossed['dice_equal_held_out']:.4f}.",
        )
    )
    return told


def view(choice: pd.DataFrame, members: Sequence[str], key: str, files: Sequence[tuple[str, str]]) -> View:
    """Make the table of weights: one row per fold, and one for held-out cohorts."""
    weights = choice.pivot(index="fold", columns="member", values="weight")
    measured = choice.drop_duplicates("fold").set_index("fold")
    rows = [
        [text("held-out cohorts" if fold == ALL else f"cases of fold {fold}"),
         *(number(weights.loc[fold, member], 2) for member in members),
         *(number(measured.loc[fold, column], DIGITS) for column in ("dice_held_out", "dice_equal_held_out")),
         count(measured.loc[fold, "n_patients"])]
        for fold in measured.index
    ]  # fmt: skip
    headers = [
        ("Weights for", ""), *((member, "weight") for member in members),
        ("Dice", "of these cases, mean over classes"), ("With equal weights", "Dice of these cases"),
        ("Patients", "the weights were chosen on"),
    ]  # fmt: skip
    note = "Weights for the cases of a fold were chosen on the other folds, those for held-out cohorts on all."
    return View(f"weights-{key}", "Weights of the members", headers, rows, files, note, plain=True)


def _held_out(choice: pd.DataFrame) -> pd.Series:
    """Return the mean Dice over all cases, each of which counted in the fold that held it out."""
    folds = choice[choice["fold"] != ALL].drop_duplicates("fold")
    sizes = int(choice.loc[choice["fold"] == ALL, "n"].iloc[0]) - folds["n"]
    columns = folds[["dice_held_out", "dice_equal_held_out"]]
    return columns.mul(sizes, axis=0).sum() / sizes.sum()

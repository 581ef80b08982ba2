"""Write the tables of a finished ablation as Markdown: `python workflow/scripts/write_ablation.py RESULTS OUTPUT`.

Beside the table of levers that the report shows stand the measures that single levers are meant for: false-positive
volume and recall of ET, and how well ET and RC agree near their interface. Those read the label maps.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from posttx import configuration
from posttx.analysis.aims import AIMS, aims
from posttx.analysis.levers import pairs_in
from posttx.errors import PostTxError
from posttx.files import read_json, read_parquet, write_text
from posttx.labels import load_scheme
from posttx.networks.lever_pairs import LeverPair
from posttx.nifti import read_volume
from posttx.reporting import report_levers
from posttx.reporting.report_cells import View, count, number, text
from posttx.reporting.report_tables import p_value
from posttx.scoring.interface import interface_nsd

ROOT = Path(__file__).resolve().parents[2]
INTRODUCTION = """# Ablation

Made by `make ablation` from {cases}.
Each line is a model that differs in one setting alone from the one that it is set against, on the same folds{seeds}.
Differences are model minus baseline, paired by case, with 95 % intervals by patient and p after Holm. Phantoms say
nothing about patients: they show whether a lever does what it is for where the truth is known.
"""


def tables(results: Path) -> str:
    """Return the tables of a finished run below ``results`` as Markdown."""
    config, path = read_json(results / "provenance.json")["config"], results / "tables/levers.parquet"
    if not path.is_file():
        raise PostTxError(
            "the run has no table of levers", remedy="Run config/ablation.yaml to its end (`make ablation`)", file=path
        )
    pairs = pairs_in(read_parquet(path))
    scheme = load_scheme(configuration.label_scheme_path(ROOT, config)).scoring()
    shown = {"config": config, "cohorts": config["cohorts"], "levers": True}
    parts = [INTRODUCTION.format(cases=_cases(results, config), seeds=_seeds(pairs))]
    for part in report_levers.section(results, shown):
        values = {
            name: values_of(results, part["cohort"], name, scheme)
            for name in dict.fromkeys(name for pair in pairs for both in pair.seeds for name in both)
        }
        table = aims(pairs, values, config["statistics"]["seed"])
        parts += [f"## On {part['cohort']}\n", report_levers.as_markdown([part["view"], _view(table)])]
        parts += ["".join(f"- {sentence}\n" for _, sentence in part["said"])]
    return "\n".join(parts)


def values_of(results: Path, cohort: str, model: str, regions: Mapping[str, Sequence[int]]) -> pd.DataFrame:
    """Return a row per case of a model on a cohort with the columns of ``AIMS``.

    False-positive voxels and recall are those of the metrics; the rest is measured on the label maps, prediction and
    reference, which must lie on one grid.
    """
    metrics = read_parquet(results / f"metrics/{cohort}/{model}.parquet")
    paths = read_parquet(results / f"cohorts/{cohort}.parquet").set_index("case")["seg"]
    between = (int(regions["ET"][0]), int(regions["RC"][0]))
    rows = []
    for row in metrics[metrics["region"] == "ET"].to_dict("records"):
        truth = read_volume(results.parent / paths[row["case"]])
        edges = np.linalg.norm(truth.affine[:3, :3], axis=0)
        spacing = (float(edges[0]), float(edges[1]), float(edges[2]))
        predicted = read_volume(_prediction(results, cohort, model, row["case"]))
        if truth.data.shape != predicted.data.shape:
            raise PostTxError(
                "prediction and reference lie on different grids", remedy="Give references on the scans' own grid",
                case=row["case"],
            )  # fmt: skip
        near = interface_nsd(np.rint(truth.data), np.rint(predicted.data), spacing, between)
        rows.append({"case": row["case"], "patient": row["patient"], "fp_mm3": float(row["fp"]) * edges.prod(),
                     "recall": row["recall"], "nsd_et": near[0], "nsd_rc": near[1]})  # fmt: skip
    return pd.DataFrame(rows, columns=["case", "patient", *AIMS])


def _prediction(results: Path, cohort: str, model: str, case: str) -> Path:
    found = sorted((results / f"predictions/{cohort}/{model}").glob(f"*/{case}.nii.gz"))
    if not found:
        raise PostTxError("the run has no prediction of this case", remedy="Finish the run", case=case)
    return found[0]


def _view(table: pd.DataFrame) -> View:
    rows = []
    for row in table.to_dict("records"):
        name, digits, _ = AIMS[str(row["aim"])]
        rows.append(
            [text(str(row["lever"]).replace("_", " ")), text(row["model"]), text(name),
             number(row["baseline_value"], digits), number(row["model_value"], digits),
             number(row["difference"], digits, row["ci_low"], row["ci_high"]), p_value(row["p_holm"]),
             count(row["n"]), count(row["n_patients"])]
        )  # fmt: skip
    names = ("Lever", "Model", "Measure", "Baseline", "Model's value", "Difference", "p, Holm", "n", "Patients")
    return View("aims", "What single levers are meant for", [(name, "") for name in names], rows)


def _cases(results: Path, config: Mapping[str, Any]) -> str:
    known = {name: read_parquet(results / f"cohorts/{name}.parquet") for name in config["cohorts"]}
    return ", ".join(
        f"{len(table)} scans of {table['patient'].nunique()} patients ({name})" for name, table in known.items()
    )


def _seeds(pairs: Sequence[LeverPair]) -> str:
    most = max(len(pair.seeds) for pair in pairs)
    return f" and up to {most} seeds" if most > 1 else ", one seed"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="results folder of a finished ablation")
    parser.add_argument("output", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    try:
        write_text(options.output, tables(options.results))
    except PostTxError as error:
        sys.exit(str(error))

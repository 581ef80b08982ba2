"""The arithmetic of the presence gate on the published counts and four prize models, by class alone: no image is there.

Each class that a case was given is one component of that many voxels.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from posttx.postprocess.choice import Predicted, choose
from posttx.postprocess.rules import Rule
from posttx.postprocess.subsets import Cohort
from posttx.scoring.scoring_schemes import scoring_scheme

DATA = Path(__file__).resolve().parents[2].parent / "shared/data/published"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared with the published counts is absent")
CLASSES = {"NETC": 1, "SNFH": 2, "ET": 3, "RC": 4}
PRIZES = ("BraTS25_1", "BraTS25_2", "BraTS25_3A", "BraTS25_3B")
FOLDS = 5


def predicted(name: str) -> Predicted:
    """Return the classes of every case as components, sure (1) where the reference has the class, else not (0)."""
    rows, components, splits = [], [], []
    for entry in json.loads((DATA / name).read_text())["metric_per_case"]:
        case = entry["prediction_file"].replace("\\", "/").rsplit("/", 1)[1].removesuffix(".nii.gz")
        patient = case.rsplit("-", 1)[0]
        splits.append({"case": case, "patient": patient, "fold": int(patient[-5:]) % FOLDS})
        for label in CLASSES.values():
            counts = entry["metrics"][str(label)]
            rows.append((case, "reference", label, 0, 0, counts["n_ref"]))
            if counts["n_ref"]:
                rows.append((case, "lesion", label, 1, 1, counts["n_ref"]))
            if counts["TP"]:
                rows.append((case, "touch", label, label, 1, counts["TP"]))
            if counts["n_pred"]:
                rows.append((case, "component", label, label, 1, counts["n_pred"]))
                rows.append((case, "place", label, label, 0, 0))
                rows.append((case, "overlap", label, label, 0, counts["TP"]))
                components.append((case, label, 1, counts["n_pred"], float(counts["n_ref"] > 0)))
    table = pd.DataFrame(rows, columns=["case", "kind", "label", "first", "second", "voxels"])
    known = pd.DataFrame(components, columns=["case", "label", "component", "voxels", "p_max"])
    known = known.assign(volume_mm3=known["voxels"].astype(float), share=1.0, surround=0)
    return Predicted.of(Cohort.of(table, CLASSES, scoring_scheme("voxel")), known, pd.DataFrame(splits))


def gained(cohort: Predicted, rule: Rule) -> np.ndarray:
    """Return what a rule for every class adds to the mean Dice (absent is one) of each."""
    choices = (cohort.chosen(dict.fromkeys(CLASSES, rule)), cohort.cohort.as_predicted)
    after, before = (cohort.cohort.dice(choice).mean(axis=0) for choice in choices)
    return after - before


def test_a_gate_that_knew_would_add_what_the_design_says():
    cohort = predicted("summary.json")
    assert len(cohort.cohort.cases) == 271
    before = cohort.cohort.dice(cohort.cohort.as_predicted).mean(axis=0)
    gain = gained(cohort, Rule(presence_probability=0.5))
    # hallucinated in 46, 0, 21 and 21 of the 271 cases
    np.testing.assert_allclose(gain, np.array([46, 0, 21, 21]) / 271, atol=1e-12)
    assert gain.round(2).tolist() == [0.17, 0.0, 0.08, 0.08]
    np.testing.assert_array_less(before + gain, 1)


def test_a_gate_by_volume_alone_is_chosen_honestly_and_stays_below_that_bound():
    cohort = predicted("summary.json")
    cohort = replace(cohort, p_max=np.ones_like(cohort.p_max))
    bound = np.array([46, 0, 21, 21]) / 271
    table = choose(cohort, "dice", FOLDS).table
    assert (table["gain"].to_numpy() <= bound + 1e-12).all()
    assert (table["n"] == 271).all()
    assert (table["n_patients"] == 118).all()
    assert (table.loc[table["rule"] != "none", "ci_low"] > 0).all()
    assert table["gain"].min() >= -0.002
    assert (table["missed_after"] - table["missed_before"] <= table["removed_true"]).all()


@pytest.mark.parametrize("name", PRIZES)
def test_prize_models_gain_as_much_as_they_hallucinate(name):
    cohort = predicted(f"prize/{name}.json")
    cells = pd.DataFrame({"which": cohort.cohort.label, "case": cohort.cohort.case})
    hallucinated = cells[cohort.cohort.reference[cells["case"], cells["which"]] == 0]["which"].value_counts()
    expected = hallucinated.reindex(range(4), fill_value=0).to_numpy() / len(cohort.cohort.cases)
    np.testing.assert_allclose(gained(cohort, Rule(presence_probability=0.5)), expected, atol=1e-12)

"""The tables of `make ablation`: agreement near an interface by hand, what levers are for, the shipped configs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import results_tree as tree
from test_configuration import DEFAULTS, SCHEMA

import write_ablation
from make_levers import write_levers
from posttx import configuration
from posttx.analysis.aims import AIMS, aims
from posttx.errors import PostTxError
from posttx.files import write_json, write_parquet
from posttx.networks import trainings
from posttx.networks.lever_pairs import LeverPair, lever_pairs
from posttx.nifti import write_volume
from posttx.postprocess.models import expand_postprocessed
from posttx.scoring.interface import interface_nsd

ET, RC = 3, 4
MM = (1.0, 1.0, 1.0)
ROOT = Path(__file__).resolve().parents[2]


def blocks(shift=0, gap=0) -> np.ndarray:
    """Two blocks of 12 x 12 x 20 voxels that touch in a plane, the second off by ``gap``, all moved by ``shift``."""
    labels = np.zeros((70, 24, 24), np.uint8)
    labels[10 + shift : 30 + shift, 6:18, 6:18] = ET
    labels[30 + shift + gap : 50 + shift + gap, 6:18, 6:18] = RC
    return labels


def test_the_same_map_agrees_and_a_far_error_does_not_count():
    truth, found = blocks(), blocks()
    assert interface_nsd(truth, found, MM, (ET, RC)) == (1.0, 1.0)
    found[10:18] = 0  # twelve voxels and more from the interface
    assert interface_nsd(truth, found, MM, (ET, RC)) == (1.0, 1.0)


def test_an_error_at_the_interface_counts_by_hand():
    truth = blocks()
    moved = truth.copy()
    moved[27:30, 6:18, 6:18] = RC  # the wall is three voxels into ET: off by 3 mm over its whole plane
    both = interface_nsd(truth, moved, MM, (ET, RC))
    # near the interface: a plane of 12 x 12, and five rings of 44 around each block (i = 25 .. 29, distance 5 .. 1)
    assert all(0.3 < value < 0.8 for value in both)
    assert interface_nsd(truth, moved, MM, (ET, RC), tolerance_mm=3.0) == (1.0, 1.0)
    assert interface_nsd(truth, moved, (0.3, 0.3, 0.3), (ET, RC), near_mm=2.0)[0] == 1.0


def test_what_is_not_there_is_undefined_and_what_is_not_found_is_0():
    assert all(np.isnan(interface_nsd(blocks(gap=3), blocks(), MM, (ET, RC))))
    assert all(np.isnan(interface_nsd(np.zeros((5, 5, 5)), np.zeros((5, 5, 5)), MM, (ET, RC))))
    truth = blocks()
    assert interface_nsd(truth, np.where(truth == RC, 0, truth), MM, (ET, RC))[1] == 0.0
    assert interface_nsd(truth, np.zeros_like(truth), MM, (ET, RC)) == (0.0, 0.0)


def test_aims_are_paired_by_case_averaged_over_seeds_and_adjusted_over_the_table():
    draw = np.random.default_rng(0)
    cases = pd.DataFrame({"case": [f"P-{n:03d}" for n in range(20)], "patient": [f"P-{n // 2:03d}" for n in range(20)]})
    plain = cases.assign(**{aim: draw.uniform(0.2, 0.8, 20) for aim in AIMS})
    plain.loc[3, "nsd_et"] = np.nan
    added = {"plain": 0.0, "plain_2": 1.0, "m": -0.1, "m_2": 0.5}
    values = {name: plain.assign(fp_mm3=plain["fp_mm3"] + more) for name, more in added.items()}
    pair = LeverPair("boundary", "weight 1", "m", "plain", (("plain", "m"), ("plain_2", "m_2")), ("m",))
    table = aims([pair], values, 1).set_index("aim")
    assert table.loc["fp_mm3", "difference"] == pytest.approx(-0.3)
    assert table.loc["fp_mm3", ["n", "n_patients"]].tolist() == [20, 10]
    assert table.loc["nsd_et", "n"] == 19
    assert table.loc["recall", "difference"] == 0
    assert table.loc["fp_mm3", "p_holm"] == pytest.approx(4 * table.loc["fp_mm3", "p_value"])


def shipped(name):
    config = configuration.complete(configuration.read_yaml(ROOT / "config" / name), DEFAULTS)
    configuration.check_schema(config, SCHEMA)
    configuration.fill_defaults(config, SCHEMA)
    configuration.cross_check(config)
    trainings.expand_seeds(config)
    expand_postprocessed(config)
    return config


@pytest.mark.parametrize("name", ["ablation.yaml", "ablation_brats.yaml"])
def test_the_shipped_configurations_hold_one_lever_at_a_time(name):
    config = shipped(name)
    trainings.check_levers(config, ["NETC", "SNFH", "ET", "RC"])
    pairs = lever_pairs(config)
    own = [model for model, train in trainings.trained_models(config).items() if trainings.REPEATS not in train]
    assert {pair.model for pair in pairs if pair.lever in trainings.LEVERS} == {*own} - {"plain"}
    assert {pair.lever for pair in pairs} >= {"postprocess", "ensemble"}
    assert {pair.baseline for pair in pairs} == {"plain"}
    seeds = len(config["models"]["plain"]["train"]["further_seeds"])
    assert all(len(pair.seeds) == 1 + seeds for pair in pairs if pair.lever in trainings.LEVERS)


def test_the_phantoms_of_the_ablation_are_hard():
    for cohort in shipped("ablation.yaml")["cohorts"].values():
        assert all(cohort["phantom"]["pitfalls"].values())
        assert cohort["phantom"]["sites"] == 2
        assert cohort["phantom"]["rims"] > 0


@pytest.fixture
def finished(tmp_path) -> Path:
    """The results of an ablation of one lever on twelve cases, with label maps."""
    results = tmp_path / "results"
    cases = tree.case_metrics(12, model="plain")
    people = cases.drop_duplicates("case")[["case", "patient"]]
    train = {"planner": "plain", "seed": 1, "attention": "none"}
    models = {name: {"train": train | {"attention": gates}} for name, gates in (("plain", "none"), ("gates", "gates"))}
    config = tree.configured(cohorts={"additional": {"path": "x", "use": "test"}}) | {"models": models}
    write_json(results / "provenance.json", {"config": config})
    for name, shift in (("plain", 3), ("gates", 1)):
        write_parquet(cases.assign(model=name), results / f"metrics/additional/{name}.parquet")
        for case in people["case"]:
            write_volume(results / f"predictions/additional/{name}/000/{case}.nii.gz", blocks(shift), np.eye(4))
    for case in people["case"]:
        write_volume(tmp_path / f"{case}.nii.gz", blocks(), np.eye(4))
    write_parquet(people.assign(seg=people["case"] + ".nii.gz"), results / "cohorts/additional.parquet")
    paths = [results / f"metrics/additional/{name}.parquet" for name in models]
    output = {kind: results / f"tables/levers.{kind}" for kind in ("parquet", "csv")}
    write_levers(paths, {}, output, lever_pairs(config), tree.SCHEME.scoring(), config["statistics"])
    return results


def test_the_tables_say_what_each_lever_changes_and_what_it_is_meant_for(finished):
    text = write_ablation.tables(finished)
    assert "12 scans of" in text
    assert "one seed" in text
    assert "| attention (gates) | gates (against plain) |" in text
    (line,) = (line for line in text.splitlines() if AIMS["nsd_et"][0] in line)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert float(cells[3]) < float(cells[4]) == 1.0
    assert cells[-2] == "12"
    assert str(finished.parent) not in text


def test_a_run_without_levers_and_a_case_without_a_prediction_are_told(finished):
    next(iter((finished / "predictions/additional/gates/000").iterdir())).unlink()
    with pytest.raises(PostTxError, match="the run has no prediction of this case"):
        write_ablation.tables(finished)
    (finished / "tables/levers.parquet").unlink()
    with pytest.raises(PostTxError, match="the run has no table of levers"):
        write_ablation.tables(finished)

"""Cases of six geometries under each setting of `audit.geometry`, from the scans to the report, with the gate open."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow_runs import snakemake

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))


@pytest.mark.parametrize("setting", ["fail", "trust_affine", "trust_voxels"])
def test_there_is_a_report_and_a_case_that_cannot_be_read_is_named(tmp_path, setting):
    from audit_cases import write_phantoms
    from six_geometries import AGREEING, GEOMETRIES, LEADERS

    from posttx.nifti import read_volume, write_volume

    kinds = {}
    for (case, files), (kind, spoil) in zip(
        write_phantoms(tmp_path / "data", len(GEOMETRIES)).items(), GEOMETRIES.items(), strict=True
    ):
        spoil(files)
        kinds[case] = kind
        # What a program gives that reads the scan: the labels index by index, with the header of the case's image.
        leader = files[LEADERS.get(kind, "t1n")]
        labels = np.asfortranarray(read_volume(files["seg"]).data)
        write_volume(tmp_path / f"predictions/{case}.nii.gz", labels, read_volume(leader).affine)
    config = {
        "cohorts": {"held_out": {"path": "data", "use": "test"}},
        "models": {"theirs": {"predictions": {"held_out": "predictions"}}},
        "audit": {"geometry": setting, "fail_on": ["nothing"]},
        "report": {"cases": ["all"], "extreme_cases": 2},
        "statistics": {"bootstrap": 100},
        "shards": 1,
    }
    run = snakemake(tmp_path, "-c2", "report", config=config, timeout=900)
    assert run.returncode == 0, run.text[-5000:]
    results = tmp_path / "results"
    page = (results / "report/index.html").read_text()

    unread = {case for case, kind in kinds.items() if setting == "fail" and kind not in AGREEING}
    metrics = pd.read_parquet(results / "metrics/held_out/theirs.parquet").set_index("case")
    assert set(metrics.index) == set(kinds)
    assert set(metrics.index[metrics["n_ref"].isna()]) == unread
    findings = pd.read_parquet(results / "scored/held_out/theirs_findings.parquet")
    assert set(findings.loc[findings["code"] == "EVA005", "case"]) == unread
    assert "EVA005" in page or not unread

    folder = results / "figures/cases/held_out"
    missed = json.loads((folder / "not_drawn.json").read_text())
    assert set(missed.get("theirs", {})) == unread
    drawn = set(kinds) - unread
    for files in (folder / "theirs", results / "report/labels/held_out/theirs", results / "report/images/held_out"):
        assert {path.stem for path in files.glob("[!.]*.*")} == drawn
    assert {path.stem for path in (results / "report/thumbs/held_out/theirs").glob("*.webp")} == drawn
    for case in unread:
        assert f"{case} could not be drawn: images on different grids (GEO001)" in page
    assert page.count("could not be drawn") == len(unread)
    assert str(tmp_path) not in page

    # Whoever trusts the arrays finds a prediction that repeats them index by index without a fault.
    dice = metrics.groupby("case")["dice"].mean()
    faultless = set(kinds) - unread
    if setting == "trust_affine":
        faultless -= {case for case, kind in kinds.items() if kind == "reference elsewhere"}
    assert (dice[list(faultless)] == 1.0).all()

"""The two real cases through scan, audit and gate: what is odd about them must be seen, and told with its remedy."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from audit_shard import audit_shard, tasks_of
from check_audit import check_audit
from gather_audit import gather_audit
from posttx.cases import IMAGE_COLUMNS, MODALITIES, list_cases
from posttx.errors import PostTxError
from posttx.files import read_json
from posttx.schemas import COHORT, FINDINGS, GEOMETRY, INTENSITY, LABEL_VOLUMES, read_table
from scan_shard import scan_shard

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "real" / "cases"
OFFICIAL = {1: "NETC", 2: "SNFH", 3: "ET", 4: "RC"}
PUBLISHED = {1: "ET", 2: "NETC", 3: "SNFH", 4: "RC"}
TABLES = ("intensity", "labels", "findings", "geometry", "evidence")

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="the shared real cases are not here")


def audit(root: Path, geometry: str, names: dict[int, str], cases: Path = REAL) -> Path:
    """Run scan, audit and gather in ``root``; return the folder of the gathered tables."""
    listed = list_cases("real", {"path": str(cases), "use": "test"}, 2, root)
    scan_shard(listed, root / "real.parquet")
    cohort = read_table(root / "real.parquet", COHORT)
    inputs: dict[str, list[Path]] = {"cohorts": [root / "real.parquet"], **{name: [] for name in TABLES}}
    for shard in sorted({case.shard for case in listed}):
        outputs = {name: root / shard / f"{name}.parquet" for name in (*TABLES, "thumbnails")}
        audit_shard(tasks_of(cohort, shard, "test", names, geometry), outputs)
        for name in TABLES:
            inputs[name].append(outputs[name])
    folder = root / "audit"
    tables = ("intensity", "labels", "findings", "cohort_table", "groups", "shift")
    gathered = {name: folder / f"{name}.parquet" for name in tables}
    gather_audit(inputs, {**gathered, "scheme": folder / "scheme.json"}, {"real": "test"}, names)
    geometries = pd.concat([read_table(path, GEOMETRY) for path in inputs["geometry"]])
    geometries.to_parquet(folder / "geometry.parquet")
    return folder


@pytest.fixture(scope="module")
def believed(tmp_path_factory):
    return audit(tmp_path_factory.mktemp("believed"), "trust_voxels", OFFICIAL)


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    return audit(tmp_path_factory.mktemp("refused"), "fail", PUBLISHED)


def test_the_contradiction_of_affines_is_seen_and_decided_by_evidence(believed):
    geometry = pd.read_parquet(believed / "geometry.parquet")
    assert geometry["decision"].tolist() == ["trust_voxels"] * 2
    assert (geometry["score_voxels"] > 0.3).all()
    assert (geometry["score_affine"] < 0.1).all()
    assert (geometry["inside_voxels"] > 0.99).all()
    assert geometry["evidence"].str.contains("trust_voxels is right").all()
    assert geometry["evidence"].str.contains("axes LPS against").all()
    findings = read_table(believed / "findings.parquet", FINDINGS)
    assert (findings["code"] == "GEO003").sum() == 2


def test_without_a_setting_the_gate_closes_and_names_the_setting(refused, tmp_path):
    with pytest.raises(PostTxError) as caught:
        check_audit(refused / "findings.parquet", "audit.html", tmp_path / "gate.json", ["error"])
    text = str(caught.value)
    assert "2 x GEO002" in text
    assert "audit.geometry: trust_voxels" in text
    assert str(refused / "findings.parquet") in text


def test_the_official_order_is_contradicted_and_the_order_of_the_data_found(believed):
    scheme = read_json(believed / "scheme.json")
    assert scheme["verdict"] == "contradicted"
    assert scheme["best"] == {"1": "ET", "2": "NETC", "3": "SNFH"}
    findings = read_table(believed / "findings.parquet", FINDINGS)
    assert findings.loc[findings["code"] == "SCH001", "remedy"].str.contains("1: ET, 2: NETC, 3: SNFH").all()


def test_the_order_of_the_data_is_confirmed_also_where_geometry_is_open(refused):
    scheme = read_json(refused / "scheme.json")
    assert (scheme["verdict"], scheme["best"]) == ("confirmed", {"1": "ET", "2": "NETC", "3": "SNFH"})


def test_there_is_nothing_else_to_stop_for(refused):
    findings = read_table(refused / "findings.parquet", FINDINGS)
    assert set(findings.loc[findings["severity"] != "info", "code"]) == {"GEO002"}
    assert {"INT003", "LAB005", "LAB006"} <= set(findings["code"])


def test_intensities_are_those_of_numpy(believed):
    table = read_table(believed / "intensity.parquet", INTENSITY).set_index(["case", "modality"])
    assert len(table) == 8
    for (case, modality), row in table.iterrows():
        data = np.asanyarray(nib.load(REAL / case / f"{case}-{modality}.nii.gz").dataobj)
        values = data[data != 0]
        for name, percent in (("min", 0), ("p01", 1), ("p50", 50), ("p99", 99), ("max", 100)):
            assert row[name] == pytest.approx(np.percentile(values, percent), rel=1e-6)
        assert row["mean"] == pytest.approx(values.mean(dtype=float), rel=1e-6)
        assert row["std"] == pytest.approx(values.std(dtype=float), rel=1e-5)
        assert row["negative_fraction"] == pytest.approx((values < 0).mean())
        assert row["dtype"] == "float32"


def test_label_volumes_and_what_labels_look_like(believed):
    table = read_table(believed / "labels.parquet", LABEL_VOLUMES)
    for case, rows in table.groupby("case"):
        data = np.asanyarray(nib.load(REAL / case / f"{case}-seg.nii.gz").dataobj)
        assert rows["voxels"].tolist() == [int((data == label).sum()) for label in range(1, 5)]
        assert rows["volume_mm3"].tolist() == pytest.approx(rows["voxels"].tolist())
        enhancement = (rows["mean_t1c"] - rows["mean_t1n"]).tolist()
        assert enhancement[0] == max(enhancement[:3])
        flair = rows["mean_t2f"].tolist()
        assert flair[2] == max(flair[:3])
        assert rows["mean_t1c"].isna().tolist() == [False, False, False, True]


@pytest.mark.parametrize(("one", "other", "code"), [("t1n", "t1c", "INT009"), ("t2w", "t2f", "INT010")])
def test_swapped_modalities_of_real_cases_are_found(tmp_path, one, other, code):
    for case in REAL.iterdir():
        folder = tmp_path / "data" / case.name
        folder.mkdir(parents=True)
        for name in IMAGE_COLUMNS:
            source = {one: other, other: one}.get(name, name)
            shutil.copy(case / f"{case.name}-{source}.nii.gz", folder / f"{case.name}-{name}.nii.gz")
    findings = read_table(audit(tmp_path, "trust_voxels", PUBLISHED, tmp_path / "data") / "findings.parquet", FINDINGS)
    assert (findings["code"] == code).sum() == 2


def test_a_mirrored_reference_of_a_real_case_is_found(tmp_path):
    case = next(iter(sorted(REAL.iterdir())))
    folder = tmp_path / "data" / case.name
    folder.mkdir(parents=True)
    for name in MODALITIES:
        shutil.copy(case / f"{case.name}-{name}.nii.gz", folder)
    image = nib.load(case / f"{case.name}-t1n.nii.gz")
    labels = np.asanyarray(nib.load(case / f"{case.name}-seg.nii.gz").dataobj)[::-1].astype(np.uint8)
    nib.save(nib.Nifti1Image(labels, image.affine), folder / f"{case.name}-seg.nii.gz")
    findings = read_table(audit(tmp_path, "fail", PUBLISHED, tmp_path / "data") / "findings.parquet", FINDINGS)
    assert "GEO012" in set(findings["code"])

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import SimpleITK
from audit_cases import geometry_table

from gather_metrics import gather_metrics
from posttx.cases import IMAGE_COLUMNS
from posttx.errors import CasesFailedError, PostTxError
from posttx.nifti import read_volume, write_volume
from posttx.schemas import CASE_METRICS, COHORT, CONFUSION, FINDINGS, GEOMETRY, LESIONS, read_table, write_table
from posttx.scoring import evaluation
from score_shard import score_shard

REGIONS = {"NETC": [1], "SNFH": [2], "ET": [3], "RC": [4], "TC": [1, 3], "WT": [1, 2, 3]}
CASES = ["BraTS-GLI-00001-100", "BraTS-GLI-00001-101", "BraTS-GLI-00002-100"]
LAS = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
SHAPE = (20, 24, 22)


def labels(seed, shape=SHAPE):
    rng = np.random.default_rng(seed)
    volume = np.zeros(shape, np.uint8)
    for value in (2, 3, 1, 4):
        low = rng.integers(2, 10, 3)
        volume[tuple(slice(n, n + rng.integers(3, 9)) for n in low)] = value
    return volume


class Cohort:
    """Three references and two models' predictions of them, with the scripts to score them."""

    def __init__(self, root):
        self.root, self.results = root, root / "results"
        for number, case in enumerate(CASES):
            self.write(f"references/{case}.nii.gz", labels(number))
            for model in ("one", "two"):
                self.write(f"{model}/{case}.nii.gz", np.roll(labels(number), len(model) - 2, 0))
        self.tabulate(CASES)

    def write(self, name, data, affine=LAS):
        path = self.root / name
        write_volume(path, data, affine)
        return path

    def tabulate(self, cases, **columns):
        rows = [
            {"case": case, "patient": case[:-4], "timepoint": int(case[-3:]), "cohort": "c", "shard": "000"}
            | {"seg": str(self.root / f"references/{case}.nii.gz")}
            | {name: value(case) for name, value in columns.items()}
            for case in cases
        ]
        table = pd.DataFrame(rows).reindex(columns=list(COHORT.columns))
        for name in IMAGE_COLUMNS:
            table[name] = table[name].astype("str").where(table[name].notna(), None)
        write_table(table, COHORT, self.results / "cohorts/c.parquet")

    def score(self, models=("one", "two"), workers=1, geometry=None, **settings):
        defaults = {"regions": REGIONS, "scheme": "brats2024", "tolerances": [0.5, 1.0], "missing": "error"}
        folders = {model: str(self.root / model) for model in models}
        output = self.results / "scored/c/000.tsv"
        output.unlink(missing_ok=True)
        score_shard(
            self.results / "cohorts/c.parquet",
            geometry,
            output,
            "c",
            "000",
            defaults | {"folders": folders} | settings,
            workers,
        )
        return pd.read_csv(output, sep="\t", keep_default_na=False)

    def gather(self, model="one", **options):
        outputs = {name: self.results / name / "c" / f"{model}.parquet" for name in ("metrics", "lesions", "confusion")}
        outputs["findings"] = self.results / f"scored/c/{model}_findings.parquet"
        gather_metrics(self.results / "cohorts/c.parquet", outputs, "c", model, REGIONS, **options)
        return outputs

    def table(self, model="one", table="metrics"):
        return pd.read_parquet(self.results / table / "c" / model)


@pytest.fixture
def cohort(tmp_path):
    return Cohort(tmp_path)


def test_all_models_of_a_shard_are_scored_and_listed(cohort):
    listed = cohort.score(workers=2)
    assert list(listed.columns) == ["case", "model", "file", "scores"]
    assert len(listed) == 6
    for model in ("one", "two"):
        table = cohort.table(model)
        assert len(table) == len(CASES) * len(REGIONS)
        assert table["volume_ref_mm3"].eq(table["n_ref"].astype(float)).all()
        assert table[["hd95_mm", "lesion_dice", "lesion_nsd_1.0"]].notna().all().all()
        assert len(cohort.table(model, "confusion")) == len(CASES) * 25
        assert cohort.table(model, "lesions")["centroid_x_mm"].between(60, 92).all()


def test_a_reference_is_read_once_for_all_models(cohort, monkeypatch):
    read = []
    monkeypatch.setattr(evaluation, "read_volume", lambda path: read.append(str(path)) or read_volume(path))
    cohort.score()
    assert sorted(read) == sorted(str(cohort.root / f"references/{case}.nii.gz") for case in CASES)


def test_a_folder_of_cases_reads_as_one_table_that_fits_the_schema(cohort):
    cohort.score()
    outputs = cohort.gather()
    gathered = read_table(outputs["metrics"], CASE_METRICS)
    folder = read_table(cohort.results / "metrics/c/one", CASE_METRICS)
    pd.testing.assert_frame_equal(gathered, folder.sort_values(["case", "region"]).sort_index())
    assert ds.dataset(str(cohort.results / "metrics/c/one"), format="parquet").count_rows() == len(gathered)
    assert len(read_table(outputs["lesions"], LESIONS)) == len(cohort.table(table="lesions"))
    assert read_table(outputs["confusion"], CONFUSION)["voxels"].sum() == len(CASES) * np.prod(SHAPE)


def test_files_say_how_they_came_about(cohort):
    cohort.score()
    path = cohort.results / f"metrics/c/one/000/{CASES[0]}.parquet"
    metadata = {key.decode(): value.decode() for key, value in pq.read_schema(path).metadata.items()}
    assert metadata["scheme"] == "brats2024"
    assert len(metadata["prediction_sha256"]) == len(metadata["reference_sha256"]) == 64
    assert "numpy" in metadata["versions"]
    first = metadata["scheme_digest"]
    cohort.score(snfh_dilation="intended")
    assert pq.read_schema(path).metadata[b"scheme_digest"].decode() != first
    outputs = cohort.gather()
    common = pq.read_schema(outputs["metrics"]).metadata
    assert common[b"scheme"] == b"brats2024"
    assert b"prediction_sha256" not in common


def test_predictions_in_another_orientation_score_the_same(cohort):
    cohort.score(["one"])
    before = cohort.table()
    for number, case in enumerate(CASES):
        flipped = np.roll(labels(number), 1, 0).transpose(2, 0, 1)[:, ::-1]
        affine = LAS[:, [2, 0, 1, 3]] @ np.diag([1.0, -1, 1, 1])
        affine[:, 3] += LAS[:, 0] * (SHAPE[0] - 1)
        cohort.write(f"one/{case}.nii.gz", flipped.astype(np.float32), affine)
    cohort.score(["one"])
    pd.testing.assert_frame_equal(cohort.table(), before)


def with_other_grid(cohort, case):
    cohort.write(f"one/{case}.nii.gz", labels(1), LAS @ np.diag([2.0, 2, 2, 1]))


def with_lost_header(cohort, case):
    cohort.write(f"one/{case}.nii.gz", np.roll(labels(1), 1, 0), np.eye(4))


def with_strange_label(cohort, case):
    cohort.write(f"one/{case}.nii.gz", labels(1) * 3)


def with_floats(cohort, case):
    cohort.write(f"one/{case}.nii.gz", labels(1).astype(np.float32) / 2)


def truncated(cohort, case):
    path = cohort.root / f"one/{case}.nii.gz"
    path.write_bytes(path.read_bytes()[:-40])


def not_nifti(cohort, case):
    (cohort.root / f"one/{case}.nii.gz").write_bytes(b"hello")


def twice(cohort, case):
    cohort.write(f"one/{case}-seg.nii.gz", labels(1))


def missing(cohort, case):
    (cohort.root / f"one/{case}.nii.gz").unlink()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (with_other_grid, "EVA002"),
        (with_lost_header, "EVA002"),
        (with_strange_label, "EVA003"),
        (with_floats, "EVA004"),
        (truncated, "FIL004"),
        (not_nifti, "FIL003"),
        (twice, "EVA006"),
        (missing, "EVA007"),
    ],
)
def test_one_bad_prediction_is_named_and_everything_else_is_scored(cohort, spoil, code):
    cohort.score()
    spoil(cohort, CASES[1])
    with pytest.raises(CasesFailedError) as raised:
        cohort.score()
    assert list(raised.value.failures) == [CASES[1]]
    assert raised.value.failures[CASES[1]].code == code
    assert f"{CASES[1]}" in str(raised.value)
    assert "model one" in str(raised.value)
    assert not (cohort.results / "scored/c/000.tsv").exists()
    assert set(cohort.table("one")["case"]) == {CASES[0], CASES[2]}
    assert set(cohort.table("two")["case"]) == set(CASES)
    with pytest.raises(PostTxError, match="EVA008"):
        cohort.gather("one")


def test_two_spoilt_cases_are_named_together(cohort):
    truncated(cohort, CASES[0])
    with_strange_label(cohort, CASES[2])
    with pytest.raises(CasesFailedError) as raised:
        cohort.score(workers=2)
    assert set(raised.value.failures) == {CASES[0], CASES[2]}


def test_a_bad_reference_fails_its_case_for_all_models(cohort):
    cohort.write(f"references/{CASES[0]}.nii.gz", labels(0) + np.uint8(9))
    with pytest.raises(CasesFailedError, match="LAB001"):
        cohort.score()
    assert set(cohort.table("two")["case"]) == set(CASES[1:])


def test_a_missing_prediction_can_be_penalised(cohort):
    missing(cohort, CASES[1])
    listed = cohort.score(missing="penalise")
    assert listed.loc[(listed["case"] == CASES[1]) & (listed["model"] == "one"), "file"].tolist() == [""]
    rows = cohort.table("one").query("case == @CASES[1] and region == 'WT'")
    assert rows["n_pred"].item() == 0
    assert rows["fn"].item() == rows["n_ref"].item() > 0
    assert (rows["dice"].item(), rows["lesion_dice"].item(), rows["lesion_hd95_mm"].item()) == (0.0, 0.0, 337.0)


def test_predictions_of_nobody_are_listed(cohort):
    cohort.write("one/BraTS-GLI-09999-100.nii.gz", labels(1))
    cohort.score()
    findings = read_table(cohort.gather("one", folder=str(cohort.root / "one"))["findings"], FINDINGS)
    assert findings["code"].tolist() == ["EVA009"]
    assert "BraTS-GLI-09999-100" in findings["message"].item()


def test_a_prediction_in_another_format_scores_as_its_nifti_twin(cohort):
    cohort.score(["one"])
    expected = cohort.table().drop(columns=["model"])
    for case, ending in zip(CASES, (".mha", ".nrrd", "_pred.mha"), strict=True):
        path = cohort.root / f"one/{case}.nii.gz"
        SimpleITK.WriteImage(SimpleITK.ReadImage(path), cohort.root / f"one/{case}{ending}", True)
        path.unlink()
    cohort.score(["one"])
    pd.testing.assert_frame_equal(cohort.table().drop(columns=["model"]), expected)


def test_cases_scored_as_empty_are_named(cohort):
    (cohort.root / f"one/{CASES[1]}.nii.gz").unlink()
    cohort.score(missing="penalise")
    findings = read_table(cohort.gather("one", folder=str(cohort.root / "one"))["findings"], FINDINGS)
    assert findings["code"].tolist() == ["EVA013"]
    assert f"1 of 3 cases have no prediction: {CASES[1]}" in findings["message"].item()


def test_cases_that_left_the_shard_leave_its_folders(cohort):
    cohort.score()
    cohort.tabulate(CASES[:2])
    cohort.score()
    assert set(cohort.table("one")["case"]) == set(cohort.table("two", "confusion")["case"]) == set(CASES[:2])


def test_a_cohort_without_references_gets_volumes_alone(cohort):
    cohort.score(references=False)
    table = cohort.table()
    assert table["n_pred"].gt(0).any()
    assert table[["n_ref", "tp", "dice", "hd95_mm", "volume_ref_mm3", "lesions_ref"]].isna().all().all()
    assert table["volume_pred_mm3"].eq(table["n_pred"].astype(float)).all()
    cohort.gather()


def geometry_of(cohort, decision):
    path = cohort.results / "geometry.parquet"
    image = cohort.write("t1c.nii.gz", np.ones(SHAPE, np.int16))
    table = geometry_table(dict.fromkeys(CASES, image), dict.fromkeys(CASES, decision))
    write_table(table, GEOMETRY, path)
    return path


def test_decisions_of_the_audit_say_how_contradicting_headers_are_read(cohort):
    """Images and predictions are L-A-S, the references' headers are mirrored: the arrays, or the affines, are right."""
    cohort.score(["one"])
    trusted = cohort.table()
    image = cohort.write("t1c.nii.gz", np.ones(SHAPE, np.int16))
    mirrored = LAS @ np.diag([-1.0, 1, 1, 1])
    mirrored[:, 3] += LAS[:, 0] * (SHAPE[0] - 1)
    for number, case in enumerate(CASES):
        cohort.write(f"references/{case}.nii.gz", labels(number), mirrored)
    cohort.tabulate(CASES, t1c=lambda case: str(image))
    cohort.score(["one"], geometry=geometry_of(cohort, "trust_voxels"))
    pd.testing.assert_frame_equal(cohort.table(), trusted)
    cohort.score(["one"], geometry=geometry_of(cohort, "trust_affine"))
    assert cohort.table()["dice"].mean() < trusted["dice"].mean()
    cohort.score(["one"], geometry=geometry_of(cohort, "fail"))
    unread = cohort.table()
    assert unread[["n_ref", "dice", "hd95_mm", "volume_ref_mm3"]].isna().all().all()
    assert unread["n_pred"].equals(trusted["n_pred"])
    findings = read_table(cohort.gather()["findings"], FINDINGS)
    assert findings["code"].tolist() == ["EVA005"] * len(CASES)
    assert findings["case"].tolist() == sorted(CASES)


def test_rows_that_do_not_fit_the_cohort_are_refused(cohort):
    cohort.score()
    path = cohort.results / f"metrics/c/one/000/{CASES[0]}.parquet"
    table = pd.read_parquet(path)
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(PostTxError, match=f"{len(CASES) * len(REGIONS) - 1} rows where 3 cases x 6 regions"):
        cohort.gather()
    assert len(table) == 6


def test_other_tolerances_get_columns_of_their_own_after_the_contracts(cohort):
    cohort.score(tolerances=[1, 2.5])
    table = read_table(cohort.gather()["metrics"], CASE_METRICS)
    assert list(table.columns)[-2:] == ["nsd_2.5", "lesion_nsd_2.5"]
    assert table["nsd_0.5"].isna().all()
    assert table["nsd_2.5"].ge(table["nsd_1.0"]).all()


def test_the_folds_disagreement_becomes_a_column_of_the_metrics(cohort, tmp_path):
    cohort.score()
    shards = pd.read_parquet(cohort.results / "cohorts/c.parquet").set_index("case")["shard"]
    shares = {CASES[0]: "0.25", CASES[1]: "", CASES[2]: "0.5"}
    for shard, cases in shards.groupby(shards):
        folder = tmp_path / "votes" / shard
        folder.mkdir(parents=True)
        lines = ["case\tdisagreement", *(f"{case}\t{shares[case]}" for case in cases.index)]
        (folder / "_disagreement.tsv").write_text("\n".join(lines) + "\n")
    without = read_table(cohort.gather()["metrics"], CASE_METRICS)
    table = read_table(cohort.gather(uncertainty=tmp_path / "votes")["metrics"], CASE_METRICS)
    assert list(table.columns) == [*without.columns, "disagreement"]
    assert table.groupby("case")["disagreement"].nunique().to_dict() == {CASES[0]: 1, CASES[1]: 0, CASES[2]: 1}
    assert table.set_index("case").loc[CASES[2], "disagreement"].eq(0.5).all()
    (folder / "_disagreement.tsv").write_text("case\tdisagreement\n")
    with pytest.raises(PostTxError, match="disagreement of the folds on a case is not known"):
        cohort.gather(uncertainty=tmp_path / "votes")

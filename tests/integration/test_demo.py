"""The finished demo against the contract: every stage's files, columns and numbers."""

import getpass
import json
import socket
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest

from leaks import hits
from posttx import schemas
from posttx.reporting.case_data import images_path, labels_path, reachable, thumb_path
from workflow_runs import ROOT, snakemake

pytestmark = pytest.mark.demo
COHORTS = {"training": 20, "additional": 6}
REGIONS = ["NETC", "SNFH", "ET", "RC", "TC", "WT"]
TABLES = {
    "summary": ["metric", "value", "convention", "ci_low", "ci_high", "n"],
    "per_class": ["label", "region", "dice", "iou", "precision", "recall", "n_present", "n_absent", "n_hallucinated",
                  "n_missed", "dice_present", "dice_absent_is_one"],
    "volume_bias": ["label", "region", "pearson_r", "spearman_r", "p_value", "n"],
    "inter_class": ["volume_label", "dice_label", "pearson_r", "spearman_r", "p_value", "n"],
    "false_positives": ["label", "region", "mean_fp_mm3", "mean_ref_mm3", "fp_percent"],
    "worst_cases": ["rank", "case", "mean_dice"],
    "best_cases": ["rank", "case", "mean_dice"],
}  # fmt: skip


@pytest.fixture(scope="module")
def results(demo) -> Path:
    return demo / "results"


def cases_of(results, cohort):
    return schemas.read_table(results / f"cohorts/{cohort}.parquet", schemas.COHORT)


def metrics_of(results, cohort):
    return schemas.read_table(results / f"metrics/{cohort}/nnunet.parquet", schemas.CASE_METRICS)


@pytest.mark.parametrize("cohort", COHORTS)
def test_cohort_table(results, cohort):
    table = cases_of(results, cohort)
    assert len(table) == COHORTS[cohort]
    assert set(table["orientation_t1c"]) == set(table["orientation_seg"]) == {"LAS"}
    assert set(table["spacing_t1n"]) == {"3x3x3"}
    assert table.groupby("patient")["shard"].nunique().max() == 1


def test_audit_tables(results):
    total = sum(COHORTS.values())
    intensity = schemas.read_table(results / "audit/intensity.parquet", schemas.INTENSITY)
    labels = schemas.read_table(results / "audit/labels.parquet", schemas.LABEL_VOLUMES)
    findings = schemas.read_table(results / "audit/findings.parquet", schemas.FINDINGS)
    assert len(intensity) == total * 4
    assert len(labels) == total * 4
    assert set(labels["name"]) == {"NETC", "SNFH", "ET", "RC"}
    assert not (findings["severity"] == "error").any(), findings.to_string()


def test_one_audited_volume_by_hand(results, demo):
    row = cases_of(results, "additional").iloc[0]
    data = nib.load(demo / row["t1c"]).get_fdata()
    intensity = pd.read_parquet(results / "audit/intensity.parquet")
    found = intensity[(intensity["case"] == row["case"]) & (intensity["modality"] == "t1c")].iloc[0]
    expected = np.percentile(data[data != 0], [1, 50, 99])
    assert found[["p01", "p50", "p99"]].tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("cohort", COHORTS)
def test_standardized_cases(results, cohort):
    table = cases_of(results, cohort)
    for row in table.to_dict("records"):
        folder = results / f"standardized/{cohort}/{row['shard']}"
        images = [nib.load(folder / f"images/{row['case']}_000{channel}.nii.gz") for channel in range(4)]
        label = nib.load(folder / f"labels/{row['case']}.nii.gz")
        assert {nib.aff2axcodes(image.affine) for image in [*images, label]} == {("R", "A", "S")}
        assert {image.get_data_dtype() for image in images} == {np.dtype("float32")}
        assert len({image.shape for image in [*images, label]}) == 1


def test_folds_are_grouped_by_patient_and_cover_the_cohort(results):
    splits = json.loads(next(results.glob("nnunet/preprocessed/*/splits_final.json")).read_text())
    table = cases_of(results, "training").set_index("case")
    held_out = [case for split in splits for case in split["val"]]
    assert sorted(held_out) == sorted(table.index)
    for split in splits:
        assert not set(table.loc[split["train"], "patient"]) & set(table.loc[split["val"], "patient"])
        assert sorted(split["train"] + split["val"]) == sorted(table.index)


def test_the_folds_are_proven_in_tables_and_report(results):
    folds = pd.read_parquet(results / "tables/folds.parquet")
    ours = folds[folds["split"] == "by patient"]
    assert len(ours) == 5
    assert ours[["shared_patients", "leaked_cases"]].eq(0).all().all()
    assert folds.groupby("split")["held_out_cases"].sum().eq(len(cases_of(results, "training"))).all()
    assert len(pd.read_csv(results / "tables/splits.csv")) == len(cases_of(results, "training"))
    assert "Folds by patient" in (results / "report/index.html").read_text()


def test_no_probabilities_are_kept(results):
    assert not list(results.rglob("*.npz"))


def test_five_folds_were_trained_by_nnunet(results):
    folds = sorted(results.glob("nnunet/models/*/PostTxTrainer__*/fold_*/checkpoint_final.pth"))
    assert len(folds) == 5
    for checkpoint in folds:
        lines = (checkpoint.parent / "progress.jsonl").read_text().splitlines()
        epochs = [json.loads(line)["epoch"] for line in lines]
        assert epochs == list(range(len(epochs)))
        assert json.loads(lines[-1])["train_loss"] < json.loads(lines[0])["train_loss"]


@pytest.mark.parametrize("cohort", COHORTS)
def test_predictions_are_on_the_original_grid(results, demo, cohort):
    for row in cases_of(results, cohort).to_dict("records"):
        predicted = nib.load(results / f"predictions/{cohort}/nnunet/{row['shard']}/{row['case']}.nii.gz")
        original = nib.load(demo / row["t1c"])
        assert predicted.shape == original.shape
        np.testing.assert_allclose(predicted.affine, original.affine, atol=1e-6)
        assert predicted.header["sform_code"] == original.header["sform_code"]
        assert set(np.unique(predicted.dataobj)) <= {0, 1, 2, 3, 4}


@pytest.mark.parametrize("cohort", COHORTS)
def test_metrics_have_every_case_and_region_and_right_counts(results, demo, cohort):
    metrics = metrics_of(results, cohort)
    assert len(metrics) == COHORTS[cohort] * len(REGIONS)
    assert metrics["region"].tolist()[: len(REGIONS)] == REGIONS
    members = {"NETC": [1], "SNFH": [2], "ET": [3], "RC": [4], "TC": [1, 3], "WT": [1, 2, 3]}
    for row in cases_of(results, cohort).to_dict("records"):
        reference = np.asarray(nib.load(demo / row["seg"]).dataobj)
        predicted = np.asarray(
            nib.load(results / f"predictions/{cohort}/nnunet/{row['shard']}/{row['case']}.nii.gz").dataobj
        )
        found = metrics[metrics["case"] == row["case"]].set_index("region")
        for region, labels in members.items():
            ref, pred = np.isin(reference, labels), np.isin(predicted, labels)
            expected = [(ref & pred).sum(), (~ref & pred).sum(), (ref & ~pred).sum(), (~ref & ~pred).sum()]
            assert found.loc[region, ["tp", "fp", "fn", "tn"]].tolist() == expected
            assert found.loc[region, "volume_ref_mm3"] == pytest.approx(ref.sum() * 27)


def test_the_folder_of_a_model_reads_as_one_table(results):
    gathered = metrics_of(results, "additional")
    assert len(pd.read_parquet(results / "metrics/additional/nnunet")) == len(gathered)
    assert ds.dataset(results / "metrics/additional/nnunet", format="parquet").count_rows() == len(gathered)


@pytest.mark.parametrize("cohort", COHORTS)
@pytest.mark.parametrize("name", TABLES)
def test_tables_have_the_columns_of_the_contract(results, cohort, name):
    parquet = pd.read_parquet(results / f"tables/{cohort}/nnunet/{name}.parquet")
    csv = pd.read_csv(results / f"tables/{cohort}/nnunet/{name}.csv")
    assert set(TABLES[name]) <= set(parquet.columns)
    assert list(csv.columns) == list(parquet.columns)
    assert len(csv) == len(parquet) > 0
    if name.endswith("_cases"):
        assert {f"{kind}_{region}" for kind in ("dice", "state") for region in REGIONS[:4]} <= set(parquet.columns)


def test_the_ensemble_has_learned_all_four_classes(results):
    per_class = pd.read_parquet(results / "tables/additional/nnunet/per_class.parquet").set_index("region")
    dice = per_class["dice"]
    assert dice["SNFH"] >= 0.60
    assert dice["RC"] >= 0.60
    assert dice["ET"] > 0.30
    assert dice["NETC"] > 0.30


def test_no_job_needed_much_memory(results):
    peaks = [pd.read_csv(path, sep="\t")["max_rss"].max() for path in (results.parent / "benchmarks").rglob("*.tsv")]
    peaks = sorted((peak for peak in peaks if pd.notna(peak) and peak != "-"), key=float)
    assert len(peaks) > 20
    # Two jobs at a time on two cores: the two largest together, in MB.
    assert float(peaks[-1]) + float(peaks[-2]) < 6000


def test_the_report_is_one_page_without_network(results):
    page = (results / "report/index.html").read_text()
    for section in (
        "Dataset snapshot",
        "Intensity and geometry audit",
        "Class balance",
        "Global performance",
        "Conclusions",
    ):
        assert section in page
    assert "Content-Security-Policy" in page
    for foreign in ('src="http', "src='http", 'href="http', "@import", "url(http"):
        assert foreign not in page.replace('href="https://doi.org', "")
    assert len(page) < 10e6


@pytest.fixture(scope="module")
def archive(demo, tmp_path_factory):
    """Return what `snakemake --report` packs, in a folder of its own."""
    path = tmp_path_factory.mktemp("archive") / "report.zip"
    run = snakemake(demo, "--workflow-profile", "profiles/demo", "--report", str(path), "--nolock", timeout=1800)
    assert run.returncode == 0, run.text[-3000:]
    return path


def test_the_zip_holds_the_review_with_its_cases(results, archive):
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
        app = packed.read(next(name for name in names if name.endswith("/report.html"))).decode()
    folder = next(name for name in names if name.endswith("/index.html"))[: -len("index.html")]
    for cohort in COHORTS:
        for kind in (f"images/{cohort}", f"labels/{cohort}/nnunet", f"thumbs/{cohort}/nnunet"):
            files = [path.name for path in (results / "report" / kind).glob("[!.]*.*")]
            assert files
            assert {f"{folder}{kind}/{name}" for name in files} <= set(names)
    assert {f"{folder}review.html", f"{folder}data/cases.js", f"{folder}niivue.js"} <= set(names)
    assert {"curves", "presence"} <= {Path(name).stem for name in names}
    assert "Training and validation loss" in app


def test_what_leaves_names_no_user_machine_or_path(demo, results, archive):
    who = [word for word in (getpass.getuser(), socket.gethostname(), str(Path.home())) if len(word) > 5]
    words = [*who, str(demo), str(ROOT)]
    for folder in (results / "report", results / "bundle", archive.parent):
        assert hits(folder, words) == []


def test_every_pictured_case_can_be_opened_and_every_case_has_a_small_picture(results):
    files = set(reachable(results / "report/data/cases.js"))
    for cohort in COHORTS:
        pictures = sorted((results / f"figures/cases/{cohort}/nnunet").glob("*.webp"))
        assert len(pictures) >= 4
        for picture in pictures:
            assert {images_path(cohort, picture.stem), labels_path(cohort, "nnunet", picture.stem)} <= files
        cases = pd.read_parquet(results / f"cohorts/{cohort}.parquet")["case"]
        assert {thumb_path(cohort, "nnunet", case) for case in cases} <= files
    assert all((results / "report" / name).is_file() for name in files)


def test_provenance(results):
    record = json.loads((results / "provenance.json").read_text())
    assert record["packages"]["nnunetv2"] == "2.8.1"
    assert record["seeds"]["phantom training"] == 2
    assert record["hardware"]["cores"] >= 1

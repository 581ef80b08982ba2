from __future__ import annotations

import json
import math

import pandas as pd
import pytest

from import_counts import import_counts
from posttx.cases import find_cases, listing_notes, people_of, usable_cases
from posttx.errors import CasesFailedError, PostTxError
from posttx.schemas import CASE_METRICS, FINDINGS, read_table
from posttx.scoring.counts import case_of, labels_of_key, rows_from_counts

REGIONS = {"NETC": [1], "SNFH": [2], "TC": [1, 2]}
NAN = float("nan")


def counts(tp=5, fp=1, fn=2, tn=92, **more):
    return {"TP": tp, "FP": fp, "FN": fn, "TN": tn, "n_ref": tp + fn, "n_pred": tp + fp, "Dice": NAN, "IoU": NAN} | more


def entry(case="BraTS-GLI-00005-100", folder="out/", **metrics):
    metrics = metrics or {"1": counts(), "2": counts(0, 0, 0, 100)}
    return {"metrics": metrics, "prediction_file": f"{folder}{case}.nii.gz", "reference_file": f"ref/{case}.nii.gz"}


def written(path, *entries):
    path.write_text(json.dumps({"metric_per_case": list(entries), "mean": {}}))
    return path


def only_failure(path, **options):
    rows, failures = rows_from_counts(path, REGIONS, **options)
    assert not rows
    (failure,) = failures.values()
    return failure


def test_counts_become_rows_with_everything_computed_again(tmp_path):
    rows = rows_from_counts(written(tmp_path / "s.json", entry()), REGIONS, voxel_mm3=2.0)[0]["BraTS-GLI-00005-100"]
    first, second = rows
    assert (first["patient"], first["timepoint"], first["region"], first["label"]) == (
        "BraTS-GLI-00005",
        100,
        "NETC",
        1,
    )
    assert first["dice"] == 10 / 13
    assert (first["volume_ref_mm3"], first["volume_pred_mm3"]) == (14.0, 12.0)
    assert all(math.isnan(second[name]) for name in ("dice", "iou", "precision", "recall"))


@pytest.mark.parametrize("folder", ["", "a/b/", "C:\\runs\\", "a/b\\", "\\\\server\\share\\"])
def test_paths_of_any_system_name_their_case(folder):
    assert case_of(entry(folder=folder), "s.json") == "BraTS-GLI-00005-100"


def test_the_reference_names_the_case_where_the_prediction_does_not():
    nameless = entry() | {"prediction_file": None}
    assert case_of(nameless, "s.json") == "BraTS-GLI-00005-100"
    with pytest.raises(PostTxError, match="CNT002"):
        case_of({"metrics": {}}, "s.json")


@pytest.mark.parametrize(("key", "labels"), [("3", (3,)), ("(1, 3)", (1, 3)), ("[3, 1]", (1, 3)), ("(2,)", (2,))])
def test_keys_of_labels_and_regions_are_understood(key, labels):
    assert labels_of_key(key) == labels


def test_composite_regions_are_taken_where_they_were_counted(tmp_path):
    path = written(tmp_path / "s.json", entry(**{"(1, 2)": counts(), "1": counts(), "2": counts()}))
    rows = rows_from_counts(path, REGIONS)[0]["BraTS-GLI-00005-100"]
    assert [(row["region"], row["label"]) for row in rows] == [("NETC", 1), ("SNFH", 2), ("TC", None)]


def test_old_files_without_some_keys_are_read(tmp_path):
    bare = {"TP": 5.0, "FP": 1, "FN": 2}
    rows = rows_from_counts(written(tmp_path / "s.json", entry(**{"1": bare})), REGIONS)[0]["BraTS-GLI-00005-100"]
    assert (rows[0]["n_ref"], rows[0]["n_pred"], rows[0]["tn"], rows[0]["dice"]) == (7, 6, None, 10 / 13)


@pytest.mark.parametrize(
    ("metrics", "code", "text"),
    [
        ({"7": counts()}, "CNT005", "label 7"),
        ({"1": counts(tp=-1)}, "CNT006", "TP"),
        ({"1": counts(tp=NAN)}, "CNT006", "TP"),
        ({"1": counts(n_ref=99)}, "CNT006", "n_ref is 99"),
    ],
)
def test_counts_that_cannot_be_are_refused(tmp_path, metrics, code, text):
    failure = only_failure(written(tmp_path / "s.json", entry(**metrics)))
    assert failure.code == code
    assert text in failure.problem
    assert failure.case == "BraTS-GLI-00005-100"


@pytest.mark.parametrize("metrics", [{}, None, {"0": counts()}], ids=["empty", "null", "background"])
def test_a_file_that_counts_no_label_is_refused(tmp_path, metrics):
    failure = only_failure(written(tmp_path / "s.json", entry() | {"metrics": metrics}))
    assert (failure.code, failure.case) == ("CNT005", "BraTS-GLI-00005-100")
    assert "all labels are missing" in failure.problem


def test_a_case_that_stands_twice_or_lacks_labels_or_has_no_id_is_named_and_the_others_are_tried(tmp_path):
    path = written(
        tmp_path / "s.json",
        entry(),
        entry(),
        entry("BraTS-GLI-00006-100", **{"1": counts()}),
        entry("no sense"),
    )
    rows, failures = rows_from_counts(path, REGIONS)
    assert not rows
    assert {error.code for error in failures.values()} == {"CNT003", "CNT005", "COH001"}
    assert any("SNFH" in str(error) for error in failures.values())


def test_people_come_from_the_cohort_where_there_is_one(tmp_path):
    path = written(tmp_path / "s.json", entry("scan7"))
    assert rows_from_counts(path, REGIONS, people={"scan7": ("p", 3)})[0]["scan7"][0]["timepoint"] == 3
    assert only_failure(path, people={"scan8": ("p", 3)}).code == "CNT004"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_encodings_that_editors_write_are_read(tmp_path, encoding):
    path = written(tmp_path / "s.json", entry())
    text = path.read_text()
    path.write_bytes(("\ufeff" + text if encoding == "utf-16-be" else text).encode(encoding))
    assert list(rows_from_counts(path, REGIONS)[0]) == ["BraTS-GLI-00005-100"]


def test_cases_with_ids_of_ones_own_count_as_patients_and_the_audit_says_so(tmp_path):
    path = written(tmp_path / "s.json", entry("glioma_001"), entry("glioma_002_pp"), entry())
    rows, failures = rows_from_counts(path, REGIONS)
    assert not failures
    assert {(case, rows[case][0]["patient"], rows[case][0]["timepoint"]) for case in rows} == {
        ("glioma_001", "glioma_001", 0),
        ("glioma_002", "glioma_002", 0),
        ("BraTS-GLI-00005-100", "BraTS-GLI-00005", 100),
    }
    outputs = outputs_in(tmp_path / "out")
    import_counts(path, None, outputs, "c", "m", REGIONS, 4)
    (finding,) = read_table(outputs["findings"], FINDINGS).to_dict("records")
    assert (finding["code"], finding["severity"]) == ("COH016", "warning")
    assert "each of 2 cases counts as one" in finding["message"]


@pytest.mark.parametrize("name", ["scan7", "scan7_pp", "x-scan7"])
def test_a_sheet_without_files_says_whose_the_counts_are(tmp_path, name):
    sheet = tmp_path / "people.tsv"
    sheet.write_text("case\tpatient\ttimepoint\tsite\nscan7\tp\t20190312\tA\n")
    listing = find_cases("c", {"sheet": str(sheet), "use": "test"}, 4, tmp_path)
    assert listing.people_only
    people = people_of(usable_cases(listing, "c", {"sheet": str(sheet), "use": "test"}))
    path = written(tmp_path / "s.json", entry(name))
    outputs = outputs_in(tmp_path / "out")
    import_counts(path, None, outputs, "c", "m", REGIONS, 4, people=people)
    table = read_table(outputs["metrics"], CASE_METRICS)
    assert table[["case", "patient", "timepoint"]].drop_duplicates().to_numpy().tolist() == [["scan7", "p", 20190312]]
    assert len(read_table(outputs["findings"], FINDINGS)) == 0
    assert only_failure(path, people={"scan8": ("p", 3)}).code == "CNT004"
    import_counts(path, None, outputs, "c", "m", REGIONS, 4, people=people, notes=listing_notes({"c": listing}))
    assert read_table(outputs["findings"], FINDINGS)["code"].tolist() == ["COH017"]


def v1_entry(case="BraTS-GLI-00005-100", **labels):
    totals = {"Accuracy": 0.9, "Dice": 0.8, "Total Positives Reference": 100, "Total Positives Test": 90}
    return {
        "reference": f"/r/{case}.nii.gz",
        "test": f"/t/{case}.nii.gz",
        "0": totals,
        "1": totals,
        "2": totals,
    } | labels


def as_v1(path, *entries):
    path.write_text(json.dumps({"name": "", "results": {"all": list(entries), "mean": {}}}))
    return path


def test_the_summary_of_nnunet_1_is_read(tmp_path):
    absent = {"Dice": float("nan"), "Total Positives Reference": 0, "Total Positives Test": 0}
    rows, failures = rows_from_counts(as_v1(tmp_path / "s.json", v1_entry(**{"2": absent})), REGIONS)
    assert not failures
    one, two = rows["BraTS-GLI-00005-100"]
    assert (one["tp"], one["fp"], one["fn"], one["n_ref"], one["n_pred"], one["tn"]) == (76, 14, 24, 100, 90, None)
    assert one["dice"] == pytest.approx(0.8)
    assert (two["tp"], two["fp"], two["fn"]) == (0, 0, 0)
    assert math.isnan(two["dice"])


@pytest.mark.parametrize(
    "spoilt",
    [{"Dice": 0.8}, {"Dice": 0.801, "Total Positives Reference": 100, "Total Positives Test": 90},
     {"Dice": 1.2, "Total Positives Reference": 100, "Total Positives Test": 90}],
)  # fmt: skip
def test_totals_of_nnunet_1_that_give_no_counts_are_refused(tmp_path, spoilt):
    assert only_failure(as_v1(tmp_path / "s.json", v1_entry(**{"2": spoilt}))).code == "CNT006"


@pytest.mark.parametrize("text", ["{}", "[", '{"metric_per_case": []}', "[]"])
def test_another_json_is_refused(tmp_path, text):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(PostTxError, match="CNT001"):
        rows_from_counts(tmp_path / "s.json", REGIONS)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(PostTxError, match=r"CNT001.*does not exist"):
        rows_from_counts(tmp_path / "s.json", REGIONS)


def outputs_in(folder):
    return {name: folder / name / "c" / "m.parquet" for name in ("metrics", "lesions", "confusion", "findings")}


def test_import_writes_the_table_and_a_file_per_case_and_clears_what_is_gone(tmp_path):
    outputs = outputs_in(tmp_path)
    path = written(tmp_path / "s.json", entry(), entry("BraTS-GLI-00006-100"))
    import_counts(path, None, outputs, "c", "m", REGIONS, 8)
    table = pd.read_parquet(outputs["metrics"])
    folder = pd.read_parquet(outputs["metrics"].with_suffix(""))
    assert len(table) == len(folder) == 4
    assert pd.read_parquet(outputs["lesions"]).empty
    import_counts(written(tmp_path / "s.json", entry()), None, outputs, "c", "m", REGIONS, 8)
    assert len(pd.read_parquet(outputs["metrics"].with_suffix(""))) == 2


def test_refused_entries_are_named_together_and_the_other_cases_are_scored(tmp_path):
    outputs = outputs_in(tmp_path)
    ids = [f"BraTS-GLI-0000{number}-100" for number in (5, 6, 7)]
    twice, strange = entry(ids[1]), entry(ids[2], **{"7": counts()})
    path = written(tmp_path / "s.json", entry(ids[0]), twice, twice, strange)
    with pytest.raises(CasesFailedError) as raised:
        import_counts(path, None, outputs, "c", "m", REGIONS, 8)
    assert {case: error.code for case, error in raised.value.failures.items()} == {ids[1]: "CNT003", ids[2]: "CNT005"}
    assert all(case in str(raised.value) for case in ids[1:])
    assert str(path) in str(raised.value)
    assert set(pd.read_parquet(outputs["metrics"].with_suffix(""))["case"]) == {ids[0]}
    assert not outputs["metrics"].exists()


def test_published_counts_give_nnunets_own_dice(tmp_path, shared):
    path = shared / "data/published/summary.json"
    rows, failures = rows_from_counts(path, {"NETC": [1], "SNFH": [2], "ET": [3], "RC": [4], "WT": [1, 2, 3]})
    entries = json.loads(path.read_text())["metric_per_case"]
    assert not failures
    assert len(rows) == len(entries) == 271
    for one in entries:
        for row in rows[case_of(one, path)]:
            expected = one["metrics"][str(row["label"])]["Dice"]
            assert row["dice"] == pytest.approx(expected, abs=1e-15, nan_ok=True)

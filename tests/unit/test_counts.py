from __future__ import annotations

import json
import math

import pandas as pd
import pytest

from import_counts import import_counts
from posttx.errors import CasesFailedError, PostTxError
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


def test_a_case_that_stands_twice_or_lacks_labels_or_a_brats_id_is_named_and_the_others_are_tried(tmp_path):
    path = written(
        tmp_path / "s.json",
        entry(),
        entry(),
        entry("BraTS-GLI-00006-100", **{"1": counts()}),
        entry("nonsense"),
    )
    rows, failures = rows_from_counts(path, REGIONS)
    assert not rows
    assert {error.code for error in failures.values()} == {"CNT003", "CNT005", "COH001"}
    assert any("SNFH" in str(error) for error in failures.values())


def test_people_come_from_the_cohort_where_there_is_one(tmp_path):
    path = written(tmp_path / "s.json", entry("scan7"))
    assert rows_from_counts(path, REGIONS, people={"scan7": ("p", 3)})[0]["scan7"][0]["timepoint"] == 3
    assert only_failure(path, people={"scan8": ("p", 3)}).code == "CNT004"


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

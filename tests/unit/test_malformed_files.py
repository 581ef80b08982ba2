"""Label schemes and summary.json files of the wrong make-up are refused with an error for a user."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posttx.cases import list_cases
from posttx.configuration import label_scheme_path
from posttx.errors import PostTxError
from posttx.exclusions import read_ratings
from posttx.labels import load_scheme
from posttx.schemas import CASE_METRICS, read_table
from posttx.scoring.counts import rows_from_counts
from posttx.scoring.predictions import find_predictions

COUNTS = {"TP": 1, "FP": 2, "FN": 3, "TN": 4}


def summary(metrics):
    return {"metric_per_case": [{"prediction_file": "/a/BraTS-GLI-00001-100.nii.gz", "metrics": metrics}]}


@pytest.mark.parametrize("text", ["", "a: [", "labels: 3", "labels: {1: {name: a}}", "labels: {x: 1}", "[1]"])
def test_a_file_that_is_no_label_scheme_is_refused(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(PostTxError, match="not a label scheme") as caught:
        load_scheme(path)
    assert caught.value.remedy


def test_a_summary_that_lists_no_cases_is_refused(tmp_path):
    path = tmp_path / "summary.json"
    path.write_text(json.dumps({"metric_per_case": [3]}))
    with pytest.raises(PostTxError, match="CNT001"):
        rows_from_counts(path, {"NETC": [1]})


@pytest.mark.parametrize("metrics", [[1], {"1": 5}, {"1": {**COUNTS, "TP": 10**400}}])
def test_metrics_of_the_wrong_make_up_refuse_their_case(tmp_path, metrics):
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(summary(metrics)))
    rows, failures = rows_from_counts(path, {"NETC": [1]})
    assert not rows
    assert "CNT006" in str(failures["BraTS-GLI-00001-100"])


def far_too_long(tmp_path):
    (tmp_path / "c.tsv").write_text(f"case\tseg\nBraTS-GLI-00001-100\t{'x' * 5000}.nii.gz\n")
    return list_cases("c", {"sheet": str(tmp_path / "c.tsv"), "use": "test"}, 4, tmp_path)


def cell_without_end(tmp_path):
    (tmp_path / "r.tsv").write_text("cohort\tcase\trating\tcomment\nc\tx\tkeep\t" + "x" * 140_000)
    return read_ratings(tmp_path / "r.tsv")


def nested_without_end(tmp_path):
    (tmp_path / "summary.json").write_text("[" * 100_000)
    return rows_from_counts(tmp_path / "summary.json", {"NETC": [1]})


def scheme_nested_without_end(tmp_path):
    (tmp_path / "mine.yaml").write_text("[" * 3000)
    return load_scheme(tmp_path / "mine.yaml")


def torn_table(tmp_path):
    (tmp_path / "m.parquet").write_bytes(b"PAR1 torn")
    return read_table(tmp_path / "m.parquet", CASE_METRICS)


def table_with_odd_notes(tmp_path):
    notes = {"index_columns": [], "column_indexes": [], "columns": [{"name": "case"}]}
    table = pa.table({"case": ["a"]}).replace_schema_metadata({"pandas": json.dumps(notes)})
    pq.write_table(table, tmp_path / "m.parquet")
    return read_table(tmp_path / "m.parquet", CASE_METRICS)


ENDLESS = {
    "a path of 5,000 letters in a sheet": (far_too_long, "FIL001"),
    "a comment of 140,000 letters": (cell_without_end, "COH008"),
    "JSON nested without end": (nested_without_end, "CNT001"),
    "YAML nested without end": (scheme_nested_without_end, ""),
    "a sheet's own name of 5,000 letters": (
        lambda tmp_path: list_cases("c", {"sheet": "x" * 5000, "use": "test"}, 4, tmp_path),
        "COH003",
    ),
    "a folder's name of 5,000 letters": (
        lambda tmp_path: list_cases("c", {"path": "x" * 5000, "use": "test"}, 4, tmp_path),
        "COH003",
    ),
    "predictions in a folder of 5,000 letters": (lambda tmp_path: find_predictions("x" * 5000, ["a"]), "EVA001"),
    "counts of a name of 5,000 letters": (lambda tmp_path: rows_from_counts("x" * 5000, {"NETC": [1]}), "CNT001"),
    "a label scheme of 5,000 letters": (
        lambda tmp_path: load_scheme(label_scheme_path(".", {"labels": "x" * 5000})),
        "",
    ),
    "a table that is no Parquet": (torn_table, ""),
    "a table whose notes of pandas are damaged": (table_with_odd_notes, ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_has_no_end_is_refused_in_a_few_lines(tmp_path, kind):
    read, code = ENDLESS[kind]
    with pytest.raises(PostTxError) as caught:
        read(tmp_path)
    assert caught.value.code == code
    assert caught.value.remedy
    assert all(len(line) < 1000 for line in str(caught.value).split("\n"))


def test_a_label_of_5000_digits_is_none_of_the_scheme(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps(summary({"9" * 5000: COUNTS})))
    _, failures = rows_from_counts(tmp_path / "summary.json", {"NETC": [1]})
    assert [error.code for error in failures.values()] == ["CNT005"]

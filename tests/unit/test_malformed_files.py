"""Label schemes and summary.json files of the wrong make-up are refused with an error for a user."""

import json

import pytest

from posttx.errors import PostTxError
from posttx.labels import load_scheme
from posttx.scoring.counts import rows_from_counts

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

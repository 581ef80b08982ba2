"""What the review page is told of comparisons and settings."""

import json

import numpy as np
import pytest
import results_tree as tree

from posttx.analysis.comparison import Endpoints, compare_models
from posttx.files import write_parquet
from posttx.reporting.review_facts import comparison_rows, facts, flattened


@pytest.fixture(scope="module")
def compared():
    tables = {"old": tree.case_metrics(12, seed=1).assign(model="old"), "new": tree.case_metrics(12, seed=1)}
    return compare_models({"additional": tables}, tree.SCHEME.scoring())["additional"]


def test_rows_are_those_of_dice_and_of_the_primary_endpoint(compared):
    rows = comparison_rows(compared)
    assert {(row["measure"], row["convention"]) for row in rows} == {
        ("Dice", "absent-is-one"), ("Dice", "present-only"),
    }  # fmt: skip
    assert [row["region"] for row in rows if row["endpoint"] == "primary"] == ["mean"]
    other = Endpoints("hd95_mm", "lesion-wise")
    measured = tree.case_metrics(12).assign(lesion_hd95_mm=1.0)
    pair = {"old": measured, "new": measured}
    rows = comparison_rows(compare_models({"additional": pair}, tree.SCHEME.scoring(), other)["additional"])
    assert ("HD95, mm", "lesion-wise") in {(row["measure"], row["convention"]) for row in rows}


def test_numbers_are_plain_and_what_is_undefined_is_null(compared):
    rows = comparison_rows(compared.assign(p_holm=np.nan, ci_low=-np.inf))
    text = json.dumps(rows, allow_nan=False)
    assert rows[0]["p_holm"] is None
    assert rows[0]["ci_low"] is None
    assert "NaN" not in text
    assert rows[0]["n_unpaired"] == 0


def test_no_comparison_gives_no_rows(compared):
    assert comparison_rows(compared.iloc[:0]) == []


def test_facts_name_every_model_and_no_path(compared, tmp_path):
    write_parquet(compared, tmp_path / "comparisons/additional.parquet")
    write_parquet(compared.iloc[:0], tmp_path / "comparisons/training.parquet")
    models = {"nnunet": {"train": {}}, "other": {"predictions": {"additional": "/home/anna/secret"}}}
    settings = tree.settings_of(tree.configured(models=models), {"training": True, "additional": True})
    known = facts(tmp_path, settings)
    assert list(known["comparisons"]) == ["additional"]
    assert known["settings"]["nnunet"]["train.epochs"] == "1000"
    assert known["settings"]["other"] == {"predictions.additional": "a folder"}
    assert "secret" not in json.dumps(known)


def test_settings_are_flattened_with_dots():
    nested = {"train": {"plan": {"batch_size": None, "patch_size": [8, 8, 8]}, "epochs": 2, "more": {}}}
    assert flattened(nested) == {
        "train.plan.batch_size": "null", "train.plan.patch_size": "[8, 8, 8]", "train.epochs": "2", "train.more": "{}",
    }  # fmt: skip

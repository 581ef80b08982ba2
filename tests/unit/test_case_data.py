"""The table of all cases that the review page loads."""

import json

import numpy as np
import pandas as pd
import pytest
import results_tree as tree
import scored

from posttx.analysis.failures import case_arrays, failures
from posttx.files import write_parquet, write_text
from posttx.reporting.asked import cohorts_in_order
from posttx.reporting.case_data import (
    STATES,
    case_rows,
    head,
    images_path,
    labels_path,
    reachable,
    thumb_path,
    write_cases,
)
from posttx.scoring.scores import scores_from

CASES = {
    "P-1-1": {"A": (10, 0, 10), "B": (0, 0, 0)},
    "P-1-2": {"A": (0, 5, 0), "B": (0, 0, 7)},
    "P-2-1": {"A": (50, 0, 0), "B": (9, 0, 0)},
}


def rows_of(metrics, **options):
    return case_rows(scores_from(metrics, scored.REGIONS), None, "present-only", **options)


def content_of(path):
    text = path.read_text()
    assert text.startswith("posttxCases(")
    return json.loads(text.removeprefix("posttxCases(").rstrip().removesuffix(");"))


def test_rows_are_ordered_by_mean_dice_and_undefined_values_are_null():
    rows = rows_of(scored.by_counts(CASES), has=lambda case: 3 if case == "P-2-1" else 0)
    assert [row[:5] for row in rows] == [
        ["P-1-2", "P-1", 2, 0.0, 0],
        ["P-1-1", "P-1", 1, 0.6667, 0],
        ["P-2-1", "P-2", 1, 1.0, 3],
    ]
    first, second = rows[0][5]
    assert first == [0.0, STATES.index("hallucinated"), 0.0, 0.005, 0, 0]
    assert second == [0.0, STATES.index("missed"), 0.007, 0.0, 0, 0]
    assert rows[1][5][1] == [None, STATES.index("absent"), 0.0, 0.0, 0, 0]
    json.dumps(rows, allow_nan=False)


def test_without_references_all_is_unknown_and_the_volumes_remain():
    rows = rows_of(scored.without_reference(scored.by_counts(CASES)))
    assert [row[3] for row in rows] == [None] * 3
    assert rows[0][5][0] == [None, STATES.index("unknown"), None, 0.01, 0, 0]


def test_no_case_is_an_empty_list():
    assert rows_of(scored.by_counts(CASES).head(0)) == []


def test_the_numbers_of_failures_are_those_of_the_first_page():
    """The page counts by the same rules as ``posttx.analysis.failures``, from these numbers."""
    metrics = tree.case_metrics(60)
    scores, lesions = scores_from(metrics, tree.SCHEME.scoring()), tree.lesion_table(metrics)
    rows = case_rows(scores, lesions, "published")
    counted = {}
    for i, name in enumerate(tree.NAMES.values()):
        cells = [row[5][i] for row in rows]
        counted |= {
            f"{name}:invented": sum(STATES[cell[1]] == "hallucinated" for cell in cells),
            f"{name}:missed": sum(STATES[cell[1]] == "missed" for cell in cells),
            f"{name}:low": sum(STATES[cell[1]] == "present" and cell[0] < 0.2 for cell in cells),
            f"{name}:small": sum(cell[4] > 0 for cell in cells),
        }
    assert {item.key: item.affected for item in failures(case_arrays(scores, lesions))} == {
        key: count for key, count in counted.items() if count
    }


@pytest.fixture
def results(tmp_path):
    """Return a results folder with scores of two cohorts, one model with images, and the report's settings."""
    results = tmp_path / "results"
    settings = tree.settings_of(tree.configured(), {"training": True, "additional": True})
    for cohort, cases in (("training", 12), ("additional", 6)):
        metrics = tree.case_metrics(cases, cohort)
        write_parquet(metrics, results / f"metrics/{cohort}/nnunet.parquet")
        write_parquet(tree.lesion_table(metrics), results / f"lesions/{cohort}/nnunet.parquet")
    return results, settings


def test_what_is_on_the_disk_can_be_opened_and_nothing_else(results):
    results, settings = results
    first, second, third = sorted(pd.read_parquet(results / "metrics/additional/nnunet.parquet")["case"].unique())[:3]
    report = results / "report"
    for name in (
        images_path("additional", first), labels_path("additional", "nnunet", first),
        thumb_path("additional", "nnunet", first), thumb_path("additional", "nnunet", second),
        images_path("additional", third), thumb_path("additional", "nnunet", "of-no-case"),
    ):  # fmt: skip
        write_text(report / name, "x")
    write_cases(results, report / "data/cases.js", settings, "run")
    content = content_of(report / "data/cases.js")
    has = {row[0]: row[4] for row in content["cases"]["additional/nnunet"]["rows"]}
    assert [has[first], has[second], has[third]] == [3, 2, 0]
    assert len(has) == 6
    assert [cohort["name"] for cohort in content["cohorts"]] == ["additional", "training"]
    assert reachable(report / "data/cases.js") == [
        name for case in has for name in reachable(report / "data/cases.js") if case in name
    ]
    assert len(reachable(report / "data/cases.js")) == 4
    assert all((report / name).is_file() for name in reachable(report / "data/cases.js"))


def test_cohorts_stand_in_the_order_of_the_report(results):
    _, settings = results
    cohorts = {name: {"use": use} for name, use in (("a", "predict"), ("b", "train"), ("c", "test"), ("d", "test"))}
    settings |= {"models": {"a": ["m"], "b": ["m"], "c": ["m"], "d": []}}
    settings["config"] = {**settings["config"], "cohorts": cohorts}
    assert [cohort["name"] for cohort in head(settings, "run")["cohorts"]] == ["c", "b", "a"]
    assert cohorts_in_order(settings) == ["c", "b", "a"]


def test_a_hostile_id_ends_no_script(results):
    results, settings = results
    path = results / "metrics/additional/nnunet.parquet"
    table = pd.read_parquet(path)
    hostile = "</script><img src=x onerror=alert(1)>" + "x" * 270
    table["patient"] = table["patient"].replace(table["patient"][0], hostile)
    write_parquet(table, path)
    write_cases(results, results / "report/data/cases.js", settings, "run")
    text = (results / "report/data/cases.js").read_text()
    assert "<" not in text
    assert hostile in {
        row[1] for row in content_of(results / "report/data/cases.js")["cases"]["additional/nnunet"]["rows"]
    }


def test_a_row_takes_about_as_much_as_was_designed():
    metrics = tree.case_metrics(300)
    rows = case_rows(scores_from(metrics, tree.SCHEME.scoring()), tree.lesion_table(metrics), "published")
    assert len(json.dumps(rows, separators=(",", ":"))) / len(rows) < 160


def test_a_scan_of_counts_alone_is_listed_without_lesions(results):
    results, settings = results
    (results / "lesions/additional/nnunet.parquet").unlink()
    write_cases(results, results / "report/data/cases.js", settings, "run")
    rows = content_of(results / "report/data/cases.js")["cases"]["additional/nnunet"]["rows"]
    assert np.array([[cell[4:] for cell in row[5]] for row in rows]).sum() == 0


def test_colours_of_both_palettes_are_told():
    told = head(tree.settings_of(tree.configured(), {"training": True, "additional": True}), "run")
    assert [item["name"] for item in told["classes"]] == list(tree.NAMES.values())
    assert all(item["color"] != item["alternative"] for item in told["classes"])
    assert told["palette"] == "scheme"

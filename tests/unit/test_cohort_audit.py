import numpy as np
import pandas as pd
import pytest
from audit_cases import audited, codes, copy_case, rewrite, write_phantoms

from posttx.auditing.cohort_audit import (
    class_findings,
    cohort_table,
    intensity_outliers,
    shared_patients,
    timepoint_gaps,
)
from posttx.auditing.duplicates import duplicate_findings
from posttx.schemas import COHORT_AUDIT


def cohorts(*rows):
    return pd.DataFrame(rows, columns=["cohort", "case", "patient", "timepoint"])


def test_a_patient_in_train_and_test_is_an_error_and_two_test_cohorts_are_none():
    table = cohorts(("a", "p1-1", "p1", 1), ("b", "p1-2", "p1", 2), ("c", "p1-3", "p1", 3), ("b", "p2-1", "p2", 1))
    found = shared_patients(table, {"a": "train", "b": "test", "c": "predict"})
    assert [(finding.code, finding.cohort, finding.case) for finding in found] == [
        ("COH005", "b", "p1-2"),
        ("COH005", "c", "p1-3"),
    ]
    assert shared_patients(table, {"a": "test", "b": "test", "c": "predict"}) == []


def test_gaps_in_timepoints_are_one_remark_per_cohort():
    table = cohorts(("a", "p1-1", "p1", 100), ("a", "p1-2", "p1", 102), ("a", "p2-1", "p2", 100), ("b", "p3", "p3", 5))
    assert [(finding.code, finding.cohort) for finding in timepoint_gaps(table)] == [("COH006", "a")]


def intensities(values, cohort="a", modality="t1c"):
    cases = [f"case-{number}" for number in range(len(values))]
    return pd.DataFrame({"cohort": cohort, "case": cases, "modality": modality, "p99": values})


def test_two_decades_of_scanner_gain_are_no_outliers():
    spread = np.logspace(np.log10(92.39), np.log10(12_202.66), 60)
    assert intensity_outliers(intensities(spread)) == []


@pytest.mark.parametrize("odd", [0.9, 4e4])
def test_a_value_far_from_the_rest_on_a_log_scale_is_told(odd):
    found = intensity_outliers(intensities([*np.linspace(700, 1100, 20), odd]))
    assert [(finding.code, finding.case) for finding in found] == [("INT007", "case-20")]


@pytest.mark.parametrize("values", [[], [100.0, 1e6], [np.nan] * 20, [0.0] * 20, [500.0] * 20])
def test_few_or_equal_or_missing_values_have_no_outliers(values):
    assert intensity_outliers(intensities(values)) == []


def evidence(*rows):
    table = pd.DataFrame(rows, columns=["cohort", "case", "modality", "content"])
    return table.assign(label=0)


def test_duplicates_within_a_case_a_cohort_and_across():
    table = evidence(
        ("a", "1", "t1n", "x"), ("a", "1", "t1c", "x"), ("a", "2", "t1n", "y"), ("a", "3", "t1n", "y"),
        ("b", "4", "t2w", "y"), ("b", "5", "t2w", None), ("b", "6", "t2w", None), ("b", "7", "t2f", "z"),
    )  # fmt: skip
    found = {(finding.code, finding.cohort, finding.case) for finding in duplicate_findings(table)}
    assert found == {("DUP001", "a", "1"), ("DUP002", "a", "3"), ("DUP003", "b", "4")}
    assert duplicate_findings(evidence()) == []


def volumes(*rows):
    table = pd.DataFrame(rows, columns=["cohort", "case", "label", "name", "voxels"])
    return table.assign(volume_mm3=table["voxels"] * 2.0)


def test_class_balance_and_missing_classes():
    table = volumes(
        ("a", "1", 1, "NETC", 0), ("a", "1", 2, "SNFH", 30), ("a", "2", 1, "NETC", 0), ("a", "2", 2, "SNFH", 10)
    )
    found = {finding.code: finding.message for finding in class_findings(table)}
    assert "NETC" in found["LAB006"]
    assert "SNFH 100.0%" in found["LAB007"]


def test_the_cohort_table_has_ranges_and_shares():
    labels = volumes(
        ("a", "1", 1, "NETC", 10), ("a", "1", 2, "SNFH", 30), ("a", "2", 1, "NETC", 0), ("a", "2", 2, "SNFH", 0)
    )
    table = COHORT_AUDIT.validate(cohort_table(intensities([1.0, 3.0, np.nan]), labels))
    p99 = table[table["kind"] == "p99"].iloc[0]
    assert (p99["n"], p99["mean"], p99["min"], p99["max"]) == (2, 2.0, 1.0, 3.0)
    netc = table[table["name"] == "NETC"].iloc[0]
    assert (netc["n"], netc["voxels"], netc["share"], netc["max"]) == (1, 10, 0.25, 20.0)


def test_empty_tables_give_an_empty_cohort_table():
    assert len(COHORT_AUDIT.validate(cohort_table(intensities([]), volumes()))) == 0


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("phantoms"), 6)


def test_healthy_phantoms_have_neither_errors_nor_warnings(phantoms):
    for files in phantoms.values():
        assert not [finding for finding in audited(files).findings if finding.row()["severity"] != "info"]


@pytest.mark.parametrize(("one", "other", "code"), [("t1n", "t1c", "INT009"), ("t2w", "t2f", "INT010")])
def test_swapped_modalities_are_found_in_every_case(phantoms, one, other, code):
    for files in phantoms.values():
        swapped = {**files, one: files[other], other: files[one]}
        # Blood in a lesion, bright on T1n, leaves doubt about T1: then it is a warning.
        assert {code, "INT012"} & codes(audited(swapped))


def test_without_a_reference_a_swap_of_t1_is_a_warning_and_healthy_cases_have_none(phantoms):
    for files in phantoms.values():
        images = {name: path for name, path in files.items() if name != "seg"}
        assert codes(audited(images, use="predict")) == set()
        swapped = {**images, "t1n": files["t1c"], "t1c": files["t1n"]}
        assert "INT009" not in codes(audited(swapped, use="predict"))


def test_blood_in_the_lesion_is_no_swap(tmp_path):
    # T1n bright in the core of this scan: the first version of the test called it an error.
    files = next(reversed(write_phantoms(tmp_path, 8, seed=2).values()))
    assert not {"INT009", "INT012"} & codes(audited(files))


def test_a_modality_that_covers_another_part_is_told(phantoms, tmp_path):
    own = copy_case(next(iter(phantoms.values())), tmp_path)

    def cut(data):
        data[:20] = 0
        return data

    rewrite(own["t2f"], voxels=cut)
    found = [finding for finding in audited(own).findings if finding.code == "INT008"]
    assert [finding.modality for finding in found] == ["t2f"]


def test_one_torn_file_does_not_hide_the_others(phantoms, tmp_path):
    own = copy_case(next(iter(phantoms.values())), tmp_path)
    own["t1n"].write_bytes(own["t1n"].read_bytes()[:500])
    rewrite(own["t2w"], voxels=lambda data: np.zeros_like(data))
    audit = audited(own)
    assert {"FIL004", "INT002"} <= codes(audit)
    assert [row["modality"] for row in audit.intensity] == ["t1c", "t2w", "t2f"]
    assert len(audit.labels) == 4

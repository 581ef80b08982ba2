import itertools

import pandas as pd
import pytest
from audit_cases import NAMES, audited, write_phantoms

from posttx.auditing.scheme_test import CASE_LOG_ODDS, scheme_findings, scheme_tests
from posttx.cases import phantom_ids
from posttx.schemas import EVIDENCE

COUNT = 10


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    files = write_phantoms(tmp_path_factory.mktemp("phantoms"), COUNT)
    rows = []
    for case, patient, _ in phantom_ids(COUNT, 7):
        rows += [{**row, "case": case, "patient": patient} for row in audited(files[case]).evidence]
    return pd.DataFrame(rows).astype({"label": "Int64", "voxels": "Int64"})


def relabelled(evidence, order):
    return evidence.assign(label=evidence["label"].map({0: 0, **order}).astype("Int64"))


def codes_of(result):
    return [finding.code for finding in scheme_findings(result)]


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3, 4))))
def test_every_order_of_the_integers_is_found(evidence, order):
    integers = dict(zip((1, 2, 3, 4), order, strict=True))
    result = scheme_tests(relabelled(evidence, integers), NAMES)
    assert result["best"] == {str(integers[value]): NAMES[value] for value in sorted(NAMES, key=integers.get)}
    assert result["verdict"] == ("confirmed" if order == (1, 2, 3, 4) else "contradicted")
    assert codes_of(result) == (["SCH003"] if order == (1, 2, 3, 4) else ["SCH001"])


def test_the_names_of_the_published_report_are_contradicted(evidence):
    result = scheme_tests(evidence, {1: "ET", 2: "NETC", 3: "SNFH", 4: "RC"})
    found = scheme_findings(result)
    assert [finding.code for finding in found] == ["SCH001"]
    assert "1: NETC, 2: SNFH, 3: ET, 4: RC" in found[0].remedy
    assert result["log_odds_second"] > 4


def test_one_class_alone_cannot_confirm_the_scheme(evidence):
    result = scheme_tests(evidence[evidence["label"].isin([0, 1])].head(12), NAMES)
    assert result["verdict"] == "undecided"
    assert codes_of(result) == ["SCH002"]


@pytest.mark.parametrize("rows", [slice(0, 0), slice(None)])
def test_no_evidence_is_no_verdict(evidence, rows):
    nothing = evidence[evidence["label"] == 0][rows]
    result = scheme_tests(nothing, NAMES)
    assert (result["verdict"], result["best"]) == ("undecided", None)
    assert codes_of(result) == ["SCH002"]


def test_flat_images_give_no_verdict(evidence):
    flat = evidence.assign(median=evidence["median"].where(evidence["label"] == 0, 0.0))
    assert scheme_tests(flat, NAMES)["verdict"] != "confirmed"


def test_missing_modalities_give_no_verdict(evidence):
    assert scheme_tests(evidence[evidence["modality"] != "t1c"], NAMES)["verdict"] == "undecided"


def test_names_without_a_known_look_give_no_verdict(evidence):
    result = scheme_tests(evidence, {1: "edema", 2: "core"})
    assert "edema" in result["reason"]
    assert codes_of(result) == ["SCH002"]


def test_single_cases_are_never_wrong_about_the_best(evidence):
    for case in evidence["case"].unique():
        best = scheme_tests(evidence[evidence["case"] == case], NAMES)["best"]
        assert best is None or all(NAMES[int(label)] == name for label, name in best.items())


def test_a_cohort_and_a_case_in_another_order_are_named(evidence):
    turned = relabelled(evidence, {1: 3, 2: 1, 3: 2, 4: 4})
    cohorts = pd.concat([evidence, turned.assign(cohort="b", patient=turned["patient"] + "b")])
    found = scheme_findings(scheme_tests(cohorts, NAMES))
    assert [(finding.code, finding.cohort) for finding in found] == [("SCH001", "b")]
    full = next(case for case, rows in evidence.groupby("case") if rows["label"].nunique() == 5)
    mixed = pd.concat([evidence[evidence["case"] != full], turned[turned["case"] == full]])
    result = scheme_tests(mixed, NAMES)
    assert [part["case"] for part in result["odd_cases"]] == [full]
    assert "SCH004" in codes_of(result)
    assert CASE_LOG_ODDS > 6


def test_the_evidence_is_the_table_of_the_contract(evidence):
    EVIDENCE.validate(evidence.drop(columns="patient"))

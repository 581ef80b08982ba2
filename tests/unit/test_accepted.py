import pandas as pd
import pytest
import results_tree as tree

from posttx.reporting.accepted import accepted_findings
from posttx.reporting.report import write_report
from posttx.schemas import FINDINGS

ROWS = [
    ("error", "SCH001", "training", None, None, "ET <looks> like RC", "Look"),
    ("error", "FIL004", "training", "BraTS-GLI-05000-100", "t1n", "torn", "Copy"),
    ("error", "FIL004", "training", "BraTS-GLI-05000-100", "t2w", "torn too", "Copy"),
    ("warning", "GEO005", "training", "BraTS-GLI-05001-100", "t1n", "odd", "Look"),
]


@pytest.fixture
def findings():
    return pd.DataFrame(ROWS, columns=list(FINDINGS.columns))


def test_errors_that_stop_the_run_are_not_accepted(findings):
    accepted = accepted_findings(findings, ["error"])
    assert not accepted.scheme
    assert not accepted.others


@pytest.mark.parametrize("fail_on", [["nothing"], ["warning"], []])
def test_errors_that_pass_are_accepted_with_the_scheme_apart(findings, fail_on):
    accepted = accepted_findings(findings, fail_on)
    assert [kind.first for kind in accepted.scheme] == ["ET <looks> like RC"]
    (torn,) = accepted.others
    assert (torn.code, torn.cohort, torn.findings, torn.cases, torn.first) == ("FIL004", "training", 2, 1, "torn")


def test_no_findings_are_nothing_to_accept(findings):
    assert accepted_findings(findings[:0], ["nothing"]).others == ()


@pytest.mark.parametrize(("fail_on", "said"), [(["nothing"], True), (["error"], False)])
def test_the_page_says_it_directly_above_answer_and_conclusions(own, findings, fail_on, said):
    results, settings = own
    findings.to_parquet(results / "audit/findings.parquet")
    settings["config"]["audit"]["fail_on"] = fail_on
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    page = (results / "report/index.html").read_text()
    for start, end in (('id="answer"', 'class="boxes'), ('id="conclusions"', 'class="block"')):
        section = page[page.index(start) :]
        above = section[: section.index(end)]
        assert ("The label scheme is contradicted." in above) is said
        assert ("ET &lt;looks&gt; like RC" in above) is said
        assert ("FIL004 file truncated or damaged</a>, training: 2 findings in 1 case." in above) is said
        assert "GEO005" not in above

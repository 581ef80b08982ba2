import pandas as pd
import pytest

from check_audit import check_audit
from posttx.auditing.finding_codes import CODES, SEVERITIES
from posttx.auditing.findings import Finding, codes_markdown, count_by_code, findings_table, from_error
from posttx.errors import PostTxError
from posttx.files import read_json
from posttx.schemas import FINDINGS, write_table


def test_codes_are_complete_and_plain():
    for name, code in CODES.items():
        assert len(name) == 6
        assert name[:3].isupper()
        assert name[3:].isdigit()
        assert code.severity in SEVERITIES
        assert all((code.title, code.meaning, code.remedy))
        assert "|" not in code.title + code.meaning + code.remedy


def test_the_markdown_table_has_a_row_per_code():
    text = codes_markdown()
    assert text.count("\n") == len(CODES) + 2
    assert "| `GEO002` | error |" in text


def test_no_findings_are_an_empty_table_that_fits_the_schema(tmp_path):
    write_table(findings_table([]), FINDINGS, tmp_path / "x.parquet")
    assert len(pd.read_parquet(tmp_path / "x.parquet")) == 0


def test_errors_come_first():
    found = [Finding("LAB005", "c", "m", "b"), Finding("INT005", "c", "m", "a"), Finding("FIL001", "c", "m", "z")]
    assert findings_table(found)["code"].tolist() == ["FIL001", "INT005", "LAB005"]


def test_an_unknown_code_is_a_defect():
    with pytest.raises(ValueError, match="XXX001"):
        Finding("XXX001", "c", "m").row()


def test_an_error_becomes_a_finding_under_its_code():
    error = PostTxError("is torn", remedy="Copy it again", file="/a/x.nii.gz", code="FIL004")
    row = from_error(error, "c", "x", "t1n").row()
    assert (row["code"], row["remedy"]) == ("FIL004", "Copy it again")
    assert "/a/x.nii.gz" in row["message"]
    assert from_error(PostTxError("odd"), "c", "x", "t1n").code == "FIL002"


@pytest.fixture
def table(tmp_path):
    found = [Finding("FIL001", "c", f"number {number}", f"case-{number:03d}", "t1n") for number in range(30)]
    found += [Finding("INT005", "c", "m", "case-1", "t1c"), Finding("LAB007", "c", "m")]
    path = tmp_path / "findings.parquet"
    write_table(findings_table(found), FINDINGS, path)
    return path


@pytest.mark.parametrize(
    ("fail_on", "counts"), [(["error"], ["30 x FIL001"]), (["error", "warning"], ["30 x", "1 x INT005"])]
)
def test_the_gate_counts_every_code_and_names_the_table(table, tmp_path, fail_on, counts):
    with pytest.raises(PostTxError) as caught:
        check_audit(table, "results/report/audit.html", tmp_path / "gate.json", fail_on)
    text = str(caught.value)
    assert all(count in text for count in [*counts, str(table), "and 1", "results/report/audit.html"])
    assert not (tmp_path / "gate.json").exists()


@pytest.mark.parametrize("fail_on", [["nothing"], []])
def test_the_gate_opens_where_nothing_is_refused(table, tmp_path, fail_on):
    check_audit(table, "results/report/audit.html", tmp_path / "gate.json", fail_on)
    gate = read_json(tmp_path / "gate.json")
    assert gate["findings"]["error"] == {"FIL001": 30}


def test_counts_hold_every_severity():
    assert count_by_code(findings_table([])) == {"error": {}, "warning": {}, "info": {}}

import re
import shutil

import pytest

import print_report as module
from posttx.errors import PostTxError
from print_report import print_report


def test_a_report_is_printed_by_the_systems_browser(browser, report, tmp_path):
    results = tmp_path / "results"
    (results / "report").mkdir(parents=True)
    shutil.copy(report, results / "report/index.html")
    pdf = print_report(results)
    assert pdf == results / "report/report.pdf"
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))
    # what is folded on the screen is there: one page of it would be no more than the answer
    assert 6 <= pages <= 12
    assert not [path for path in pdf.parent.iterdir() if path.name not in ("index.html", "report.pdf")]


def test_without_a_browser_or_a_page_it_says_what_to_do(report, tmp_path, monkeypatch):
    with pytest.raises(PostTxError, match="no report to print"):
        print_report(tmp_path)
    monkeypatch.setattr(module, "BROWSERS", ("no-such-browser",))
    with pytest.raises(PostTxError, match="print it from there"):
        print_report(report.parents[1])

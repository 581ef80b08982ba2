"""The script that saves tables as CSV: what it writes is what pandas reads, and what the pipeline's own CSV holds."""

import io
from pathlib import Path

import pandas as pd
import pytest

from posttx.csv_text import guarded, unguarded, write_csv

SCRIPT = Path(__file__).resolve().parents[2] / "workflow/report/csv.js"
TEXTS = (
    "ET", "=cmd()", "+cmd", "-1.5", "+3", "-x", "@x", "\tx", "＝x", "1,234.5", "-1,234", "1e5", "-.5", "-", "", "'",
    '"', "a,b", "two\nlines", "ä<b>",
)  # fmt: skip


@pytest.fixture
def page(opened, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><title>t</title><script>{SCRIPT.read_text(encoding='utf-8')}</script>", "utf-8")
    return opened(path)


def test_a_text_is_guarded_as_the_pipeline_guards_it(page):
    assert page.evaluate("texts => texts.map(posttxCsv.guarded)", TEXTS) == [guarded(text) for text in TEXTS]


def test_a_guard_comes_and_goes(page):
    written = [*TEXTS, *map(guarded, TEXTS), "''=x", "'a'"]
    assert page.evaluate("texts => texts.map(posttxCsv.unguarded)", written) == [unguarded(text) for text in written]


def test_no_text_breaks_its_line_between_tabs(page):
    rows = [["a", "two\nlines\tand more "], ["b  c", "=cmd()"]]
    written = page.evaluate("rows => posttxCsv.tsv(['case', 'comment'], rows)", rows)
    assert written == "case\tcomment\na\ttwo lines and more\nb  c\t'=cmd()\n"


def test_pandas_reads_what_the_page_saves_as_what_the_pipeline_writes(page, tmp_path):
    table = pd.DataFrame({"case": TEXTS, "dice": [0.5, None, 1e-7, -3.25, *[0.1234] * (len(TEXTS) - 4)]})
    write_csv(table, tmp_path / "pipeline.csv")
    rows = [[case, None if pd.isna(dice) else dice] for case, dice in table.itertuples(index=False)]
    written = page.evaluate("rows => posttxCsv.text(['case', 'dice'], rows)", rows)
    saved, expected = (pd.read_csv(source) for source in (io.StringIO(written), tmp_path / "pipeline.csv"))
    pd.testing.assert_frame_equal(saved, expected)


def test_a_table_is_saved_as_a_file_of_its_name(page):
    with page.expect_download() as download:
        page.evaluate("posttxCsv.save('cases.csv', posttxCsv.text(['a'], [[1]]))")
    assert download.value.suggested_filename == "cases.csv"
    assert Path(download.value.path()).read_text(encoding="utf-8") == "a\n1\n"

"""No cell of a CSV runs in a spreadsheet, and no number becomes a text."""

import pandas as pd
import pytest

from posttx.csv_text import guarded, unguarded, write_csv

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "=", "-"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_prefixed_and_read_back(text):
    assert guarded(text) == "'" + text
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", ["", "a=1", "BraTS-GLI-00001-100", "'quoted'", "-0.5", "+3", "-1,2.5", "-1e-9", ".5"])
def test_other_texts_and_numbers_stay_as_they_are(text):
    assert guarded(text) == text
    assert unguarded(text) == text


def test_a_table_keeps_its_numbers_and_guards_its_texts_and_headers(tmp_path):
    table = pd.DataFrame({
        "=case": ["=HYPERLINK(1)", "a", None],
        "value": [-1.5, float("nan"), 2.0],
        "n": pd.array([-3, None, 1], dtype="Int64"),
        "kind": pd.Categorical(["+x", "b", "b"]),
        "there": [True, False, True],
    })  # fmt: skip
    write_csv(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines() == [
        "'=case,value,n,kind,there",
        "'=HYPERLINK(1),-1.5,-3,'+x,True",
        "a,,,b,False",
        ",2.0,1,b,True",
    ]
    assert table["=case"][0] == "=HYPERLINK(1)"

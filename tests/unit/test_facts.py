import math

import pytest

from posttx.cases import find_cases
from posttx.errors import PostTxError
from posttx.facts import CATEGORICAL, NUMERIC, cohort_facts, known_facts, numbers_of, read_facts


def table(folder, text, name="facts.tsv"):
    path = folder / name
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_kinds_are_inferred_and_unknown_values_are_not_said(tmp_path):
    ages = "".join(f"P{n}\t{60 + n}\t{n % 2}\tUCSF\n" for n in range(7))
    facts = read_facts(table(tmp_path, f"patient\tage\tsex\tsite\n{ages}P9\tNA\t\tunknown\n\t\t\t\n"))
    assert [(fact.name, fact.kind) for fact in facts] == [("age", NUMERIC), ("sex", CATEGORICAL), ("site", CATEGORICAL)]
    age = facts[0].of(["a", "b", "c"], ["P0", "P9", "elsewhere"])
    assert age == ["60", "", ""]
    assert numbers_of(age)[0] == 60
    assert math.isnan(numbers_of(age)[1])


def test_a_table_by_case_wins_over_the_patient_beside_it(tmp_path):
    (site,) = read_facts(table(tmp_path, "case,patient,site\nA,P,x\nB,P,y\n", "facts.csv"))
    assert site.key == "case"
    assert site.of(["B", "A"], ["P", "P"]) == ["y", "x"]


def test_columns_of_a_sheet_that_name_files_are_no_facts(tmp_path):
    facts = read_facts(table(tmp_path, "case\tt1n\tseg\ttimepoint\tscanner\nA\tx.nii\ty.nii\t1\t3T\n"))
    assert [fact.name for fact in facts] == ["scanner"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("site\nx\n", "the columns are ['site']"),
        ("case\tsite\tsite\nA\tx\ty\n", "the columns are"),
        ("case\tsite\nA\tx\ty\n", "line 2 has 3 cells, not 2"),
        ("case\tsite\n\tx\n", "line 2 names no case"),
        ("case\tsite\nA\tx\nA\ty\n", "line 3: site of A is 'y', an earlier line says 'x'"),
        (f"case\tsite\nA\t{'x' * 81}\n", "line 2 has a value of 81 characters"),
        ("case\tsite\nA\t\x1b[31m\n", "line 2 has a value of 5 characters"),
        ("", "the columns are []"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(tmp_path, text, problem):
    with pytest.raises(PostTxError, match="the table of facts cannot be used") as caught:
        read_facts(table(tmp_path, text))
    assert problem in str(caught.value)


def test_a_table_that_is_not_text_is_named(tmp_path):
    path = tmp_path / "facts.tsv"
    path.write_bytes(b"case\tsite\n\xff\xfe\x00")
    with pytest.raises(PostTxError, match="cannot be read as text"):
        read_facts(path)


def test_further_columns_of_a_sheet_are_facts_beside_those_of_the_table(tmp_path):
    sheet = table(tmp_path, "case\tseg\tscanner\nA\tx.nii\t3T\nB\ty.nii\t1.5T\n", "cases.tsv")
    facts = cohort_facts({"sheet": sheet, "facts": table(tmp_path, "case\tsite\nA\tnorth\n")})
    assert {fact.name: fact.of(["A", "B"], ["A", "B"]) for fact in facts} == {
        "scanner": ["3T", "1.5T"],
        "site": ["north", ""],
    }
    with pytest.raises(PostTxError, match="the cohort's sheet has a column 'scanner', too"):
        cohort_facts({"sheet": sheet, "facts": table(tmp_path, "case\tscanner\nA\t7T\n")})


def test_the_sheet_that_listed_the_cases_is_not_read_again_for_its_facts(tmp_path):
    sheet = table(tmp_path, "case\tscanner\nA\t3T\n", "cases.tsv")
    facts = table(tmp_path, "case\tscanner\nA\t7T\n")
    cohorts = {"held": {"sheet": str(sheet), "facts": str(facts), "use": "test"}}
    found = {"held": find_cases("held", cohorts["held"], 1, tmp_path)}
    sheet.unlink()
    with pytest.raises(PostTxError, match="the cohort's sheet has a column 'scanner', too"):
        known_facts(cohorts, found)

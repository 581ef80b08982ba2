"""Ratings that leave cases out: what is read, what is refused, what is told."""

import re
from pathlib import Path

import pytest

from posttx.auditing.findings import Finding
from posttx.cases import Case, Listing, find_cases, usable_cases
from posttx.errors import PostTxError
from posttx.exclusions import HEADERS, RATINGS, Rating, rating_notes, read_ratings, without_excluded

HEADER = "cohort\tcase\trating\tcomment\n"


@pytest.fixture
def ratings(tmp_path):
    def write(text):
        path = tmp_path / "ratings.tsv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def listings(**cohorts):
    return {name: Listing([Case(case, case, 0, name, "000") for case in cases], []) for name, cases in cohorts.items()}


def test_the_exported_file_is_read(ratings):
    found = read_ratings(ratings(HEADER + 'training\tx-1\texclude\tmotion, "strong"\n\ntest\tx-2\tkeep\t\n'))
    assert [(one.cohort, one.case, one.rating, one.comment) for one in found] == [
        ("training", "x-1", "exclude", 'motion, "strong"'),
        ("test", "x-2", "keep", ""),
    ]


def test_models_and_raters_rate_a_case_separately_and_what_weighs_most_holds(ratings):
    header = HEADER.replace("comment", "comment\tmodel\trater")
    rows = [
        "a\tx-1\tkeep\tfine\tm\tAnna",
        "a\tx-1\texclude\t'=motion\tm\tBen",
        "a\tx-1\tfix\tfine\tn\tAnna",
        "a\tx-2\tkeep\t\tm\tAnna",
    ]
    found = read_ratings(ratings(header + "\n".join(rows) + "\n"))
    assert [(one.case, one.rating, one.comment) for one in found] == [
        ("x-1", "exclude", "fine; =motion"),
        ("x-2", "keep", ""),
    ]
    with pytest.raises(PostTxError, match="line 3: case 'x-1' of cohort 'a' stands in line 2 too"):
        read_ratings(ratings(header + rows[0] + "\n" + rows[0] + "\n"))


def test_every_rating_of_the_pages_is_known():
    pages = Path(__file__).resolve().parents[2] / "workflow/report"
    review = re.findall(r'{ value: "(\w+)"', (pages / "review_store.js").read_text(encoding="utf-8"))
    assert len(review) == 5
    assert {*review, "keep", "fix"} == set(RATINGS[1:])


def test_ratings_of_the_review_are_read_with_their_reasons(ratings):
    header = HEADER.replace("comment", "comment\tmodel\trater\treasons\trun")
    rows = [
        "a\tx-1\taccept\t\tm\tAnna\t\t0123",
        "a\tx-1\tedit\tsmall\tn\tAnna\tboundary; wrong class\t0123",
        "a\tx-2\treference\t\tm\t\tlesion missing\t0123",
        "a\tx-3\texclude\tblurred\tm\t\tmotion\t0123",
        "a\tx-4\tredo\t\tm\t\t\t0123",
    ]
    found = read_ratings(ratings(header + "\n".join(rows) + "\n"))
    assert [(one.case, one.rating, one.comment) for one in found] == [
        ("x-1", "edit", "boundary; wrong class. small"),
        ("x-2", "reference", "lesion missing"),
        ("x-3", "exclude", "motion. blurred"),
        ("x-4", "redo", ""),
    ]
    every = listings(a=["x-1", "x-2", "x-3", "x-4"])
    assert [case.case for case in without_excluded(every, found)["a"].cases] == ["x-1", "x-2", "x-4"]
    assert [(note["code"], note["message"]) for note in rating_notes(every, found)] == [
        ("COH010", "its reference is rated as wrong: lesion missing"),
        ("COH009", "left out of this run: motion. blurred"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_spreadsheets_marks_and_line_ends_do_no_harm(ratings, end):
    text = "\ufeff" + HEADER.replace("\n", end) + f"training\tx-1\texclude\t{end}"
    (found,) = read_ratings(ratings(text))
    assert (found.case, found.rating) == ("x-1", "exclude")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "columns are []"),
        ("case\trating\nx\texclude\n", "columns are ['case', 'rating']"),
        ("cohort,case,rating,comment\na,x,exclude,\n", "columns are"),
        (HEADER + "a\tx\tdrop\t\n", "line 2: rating 'drop'"),
        (HEADER + "a\tx\texclude\t\na\tx\tkeep\t\n", "line 3: case 'x' of cohort 'a' stands in line 2"),
        (HEADER + "a\tx\n", "line 2: 2 cells"),
    ],
)
def test_what_is_no_ratings_file_is_refused_with_its_line(ratings, text, told):
    path = ratings(text)
    with pytest.raises(PostTxError) as caught:
        read_ratings(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.code == "COH008"
    assert caught.value.remedy


def test_a_missing_or_binary_file_is_refused(tmp_path):
    (tmp_path / "binary.tsv").write_bytes(b"\xff\xfe\x00")
    for name in ("nowhere.tsv", "binary.tsv"):
        with pytest.raises(PostTxError) as caught:
            read_ratings(tmp_path / name)
        assert caught.value.code == "COH008"


def test_only_cases_rated_exclude_are_left_out_and_only_of_their_cohort(ratings):
    found = read_ratings(ratings(HEADER + "a\tx-1\texclude\t\na\tx-2\tfix\t\na\tx-3\tkeep\t\nb\tx-2\texclude\t\n"))
    kept = without_excluded(listings(a=["x-1", "x-2", "x-3"], b=["x-1", "x-2"]), found)
    assert {name: [case.case for case in part.cases] for name, part in kept.items()} == {
        "a": ["x-2", "x-3"],
        "b": ["x-1"],
    }


def test_a_cohort_without_any_case_left_is_refused(ratings):
    found = read_ratings(ratings(HEADER + "a\tx-1\texclude\t\n"))
    with pytest.raises(PostTxError, match="all 1 cases of cohort 'a' are excluded"):
        without_excluded(listings(a=["x-1"]), found)


def test_nothing_is_left_out_in_silence(ratings):
    found = read_ratings(
        ratings(HEADER + "a\tx-1\texclude\tmotion\na\tx-2\tfix\t\na\tx-3\tkeep\t\na\tx-9\texclude\t\nz\tx-1\tkeep\t\n")
    )
    notes = rating_notes(listings(a=["x-1", "x-2", "x-3"]), found)
    assert [(note["code"], note["cohort"], note["case"]) for note in notes] == [
        ("COH009", "a", "x-1"),
        ("COH010", "a", "x-2"),
        ("COH011", "a", "x-9"),
        ("COH011", "z", "x-1"),
    ]
    assert "motion" in notes[0]["message"]
    assert [Finding(**note).row()["severity"] for note in notes] == ["info", "info", "warning", "warning"]


def test_an_excluded_case_may_be_incomplete(tmp_path, ratings):
    for case in ("BraTS-GLI-00001-100", "BraTS-GLI-00002-100"):
        folder = tmp_path / "data" / case
        folder.mkdir(parents=True)
        for name in ("t1n", "t1c", "t2w", "t2f", "seg"):
            if (case, name) != ("BraTS-GLI-00002-100", "t2w"):
                (folder / f"{case}-{name}.nii.gz").touch()
    settings = {"path": str(tmp_path / "data"), "use": "train"}
    (tmp_path / "data/BraTS-GLI-00002-100/BraTS-GLI-00002-100-t2w.nii.gz").symlink_to(tmp_path / "nowhere")
    listing = find_cases("training", settings, 2, tmp_path)
    with pytest.raises(PostTxError, match="link to nothing"):
        usable_cases(listing, "training", settings)
    found = read_ratings(ratings(HEADER + "training\tBraTS-GLI-00002-100\texclude\t\n"))
    kept = without_excluded({"training": listing}, found)["training"]
    assert [case.case for case in usable_cases(kept, "training", settings)] == ["BraTS-GLI-00001-100"]


@pytest.mark.parametrize("header", HEADERS, ids=len)
def test_a_line_may_end_with_its_rating(tmp_path, header):
    path = tmp_path / "ratings.tsv"
    path.write_text("\t".join(header) + "\nc\tx\texclude\n", encoding="utf-8")
    assert read_ratings(path) == [Rating("c", "x", "exclude", "")]

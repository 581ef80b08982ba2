"""Ratings in the review page: by keys, kept by run, model and rater, exported, read back here and by a later run."""

import json

import pytest
from review_tree import PRESENT, rows, write_case, write_review_page

from posttx.exclusions import read_ratings

SMALL = (28, 34, 26)
KEYS = {"a": "accept", "s": "edit", "d": "redo", "w": "reference", "x": "exclude"}
STALE = json.dumps({
    "run": "older",
    "ratings": [{"cohort": "test", "case": "p01-a", "model": "new", "rating": "accept", "comment": "", "run": "older"}],
})  # fmt: skip
STORED = "() => JSON.parse(localStorage.getItem('posttx-ratings-0123abcd-') || '{}')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report with two cases of two models."""
    made = tmp_path_factory.mktemp("rating")
    write_review_page(made)
    for case in ("p01-a", "p01-b"):
        write_case(made, case, ("new", "old"), shape=SMALL)
    return made


@pytest.fixture
def at(opened, folder):
    """Return a function that opens the page at an address in a browser that keeps nothing yet."""

    def go(place="#case=p01-a", page_file=folder / "review.html", **options):
        page = opened(page_file, place, **options)
        page.wait_for_selector("body[data-shown]")
        return page

    return go


def shown(page, start):
    page.wait_for_selector(f"body[data-shown^='{start}']")


def progress(page):
    return page.locator("#progress").inner_text()


def pressed(page, group="#rates"):
    return page.locator(f"{group} [aria-pressed=true]").all_inner_texts()


@pytest.mark.parametrize(("key", "value"), KEYS.items())
def test_each_key_rates_and_takes_back(at, key, value):
    page = at()
    page.keyboard.press(key)
    assert page.evaluate(STORED) == {"test\tp01-a\tnew": {"rating": value, "comment": "", "reasons": []}}
    assert progress(page) == "1 of 2 rated"
    assert len(pressed(page)) == 1
    page.keyboard.press(key)
    assert page.evaluate(STORED) == {}
    assert progress(page) == "0 of 2 rated"


def test_twenty_cases_are_rated_with_forty_keys(at, tmp_path):
    cases = [f"p{i:02d}-a" for i in range(20)]
    page_file = write_review_page(tmp_path, cases={"test/new": rows(*((case, 3, PRESENT, 0.1) for case in cases))})
    for case in cases:
        write_case(tmp_path, case, shape=SMALL)
    page = at("#review=worst", page_file)
    keys = 0
    for i, case in enumerate(cases):
        shown(page, case)
        page.keyboard.press("asdwx"[i % 5])
        keys += 1
        if i < 19:
            page.keyboard.press("ArrowRight")
            keys += 1
    assert progress(page) == "20 of 20 rated"
    assert keys <= 40


def test_go_on_after_rating_leads_to_the_next_case_and_is_kept(at):
    page = at()
    page.locator("#go-on").check()
    page.locator("#stage").focus()
    page.keyboard.press("a")
    shown(page, "p01-b")
    assert pressed(page) == []
    page.reload()
    shown(page, "p01-b")
    assert page.locator("#go-on").is_checked()
    page.keyboard.press("s")
    assert progress(page) == "2 of 2 rated"
    assert "last case" in page.locator("#notice").inner_text()


def test_reasons_and_comment_are_kept_and_keys_are_letters_in_the_comment(at):
    page = at()
    page.keyboard.press("x")
    page.locator("#reasons").get_by_role("button", name="motion").click()
    page.locator("#reasons").get_by_role("button", name="artefact").click()
    page.locator("#comment").focus()
    page.keyboard.type("a dark scan")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    shown(page, "p01-b")
    assert page.locator("#comment").input_value() == ""
    page.keyboard.press("ArrowLeft")
    shown(page, "p01-a")
    assert page.locator("#comment").input_value() == "a dark scan"
    assert pressed(page, "#reasons") == ["motion", "artefact"]
    assert page.evaluate(STORED)["test\tp01-a\tnew"] == {
        "rating": "exclude", "comment": "a dark scan", "reasons": ["motion", "artefact"],
    }  # fmt: skip


def test_models_and_raters_rate_separately(at):
    page = at()
    page.keyboard.press("a")
    page.keyboard.press("m")
    shown(page, "p01-a/old")
    assert (pressed(page), progress(page)) == ([], "0 of 2 rated")
    page.keyboard.press("d")
    page.locator("#rater").fill("Anna")
    page.locator("#rater").press("Enter")
    assert (pressed(page), progress(page)) == ([], "0 of 2 rated")
    page.keyboard.press("x")
    kept = page.evaluate("() => JSON.parse(localStorage.getItem('posttx-ratings-0123abcd-Anna'))")
    assert [entry["rating"] for entry in kept.values()] == ["exclude"]
    assert {key.split("\t")[2]: entry["rating"] for key, entry in page.evaluate(STORED).items()} == {
        "new": "accept", "old": "redo",
    }  # fmt: skip


def test_two_reports_in_one_browser_share_nothing(at, folder, tmp_path):
    other = write_review_page(tmp_path, run="ffff")
    for case in ("p01-a", "p01-b"):
        write_case(tmp_path, case, shape=SMALL)
    page = at()
    page.keyboard.press("x")
    page.goto(other.as_uri() + "#case=p01-a")
    shown(page, "p01-a")
    assert progress(page) == "0 of 2 rated"
    with page.expect_download() as download:
        page.locator("#export-tsv").click()
    assert len(download.value.path().read_text(encoding="utf-8").splitlines()) == 1
    page.goto((folder / "review.html").as_uri() + "#case=p01-a")
    shown(page, "p01-a")
    assert progress(page) == "1 of 2 rated"


def exported(page, kind, tmp_path, name):
    with page.expect_download() as download:
        page.locator(f"#export-{kind}").click()
    assert download.value.suggested_filename == f"ratings.{kind}"
    path = tmp_path / name
    download.value.save_as(path)
    return path


def imported(page, path):
    page.locator("#import-file").set_input_files(path)
    page.wait_for_selector("#store-note:not(:empty)")
    return page.locator("#store-note").inner_text()


def rate_hard(page):
    """Rate both cases, one with reasons, a rater and a comment that a spreadsheet would run."""
    page.locator("#rater").fill("Zoë O'Hara")
    page.locator("#rater").press("Enter")
    page.keyboard.press("x")
    page.locator("#reasons").get_by_role("button", name="motion").click()
    page.locator("#reasons").get_by_role("button", name="poor registration").click()
    page.locator("#comment").fill('=1+1  "quoted"; <b>-5')
    page.locator("#comment").press("Enter")
    page.keyboard.press("ArrowRight")
    shown(page, "p01-b")
    page.locator("#comment").fill("'-5, no rating yet")
    page.locator("#comment").press("Enter")


@pytest.mark.parametrize("kind", ["tsv", "json"])
def test_an_export_is_read_back_and_exported_the_same(at, tmp_path, kind):
    page = at()
    rate_hard(page)
    first = exported(page, kind, tmp_path, f"first.{kind}")
    other = at()
    said = imported(other, first)
    assert said == "2 ratings of Zoë O'Hara taken over."
    assert progress(other) == "1 of 2 rated"
    assert pressed(other, "#reasons") == ["motion", "poor registration"]
    assert exported(other, kind, tmp_path, f"second.{kind}").read_bytes() == first.read_bytes()
    # either kind holds all that the other does
    swapped = "json" if kind == "tsv" else "tsv"
    left, right = (exported(one, swapped, tmp_path, f"{i}.{swapped}") for i, one in enumerate((page, other)))
    assert left.read_bytes() == right.read_bytes()


def test_the_pipeline_reads_the_export(at, tmp_path):
    page = at()
    rate_hard(page)
    first, second = read_ratings(exported(page, "tsv", tmp_path, "ratings.tsv"))
    assert (first.cohort, first.case, first.rating) == ("test", "p01-a", "exclude")
    assert first.comment == 'motion; poor registration. =1+1 "quoted"; <b>-5'
    assert (second.case, second.rating) == ("p01-b", "")


def test_an_import_merges_and_says_what_it_replaced_and_left_out(at, tmp_path):
    page = at()
    page.keyboard.press("a")
    header = "cohort\tcase\trating\tcomment\tmodel\trater\treasons\trun\n"
    lines = [
        "test\tp01-a\tredo\t\tnew\t\t\t0123abcd",
        "test\tp01-b\tedit\t\tnew\t\tboundary\t0123abcd",
        "test\tp09-z\tedit\t\tnew\t\t\t0123abcd",
        "test\tp01-b\tedit\t\told\t\t\tolder",
        "test\tp01-a\twow\t\told\t\t\t0123abcd",
    ]
    path = tmp_path / "ratings.tsv"
    path.write_text(header + "\r\n".join(lines) + "\n", encoding="utf-8-sig")
    said = imported(page, path)
    assert said == (
        "2 ratings of a rater without a name taken over; 1 of them replaced another; "
        "1 rating left out: made on another run, whose segmentations may differ; "
        "1 rating left out: this report has no such cohort, model and case; "
        "1 line left out: no rating that this page knows."
    )
    assert progress(page) == "2 of 2 rated"
    assert pressed(page) == ["d\nredo"]


@pytest.mark.parametrize(("name", "text", "said"), [
    ("stale.json", STALE, "1 rating left out: made on another run"),
    ("torn.json", '{"ratings": [{"coh', "torn.json was not taken over"),
    ("list.json", '{"ratings": 3}', "list.json was not taken over: it holds no ratings"),
    ("odd.json", '{"ratings": [null, 3, {"cohort": {}, "rating": "accept"}]}', "1 rating left out: this report has"),
    ("other.tsv", "a\tb\n1\t2\n", "other.tsv was not taken over: its columns are a, b"),
    ("empty.tsv", "", "empty.tsv was not taken over"),
])  # fmt: skip
def test_a_stale_or_broken_file_stops_nothing_and_is_said(at, tmp_path, name, text, said):
    page = at()
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert said in imported(page, path)
    page.keyboard.press("a")
    assert progress(page) == "1 of 2 rated"


@pytest.mark.parametrize("torn", [
    "{", "[]", "3", '{"test\\tp01-a\\tnew": {"rating": "<b>", "comment": 3}}', '{"test\\tp01-a\\tnew": null}',
    '{"__proto__": {"rating": "accept", "comment": ""}}',
])  # fmt: skip
def test_a_damaged_storage_stops_nothing(at, torn):
    page = at()
    page.evaluate("text => localStorage.setItem('posttx-ratings-0123abcd-', text)", torn)
    page.reload()
    shown(page, "p01-a")
    assert progress(page) == "0 of 2 rated"
    page.keyboard.press("a")
    assert progress(page) == "1 of 2 rated"


def test_a_browser_that_keeps_nothing_rates_until_the_page_is_closed_and_says_so(at, folder, opened):
    page = at(script="Object.defineProperty(window, 'localStorage', { get() { throw new Error('forbidden'); } });")
    page.keyboard.press("a")
    assert progress(page) == "1 of 2 rated"
    assert "export before you close" in page.locator("#store-note").inner_text()


def test_another_window_of_the_report_loses_no_rating(at, folder):
    page = at()
    second = page.context.new_page()
    second.goto((folder / "review.html").as_uri() + "#case=p01-b")
    shown(second, "p01-b")
    page.keyboard.press("a")
    second.locator("#progress", has_text="1 of 2 rated").wait_for()
    second.keyboard.press("d")
    page.locator("#progress", has_text="2 of 2 rated").wait_for()
    assert len(page.evaluate(STORED)) == 2


def test_forgetting_asks_first_and_forgets_this_rater_alone(at):
    page = at()
    page.keyboard.press("a")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.locator("#forget").click()
    assert progress(page) == "1 of 2 rated"
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#forget").click()
    assert progress(page) == "0 of 2 rated"

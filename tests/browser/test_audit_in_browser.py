"""The audit's page in a real browser, from disk and without a network."""

import sys
from pathlib import Path

import pandas as pd
import pytest
from browser_pages import AXE, has_count, sort_by

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))


@pytest.fixture(scope="module")
def audit(tmp_path_factory):
    from audit_tree import write_audit

    return write_audit(tmp_path_factory.mktemp("audit") / "results", {"training": 12, "additional": 6})


def visible(page):
    return page.locator(".tile:visible").count()


def test_pictures_are_loaded_from_beside_the_page_when_they_come_into_view(opened, audit):
    page = opened(audit)
    picture = page.locator(".tile img").last
    picture.scroll_into_view_if_needed()
    page.wait_for_function("image => image.complete && image.naturalWidth > 200", arg=picture.element_handle())


def test_findings_sort_filter_and_are_saved(opened, audit):
    page = opened(audit)
    table = page.locator("#table-findings-list")
    assert table.locator("tbody tr").first.locator("td").nth(1).inner_text() == "FIL004"
    sort_by(table, "Code")
    codes = [text.strip() for text in table.locator("tbody tr td:nth-child(2)").all_inner_texts()]
    assert codes == sorted(codes)
    table.locator("input[type=search]").fill("saturated")
    has_count(table.locator("tbody tr"), 1)
    with page.expect_download() as download:
        table.get_by_role("button", name="CSV").click()
    saved = pd.read_csv(download.value.path())
    assert list(saved["Code"]) == ["INT005"]
    assert {"Severity", "Cohort", "Case", "Modality", "Finding", "What to do"} <= set(saved.columns)


def test_the_grid_is_filtered_by_id_findings_and_missing_pictures(opened, audit):
    page = opened(audit)
    assert visible(page) == 18
    kind = page.locator("#grid-kind")
    for choice, count in (("errors", 1), ("findings", 2), ("unread", 2), ("rated", 0), ("all", 18)):
        kind.select_option(choice)
        assert visible(page) == count, choice
    page.locator("#grid-filter").fill("05001-1")
    assert visible(page) == 4
    assert page.locator("#grid-shown").inner_text() == "4 of 18 cases"


def test_ratings_are_exported_as_a_later_run_reads_them(opened, audit, tmp_path):
    from posttx.exclusions import read_ratings

    page = opened(audit)
    tile = page.locator(".tile").first
    tile.get_by_label("exclude").check()
    tile.get_by_role("textbox").fill("motion")
    with page.expect_download() as download:
        page.locator("#export-ratings").click()
    path = tmp_path / "ratings.tsv"
    download.value.save_as(path)
    (rating,) = read_ratings(path)
    assert (rating.cohort, rating.case, rating.rating) == ("training", "BraTS-GLI-05000-100", "exclude")
    assert rating.comment == "motion"


def test_two_windows_keep_each_others_ratings(opened, audit):
    first = opened(audit)
    second = first.context.new_page()
    second.goto(audit.as_uri())
    first.locator(".tile").nth(0).get_by_label("exclude").check()
    second.locator(".tile").nth(1).get_by_label("fix").check()
    first.reload()
    assert first.locator("#rated").inner_text() == "2 rated"
    assert first.locator(".tile").nth(1).get_by_label("fix").is_checked()


def test_ratings_are_those_of_the_rater_named(opened, audit):
    page = opened(audit)
    page.locator(".tile").first.get_by_label("exclude").check()
    page.locator("#rater").fill("Anna")
    assert page.locator("#rated").inner_text() == "0 rated"
    page.locator("#rater").fill("")
    assert page.locator("#rated").inner_text() == "1 rated"
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#clear-ratings").click()
    page.reload()
    assert page.locator("#rated").inner_text() == "0 rated"


@pytest.mark.parametrize("width", [1400, 400])
def test_nothing_is_wider_than_the_window(opened, audit, width):
    page = opened(audit, viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(opened, audit, scheme):
    page = opened(audit, color_scheme=scheme, bypass_csp=True)
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    told = [(item["id"], item["nodes"][0]["html"][:200]) for item in found["violations"] if item["impact"] != "minor"]
    assert told == []

"""The frame of the review page: its address, its tabs, and what it says of an address that leads nowhere."""

import pytest
from browser_pages import serious_violations
from review_tree import write_case, write_review_page

READY = "body[data-ready='1']"


@pytest.fixture
def review(opened, tmp_path):
    """Return a function that opens the review page at an address."""
    page_file = write_review_page(tmp_path)

    def at(place="", **options):
        page = opened(page_file, place, **options)
        page.wait_for_selector(READY)
        return page

    return at


def state(page):
    return page.evaluate("posttx.state")


def test_it_opens_with_the_first_cohort_and_its_list(review):
    page = review()
    at = state(page)
    assert (at["cohort"], at["model"], at["view"]) == ("test", "new", "list")
    assert page.locator("#pane-list").is_hidden() is False
    assert page.locator("#count").inner_text() == "3"
    assert page.locator("#message").inner_text() == ""


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("#cohort=nowhere", "no cohort “nowhere”"),
        ("#cohort=test&model=best", "no model “best”"),
        ("#filter=ET:wrong", "no failure “ET:wrong”"),
        ("#cohort=test&case=p09", "no case “p09” of new in test"),
        ("#cohort=test&case=p02-a", "p02-a has no images"),
        ("#cohort=train&review=worst", "No case of this list has pictures"),
        ("#cohort=%E0%A4%A", "no cohort “%E0%A4%A”"),
        ("#case=<img src=x onerror=alert(1)>", "no case “<img src=x onerror=alert(1)>”"),
    ],
)
def test_an_address_that_leads_nowhere_is_said_and_shows_the_list(review, place, said):
    page = review(place)
    assert said in page.locator("#message").inner_text()
    assert state(page)["view"] == "list"


@pytest.mark.parametrize(("filter", "cases"), [
    ("ET:missed", ["p01-a"]), ("ET:invented", ["p02-a"]), ("ET:low", ["p01-b"]), ("ET:small", ["p01-a"]),
    ("ET:missed,ET:small", ["p01-a"]), ("ET:missed,ET:low", []), ("RC:missed", []),
])  # fmt: skip
def test_a_filter_keeps_exactly_the_failing_cases(review, filter, cases):
    page = review(f"#cohort=test&model=new&filter={filter}")
    assert page.evaluate("posttx.listed().map(row => row.case)") == cases


def test_the_worst_pictured_case_of_a_filtered_list_gets_an_address_of_its_own(review, tmp_path):
    write_case(tmp_path, "p01-b", shape=(28, 34, 26))
    page = review("#filter=ET:low&review=worst")
    page.wait_for_selector("body[data-shown]")
    assert page.evaluate("location.hash") == "#cohort=test&model=new&filter=ET:low&case=p01-b"
    assert state(page)["case"] == "p01-b"
    assert page.locator("#pane-case").is_visible()


def test_tabs_and_selects_change_the_address_and_going_back_returns(review):
    page = review("#cohort=test&model=old&filter=ET:missed")
    page.get_by_role("link", name="Compare").click()
    page.wait_for_selector("body[data-view='compare']")
    assert state(page)["model"] == "old"
    page.locator("#cohort").select_option("train")
    page.wait_for_function("() => posttx.state.cohort === 'train'")
    assert state(page)["model"] == "new"
    page.go_back()
    page.wait_for_function("() => posttx.state.cohort === 'test'")
    assert page.locator("#model").input_value() == "old"


def test_the_palette_is_toggled_without_a_rebuild_and_remembered(review):
    page = review()
    color = "getComputedStyle(document.documentElement).getPropertyValue('--class-0').trim()"
    assert page.evaluate(color) == "#3388cc"
    page.locator("#palette").click()
    assert page.evaluate(color) == "#0072B2"
    page.reload()
    page.wait_for_selector(READY)
    assert page.evaluate(color) == "#0072B2"


def test_dark_and_light_are_kept(review):
    page = review()
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.locator("#theme").click()
    dark = page.evaluate(background)
    page.reload()
    page.wait_for_selector(READY)
    assert page.evaluate(background) == dark != light


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(review, scheme):
    assert serious_violations(review(color_scheme=scheme)) == []

"""The list of cases on the review page: filters that list exactly the failing scans, order, keys, CSV."""

import json

import numpy as np
import pandas as pd
import pytest
import results_tree as tree
from browser_pages import has_count, serious_violations
from panes_tree import CLASSES, arrays_of, opened_at, other_model, rows_of, write_opened_cases, write_panes, written

from posttx.analysis.failures import failures

ROWS = "#pane-list tbody tr[data-at]"
STATUS = "#pane-list [role=status]"
OPENED = "body[data-view='case']"
LISTED = "posttx.listed().map(row => row.case)"


@pytest.fixture(scope="module")
def metrics():
    return {"new": (new := tree.case_metrics(271)), "old": other_model(new)}


@pytest.fixture(scope="module")
def page_file(metrics, tmp_path_factory):
    rows = {model: rows_of(table) for model, table in metrics.items()}
    page = write_panes(tmp_path_factory.mktemp("list"), rows)
    write_opened_cases(page)
    return page


@pytest.fixture
def at(opened, page_file):
    return lambda place="", **options: opened_at(opened, page_file, place, **options)


def status_is(page, text):
    from playwright.sync_api import expect

    expect(page.locator(STATUS)).to_have_text(text)


@pytest.mark.parametrize("model", ["new", "old"])
def test_every_chip_counts_the_scans_that_the_pipeline_counts_in_its_order(at, metrics, model):
    page = at(f"#cohort=additional&model={model}")
    told = page.evaluate("posttx.failures(posttx.rows(posttx.state.cohort, posttx.state.model))")
    expected = failures(arrays_of(metrics[model]))
    assert len(expected) > 8
    assert [(one["token"], one["affected"], one["of"]) for one in told] == [
        (one.key, one.affected, one.of) for one in expected
    ]
    chips = page.locator("#pane-list .chips button").all_inner_texts()
    assert chips == [f"{one.region} {one.failure.title} ({one.affected})" for one in expected]


def test_a_dice_just_below_the_limit_is_a_failure_on_the_page_too(opened, tmp_path):
    table = tree.case_metrics(12)
    found = table.index[(table["region"] == "ET") & (table["n_ref"] > 0) & (table["n_pred"] > 0)]
    table.loc[found[0], "dice"], table.loc[found[1:], "dice"] = 0.19996, 0.20004
    page = opened_at(opened, write_panes(tmp_path, {"new": rows_of(table)}), "#filter=ET:low")
    (low,) = (one for one in failures(arrays_of(table)) if one.key == "ET:low")
    assert page.evaluate(LISTED) == list(low.cases) == [table.loc[found[0], "case"]]


def test_a_failure_link_lists_exactly_the_scans_it_counts(at, metrics):
    page = at("#cohort=additional&model=old")
    for one in failures(arrays_of(metrics["old"])):
        page.evaluate("place => { location.hash = place; }", f"cohort=additional&model=old&filter={one.key}")
        status_is(page, f"{one.affected} of 271 scans")
        assert sorted(page.evaluate(LISTED)) == sorted(one.cases)
        has_count(page.locator(ROWS), min(one.affected, 25))


def test_chips_combine_and_are_taken_back(at, metrics):
    page = at()
    chip = page.locator("[data-token='ET:missed']")
    chip.click()
    both = page.locator("[data-token='RC:invented']")
    both.click()
    page.wait_for_selector("[data-token='RC:invented'][aria-pressed='true']")
    arrays = arrays_of(metrics["new"])
    column = {name: i for i, name in enumerate(arrays.regions)}
    states = arrays.states
    wanted = (states[:, column["ET"]] == "missed") & (states[:, column["RC"]] == "hallucinated")
    assert len(page.evaluate(LISTED)) == wanted.sum() > 0
    assert chip.get_attribute("aria-pressed") == "true"
    page.locator("#list-clear").click()
    status_is(page, "271 scans")


def test_search_state_and_dice_narrow_the_list_which_previous_and_next_walk(at, page_file):
    page = at()
    rows = written(page_file)["cases"]["additional/new"]["rows"]
    place = [one["name"] for one in CLASSES].index("SNFH")
    page.locator("#list-search").fill("gli-050 101")
    found = [row[0] for row in rows if "gli-050" in row[0].lower() and "101" in row[0]]
    assert page.evaluate(LISTED) == found
    page.locator("#list-search").fill("")
    page.locator("#list-class").select_option("SNFH")
    page.locator("#list-low").fill("0.2")
    page.locator("#list-high").fill("0.6")
    within = [row[0] for row in rows if row[5][place][0] is not None and 0.2 <= row[5][place][0] <= 0.6]
    assert page.evaluate(LISTED) == within != []
    page.locator("#list-low").fill("")
    page.locator("#list-high").fill("")
    page.locator("#list-state").select_option("absent")
    assert page.evaluate(LISTED) == [row[0] for row in rows if row[5][place][1] == 3]


def test_a_link_from_elsewhere_is_not_narrowed_by_what_was_searched_before(at, metrics):
    page = at()
    page.locator("#list-search").fill("05001")
    page.get_by_role("link", name="Compare").click()
    page.wait_for_selector("body[data-view='compare']")
    page.evaluate("posttx.go({view: 'case', case: posttx.rows('additional', 'new').find(row => row.viewable).case})")
    page.wait_for_selector(OPENED)
    assert len(page.evaluate(LISTED)) == 271
    page.evaluate("posttx.go({view: 'compare'})")
    page.wait_for_selector("body[data-view='compare']")
    page.evaluate("location.hash = 'cohort=additional&model=new&filter=ET:missed'")
    count = next(one.affected for one in failures(arrays_of(metrics["new"])) if one.key == "ET:missed")
    status_is(page, f"{count} of 271 scans")


def test_every_column_sorts_and_what_is_undefined_stands_last(at):
    page = at()
    for title in ("Case", "Mean Dice", "SNFH", "ET"):
        header = page.locator(f"#pane-list th:has(> button:text-is('{title}'))")
        for way in ("ascending", "descending"):
            header.locator("button").click()
            assert header.get_attribute("aria-sort") == way
            place = {"Case": "row.case", "Mean Dice": "row.mean"}.get(title)
            place = place or f"row.classes.find(one => one.name === '{title}').dice"
            values = page.evaluate(f"posttx.listed().map(row => {place})")
            known = [value for value in values if value is not None]
            assert values == sorted(known, reverse=way == "descending") + [None] * (len(values) - len(known))


def test_rows_are_walked_with_the_arrows_over_pages_and_opened_by_enter(at):
    page = at()
    page.keyboard.press("ArrowDown")
    focused = "document.activeElement.dataset.at"
    assert page.evaluate(focused) == "0"
    for _ in range(26):
        page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "26"
    assert page.locator(ROWS).first.get_attribute("data-at") == "25"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == "24"
    case = page.evaluate("posttx.listed()[24].case")
    page.keyboard.press("Enter")
    page.wait_for_selector(OPENED)
    assert page.evaluate("posttx.state.case") == case


def test_a_row_is_the_only_stop_and_gets_the_focus_back(at):
    page = at()
    assert page.locator(f"{ROWS}[tabindex='0']").count() == 1
    page.locator(ROWS).nth(3).locator("a").click()
    page.wait_for_selector(OPENED)
    page.evaluate("posttx.go({view: 'list'})")
    page.wait_for_selector(f"{ROWS}[data-at='3']:focus")


def test_a_scan_without_images_says_so_and_does_not_open(at):
    page = at()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    row = page.locator(ROWS).last
    assert "no viewer" in row.inner_text() or "no images" in row.inner_text()
    page.keyboard.press("Enter")
    page.wait_for_selector("#message:has-text('no images in this report')")
    assert page.evaluate("posttx.state.view") == "list"
    assert row.locator("a").count() == 0


def test_states_are_words_and_an_absent_class_is_one_dash(at):
    page = at("#filter=ET:missed")
    cell = page.locator(f"{ROWS} td[data-class='ET']").first
    assert cell.inner_text() == "missed"
    page.evaluate("location.hash = ''")
    page.locator("#list-class").select_option("ET")
    page.locator("#list-state").select_option("absent")
    assert cell.locator("[aria-hidden]").inner_text() == "–"
    assert cell.locator(".hidden").text_content() == "absent"


def test_rows_are_32_pixels_high_and_the_thumb_shows_on_focus(at):
    page = at()
    heights = page.locator(ROWS).evaluate_all("rows => rows.map(row => row.getBoundingClientRect().height)")
    assert len(heights) == 25
    assert max(heights) <= 33
    preview = page.locator("#pane-list .preview")
    assert preview.is_hidden()
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#pane-list .preview:not([hidden])")
    case = page.evaluate("posttx.listed()[0].case")
    assert preview.get_attribute("src") == f"thumbs/additional/new/{case}.webp"
    page.keyboard.press("Escape")
    assert preview.is_hidden()


def test_a_chip_shows_the_colour_of_its_class(at):
    page = at()
    look = "one => [one.offsetWidth > 5, getComputedStyle(one).backgroundColor]"
    swatch = page.locator("[data-token='ET:missed'] .swatch")
    wide, before = swatch.evaluate(look)
    assert wide
    page.locator("#palette").click()
    assert swatch.evaluate(look)[1] != before


def test_the_saved_list_holds_the_pipelines_numbers_a_column_each(at, metrics):
    page = at()
    page.locator("#pane-list th button", has_text="Case").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV: Cases").click()
    assert download.value.suggested_filename == "cases-additional-new.csv"
    saved = pd.read_csv(download.value.path())
    table = metrics["new"]
    assert list(saved["case"]) == sorted(table["case"].unique())
    assert set(saved["convention"]) == {"published"}
    for name in tree.NAMES.values():
        rows = table[table["region"] == name].set_index("case").loc[saved["case"]]
        np.testing.assert_array_equal(saved[f"dice_{name}"], rows["dice"].astype(float).round(4))
        for part in ("ref", "pred"):
            volumes = rows[f"volume_{part}_mm3"].astype(float) / 1000
            np.testing.assert_allclose(saved[f"volume_{part}_ml_{name}"], volumes, atol=5e-4)
    kept = arrays_of(table)
    np.testing.assert_array_equal(saved["state_ET"], kept.states[:, kept.regions.index("ET")])


HOSTILE = ("=cmd()", "<img src=x onerror=alert(1)>", "x" * 300, "-2+3")


def test_hostile_ids_stay_text_on_the_page_and_in_the_file(opened, tmp_path):
    rows = rows_of(tree.case_metrics(8))
    for row, name in zip(rows["rows"], HOSTILE, strict=False):
        row[0], row[4] = name, 1
    page = opened_at(opened, write_panes(tmp_path, {"new": rows}), viewport={"width": 400, "height": 800})
    assert page.locator(f"{ROWS} td.case").all_inner_texts()[:4] == list(HOSTILE)
    assert page.locator("#pane-list img[src=x]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV: Cases").click()
    assert list(pd.read_csv(download.value.path())["case"])[:4] == ["'=cmd()", *HOSTILE[1:3], "'-2+3"]


def test_no_case_and_no_reference_are_said(opened, tmp_path):
    unscored = rows_of(tree.case_metrics(3, scored=False), opened=0)
    page_file = write_panes(tmp_path, {"new": unscored, "old": {"rows": []}})
    page = opened_at(opened, page_file, "#model=new")
    assert "3 without a reference" in page.locator("#pane-list").inner_text()
    assert page.locator("#pane-list .chips button").count() == 0
    assert page.locator(f"{ROWS} td[data-class='ET']").first.inner_text() == "no reference"
    page.locator("#list-shown").select_option("ml")
    assert page.locator(f"{ROWS} td[data-class='ET']").first.inner_text().startswith("– / ")
    page.evaluate("location.hash = 'model=old'")
    page.wait_for_selector("#pane-list :text('There is no case.')")


def test_a_report_without_any_cohort_shows_empty_panes(opened, tmp_path):
    page = opened_at(opened, write_panes(tmp_path, {}, cohorts=[]))
    assert "There is no case." in page.locator("#pane-list").inner_text()
    for view, said in (("compare", "There is no model."), ("patients", "There is no patient.")):
        page.locator(f"nav a[data-view='{view}']").click()
        page.wait_for_selector(f"#pane-{view} :text('{said}')")


def test_1621_cases_of_two_models_are_filtered_at_once_on_a_small_page(opened, tmp_path):
    new = tree.case_metrics(1621)
    rows = {model: rows_of(table, 0) for model, table in (("new", new), ("old", other_model(new)))}
    for given in rows.values():
        for row in given["rows"]:
            row[4] = 0
    page = opened_at(opened, write_panes(tmp_path, rows))
    assert page.evaluate("document.querySelectorAll('*').length") <= 15_000
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def work():
        return {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}["TaskDuration"]

    before = work()
    page.locator("#list-search").fill("051")
    status_is(page, "202 of 1621 scans")
    assert work() - before <= 0.2


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (1400, "dark"), (400, "light")])
def test_axe_finds_no_serious_violation_and_nothing_overflows(at, width, scheme):
    page = at("#filter=ET:missed", viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert serious_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert json.loads(page.evaluate("JSON.stringify(posttx.state.filter)")) == ["ET:missed"]


def test_what_is_rated_is_told_and_left_out_but_keeps_its_place_while_one_rates(at):
    page = at()
    page.locator("#list-rated").select_option("no")
    status_is(page, "40 of 271 scans")
    cases = page.evaluate(LISTED)
    page.locator(ROWS).nth(1).locator("a").click()
    for case in cases[1:3]:
        page.wait_for_selector(f"#name:text-is('{case}')")
        page.evaluate("posttx.store.set(posttx.state, {rating: 'redo', comment: '', reasons: []})")
        assert page.evaluate(LISTED) == cases
        page.evaluate("posttx.neighbour(1)")
    page.wait_for_selector(f"#name:text-is('{cases[3]}')")
    page.evaluate("posttx.go({view: 'list'})")
    status_is(page, "38 of 271 scans")
    page.wait_for_selector(f"{ROWS}[data-at='1']:focus")
    assert page.evaluate(LISTED) == [cases[0], *cases[3:]]
    page.locator("#list-rated").select_option("yes")
    assert page.evaluate(LISTED) == cases[1:3]
    assert page.locator(f"{ROWS} td.rating").all_inner_texts() == ["redo", "redo"]


def test_previous_and_next_walk_the_list_as_it_was_searched_and_sorted(at):
    page = at()
    page.locator("#list-search").fill("101")
    page.locator("#pane-list th button", has_text="Case").click()
    viewable = page.evaluate("posttx.listed().filter(row => row.viewable).map(row => row.case)")
    assert viewable == sorted(viewable) != []
    page.locator(f"{ROWS}:has(a)").first.locator("a").click()
    for case in viewable[:3]:
        page.wait_for_selector(f"#name:text-is('{case}')")
        page.locator("#next").click()

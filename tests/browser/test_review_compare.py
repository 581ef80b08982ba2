"""Two models side by side on the review page: the pipeline's differences, counts of failures, one dot a scan, lists."""

import pandas as pd
import pytest
import results_tree as tree
from browser_pages import has_count, serious_violations
from panes_tree import CLASSES, arrays_of, opened_at, other_model, rows_of, write_opened_cases, write_panes

from posttx.analysis.comparison import compare_models
from posttx.analysis.failures import failures
from posttx.reporting.review_facts import comparison_rows

COMPARE = "#view=compare"
SHARED = 158


@pytest.fixture(scope="module")
def metrics():
    """The new model has 271 scans, the old one the first 158 of them."""
    new = tree.case_metrics(271)
    old = other_model(new)
    return {"new": new, "old": old[old["case"].isin(old["case"].unique()[:SHARED])]}


@pytest.fixture(scope="module")
def compared(metrics):
    tables = {"old": metrics["old"], "new": metrics["new"]}
    return compare_models({"additional": tables}, tree.SCHEME.scoring())["additional"]


@pytest.fixture(scope="module")
def page_file(metrics, compared, tmp_path_factory):
    rows = {model: rows_of(table) for model, table in metrics.items()}
    settings = {"new": {"train.epochs": "1000", "train.planner": "resenc_m"}, "old": {"train.epochs": "1000"}}
    facts = {"comparisons": {"additional": comparison_rows(compared)}, "settings": settings}
    page = write_panes(tmp_path_factory.mktemp("compare"), rows, facts=facts)
    write_opened_cases(page)
    return page


@pytest.fixture
def at(opened, page_file):
    return lambda place=COMPARE, **options: opened_at(opened, page_file, place, **options)


def shared(metrics):
    cases = set(metrics["old"]["case"])
    return {model: table[table["case"].isin(cases)] for model, table in metrics.items()}


def cells(page, caption):
    rows = page.locator(f"#pane-compare [aria-label='{caption}'] tbody tr")
    return [[text.replace("\n", " ") for text in row.locator("th, td").all_inner_texts()] for row in rows.all()]


def test_unequal_sets_of_scans_are_said_and_the_baseline_is_the_other_model(at):
    page = at()
    assert page.locator("#compare-against").input_value() == "old"
    said = page.locator("#pane-compare > [role=status]").inner_text()
    assert said.startswith("158 of 271 scans (79 patients) have both: new has 271, old has 158.")


def test_the_baseline_stands_for_before_whichever_model_is_chosen(at):
    page = at(f"{COMPARE}&model=old")
    assert page.locator("#compare-against").input_value() == "new"
    assert "Dice, old" in page.locator("#pane-compare .plot").first.text_content()
    heads = page.locator("#pane-compare [aria-label='Failures'] th[scope=col]").all_inner_texts()
    assert heads[1] == "old → new"
    row = page.locator("#pane-compare tr[data-at]", has=page.locator(".link")).first
    row.click()
    page.wait_for_selector("body[data-view='case']")
    assert page.evaluate("posttx.state.model") == "new"


def test_the_differences_are_those_of_the_pipeline_with_its_verdicts(at, compared):
    page = at()
    rows = compared[(compared["metric"] == "dice") & (compared["convention"] == "absent-is-one")]
    shown = {row[0].split()[0]: row for row in cells(page, "Differences")}
    assert list(shown) == list(rows["region"])
    for row in rows.to_dict("records"):
        told = shown[row["region"]]
        assert f"{row['n']} scans, {row['n_patients']} patients" in told[0]
        low, value, high = (f"{row[key]:+.4f}".replace("-", "−") for key in ("ci_low", "difference", "ci_high"))
        assert told[2] == f"{value} ({low} to {high})"
        assert told[4] == row["verdict"]
    page.locator("#compare-group").select_option("new minus old: Dice, present-only")
    other = compared[(compared["metric"] == "dice") & (compared["convention"] == "present-only")]
    assert [row[4] for row in cells(page, "Differences")] == list(other["verdict"])
    assert "113 scans that only one of them has are left out" in page.locator("#pane-compare").inner_text()


def test_failures_are_counted_on_the_scans_of_both(at, metrics):
    page = at()
    told = {row[0]: (row[1], row[2]) for row in cells(page, "Failures")}
    both = {model: {one.key: one for one in failures(arrays_of_shared(metrics, model))} for model in ("old", "new")}
    keys = set(both["old"]) | set(both["new"])
    assert len(told) == len(keys) > 8
    for key in keys:
        one = both["new"].get(key) or both["old"][key]
        counts = [both[model][key].affected if key in both[model] else 0 for model in ("old", "new")]
        assert told[f"{one.region} {one.failure.title}"] == (f"{counts[0]} → {counts[1]}", f"of {one.of}")


def arrays_of_shared(metrics, model):
    """Return the failures' arrays of a model on the scans of both, its lesions drawn as for all its scans."""
    whole, kept = arrays_of(metrics[model]), set(metrics["old"]["case"])
    rows = [i for i, case in enumerate(whole.cases) if case in kept]
    parts = ("states", "dice", "small_missed", "small_present")
    return type(whole)(
        tuple(whole.cases[i] for i in rows), whole.regions, *(getattr(whole, name)[rows] for name in parts)
    )


def test_a_count_links_to_the_list_only_where_that_lists_as_many(at):
    page = at()
    row = page.locator("#pane-compare [aria-label='Failures'] tbody tr", has_text="ET invented")
    has_count(row.locator("a"), 1)
    count = int(row.locator("a").inner_text())
    row.locator("a").click()
    page.wait_for_selector("body[data-view='list']")
    assert page.evaluate("[posttx.state.model, posttx.listed().length]") == ["old", count]


def test_the_dots_are_the_scans_that_have_the_class_and_the_keys_walk_and_open_them(at, metrics):
    page = at()
    part = {model: table[table["region"] == "ET"].set_index("case") for model, table in shared(metrics).items()}
    there = part["old"].index[part["old"]["n_ref"] > 0]
    plot = page.locator("#pane-compare .plot", has_text="ET").filter(has=page.locator("h3:text-is('ET')"))
    slider = plot.get_by_role("slider")
    assert slider.get_attribute("aria-valuemax") == str(len(there))
    slider.focus()
    page.keyboard.press("End")
    change = (part["new"]["dice"] - part["old"]["dice"])[there].round(4)
    case = slider.get_attribute("aria-valuetext").split(":")[0]
    assert change[case] == pytest.approx(change.max(), abs=1e-4)
    assert f"old {part['old']['dice'][case]:.4f}, new {part['new']['dice'][case]:.4f}" in plot.inner_text()
    page.keyboard.press("Home")
    viewable = page.evaluate("posttx.rows('additional', 'new').filter(row => row.viewable).map(row => row.case)")
    for _ in range(len(there)):
        case = slider.get_attribute("aria-valuetext").split(":")[0]
        if case in viewable:
            break
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-view='case']")
    assert page.evaluate("[posttx.state.case, posttx.state.model]") == [case, "new"]


def test_a_click_on_a_dot_opens_its_scan(at):
    page = at()
    plot = page.locator("#pane-compare .plot").first
    slider = plot.get_by_role("slider")
    slider.focus()
    opens = set(page.evaluate("posttx.rows('additional', 'new').filter(row => row.viewable).map(row => row.case)"))
    for _ in range(60):
        if slider.get_attribute("aria-valuetext").split(":")[0] in opens:
            break
        page.keyboard.press("ArrowRight")
    box = plot.locator("circle.ring").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("body[data-view='case']")


def test_what_fell_and_what_is_newly_invented_is_listed_and_saved(at, metrics):
    page = at()
    names = [one["name"] for one in CLASSES]
    part = {
        model: table[table["region"].isin(names)].set_index(["case", "region"])
        for model, table in shared(metrics).items()
    }
    new, old = part["new"], part["old"].loc[part["new"].index]
    fall = old["dice"].round(4) - new["dice"].round(4)
    fell = fall[(new["n_ref"] > 0) & (fall > 0.2)]
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV: Dice lower by more than 0.2").click()
    saved = pd.read_csv(download.value.path())
    assert set(zip(saved["case"], saved["class"], strict=True)) == set(fell.index)
    assert list(saved["dice_old"] - saved["dice_new"]) == sorted(saved["dice_old"] - saved["dice_new"], reverse=True)
    invented = (new["n_ref"] == 0) & (new["n_pred"] > 0) & (old["n_pred"] == 0)
    assert page.get_by_role("heading", name=f"Newly invented ({invented.sum()})").count() == 1


def test_only_settings_that_differ_are_shown(at):
    assert cells(at(), "Settings that differ") == [["train.planner", "–", "resenc_m"]]


def test_one_model_says_that_there_is_nothing_to_compare(opened, tmp_path):
    page = opened_at(opened, write_panes(tmp_path, {"new": rows_of(tree.case_metrics(4))}), COMPARE)
    assert "new is the one model of additional" in page.locator("#pane-compare").inner_text()


def test_models_without_a_scan_in_common_and_without_references_are_said(opened, tmp_path):
    rows = {"new": rows_of(tree.case_metrics(4, scored=False)), "old": {"rows": []}}
    page = opened_at(opened, write_panes(tmp_path, rows), COMPARE)
    assert "0 of 4 scans (0 patients) have both" in page.locator("#pane-compare").inner_text()
    assert "compared no such pair" in page.locator("#pane-compare").inner_text()


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (400, "dark")])
def test_axe_finds_no_serious_violation_and_nothing_overflows(at, width, scheme):
    page = at(viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert serious_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width

"""The first screen in a browser: four boxes without scrolling, links to the very cases, palette, ratings, paper."""

import json
import re
import shutil
from urllib.parse import unquote

import pandas as pd
import pytest

from posttx.analysis.failures import case_arrays, failures
from posttx.scoring.scores import scores_from

REPORTED_WORDS = ("better", "worse", "equivalent", "hint", "not shown", "too few")


@pytest.fixture(scope="module")
def compared(report, tmp_path_factory):
    """The report of two models: the second finds more of every lesion, and draws less that is not there."""
    import results_tree as tree

    from posttx.reporting.report import write_report

    results = tmp_path_factory.mktemp("compared") / "results"
    shutil.copytree(report.parents[1] / "audit", results / "audit")
    cohort = {"additional": {"phantom": {"cases": 60, "seed": 2, "spacing": 3.0}, "use": "test"}}
    models = {name: {"predictions": {"additional": "x"}} for name in ("old", "new")}
    config = tree.configured(cohorts=cohort, models=models)
    settings = tree.settings_of(config, {"additional": True}, trained=False)
    old = tree.case_metrics(60, model="old")
    metrics = {"old": old, "new": tree.improved(old, "new")}
    for name, table in metrics.items():
        tree.write_scores(results, table, "additional", name)
    tree.write_data(results, {"additional": 60})
    tree.write_comparison(results, metrics, "additional")
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    return results / "report/index.html"


def bottoms(page):
    return page.locator(".answer:visible .box").evaluate_all(
        "boxes => boxes.map(b => b.getBoundingClientRect().bottom)"
    )


def test_four_boxes_stand_on_the_first_screen(opened, compared):
    page = opened(compared)
    assert len(bottoms(page)) == 4
    assert max(bottoms(page)) <= 800
    rows = page.locator(".answer:visible .forest tbody tr:not(.axis)")
    for text in rows.all_inner_texts():
        assert re.search(r"0\.\d\d\s+0\.\d\d to [01]\.\d\d", text)
        assert any(word in text for word in REPORTED_WORDS)
    headline = page.locator(".answer:visible .better h2").inner_text()
    assert all(len(re.findall(rf"\b{name}\b", headline)) == 1 for name in ("NETC", "SNFH", "ET", "RC"))
    assert page.locator(".answer:visible .failures li").count() == 3
    assert page.locator(".answer:visible .asked").inner_text().startswith("new against old")


def test_the_boxes_of_a_report_with_pictures_stand_there_too(opened, report):
    page = opened(report)
    assert max(bottoms(page)) <= 800
    picture = page.locator(".answer:visible .worst img")
    page.wait_for_function("image => image.complete && image.naturalWidth > 500", arg=picture.element_handle())


def test_a_phone_shows_dice_early_and_nothing_sticks_out(opened, compared):
    page = opened(compared, viewport={"width": 400, "height": 850})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    value = page.locator(".answer:visible .forest .value").last
    assert value.bounding_box()["y"] + value.bounding_box()["height"] < 850
    assert bottoms(page) == sorted(bottoms(page))


def test_a_failure_leads_to_so_many_cases(opened, compared):
    page = opened(compared)
    results = compared.parents[1]
    import results_tree as tree

    metrics = pd.read_parquet(results / "metrics/additional/new.parquet")
    lesions = pd.read_parquet(results / "lesions/additional/new.parquet")
    counted = {f.key: f for f in failures(case_arrays(scores_from(metrics, tree.SCHEME.scoring()), lesions))}
    links = page.locator(".answer:visible .failures a")
    for i in range(links.count()):
        key = unquote(links.nth(i).get_attribute("href").split("filter=")[1])
        text = links.nth(i).locator("..").inner_text()
        assert f"{counted[key].affected} of {counted[key].of}" in text


def test_the_comparison_has_its_verdict_in_sight_and_on_paper(opened, compared):
    page = opened(compared)
    table = page.locator("[id^=table-comparison-additional]").first
    verdict = table.locator("th", has_text="Verdict")
    box = verdict.bounding_box()
    assert box["x"] + box["width"] <= 1400
    page.emulate_media(media="print")
    assert verdict.is_visible()


def test_r_goes_to_the_worst_cases_but_not_while_typing(opened, report):
    page = opened(report)
    worst = json.loads(page.locator(".answer:visible [data-rated]").get_attribute("data-rated"))[0]
    page.evaluate("navigation.addEventListener('navigate', event => { window.left = event.destination.url; })")
    page.locator("#which").focus()
    page.keyboard.press("r")
    assert page.evaluate("window.left") is None
    page.locator("#main").focus()
    page.keyboard.press("r")
    # the review replaces #...review=worst by the address of the case at once: nobody can wait for it
    page.wait_for_url("**/review.html#*")
    page.wait_for_selector("body[data-shown]")
    assert page.locator("#name").inner_text() == worst


def test_ratings_of_this_run_are_counted(opened, report):
    page = opened(report)
    check = page.locator(".answer:visible [data-rated]")
    assert re.match(r"0 of \d", check.inner_text())
    cases = json.loads(check.get_attribute("data-rated"))
    entries = {f"additional\t{cases[0]}\tnnunet": {"rating": "redo", "comment": "", "reasons": []}}
    entries[f"other\t{cases[0]}\tnnunet"] = {"rating": "redo"}
    for stored, told in ((json.dumps(entries), "1 of"), ("{", "0 of"), ("[1]", "0 of"), ("null", "0 of")):
        page.evaluate("text => localStorage.setItem('posttx-ratings-' + document.body.dataset.run + '-', text)", stored)
        page.reload()
        assert check.inner_text().startswith(told)


def test_the_palette_is_toggled_and_remembered(opened, report):
    page = opened(report)
    color = "getComputedStyle(document.querySelector('.forest .swatch')).backgroundColor"
    first = page.evaluate(color)
    page.locator("#palette").click()
    assert page.evaluate(color) != first
    assert page.locator("#palette").get_attribute("aria-pressed") == "true"
    page.reload()
    assert page.evaluate(color) != first


def test_paper_is_portrait_white_and_unfolded(opened, report, tmp_path):
    page = opened(report, color_scheme="dark")
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    content = (tmp_path / "report.pdf").read_bytes()
    pages = len(re.findall(rb"/Type\s*/Page\b", content))
    assert 2 < pages <= 12
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("details:not(.screen):not([open])").count() == 0
    assert not page.locator("nav").is_visible()
    # as wide as A4 within its margins: no cell is cut
    page.set_viewport_size({"width": 703, "height": 1000})
    wide = page.locator("table.data:visible").evaluate_all(
        "tables => tables.filter(t => t.getBoundingClientRect().right > 704).map(t => t.dataset.name)"
    )
    assert wide == []


def test_1621_cases_of_two_models_make_a_small_page(opened, report, tmp_path):
    import results_tree as tree

    from posttx.reporting.report import write_report

    results = tmp_path / "results"
    tree.write_data(results, {"additional": 1621})
    config = tree.configured(
        cohorts={"additional": {"phantom": {"cases": 1621, "seed": 2, "spacing": 3.0}, "use": "test"}},
        models={name: {"predictions": {"additional": "x"}} for name in ("old", "new")},
    )
    old = tree.case_metrics(1621, model="old")
    metrics = {"old": old, "new": tree.improved(old, "new")}
    for model, table in metrics.items():
        tree.write_scores(results, table, "additional", model, extreme_cases=20)
    tree.write_comparison(results, metrics, "additional")
    settings = tree.settings_of(config, {"additional": True}, trained=False)
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    assert (results / "report/index.html").stat().st_size <= 3e6
    page = opened(results / "report/index.html")
    assert page.evaluate("document.getElementsByTagName('*').length") <= 15_000

import shutil

import numpy as np
import pandas as pd
import pytest
from browser_pages import has_count, seconds_of_work, serious_violations, sort_by
from PIL import Image


def column(page, table, index):
    cells = page.locator(f"#{table} tbody tr td:nth-child({index})")
    return [text.split()[0] for text in cells.all_inner_texts()]


def test_it_opens_from_disk_quickly_and_without_a_network(opened, report):
    page = opened(report)
    page.wait_for_selector("table.dataTable")
    assert page.evaluate("performance.getEntriesByType('paint').length") > 0
    assert seconds_of_work(page) < 2


def test_a_page_of_1621_cases_with_40_pictures_is_below_10_mb_and_opens_with_little_work(opened, report, tmp_path):
    import results_tree as tree

    from posttx.reporting.report import write_report

    results = tmp_path / "results"
    shutil.copytree(report.parents[1], results, ignore=shutil.ignore_patterns("cases", "images", "viewer"))
    tree.write_data(results, {"training": 12, "additional": 1621})
    tree.write_scores(results, tree.case_metrics(1621, "additional"), "additional", "nnunet", extreme_cases=20)
    pictures = results / "figures/additional/nnunet/cases"
    pictures.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (690, 968), np.uint8)
    # noise is heavier than any scan: pictures use up all the bytes that the page has for them
    Image.fromarray(noise).save(tmp_path / "noise.webp", quality=10)
    for kind in ("worst", "best"):
        for case in pd.read_parquet(results / f"tables/additional/nnunet/{kind}_cases.parquet")["case"]:
            shutil.copy(tmp_path / "noise.webp", pictures / f"{case}.webp")
    settings = tree.settings_of(tree.configured(), {"training": True, "additional": True})
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    assert 8e6 < (results / "report/index.html").stat().st_size < 10e6
    page = opened(results / "report/index.html")
    assert page.locator("details.case").count() == 40
    assert page.evaluate("performance.getEntriesByType('paint').length") > 0
    assert seconds_of_work(page) < 4


def test_tables_sort_and_filter(opened, report):
    page = opened(report)
    table = "table-intensity"
    before = column(page, table, 4)
    sort_by(page.locator(f"#{table}"), "Mean p99")
    values = [float(text.replace(",", "")) for text in column(page, table, 4)]
    assert values == sorted(values)
    assert sorted(before) == sorted(column(page, table, 4))
    page.locator("#table-inter-class-training-nnunet input[type=search]").fill("SNFH")
    has_count(page.locator("#table-inter-class-training-nnunet tbody tr"), 7)


def test_columns_can_be_hidden_and_the_table_saved(opened, report):
    page = opened(report)
    table = page.locator("#table-per-class-additional-nnunet")
    count = table.locator("thead th").count()
    table.locator(".tools summary").click()
    table.get_by_role("checkbox", name="IoU").uncheck()
    has_count(table.locator("thead th"), count - 1)
    with page.expect_download() as download:
        table.get_by_role("button", name="CSV").click()
    saved = pd.read_csv(download.value.path())
    assert list(saved["Class"]) == ["NETC", "SNFH", "ET", "RC"]
    assert "IoU" not in saved.columns


def test_all_cases_are_listed_when_asked_for(opened, report):
    page = opened(report)
    part = page.locator("#all-cases-training-nnunet")
    part.locator("summary").first.click()
    has_count(part.locator("tbody tr"), 12)
    sort_by(part, "Mean Dice")
    values = [float(text) for text in part.locator("tbody td:nth-child(4)").all_inner_texts()]
    assert values == sorted(values)


def test_a_case_opens_and_its_picture_is_there(opened, report):
    page = opened(report)
    case = page.locator("details.case").first
    case.locator("summary").click()
    picture = case.locator("img")
    picture.scroll_into_view_if_needed()
    page.wait_for_function("image => image.complete && image.naturalWidth > 500", arg=picture.element_handle())
    assert "mean Dice" in picture.get_attribute("alt")


def test_ratings_are_kept_and_exported(opened, report):
    page = opened(report)
    case = page.locator("details.case").first
    case.locator("summary").click()
    case.get_by_label("exclude").check()
    case.get_by_label("Comment").fill("motion\tartefact")
    assert page.locator("#rated").inner_text() == "1 rated"
    page.reload()
    assert page.locator("#rated").inner_text() == "1 rated"
    with page.expect_download() as download:
        page.locator("#export-ratings").click()
    saved = pd.read_csv(download.value.path(), sep="\t")
    assert saved.loc[0, ["cohort", "rating", "comment"]].tolist() == ["additional", "exclude", "motion artefact"]


def rate(page, rating, comment=""):
    case = page.locator("details.case").first
    case.locator("summary").click()
    case.get_by_label(rating).check()
    case.get_by_label("Comment").fill(comment)


def exported(page):
    with page.expect_download() as download:
        page.locator("#export-ratings").click()
    return pd.read_csv(download.value.path(), sep="\t", dtype=str, keep_default_na=False)


def in_one_browser(browser, *paths):
    """Open pages in one profile: all pages from disk share one storage."""
    context = browser.new_context(offline=True)
    pages = []
    for path in paths:
        pages.append(context.new_page())
        pages[-1].goto(path.as_uri())
    return pages


@pytest.fixture(scope="module")
def other_report(report, tmp_path_factory):
    """The report of another run on cases of the same names."""
    import results_tree as tree

    from posttx.reporting.report import write_report

    results = tmp_path_factory.mktemp("other") / "results"
    shutil.copytree(report.parents[1], results, ignore=shutil.ignore_patterns("images"))
    metrics = results / "metrics/additional/nnunet.parquet"
    table = pd.read_parquet(metrics)
    table.assign(n_pred=table["n_pred"] + 1).to_parquet(metrics)
    settings = tree.settings_of(tree.configured(), {"training": True, "additional": True})
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    return results / "report/index.html"


def test_a_rating_of_one_report_appears_in_no_other(browser, report, other_report):
    first, second = in_one_browser(browser, report, other_report)
    rate(first, "exclude")
    second.reload()
    assert second.locator("#rated").inner_text() == "0 rated"
    assert len(exported(second)) == 0
    first.reload()
    assert first.locator("#rated").inner_text() == "1 rated"
    first.context.close()


def test_two_raters_rate_separately_and_are_named_in_the_export(opened, report):
    page = opened(report)
    page.locator("#rater").fill("Anna")
    rate(page, "exclude", "=cmd()")
    page.locator("#rater").fill("Ben")
    assert page.locator("#rated").inner_text() == "0 rated"
    assert len(exported(page)) == 0
    page.locator("#rater").fill("Anna")
    (row,) = exported(page).to_dict("records")
    assert (row["rating"], row["comment"], row["model"], row["rater"]) == ("exclude", "'=cmd()", "nnunet", "Anna")


@pytest.mark.parametrize("torn", ["{", "null", "[1]", '"x"', '{"a": 1}', '{"additional\\tx\\tnnunet": {"rating": 7}}'])
def test_a_damaged_storage_stops_nothing(opened, report, torn):
    page = opened(report)
    page.evaluate("text => localStorage.setItem('posttx-ratings-' + document.body.dataset.run + '-', text)", torn)
    page.reload()
    assert page.locator("#rated").inner_text() == "0 rated"
    page.wait_for_selector("table.dataTable")
    rate(page, "keep")
    page.reload()
    assert page.locator("#rated").inner_text() == "1 rated"


def test_a_hash_that_cannot_be_decoded_stops_nothing(opened, report):
    page = opened(report)
    page.goto(report.as_uri() + "#%E0%A4%A")
    page.reload()
    assert page.locator("nav a[aria-current]").count() >= 0
    page.wait_for_selector("table.dataTable")
    page.evaluate("location.hash = '#%E0%A4%A2%'")
    viewer = opened(report.parent / "viewer/index.html")
    viewer.goto((report.parent / "viewer/index.html").as_uri() + "#a/%E0%A4%A/b")
    viewer.reload()
    assert viewer.locator("#message").inner_text() == "Open a case from the report."


def test_cells_of_a_saved_table_run_nothing_and_numbers_stay(opened, report):
    page = opened(report)
    table = page.locator("#table-volume-bias-additional-nnunet")
    table.locator("tbody td").first.evaluate("cell => { cell.textContent = '=1+1'; }")
    table.locator("tbody td").nth(1).evaluate("cell => { cell.textContent = '-0.5 -0.7 to 0.1'; }")
    page.evaluate("new DataTable('#table-volume-bias-additional-nnunet table').rows().invalidate()")
    with page.expect_download() as download:
        table.get_by_role("button", name="CSV").click()
    first = pd.read_csv(download.value.path(), dtype=str).iloc[0].tolist()
    assert first[0] == "'=1+1"
    assert first[1] == "-0.5 -0.7 to 0.1"


def test_one_model_and_cohort_can_be_shown_alone(opened, report):
    page = opened(report)
    page.locator("#which").select_option("additional-nnunet")
    assert page.locator("[data-block=training-nnunet]:visible").count() == 0
    assert page.locator("[data-block=additional-nnunet]:visible").count() > 3


def test_a_case_is_opened_from_the_table_of_extremes(opened, report):
    page = opened(report)
    link = page.locator("#table-worst-additional-nnunet td.case a").first
    link.click()
    page.wait_for_selector("details.case[open]")
    assert page.locator("details.case[open] span.case").first.inner_text() == link.inner_text()


def test_a_permalink_opens_what_is_folded(opened, report):
    page = opened(report)
    name = page.locator("details.case").first.get_attribute("id")
    page.evaluate("name => { location.hash = name; }", name)
    page.wait_for_function("name => document.getElementById(name).open", arg=name)


def test_dark_is_dark_and_remembered(opened, report):
    page = opened(report)
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.locator("#theme").click()
    dark = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.evaluate(background) == dark
    assert opened(report, color_scheme="dark").evaluate(background) == dark


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_sticks_out_of_the_page(opened, report, width):
    page = opened(report, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_prints(opened, report, tmp_path):
    page = opened(report)
    page.pdf(path=tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").stat().st_size > 50_000
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(opened, report, scheme):
    page = opened(report, color_scheme=scheme)
    page.locator("#all-cases-training-nnunet summary").first.click()
    page.locator("details.case summary").first.click()
    page.locator("#all-cases-training-nnunet table.dataTable").wait_for()
    assert serious_violations(page) == []


def test_the_page_is_used_with_the_keyboard(opened, report):
    page = opened(report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.locator("details.case summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details.case").first.get_attribute("open") is not None


def test_texts_of_the_data_never_run(opened, report, tmp_path):
    import results_tree as tree

    from posttx.reporting.report import write_report

    evil = "<img src=x onerror='window.hit=1'><script>window.hit=1</script>"
    results = tmp_path / "results"
    shutil.copytree(report.parents[1], results, ignore=shutil.ignore_patterns("cases", "images"))
    for table in results.glob("tables/additional/nnunet/worst_cases.parquet"):
        pd.read_parquet(table).assign(case=evil + "x" * 300).to_parquet(table)
    metrics = results / "metrics/additional/nnunet.parquet"
    frame = pd.read_parquet(metrics)
    frame["case"] = frame["case"] + evil
    frame.to_parquet(metrics)
    settings = tree.settings_of(tree.configured(), {"training": True, "additional": True})
    settings["config"]["report"]["title"] = evil
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    page = opened(results / "report/index.html")
    page.locator("#all-cases-additional-nnunet summary").first.click()
    page.locator("#all-cases-additional-nnunet table.dataTable").wait_for()
    assert "onerror" in page.locator("#all-cases-additional-nnunet tbody").inner_text()
    assert page.evaluate("window.hit") is None
    assert evil in page.title()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400

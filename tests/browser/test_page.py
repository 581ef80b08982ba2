import io
import shutil

import pandas as pd
import pytest
from browser_pages import has_count, seconds_of_work, serious_violations, sort_by

from posttx.csv_text import csv_of


def column(page, table, index):
    cells = page.locator(f"#{table} tbody tr td:nth-child({index})")
    return [text.split()[0] for text in cells.all_inner_texts()]


def test_it_opens_from_disk_quickly_and_without_a_network(opened, report):
    page = opened(report)
    page.wait_for_selector("table.dataTable", state="attached")
    assert page.evaluate("performance.getEntriesByType('paint').length") > 0
    assert seconds_of_work(page) < 2


def test_tables_sort_and_filter(opened, report):
    page = opened(report)
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    page.locator("#which").select_option("")
    table = "table-intensity"
    before = column(page, table, 4)
    sort_by(page.locator(f"#{table}"), "Mean p99")
    values = [float(text.replace(",", "")) for text in column(page, table, 4)]
    assert values == sorted(values)
    assert sorted(before) == sorted(column(page, table, 4))
    page.locator("#table-inter-class-training-nnunet input[type=search]").fill("SNFH")
    has_count(page.locator("#table-inter-class-training-nnunet tbody tr"), 7)


def test_a_hash_that_cannot_be_decoded_stops_nothing(opened, report):
    page = opened(report, "#%E0%A4%A")
    page.wait_for_selector("nav a[aria-current]", state="attached")
    page.wait_for_selector("table.dataTable", state="attached")
    page.evaluate("location.hash = '#%E0%A4%A2%'")
    assert page.locator("#answer .box").first.is_visible()


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


def saved(page, table):
    with page.expect_download() as download:
        page.locator(f"#{table}").get_by_role("button", name="CSV").click()
    return download.value.path().read_text()


def test_a_saved_table_is_the_pipelines_file_whatever_is_filtered_or_hidden(opened, report):
    page = opened(report)
    page.locator("#which").select_option("")
    table = page.locator("#table-per-class-additional-nnunet")
    table.locator(".tools summary").click()
    count = table.locator("thead th").count()
    table.get_by_role("checkbox", name="IoU").uncheck()
    has_count(table.locator("thead th"), count - 1)
    parquet = pd.read_parquet(report.parents[1] / "tables/additional/nnunet/per_class.parquet")
    content = saved(page, "table-per-class-additional-nnunet")
    assert content == csv_of(parquet)
    read = pd.read_csv(io.StringIO(content))
    assert list(read.columns) == list(parquet.columns)
    assert read["dice"].tolist() == pytest.approx(parquet["dice"].tolist(), nan_ok=True)


def test_a_table_without_a_file_is_saved_with_a_column_per_number(opened, report):
    page = opened(report)
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    read = pd.read_csv(io.StringIO(saved(page, "table-intensity")))
    p99 = pd.read_parquet(report.parents[1] / "audit/intensity.parquet").groupby(["cohort", "modality"], sort=False)[
        "p99"
    ]
    assert read["Mean p99"].tolist() == pytest.approx(p99.mean().tolist())
    headline = page.locator("#overview ~ .table").first
    with page.expect_download() as download:
        headline.get_by_role("button", name="CSV").click()
    read = pd.read_csv(download.value.path())
    dice = [name for name in read.columns if name.startswith("Dice")]
    summary = pd.read_parquet(report.parents[1] / "tables/training/nnunet/summary.parquet")
    row = summary.query("metric == 'dice' and convention == 'published'").iloc[0]
    shown = read[read["Cohort"] == "training"].iloc[0]
    assert shown[dice].tolist() == pytest.approx(row[["value", "ci_low", "ci_high"]].tolist(), nan_ok=True)


def test_what_a_spreadsheet_would_run_is_guarded_where_cells_are_saved(opened, report):
    page = opened(report)
    cell = page.locator("#table-dataset tbody td").first
    cell.evaluate("cell => { cell.textContent = '=1+1'; }")
    assert "'=1+1" in saved(page, "table-dataset")


def test_one_model_on_one_cohort_is_shown_and_all_when_asked_for(opened, report):
    page = opened(report)
    assert page.locator("[data-block=training-nnunet]:visible").count() == 0
    assert page.locator("[data-block=additional-nnunet]:visible").count() > 3
    page.locator("#which").select_option("training-nnunet")
    assert page.locator("[data-block=additional-nnunet]:visible").count() == 0
    assert page.locator(".answer:visible").count() == 1
    assert "cohort=training" in page.locator("nav a[data-to=cases]").get_attribute("href")
    page.locator("#which").select_option("")
    assert page.locator(".block[data-block]:visible").count() >= 6


def test_a_permalink_opens_what_is_folded_and_of_another_model(opened, report):
    page = opened(report)
    page.evaluate("location.hash = 'table-volume-bias-training-nnunet'")
    page.wait_for_function("document.getElementById('errors').open")
    page.locator("#table-volume-bias-training-nnunet").wait_for(state="visible")
    assert page.locator("#which").input_value() == "training-nnunet"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(opened, report, scheme):
    page = opened(report, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert serious_violations(page) == []


def test_the_page_is_used_with_the_keyboard(opened, report):
    page = opened(report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.locator("#errors > summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#errors").get_attribute("open") is not None


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_sticks_out_of_the_page(opened, report, width):
    page = opened(report, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


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
    page.locator("#cases > summary").click()
    assert "onerror" in page.locator("#table-worst-additional-nnunet").inner_text()
    assert "onerror" in page.locator(".answer:visible .box.worst").inner_text()
    assert page.evaluate("window.hit") is None
    assert evil in page.title()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400

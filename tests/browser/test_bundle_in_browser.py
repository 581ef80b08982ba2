"""The folder that is handed on, opened page by page in a real browser, far from the results."""

import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest


@pytest.fixture(scope="module")
def bundle(report, tmp_path_factory):
    import results_tree as tree
    from audit_tree import write_audit

    from posttx.reporting.bundle import write_bundle
    from posttx.reporting.report import write_report

    results = tmp_path_factory.mktemp("bundled") / "results"
    shutil.copytree(report.parents[1], results, ignore=shutil.ignore_patterns("scans"))
    write_audit(results, {"training": 12, "additional": 6})
    settings = tree.settings_of(tree.configured(), {"training": True, "additional": True})
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    folder = tmp_path_factory.mktemp("mailed") / "index"
    write_bundle(results, folder)
    shutil.rmtree(results)
    return folder


def pictures_are_there(page):
    """Bring every picture into view and wait until it is drawn; a missing one fails the test by its request."""
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    page.evaluate("document.querySelectorAll('img').forEach(image => { image.loading = 'eager'; })")
    page.wait_for_function(
        "() => Array.from(document.querySelectorAll('img[src]')).every(image => image.complete && image.naturalWidth)"
    )
    return page.locator("img[src]").count()


def test_every_page_of_the_bundle_finds_all_that_it_shows(opened, bundle):
    assert pictures_are_there(opened(bundle / "audit.html")) == 16
    page = opened(bundle / "index.html")
    assert pictures_are_there(page) >= 1
    links = page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)")
    addresses = {link.split("#")[0] for link in links if link.startswith("file:")}
    files = [Path(unquote(urlsplit(address).path)) for address in addresses]
    assert len(files) > 20
    # these results, made without the workflow, have no tables as CSV
    assert [path for path in files if not path.is_file() and path.suffix != ".csv"] == []
    review = opened(bundle / "review.html")
    review.wait_for_function("() => window.posttx && posttx.data")
    cohort, model = review.evaluate("[posttx.data.cohorts[0].name, posttx.data.cohorts[0].models[0]]")
    rows = review.evaluate("([cohort, model]) => posttx.rows(cohort, model)", [cohort, model])
    assert {(row["viewable"], row["thumb"]) for row in rows} == {(True, True), (False, True)}
    for row in rows:
        if row["viewable"]:
            # a file that is missing or of another case is refused
            labels = review.evaluate("([c, m, id]) => posttx.labelsOf(c, m, id)", [cohort, model, row["case"]])
            images = review.evaluate("([c, id]) => posttx.imagesOf(c, id)", [cohort, row["case"]])
            assert labels["case"] == images["case"] == row["case"]
        assert (bundle / f"thumbs/{cohort}/{model}/{row['case']}.webp").is_file()

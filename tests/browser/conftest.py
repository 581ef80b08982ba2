"""A real browser with the network off, and pages to open in it."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser_pages import PATIENCE

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SHAPE = (20, 24, 18)
ABORTED = "net::ERR_ABORTED"
MISSED = (slice(15, 17), slice(18, 20), slice(3, 5))


@pytest.fixture(scope="session")
def browser():
    """The system's Chromium, headless; its tests are skipped where there is none."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not executable:
        pytest.skip("no Chromium on this machine: the report's page is not tried in a browser")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def opened(browser):
    """Return a function that opens a file offline, and fails the test at its end on any error of the page.

    ``place`` is the part of the address from ``#`` on; ``script`` runs before those of the page.
    """
    contexts, problems = [], []

    def open_page(path, place="", script="", **options):
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, "offline": True, **options})
        # A busy machine is no failure of a page.
        context.set_default_timeout(PATIENCE * 1000)
        contexts.append(context)
        context.add_init_script(script)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        # a picture that left the page before it came is none that is missing
        page.on("requestfailed", lambda request: problems.append(request.url) if request.failure != ABORTED else None)
        page.goto(Path(path).as_uri() + place)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def draw_pictures(results, cohort, model):
    """Draw pictures and the review's files of the worst and best cases from volumes of noise with square lesions.

    Every case has a large lesion that was found a little beside its place, and a small one of 0.2 ml that was missed.
    """
    import results_tree as tree

    from draw_review import Folders, chosen_cases, draw_review
    from draw_thumbs import draw_thumbs
    from posttx.geometry.grids import grid_of
    from posttx.geometry.reading import Reading
    from posttx.nifti import read_volume, write_volume

    affine = np.diag([-3.0, 3.0, 3.0, 1.0])
    tables = {
        kind: pd.read_parquet(results / f"tables/{cohort}/{model}/{kind}_cases.parquet") for kind in ("worst", "best")
    }
    noise = np.random.default_rng(0).uniform(10, 90, SHAPE).astype(np.float32)
    label = np.zeros(SHAPE, np.uint8)
    label[5:12, 6:14, 6:12] = 2
    label[7:9, 8:11, 8:10] = 3
    prediction = np.roll(label, 2, axis=1)
    label[MISSED] = 3
    rows, predictions = [], {}
    for case in dict.fromkeys(case for table in tables.values() for case in table["case"]):
        row = {"case": case, "shard": "000"}
        for name in ("t1n", "t1c", "t2w", "t2f", "seg"):
            row[name] = str(results / f"scans/{case}-{name}.nii.gz")
            write_volume(row[name], label if name == "seg" else noise, affine)
        predictions[case] = str(results / f"scans/{case}-pred.nii.gz")
        write_volume(predictions[case], prediction, affine)
        rows.append(row)
    grid = grid_of(read_volume(rows[0]["t1n"]))
    readings = {row["case"]: Reading("agree", grid, "t1n") for row in rows}
    scored = tree.write_scored(
        results, cohort, model, {row["case"]: (label, prediction, affine) for row in rows}, predictions
    )
    settings = tree.drawing_settings([model])
    report = results / "report"
    folders = Folders(report / f"images/{cohort}", report / f"labels/{cohort}", results / f"figures/cases/{cohort}")
    extremes = [[results / f"tables/{cohort}/{model}/{kind}_cases.parquet"] for kind in ("worst", "best")]
    # one case is left without pictures, but for the small one
    chosen = chosen_cases(*extremes, [row["case"] for row in rows], 3)[:-1]
    draw_review(rows, cohort, chosen, [scored], readings, settings, folders)
    draw_thumbs(rows, cohort, [scored], readings, settings, report / f"thumbs/{cohort}/_drawn/000.tsv")


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """The page of two phantom cohorts and one trained model."""
    import results_tree as tree

    from posttx.reporting.case_data import write_cases
    from posttx.reporting.report import run_of, write_report
    from posttx.reporting.review import write_review

    results = tmp_path_factory.mktemp("browser") / "results"
    settings = tree.write_results(results)
    draw_pictures(results, "additional", "nnunet")
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    write_review(tree.ASSETS, results / "report/review.html", results / "report/niivue.js", settings)
    write_cases(results, results / "report/data/cases.js", settings, run_of(results, settings))
    return results / "report/index.html"

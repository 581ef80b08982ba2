import io

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def viewer(opened, report):
    folder = report.parent / "viewer/additional/nnunet"
    case = sorted(folder.glob("*.js"))[0].stem
    page = opened(report)
    page.goto((report.parent / "viewer/index.html").as_uri() + f"#additional/nnunet/{case}")
    page.wait_for_selector("body[data-ready]", timeout=20_000)
    return page


def pixels(page):
    page.wait_for_timeout(400)
    with Image.open(io.BytesIO(page.locator("#canvas").screenshot())) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_overlays_and_modalities_change_what_is_drawn(viewer):
    with_outlines = pixels(viewer)
    assert with_outlines.std() > 10
    viewer.get_by_label("prediction").check()
    viewer.wait_for_selector("body[data-shown='t1c/prediction']")
    filled = pixels(viewer)
    viewer.get_by_label("none").check()
    viewer.wait_for_selector("body[data-shown='t1c/none']")
    bare = pixels(viewer)
    assert (np.abs(filled - bare).sum(axis=2) > 30).sum() > 500
    assert (np.abs(with_outlines - bare).sum(axis=2) > 30).sum() > 50
    assert (np.abs(with_outlines - filled).sum(axis=2) > 30).sum() > 50


def test_a_class_can_be_hidden(viewer):
    viewer.get_by_label("reference").check()
    viewer.wait_for_selector("body[data-shown='t1c/reference']")
    shown = pixels(viewer)
    viewer.get_by_label("SNFH").uncheck()
    assert (np.abs(pixels(viewer) - shown).sum(axis=2) > 30).sum() > 200


def test_a_click_on_a_lesion_goes_there(viewer):
    before = pixels(viewer)
    viewer.locator("#lesions button").first.click()
    assert (np.abs(pixels(viewer) - before).sum(axis=2) > 30).sum() > 100


def test_a_link_that_is_no_case_loads_nothing(opened, report):
    page = opened(report)
    page.goto((report.parent / "viewer/index.html").as_uri() + "#../../x")
    assert "Open a case" in page.locator("#message").inner_text()

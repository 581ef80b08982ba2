import pytest
from browser_pages import changed_pixels, difference, has_count, pixels, serious_violations


@pytest.fixture
def viewer(opened, report):
    folder = report.parent / "viewer/additional/nnunet"
    case = sorted(folder.glob("*.js"))[0].stem
    page = opened(report)
    page.goto((report.parent / "viewer/index.html").as_uri() + f"#additional/nnunet/{case}")
    page.wait_for_selector("body[data-ready]")
    return page


def test_overlays_and_modalities_change_what_is_drawn(viewer):
    with_outlines = pixels(viewer)
    assert with_outlines.std() > 10
    viewer.get_by_label("prediction").check()
    viewer.wait_for_selector("body[data-shown='t1c/prediction']")
    filled = changed_pixels(viewer, with_outlines, 50)
    viewer.get_by_label("none").check()
    viewer.wait_for_selector("body[data-shown='t1c/none']")
    bare = changed_pixels(viewer, filled, 500)
    assert difference(with_outlines, bare) > 50


def test_a_class_can_be_hidden(viewer):
    viewer.get_by_label("reference").check()
    viewer.wait_for_selector("body[data-shown='t1c/reference']")
    shown = pixels(viewer)
    viewer.get_by_label("SNFH").uncheck()
    changed_pixels(viewer, shown, 200)


def test_a_click_on_a_lesion_goes_there(viewer):
    before = pixels(viewer)
    viewer.locator("#lesions button").first.click()
    changed_pixels(viewer, before, 100)


def test_without_webgl_the_picture_of_the_report_stands_there(opened, report):
    case = sorted((report.parent / "viewer/additional/nnunet").glob("*.js"))[0].stem
    page = opened(report)
    page.add_init_script("HTMLCanvasElement.prototype.getContext = function () { return null; };")
    page.goto((report.parent / "viewer/index.html").as_uri() + f"#additional/nnunet/{case}")
    page.wait_for_selector("body[data-ready='picture']")
    picture = page.locator("#picture")
    page.wait_for_function("image => image.complete && image.naturalWidth > 500", arg=picture.element_handle())
    assert picture.is_visible()
    assert case in picture.get_attribute("alt")
    assert not page.locator("#canvas").is_visible()
    assert "WebGL2 is missing" in page.locator("#message").inner_text()
    assert page.locator("#lesions tr").count() > 0


def test_axe_finds_no_serious_violation_in_the_viewer(viewer):
    assert serious_violations(viewer) == []


def test_the_way_back_leads_to_the_case(viewer):
    viewer.locator("#back").click()
    viewer.wait_for_selector("details.case[open]")
    has_count(viewer.locator("details.case[open]"), 1)


def test_a_link_that_is_no_case_loads_nothing(opened, report):
    page = opened(report)
    page.goto((report.parent / "viewer/index.html").as_uri() + "#../../x")
    assert "Open a case" in page.locator("#message").inner_text()

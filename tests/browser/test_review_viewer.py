"""The slices of the review page: what is drawn where, by which key, and how much work that is."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser_pages import (
    changed_pixels,
    difference,
    has_count,
    pixels,
    processor_seconds,
    serious_violations,
)  # fmt: skip
from PIL import Image
from review_tree import ET, RC, encoded, head, rows, turned, write_case, write_review_page, write_script

DEGREES, MM = 10.0, 2.0
BOX = "posttx.viewer.tiles()"
PLACE = """() => {
  const volume = posttx.current.volume;
  return posttx.toWorld(volume, posttx.viewer.place().map((part, i) => part * volume.dims[i] - 0.5));
}"""
# waits until all that was drawn is there
DRAWN = """() => {
  const gl = document.getElementById('canvas').getContext('webgl2');
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report with two cases of two models, whose voxels stand askew in the world."""
    made = tmp_path_factory.mktemp("review")
    write_review_page(made)
    for seed, case in enumerate(("p01-a", "p01-b")):
        made_box = write_case(made, case, ("new", "old"), mm=MM, degrees=DEGREES, seed=seed)
    (made / "box.json").write_text(json.dumps([[side.start, side.stop] for side in made_box]))
    return made


@pytest.fixture
def at(opened, folder):
    """Return a function that opens the review page at an address and waits until the case is shown."""

    def go(place="#case=p01-a", wait="body[data-shown]", **options):
        page = opened(folder / "review.html", place, **options)
        page.wait_for_selector(wait)
        return page

    return go


def shown(page, start):
    page.wait_for_selector(f"body[data-shown^='{start}']")


def voxel_of_the_crosshair(page):
    """Return the crosshair as a voxel, from mm by numpy and not by the page."""
    place = page.evaluate(PLACE)
    return np.linalg.solve(turned(MM, DEGREES), [*place, 1.0])[:3]


def test_it_opens_on_the_worst_finding(at, folder):
    page = at("#review=worst")
    shown(page, "p01-a/new/t1c/both")
    voxel = voxel_of_the_crosshair(page)
    for index, (start, stop) in zip(voxel, json.loads((folder / "box.json").read_text()), strict=True):
        assert start <= round(index) < stop
        assert abs(index - round(index)) < 0.01
    for plane in range(3):
        assert ET in page.evaluate("plane => posttx.overlay.outlines('reference', plane)", plane)
    assert page.locator("#findings [aria-current=true]").inner_text().startswith("ET missed")
    assert page.locator("#position").inner_text() == "1 of 2, worst first"
    assert page.locator("#resolution").inner_text() == "2.0 mm, native"
    assert "convention published" in page.locator("#convention").inner_text()
    states = page.locator("#states li").all_inner_texts()
    assert states == ["ET missed", "RC 0.80"]


def picture(page, selector):
    with Image.open(io.BytesIO(page.locator(selector).screenshot())) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def bounds(mask):
    found = np.argwhere(mask)
    assert len(found), "nothing is drawn there"
    return np.concatenate([found.min(axis=0), found.max(axis=0) + 1])


def overlay(page):
    """Return what is drawn on the canvas above the slices, as RGBA."""
    size, values = page.evaluate("""() => {
      const canvas = document.getElementById('overlay');
      const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
      return [[canvas.height, canvas.width], btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(''))];
    }""")
    import base64

    return np.frombuffer(base64.b64decode(values), np.uint8).reshape(*size, 4).astype(int)


def of_class(drawn, color):
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    return (drawn[..., 3] > 200) & (np.abs(drawn[..., :3] - rgb).sum(axis=2) < 40)


@pytest.mark.parametrize("zoomed", [False, True])
def test_contours_lie_on_the_lesion_in_every_plane_and_follow_the_zoom(at, zoomed):
    page = at()
    page.keyboard.press("4")
    shown(page, "p01-a/new/t2f")
    if zoomed:
        page.keyboard.press("z")
    contours = of_class(overlay(page), "#3388cc")
    page.keyboard.press("h")
    shown(page, "p01-a/new/t2f/none")
    page.add_style_tag(content="#overlay, #stage p { visibility: hidden; }")
    bright = pixels(page).sum(axis=2) > 380
    tiles = page.evaluate(BOX)
    assert [tile["slice"] for tile in tiles] == [0, 1, 2]
    for tile in tiles:
        left, top, width, height = (round(value) for value in tile["rectangle"])
        # letters stand at the upper and the left edge
        part = np.s_[top + 30 : top + height, left + 30 : left + width]
        # the edge of the lesion lies in the middle of the contour's line
        assert np.abs(bounds(contours[part]) - bounds(bright[part])).max() <= 4, tile["slice"]
        assert (bounds(bright[part])[2:] - bounds(bright[part])[:2]).min() > 15


def test_the_outline_of_the_smaller_label_is_drawn_last(at):
    page = at()
    shown(page, "p01-a/new/t1c/both")
    filled = """label => {
      const volume = posttx.overlay.maps.reference;
      posttx.overlay.maps.reference = { ...volume, data: volume.data.map((here) => here || label) };
    }"""
    page.evaluate(filled, RC)
    assert page.evaluate("posttx.overlay.outlines('reference', 0)") == [RC, ET]


def runs_of_the_longest_row(mask):
    row = mask[mask.sum(axis=1).argmax()]
    return int((np.diff(np.concatenate([[0], row.astype(int), [0]])) == 1).sum())


def test_the_reference_is_solid_and_the_prediction_dashed(at):
    page = at()
    page.evaluate("posttx.viewer.goTo(posttx.toWorld(posttx.current.volume, [26, 27, 24]))")
    runs = {}
    for key, kind in (("r", "reference"), ("p", "prediction")):
        page.keyboard.press(key)
        shown(page, f"p01-a/new/t1c/{kind}")
        tile = [round(value) for value in page.evaluate(BOX)[0]["rectangle"]]
        mask = of_class(overlay(page), "#ddbb33")[:, tile[0] : tile[0] + tile[2]]
        runs[kind] = runs_of_the_longest_row(mask)
    # the vertical hair cuts no contour: it is drawn over it and leaves its colour at most once
    assert runs["reference"] <= 2 < 6 <= runs["prediction"]


def test_contours_take_the_colours_of_the_palette(at):
    page = at()
    assert of_class(overlay(page), "#3388cc").any()
    page.keyboard.press("c")
    page.wait_for_selector("html[data-palette='okabe-ito']")
    assert of_class(overlay(page), "#0072B2").any()
    assert not of_class(overlay(page), "#3388cc").any()


def test_errors_are_filled_and_a_class_can_be_hidden(at):
    page = at()
    contoured = (overlay(page)[..., 3] > 0).sum()
    page.keyboard.press("e")
    shown(page, "p01-a/new/t1c/errors")
    filled = (overlay(page)[..., 3] > 0).sum()
    assert filled > contoured + 500
    assert page.locator("#legend").inner_text() == "filled: missed · dashed and pale: added"
    page.locator("#shown-classes").get_by_role("button", name="ET").click()
    assert (overlay(page)[..., 3] > 0).sum() < filled - 500
    page.evaluate("posttx.toFinding(1)")
    assert page.evaluate("posttx.overlay.outlines('errors', 0)") == [100 + RC]


def test_the_crosshair_is_thin_and_has_a_gap(at):
    page = at()
    page.keyboard.press("h")
    shown(page, "p01-a/new/t1c/none")
    drawn = overlay(page)[..., 3] > 0
    for tile in page.evaluate(BOX):
        left, top, width, height = (round(value) for value in tile["rectangle"])
        part = drawn[top : top + height, left : left + width]
        column, row = (int(values.argmax()) for values in (part.sum(axis=0), part.sum(axis=1)))
        assert 0 < part[5].sum() <= 2
        assert 0 < part[:, 5].sum() <= 2
        assert not part[row - 8 : row + 9, column - 8 : column + 9].any()


def test_space_hides_the_overlay_while_it_is_held(at):
    page = at()
    before = pixels(page)
    page.keyboard.down(" ")
    bare = changed_pixels(page, before, 100)
    page.keyboard.up(" ")
    again = changed_pixels(page, bare, 100)
    assert np.array_equal(before, again)


def drag(page, by, button="right"):
    box = page.locator("#stage").bounding_box()
    x, y = box["x"] + 300, box["y"] + 300
    page.mouse.move(x, y)
    page.mouse.down(button=button)
    page.mouse.move(x + by[0], y + by[1], steps=3)
    page.mouse.up(button=button)


def test_a_right_drag_sets_the_window_of_its_image_and_0_resets_it(at):
    page = at()
    before, said = pixels(page), page.locator("#window").inner_text()
    assert said == "W 1270 L 645"
    drag(page, (-120, 60))
    changed = changed_pixels(page, before, 2000)
    told = page.locator("#window").inner_text()
    width, level = (float(value) for value in re.findall(r"[\d.]+", told))
    assert width < 1270
    assert level > 645
    page.keyboard.press("1")
    shown(page, "p01-a/new/t1n")
    assert page.locator("#window").inner_text() == said
    page.reload()
    shown(page, "p01-a/new/t1c")
    assert page.locator("#window").inner_text() == told
    assert difference(pixels(page), changed) == 0
    page.keyboard.press("0")
    assert difference(changed_pixels(page, changed, 2000), before) == 0
    assert page.locator("#window").inner_text() == said


def test_a_damaged_window_in_the_storage_stops_nothing(at):
    page = at()
    page.evaluate("localStorage.setItem('posttx-windows', '{\"t1c\": [\"x\", null]')")
    page.reload()
    shown(page, "p01-a/new/t1c")
    assert page.locator("#window").inner_text() == "W 1270 L 645"


def test_keys_change_case_model_image_and_slice(at):
    page = at()
    slice_ = page.locator("#slice").inner_text()
    page.keyboard.press("k")
    number, of = (int(value) for value in re.findall(r"\d+", slice_))
    assert page.locator("#slice").inner_text() == f"slice {number + 1}/{of}"
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.locator("#slice").inner_text() == f"slice {number - 1}/{of}"
    page.keyboard.press("m")
    shown(page, "p01-a/old/t1c/both")
    assert page.locator("#slice").inner_text() == f"slice {number - 1}/{of}"
    page.keyboard.press("3")
    shown(page, "p01-a/old/t2w")
    page.keyboard.press("ArrowRight")
    shown(page, "p01-b/old/t2w")
    assert page.locator("#next").is_disabled()
    page.keyboard.press("ArrowRight")
    assert "last case" in page.locator("#notice").inner_text()
    page.keyboard.press("Escape")
    page.wait_for_selector("body[data-view='list']")


def test_averaged_images_say_so_and_no_slice_of_the_labels_is_skipped(opened, tmp_path):
    page_file = write_review_page(tmp_path)
    box = write_case(tmp_path, "p01-a", shape=(56, 68, 52), mm=0.5)
    write_case(tmp_path, "p01-b", shape=(28, 34, 26))
    coarse = turned(1.0, 0.0)
    coarse[:3, 3] += 0.25
    grey = {"nii": encoded(head((28, 34, 26)), coarse), "low": 0.0, "high": 100.0}
    write_script(tmp_path / "images/test/p01-a.js", "posttxImages", {
        "schema": 1, "cohort": "test", "case": "p01-a", "images": {"t1c": grey}, "mm": [1.0] * 3,
        "native_mm": [0.5] * 3, "averaged": True,
    })  # fmt: skip
    page = opened(page_file, "#case=p01-a")
    shown(page, "p01-a/new/t1c")
    assert page.locator("#resolution").inner_text() == "averaged from 0.5 to 1.0 mm"
    start, stop = box[2].start, box[2].stop
    assert page.locator("#slice").inner_text() == f"slice {(start + stop) // 2 + 1}/52"
    for _ in range(4):
        page.keyboard.press("j")
    found = []
    for _ in range(9):
        found.append(ET in page.evaluate("posttx.overlay.outlines('reference', 0)"))
        page.keyboard.press("k")
    assert found == [False] * 2 + [True] * 5 + [False] * 2


def test_another_model_keeps_the_list_and_says_where_the_case_is_not_in_it(at):
    page = at("#filter=ET:missed&case=p01-a")
    assert page.locator("#position").inner_text() == "1 of 1, worst first"
    page.keyboard.press("m")
    shown(page, "p01-a/old")
    assert "filter=ET:missed" in page.evaluate("location.hash")
    page.goto(page.url.replace("case=p01-a", "case=p01-b"))
    shown(page, "p01-b/old")
    assert page.locator("#position").inner_text() == "not among the 1 of this list"
    page.keyboard.press("ArrowRight")
    shown(page, "p01-a/old")


def test_tab_walks_the_findings_and_then_leaves(at):
    page = at()
    focus = "document.activeElement.id"
    assert page.evaluate(focus) == "stage"
    page.keyboard.press("Tab")
    assert page.locator("#findings [aria-current=true]").inner_text().startswith("RC invented")
    assert voxel_of_the_crosshair(page)[2] == pytest.approx(60)
    assert page.locator("#spoken").inner_text().startswith("RC invented")
    page.keyboard.press("Shift+Tab")
    assert page.locator("#findings [aria-current=true]").inner_text().startswith("ET missed")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('aside') !== null")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(focus) == "stage"


def test_the_wheel_turns_the_plane_under_it_and_a_click_moves_the_crosshair(at):
    page = at()
    box = page.locator("#stage").bounding_box()
    middle = {tile["slice"]: tile["rectangle"] for tile in page.evaluate(BOX)}
    for plane, axis in ((0, 2), (1, 1), (2, 0)):
        left, top, width, height = middle[plane]
        before, place = voxel_of_the_crosshair(page), page.evaluate("posttx.viewer.place()")
        page.mouse.move(box["x"] + left + width / 2, box["y"] + top + height / 2)
        page.mouse.wheel(0, -100)
        page.wait_for_function("([axis, was]) => posttx.viewer.place()[axis] !== was", arg=[axis, place[axis]])
        moved = voxel_of_the_crosshair(page) - before
        assert moved == pytest.approx(np.eye(3)[axis], abs=1e-4)
    left, top, width, height = middle[0]
    page.mouse.click(box["x"] + left + width / 4, box["y"] + top + height / 4)
    # radiological: the patient's right is on the left
    assert page.evaluate("posttx.viewer.place()[0]") == pytest.approx(0.75, abs=0.02)
    assert page.evaluate("posttx.viewer.place()[1]") == pytest.approx(0.75, abs=0.02)


def test_the_help_lists_the_keys_and_closes(at):
    page = at()
    page.keyboard.press("?")
    assert page.locator("#keys-dialog").is_visible()
    assert "reference wrong" in page.locator("#keys-dialog").inner_text()
    page.keyboard.press("Escape")
    page.wait_for_selector("#keys-dialog", state="hidden")
    assert page.evaluate("posttx.state.view") == "case"


def test_the_next_case_and_another_image_take_little_work(at, folder):
    write_case(folder, "p01-a", ("new", "old"), shape=(142, 176, 146), mm=1.0, seed=5)
    write_case(folder, "p01-b", ("new", "old"), shape=(142, 176, 146), mm=1.0, seed=6)
    try:
        page = at()
        page.wait_for_selector("body[data-prepared='p01-a']")
        # CPU seconds of all the browser's processes, which two quiet cores take in about two thirds of that
        for key, place, most in (
            ("1", "p01-a/new/t1n", 1.0),
            ("2", "p01-a/new/t1c", 1.0),
            ("ArrowRight", "p01-b/new/t1c", 1.6),
        ):
            before = processor_seconds()
            page.keyboard.press(key)
            shown(page, place)
            page.evaluate(DRAWN)
            assert processor_seconds() - before < most, key
        before = processor_seconds()
        page.keyboard.down(" ")
        page.keyboard.up(" ")
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert processor_seconds() - before < 0.3
    finally:
        for seed, case in enumerate(("p01-a", "p01-b")):
            write_case(folder, case, ("new", "old"), mm=MM, degrees=DEGREES, seed=seed)


@pytest.mark.parametrize("width", [400, 1280, 1400, 1920])
def test_nothing_sticks_out(at, width):
    page = at(viewport={"width": width, "height": 900})
    page.keyboard.press("d")
    for selector in ("html", "aside", ".casehead"):
        wide = page.evaluate(
            "name => { const part = document.querySelector(name); return part.scrollWidth - part.clientWidth; }",
            selector,
        )
        assert wide <= 0, selector
    if width > 800:
        axial = page.evaluate(BOX)[0]["rectangle"]
        assert axial[2] <= 0.67 * page.locator("#stage").bounding_box()["width"]
    else:
        assert [tile["slice"] for tile in page.evaluate(BOX)] == [0]


def test_fingers_change_slice_zoom_and_case(at):
    page = at(viewport={"width": 400, "height": 850}, has_touch=True)
    session = page.context.new_cdp_session(page)

    def fingers(kind, *points):
        touches = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    number = page.evaluate("posttx.viewer.slice().index")
    fingers("touchStart", (200, 300))
    for y in (280, 260, 240):
        fingers("touchMove", (200, y))
    fingers("touchEnd")
    assert page.evaluate("posttx.viewer.slice().index") == number + 5
    fingers("touchStart", (180, 300), (220, 300))
    fingers("touchMove", (140, 300), (260, 300))
    page.wait_for_function("() => posttx.viewer.zoom() > 2")
    fingers("touchEnd")
    page.touchscreen.tap(390, 300)
    shown(page, "p01-b/new")
    page.touchscreen.tap(10, 300)
    shown(page, "p01-a/new")
    rates = page.locator("#rates").bounding_box()
    assert rates["y"] + rates["height"] <= 850
    assert rates["y"] > 700


def test_without_webgl_picture_and_rating_work(at, opened, folder):
    page = at(script="HTMLCanvasElement.prototype.getContext = function () { return null; };")
    shown(page, "p01-a/new/picture")
    image = page.locator("#picture")
    page.wait_for_function("image => image.complete && image.naturalWidth > 500", arg=image.element_handle())
    assert image.is_visible()
    assert "p01-a" in image.get_attribute("alt")
    assert "WebGL2 is missing" in page.locator("#notice").inner_text()
    has_count(page.locator("#findings button"), 2)
    for key in ("1", "j", "z", "e", "0", "a"):
        page.keyboard.press(key)
    assert page.locator("#progress").inner_text() == "1 of 2 rated"
    page.keyboard.press("ArrowRight")
    shown(page, "p01-b/new/picture")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(at, scheme):
    page = at(color_scheme=scheme)
    page.keyboard.press("d")
    assert serious_violations(page) == []
    page.keyboard.press("?")
    assert serious_violations(page) == []


def test_nothing_is_asked_of_a_network_and_nothing_is_evaluated(browser, folder):
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    asked = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto((folder / "review.html").as_uri() + "#case=p01-a")
    shown(page, "p01-a/new")
    policy = page.locator("meta[http-equiv]").get_attribute("content")
    assert "unsafe-eval" not in policy
    assert "default-src 'none'" in policy
    assert {re.split(":", address)[0] for address in asked} <= {"file", "data", "blob"}
    assert any(address.endswith("images/test/p01-a.js") for address in asked)
    context.close()


def test_hostile_ids_stay_text(opened, tmp_path):
    evil = "<img src=x onerror=window.hit=1>'\"#% é"
    cases = {"test/new": rows((evil, 3, 1, 0.0))}
    cohorts = [{"name": "test", "use": "test", "phantom": False, "models": ["new"], "baseline": None}]
    page_file = write_review_page(tmp_path, cases=cases, cohorts=cohorts)
    write_case(tmp_path, evil, shape=(28, 34, 26))
    page = opened(page_file, "#review=worst")
    page.wait_for_selector("body[data-shown]")
    assert page.locator("#name").inner_text() == evil
    assert page.evaluate("window.hit") is None
    page.keyboard.press("x")
    assert page.locator("#progress").inner_text() == "1 of 1 rated"


def test_findings_that_the_list_has_no_room_for_are_counted(opened, tmp_path):
    cohorts = [{"name": "test", "use": "test", "phantom": False, "models": ["new"], "baseline": None}]
    page_file = write_review_page(tmp_path, cases={"test/new": rows(("p01-a", 3, 1, 0.0))}, cohorts=cohorts)
    write_case(tmp_path, "p01-a", shape=(28, 34, 26), further=12)
    page = opened(page_file)
    page.goto(page_file.as_uri() + "#case=p01-a")
    shown(page, "p01-a")
    items = page.locator("#findings li")
    assert items.last.inner_text() == "12 more, ranked below these, are not listed."
    assert items.count() == page.locator("#findings button").count() + 1


def test_files_that_are_missing_or_of_another_case_are_said_and_nothing_old_stands_there(browser, folder, tmp_path):
    page_file = write_review_page(tmp_path)
    write_case(tmp_path, "p01-a", ("new",), shape=(28, 34, 26))
    (tmp_path / "labels/test/old").mkdir()
    Path(tmp_path / "labels/test/old/p01-a.js").write_bytes((tmp_path / "labels/test/new/p01-a.js").read_bytes())
    context = browser.new_context(viewport={"width": 1400, "height": 900}, offline=True)
    page = context.new_page()
    page.goto(page_file.as_uri() + "#case=p01-a")
    shown(page, "p01-a")
    page.keyboard.press("ArrowRight")
    page.locator(
        "#notice", has_text="p01-b cannot be shown: labels/test/new/p01-b.js is not beside the page"
    ).wait_for()
    assert page.locator("#stage.loading").count() == 1
    page.keyboard.press("a")
    assert page.locator("#progress").inner_text() == "0 of 2 rated"
    page.goto(page_file.as_uri() + "#model=old&case=p01-a")
    page.locator("#notice", has_text="labels/test/old/p01-a.js holds another case").wait_for()
    context.close()


def test_a_case_without_a_modality_shows_the_images_there_are_and_says_so(opened, tmp_path):
    write_review_page(tmp_path)
    for case in ("p01-a", "p01-b"):
        write_case(tmp_path, case, ("new", "old"))
    path = tmp_path / "images/test/p01-a.js"
    content = json.loads(path.read_text().removeprefix("posttxImages(").rstrip().removesuffix(");"))
    for name in ("t1c", "t2w"):
        del content["images"][name]
    write_script(path, "posttxImages", content)
    page = opened(tmp_path / "review.html", "#case=p01-a")
    shown(page, "p01-a/new/t1n/both")
    assert page.locator("#modalities button").count() == 2
    assert page.locator("#missing").inner_text() == "This case has no T1-Gd, T2."
    page.keyboard.press("2")
    page.keyboard.press("4")
    shown(page, "p01-a/new/t2f/both")

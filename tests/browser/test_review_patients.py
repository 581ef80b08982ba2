"""Patients over time on the review page: visits, lines, numbers, and the sentence on their course."""

import pytest
import results_tree as tree
from browser_pages import has_count, serious_violations
from panes_tree import CLASSES, opened_at, rows_of, write_opened_cases, write_panes

PATIENTS = "#view=patients"
ROWS = "#pane-patients tbody tr[data-at]"
ET = [one["name"] for one in CLASSES].index("ET")
PRESENT, ABSENT, UNKNOWN = 0, 3, 4


def visit(patient, time, ref, pred, has=3, scan=""):
    """Return a row of a scan with ET alone, in ml."""
    cells = [[None, ABSENT, 0.0, 0.0, 0, 0] for _ in CLASSES]
    cells[ET] = [0.5 if ref else None, UNKNOWN if ref is None else PRESENT, ref, pred, 0, 0]
    return [f"{patient}-{time}{scan}", patient, time, None if ref is None else 0.5, has, cells]


def page_of(opened, folder, rows, place=PATIENTS, **options):
    page_file = write_panes(folder, {"new": {"rows": rows}})
    write_opened_cases(page_file)
    return opened_at(opened, page_file, place, **options)


def patient(opened, folder, rows, **options):
    return page_of(opened, folder, rows, f"{PATIENTS}&patient=p1", **options)


def test_patients_are_listed_with_their_scans_those_that_differ_first(opened, tmp_path):
    rows = [visit("p1", 1, 2.0, 2.0), visit("p2", 1, 1.0, 1.0), visit("p2", 2, 5.1, 1.3), visit("p3", 7, 1.0, 1.0),
            visit("p1", 2, 4.0, 3.9), visit("p1", 3, 1.0, 1.0)]  # fmt: skip
    page = page_of(opened, tmp_path, rows)
    cells = [row.locator("td").all_inner_texts() for row in page.locator(ROWS).all()]
    assert cells == [
        ["p2", "2", "0.5000", "ET"], ["p1", "3", "0.5000", "none"], ["p3", "1", "0.5000", "one scan"],
    ]  # fmt: skip
    page.locator(ROWS).first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("#pane-patients h2:text-is('p1')")
    assert page.locator(".visits figure").count() == 3
    page.get_by_role("button", name="All patients").click()
    page.wait_for_selector(f"{ROWS}[data-at='1']:focus")
    page.locator("#patients-search").fill("P3")
    has_count(page.locator(ROWS), 1)


@pytest.mark.parametrize(("first", "second", "differs"), [
    ((1.0, 1.0), (5.1, 1.3), True), ((1.0, 1.0), (5.1, 4.0), False), ((2.0, 2.0), (2.5, 1.4), True),
    ((2.0, 2.0), (2.4, 1.5), False), ((9.0, 9.0), (1.0, 10.0), True), ((0.0, 0.0), (0.0, 3.0), True),
    ((0.0, 0.0), (10.0, 5.0), False), ((0.0, 0.0), (10.0, 4.9), True),
])  # fmt: skip
def test_a_course_differs_by_more_than_1_ml_and_half_of_the_change(opened, tmp_path, first, second, differs):
    page = patient(opened, tmp_path, [visit("p1", 1, *first), visit("p1", 2, *second)])
    ref, pred = (f"{after - before:+.1f}".replace("-", "−") for before, after in zip(first, second, strict=True))
    ref = "0.0" if ref == "+0.0" else ref
    told = page.locator("#pane-patients li").inner_text()
    assert told == f"Time 1 to 2: ET {ref} ml by reference, {pred} ml by model{': the course differs' * differs}."
    assert page.locator(".differs").count() == differs


def test_visits_stand_in_the_order_of_time_with_picture_and_link_where_there_are(opened, tmp_path):
    rows = [visit("p1", 10, 1.0, 1.0, 0), visit("p1", 9, 1.0, 1.0, 3), visit("p1", 100, 1.0, 1.0, 2)]
    page = patient(opened, tmp_path, rows)
    figures = page.locator(".visits figure")
    assert [text.split("\n")[-1] for text in figures.all_inner_texts()] == [
        f"time {time}, mean Dice 0.500" for time in (9, 10, 100)
    ]
    assert [figures.nth(i).locator("a").count() for i in range(3)] == [1, 0, 0]
    assert [figures.nth(i).locator("img").count() for i in range(3)] == [1, 0, 1]
    assert "no images" in figures.nth(1).inner_text()
    figures.nth(0).locator("a").click()
    page.wait_for_selector("body[data-view='case']")
    assert page.evaluate("posttx.state.case") == "p1-9"


def test_lines_are_solid_for_the_reference_dashed_for_the_prediction_and_stand_beside_their_numbers(opened, tmp_path):
    page = patient(opened, tmp_path, [visit("p1", 1, 1.0, 2.0), visit("p1", 2, 4.0, 2.5)])
    plots = page.locator("#pane-patients .plot")
    assert plots.count() == 1
    dash = "line => getComputedStyle(line).strokeDasharray"
    assert [page.evaluate(dash, line) for line in plots.locator("polyline").element_handles()] == ["none", "5px, 4px"]
    stroke = "line => getComputedStyle(line).stroke"
    before = page.evaluate(stroke, plots.locator("polyline").first.element_handle())
    page.locator("#palette").click()
    assert page.evaluate(stroke, plots.locator("polyline").first.element_handle()) != before
    cells = [row.locator("td").all_inner_texts() for row in plots.locator("tbody tr").all()]
    assert cells == [["1", "1.00", "2.00", "0.5000"], ["2", "4.00", "2.50", "0.5000"]]
    assert "NETC, SNFH, RC: no volume in any scan" in page.locator("#pane-patients").inner_text()


def test_one_visit_and_visits_of_the_same_time_have_no_course(opened, tmp_path):
    page = patient(opened, tmp_path, [visit("p1", 1, 1.0, 2.0)])
    assert "One scan: there is no course" in page.locator("#pane-patients").inner_text()
    assert page.locator("#pane-patients .plot circle").count() == 2
    page = patient(opened, tmp_path, [visit("p1", 1, 1.0, 2.0), visit("p1", 1, 9.0, 2.0, scan="b")])
    assert "All scans are of the same time" in page.locator("#pane-patients").inner_text()


def test_without_references_the_model_alone_is_told(opened, tmp_path):
    page = patient(opened, tmp_path, [visit("p1", 1, None, 2.0), visit("p1", 2, None, 5.0)])
    assert "ET +3.0 ml by model, no reference" in page.locator("#pane-patients li").inner_text()
    assert page.locator(".differs").count() == 0


def test_volumes_of_counts_alone_are_unknown_not_none(opened, tmp_path):
    rows = [visit("p1", time, None, None, has=0) for time in (1, 2)]
    for row in rows:
        row[5] = [[0.5, PRESENT, None, None, 0, 0] for _ in CLASSES]
    page = patient(opened, tmp_path, rows)
    told = page.locator("#pane-patients").inner_text()
    assert "NETC, SNFH, ET, RC: volumes unknown." in told
    assert "ET: volumes unknown" in page.locator("#pane-patients li").inner_text()
    assert page.locator(".differs").count() == 0


def test_a_patient_that_is_not_there_is_said_and_no_patient_too(opened, tmp_path):
    page = page_of(opened, tmp_path, [visit("p1", 1, 1.0, 2.0)], f"{PATIENTS}&patient=p<b>9")
    assert "There is no patient “p<b>9” of new in additional." in page.locator("#message").inner_text()
    has_count(page.locator(ROWS), 1)
    page = page_of(opened, tmp_path, [])
    assert "There is no patient." in page.locator("#pane-patients").inner_text()


@pytest.mark.parametrize(("width", "scheme"), [(1400, "dark"), (400, "light")])
def test_axe_finds_no_serious_violation_and_nothing_overflows(opened, tmp_path, width, scheme):
    rows = rows_of(tree.case_metrics(80))["rows"]
    for row in rows[:7]:
        row[1] = "p" * 300
    looks = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    for place in (PATIENTS, f"{PATIENTS}&patient={'p' * 300}"):
        page = page_of(opened, tmp_path, rows, place, **looks)
        assert serious_violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width

"""The audit's page: verdict, findings, every case in the grid, nothing of what files say taken for markup."""

import re
from html import unescape

import numpy as np
import pandas as pd
import pytest
from audit_tree import HOSTILE, SETTINGS, default_findings, write_audit, write_tables
from results_tree import ASSETS

from posttx.auditing.findings import Finding
from posttx.reporting.audit_page import write_audit_page
from posttx.reporting.audit_pictures import LONGER_SIDE, contoured
from posttx.reporting.figures import DATA, drawn_per

PAGE_BYTES = 10_000_000
SIZES = {"training": 12, "additional": 6}
COLORS = {1: "#ff0000", 2: "#00ff00", 3: "#0000ff"}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_audit(tmp_path_factory.mktemp("audit") / "results", SIZES)


@pytest.fixture(scope="module")
def text(page):
    return page.read_text(encoding="utf-8")


def tile_of(text, case, cohort="training"):
    return re.search(rf'<li class="tile[^>]*id="case-{cohort}-{re.escape(case)}".*?</li>', text, re.DOTALL)[0]


def test_the_verdict_comes_first_and_names_what_stops_the_run(text):
    assert text.index("The run stops here.") < text.index('id="table-codes"') < text.index('id="table-findings-list"')
    assert "1 of severity error" in text


def test_an_accepted_finding_lets_the_run_go_on(tmp_path):
    text = write_audit(tmp_path / "results", SIZES, fail_on=["nothing"]).read_text()
    assert "The run goes on." in text
    assert "The run stops here." not in text


def test_every_code_is_counted_with_its_meaning(text):
    codes = text[text.index('id="table-codes"') : text.index('id="table-findings-list"')]
    rows = re.findall(r"<tr><td.*?</tr>", codes, re.DOTALL)
    found = {re.search(r"[A-Z]{3}\d{3}", row)[0]: re.findall(r'class="number[^>]*>([^<]*)<', row) for row in rows}
    assert found == {"FIL004": ["1", "1"], "INT005": ["1", "1"], "LAB005": ["12", "12"], "LAB007": ["1", "–"]}


def test_every_case_is_in_the_grid_with_its_picture(page, text):
    assert text.count('<li class="tile') == sum(SIZES.values())
    sources = re.findall(r'<img loading="lazy" src="([^"]+)"', text)
    assert len(sources) == sum(SIZES.values()) - len(SIZES)
    assert all((page.parent / source).stat().st_size > 500 for source in sources)


def test_a_case_without_a_picture_says_why(text):
    tile = tile_of(text, "BraTS-GLI-05001-100")
    assert "<img" not in tile
    assert "FIL004 t1n: torn" in tile
    assert "no image of this case can be shown" in tile_of(text, "BraTS-GLI-05001-100", "additional")


def test_a_case_without_a_reference_says_so(text):
    assert "no reference" in tile_of(text, "BraTS-GLI-05001-101")
    assert "no reference" not in tile_of(text, "BraTS-GLI-05000-100")


def test_findings_of_weight_stand_below_the_picture(text):
    assert 'data-errors="1"' in tile_of(text, "BraTS-GLI-05001-100")
    tile = tile_of(text, "BraTS-GLI-05000-100")
    assert 'data-errors="0" data-warnings="1"' in tile
    assert "INT005" in tile
    assert "LAB005" not in tile


def test_what_files_say_is_text(text):
    assert HOSTILE not in text
    assert HOSTILE in unescape(text)
    assert "<script>alert" not in text


def test_nothing_is_loaded_but_pictures_beside_the_page(text):
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    assert "default-src 'none'" in policy
    assert "img-src file: data:" in policy
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


@pytest.mark.parametrize("name", ["intensity", "classes", "scheme-verdicts", "scheme-names", "findings-list"])
def test_every_table_is_there(text, name):
    assert f'id="table-{name}"' in text


def test_the_figures_of_the_data_are_there(text):
    assert text.count("<svg") == len(drawn_per(DATA))


def test_the_page_of_the_whole_cohort_stays_below_its_limit(tmp_path):
    cases = [f"BraTS-GLI-{5000 + i // 2:05d}-{100 + i % 2}" for i in range(1621)]
    found = [
        Finding(code, "training", "a message of the usual length, with 123 voxels and 45.6 %", case, "t1c")
        for case in cases
        for code in ("GEO010", "INT003", "INT005", "LAB005", "GEO005", "GEO006")
    ]
    results = tmp_path / "results"
    write_audit(results, {"training": 4}, default_findings({"training": cases}) + found)
    write_tables(results, {"training": len(cases)})
    pictures = {("training", case): f"audit/training/{case}.webp" for case in cases}
    page = results / "report/audit.html"
    write_audit_page(results, ASSETS, page, pictures, {**SETTINGS, "cohorts": {"training": "train"}, "modality": ""})
    assert page.stat().st_size < PAGE_BYTES
    text = page.read_text()
    assert text.count('<li class="tile') == 1621
    assert "all are in the file" in text


def test_a_run_without_images_gives_a_page_that_says_so(tmp_path):
    text = write_audit(tmp_path / "results", {}, findings=[]).read_text()
    assert "No cohort has images" in text


def test_a_label_is_outlined_in_its_colour_and_nothing_else():
    grey = np.full((20, 10), 100, np.uint8)
    labels = np.zeros((20, 10), np.uint8)
    labels[5:15, 2:8] = 2
    picture = contoured(grey, labels, 1.0, 1.0, COLORS)
    assert picture.shape == (LONGER_SIDE, LONGER_SIDE // 2, 3)
    green = (picture == (0, 255, 0)).all(axis=-1)
    assert green[LONGER_SIDE // 4 + 1].any()
    assert not green[LONGER_SIDE // 2, LONGER_SIDE // 4]
    assert (picture[~green] == 100).all()


def test_pixels_are_square_in_millimetres():
    picture = contoured(np.ones((10, 10), np.uint8), None, 3.0, 1.0, COLORS)
    assert picture.shape[:2] == (LONGER_SIDE, round(LONGER_SIDE / 3))


def test_touching_labels_are_told_apart_and_strange_ones_are_magenta():
    labels = np.ones((10, 10), np.uint8)
    labels[:, 5:] = 255
    picture = contoured(np.zeros((10, 10), np.uint8), labels, 1.0, 1.0, COLORS)
    middle = picture[LONGER_SIDE // 2, LONGER_SIDE // 2 - 1 : LONGER_SIDE // 2 + 1]
    assert middle.tolist() == [[255, 0, 0], [255, 0, 255]]


def test_the_table_of_pictures_is_a_table_of_bytes(page):
    table = pd.read_parquet(page.parents[1] / "audit/shards/thumbnails.parquet")
    assert table["image"].dropna().map(type).eq(bytes).all()


def test_groups_and_shift_are_shown_and_their_names_stay_text(tmp_path):
    page = write_audit(tmp_path, {"training": 8, "additional": 6}).read_text()
    assert "Held-out cohorts beside training" in page
    assert "Scans by group of each fact" in page
    assert "hospital" in page
    assert "<img src=x" not in page

"""Scripts and pictures of single cases, as the rules draw them: what is written, and what one bad file costs."""

import base64
import gzip
import io
import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import results_tree as tree
from PIL import Image

from draw_review import Folders, chosen_cases, draw_review
from draw_thumbs import draw_thumbs
from posttx.errors import PostTxError
from posttx.files import read_json
from posttx.geometry.boxes import hull_of
from posttx.geometry.grids import grid_of
from posttx.geometry.reading import Reading
from posttx.nifti import read_volume, write_volume
from posttx.reporting import case_sheets
from posttx.reporting.case_scripts import ADDED, LEVELS, error_map, images_script, labels_script, quantised
from posttx.reporting.case_volumes import assembled, cropped
from posttx.reporting.report_cases import NOT_DRAWN

COHORT, MODELS = "held", ["new", "old"]
SHAPE = (24, 30, 20)
AFFINE = np.diag([-2.0, 2.0, 2.0, 1.0])
CASES = ["P1-1", "P1-2", "P2-1"]
MISSED = (slice(18, 21), slice(22, 25), slice(14, 17))


class Held:
    """Three scans with a large lesion that was found and a small one that one model missed, and the scripts on them."""

    def __init__(self, root):
        self.root, self.results = root, root / "results"
        self.rows, self.readings = [], {}
        noise = np.random.default_rng(0).uniform(10, 90, SHAPE).astype(np.float32)
        self.reference = np.zeros(SHAPE, np.uint8)
        self.reference[4:14, 4:16, 3:9] = 2
        self.both = self.reference.copy()
        self.reference[MISSED] = 3
        for case in CASES:
            row = {"case": case, "shard": "000"}
            for name in ("t1n", "t1c", "t2w", "t2f", "seg"):
                row[name] = self.path(f"{case}-{name}")
                write_volume(row[name], self.reference if name == "seg" else noise, AFFINE)
            for model, labels in (("new", self.reference), ("old", self.both)):
                write_volume(self.path(f"{case}-{model}"), labels, AFFINE)
            self.rows.append(row)
            self.readings[case] = Reading("agree", grid_of(read_volume(row["t1n"])), "t1n")
        lines = ["case\tmodel\tfile\tscores\n"]
        for model, labels in (("new", self.reference), ("old", self.both)):
            files = {case: self.path(f"{case}-{model}") for case in CASES}
            pairs = dict.fromkeys(CASES, (self.reference, labels, AFFINE))
            self.scored = tree.write_scored(self.results, COHORT, model, pairs, files)
            lines += self.scored.read_text().splitlines(keepends=True)[1:]
        self.scored.write_text("".join(lines))
        self.report = self.results / "report"
        self.folders = Folders(
            self.report / f"images/{COHORT}", self.report / f"labels/{COHORT}", self.results / "pictures"
        )
        self.list = self.report / f"thumbs/{COHORT}/_drawn/000.tsv"

    def path(self, name):
        return str(self.root / f"{name}.nii.gz")

    def review(self, chosen=CASES, rows=None, **settings):
        rows = self.rows if rows is None else rows
        told = tree.drawing_settings(MODELS) | settings
        draw_review(rows, COHORT, chosen, [self.scored], self.readings, told, self.folders)
        return read_json(self.folders.pictures / NOT_DRAWN)

    def thumbs(self, rows=None):
        rows = self.rows if rows is None else rows
        draw_thumbs(rows, COHORT, [self.scored], self.readings, tree.drawing_settings(MODELS), self.list)
        return pd.read_csv(self.list, sep="\t", dtype=str, keep_default_na=False)

    def labels(self, case, model):
        return content(self.folders.labels / f"{model}/{case}.js", "posttxLabels")


@pytest.fixture
def held(tmp_path):
    return Held(tmp_path)


def content(path, function):
    text = path.read_text()
    assert text.startswith(f"{function}(")
    return json.loads(text.removeprefix(f"{function}(").rstrip().removesuffix(");"))


def decoded(text):
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def stems(folder):
    return sorted(path.stem for path in folder.glob("*.*"))


def test_images_stand_once_and_labels_by_model(held):
    assert held.review(CASES[:2]) == {}
    assert stems(held.folders.images) == CASES[:2]
    for model in MODELS:
        assert stems(held.folders.labels / model) == stems(held.folders.pictures / model) == CASES[:2]
        told = held.labels("P1-1", model)
        assert (told["cohort"], told["model"], told["case"]) == (COHORT, model, "P1-1")
        assert sorted(told["maps"]) == ["errors", "prediction", "reference"]


def test_images_keep_their_voxels_and_the_scanners_units(held):
    held.review(["P1-1"])
    told = content(held.folders.images / "P1-1.js", "posttxImages")
    assert list(told["images"]) == ["t1n", "t1c", "t2w", "t2f"]
    assert (told["mm"], told["native_mm"], told["averaged"]) == ([2, 2, 2], [2, 2, 2], False)
    shown = told["images"]["t1c"]
    image, scan = decoded(shown["nii"]), read_volume(held.rows[0]["t1c"])
    back = shown["low"] + (np.asarray(image.dataobj, float) - 1) * (shown["high"] - shown["low"]) / 254
    turned = scan.data[::-1]  # L-A-S to R-A-S
    expected = np.clip(turned, shown["low"], shown["high"])
    steps = 0.5 / (LEVELS - 1) + 0.5 / 254
    assert np.abs(back - expected).max() <= steps * (shown["high"] - shown["low"]) + 1e-3
    assert np.allclose(image.affine @ [SHAPE[0] - 1, 0, 0, 1], AFFINE @ [0, 0, 0, 1])


def test_a_case_opens_at_the_small_lesion_that_was_missed_not_at_the_large_one_that_was_found(held):
    held.review(["P1-1"])
    told = held.labels("P1-1", "old")
    assert [(item["kind"], item["region"]) for item in told["findings"]] == [("missed", "ET"), ("lesion", "SNFH")]
    assert told["open"] == told["findings"][0]["mm"]
    voxel = np.rint(np.linalg.solve(AFFINE, [*told["open"], 1])[:3]).astype(int)
    assert held.reference[tuple(voxel)] == 3
    assert voxel[2] in (14, 15, 16)
    # the other model found it: there is nothing but lesions
    assert [item["kind"] for item in held.labels("P1-1", "new")["findings"]] == ["lesion", "lesion"]


def test_the_picture_shows_the_slice_of_the_missed_lesion(held):
    red = tree.drawing_settings(MODELS) | {"colors": {1: "#0000ff", 2: "#00ff00", 3: "#ff0000", 4: "#0000ff"}}
    draw_review(held.rows, COHORT, ["P1-1"], [held.scored], held.readings, red, held.folders)
    with Image.open(held.folders.pictures / "old/P1-1.webp") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    errors = pixels[:, -pixels.shape[1] // 5 :]
    assert ((errors[..., 0] > 180) & (errors[..., 1] < 90)).sum() > 50
    told = held.labels("P1-1", "old")["picture"]
    assert (
        base64.b64decode(told.removeprefix("data:image/webp;base64,"))
        == (held.folders.pictures / "old/P1-1.webp").read_bytes()
    )


def test_small_pictures_of_all_cases_at_the_missed_lesion(held):
    table = held.thumbs()
    assert len(table) == 6
    assert table["code"].eq("").all()
    assert table["sha256"].ne("").all()
    for model in MODELS:
        assert stems(held.report / f"thumbs/{COHORT}/{model}") == CASES
    paths = [held.report / f"thumbs/{COHORT}/{model}/P1-1.webp" for model in MODELS]
    assert all(path.stat().st_size < 6500 for path in paths)
    assert paths[0].read_bytes() != paths[1].read_bytes()  # another slice
    before = held.list.read_bytes()
    held.thumbs()
    assert held.list.read_bytes() == before


def test_one_bad_image_costs_one_case_and_one_bad_prediction_one_model(held, caplog):
    (held.root / "P1-1-t1c.nii.gz").write_bytes(b"no image")
    write_volume(held.path("P1-2-old"), np.zeros((4, 4, 4), np.uint8), AFFINE)
    missed = held.review()
    assert missed == {"new": {"P1-1": "FIL003"}, "old": {"P1-1": "FIL003", "P1-2": "EVA002"}}
    assert stems(held.folders.images) == ["P1-2", "P2-1"]
    assert stems(held.folders.labels / "old") == ["P2-1"]
    assert "case P1-2, model old, has no picture" in caplog.text
    stale = held.report / f"thumbs/{COHORT}/new/P1-1.webp"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of an earlier run")
    table = held.thumbs().set_index(["model", "case"])["code"]
    assert table.to_dict() == {
        ("new", "P1-1"): "FIL003", ("old", "P1-1"): "FIL003", ("new", "P1-2"): "", ("old", "P1-2"): "EVA002",
        ("new", "P2-1"): "", ("old", "P2-1"): "",
    }  # fmt: skip
    assert not stale.exists()


def test_an_error_that_nobody_foresaw_costs_one_case(held, monkeypatch):
    def broken(case, *rest):
        if case == "P1-1":
            raise ZeroDivisionError
        return read_scan(case, *rest)

    read_scan = case_sheets.read_scan
    monkeypatch.setattr(case_sheets, "read_scan", broken)
    assert held.review() == {model: {"P1-1": "FIL099"} for model in MODELS}
    assert stems(held.folders.images) == ["P1-2", "P2-1"]
    assert held.thumbs()["code"].tolist() == ["FIL099", "FIL099", "", "", "", ""]


def test_without_images_a_reading_or_a_prediction_nothing_is_drawn(held):
    rows = [dict(row) for row in held.rows]
    rows[0] |= dict.fromkeys(("t1n", "t1c", "t2w", "t2f"))
    del held.readings["P1-2"]
    held.scored.write_text("".join(line for line in held.scored.open() if not line.startswith("P2-1")))
    assert held.review(rows=rows) == {model: {"P1-2": "FIL002"} for model in MODELS}
    assert stems(held.folders.images) == []
    assert held.thumbs(rows)["code"].tolist() == ["", "", "FIL002", "FIL002", "", ""]
    assert not list(held.report.rglob("*.webp"))


def test_a_case_whose_files_contradict_each_other_has_no_small_picture(held):
    """The image that is read for it may lie well, another one does not."""
    held.readings["P1-1"] = replace(held.readings["P1-1"], decision="fail")
    table = held.thumbs().set_index(["case", "model"])["code"]
    assert table["P1-1"].tolist() == ["GEO001", "GEO001"]
    assert stems(held.report / f"thumbs/{COHORT}/new") == CASES[1:]


def test_no_case_at_all_writes_empty_folders_and_lists(held):
    assert held.review([], rows=[]) == {}
    assert held.thumbs([]).empty
    assert held.folders.images.is_dir()


def test_a_cohort_without_references_shows_predictions_alone(held):
    for row in held.rows:
        row["seg"] = None
    for case in CASES:
        for model in MODELS:
            path = held.results / f"lesions/{COHORT}/{model}/000/{case}.parquet"
            table = pd.read_parquet(path)
            table.head(0).to_parquet(path)
    for use in (True, False):
        assert held.review(references=use) == {}
        told = held.labels("P1-1", "new")
        assert list(told["maps"]) == ["prediction"]
        assert {item["kind"] for item in told["findings"]} == {"lesion"}
        assert told["findings"][0]["ml_ref"] is None
    assert held.thumbs()["sha256"].ne("").all()


def test_the_worst_and_best_of_all_models_are_chosen_and_those_asked_for(tmp_path):
    def table(name, cases):
        pd.DataFrame({"case": pd.Series(cases, dtype=str)}).to_parquet(tmp_path / name)
        return tmp_path / name

    known = list("abcdef")
    worst = [table("w1", ["c", "b"]), table("w2", ["b", "a"])]
    best = [table("b1", ["a", "d"]), table("b2", ["c", "e"])]
    assert chosen_cases(worst, best, known, 1) == ["c", "a", "b"]
    assert chosen_cases(worst, best, known, 1, ["f", "of another cohort"]) == ["c", "a", "b", "f"]
    assert chosen_cases(worst, best, known, 2, ["all"]) == ["c", "b", "a", "d", "e", "f"]
    empty = [table("none", [])]
    assert chosen_cases(empty, empty, known, 2) == ["a", "b"]
    assert chosen_cases([], [], known, 2) == []
    with pytest.raises(PostTxError, match="no case 'x'"):
        chosen_cases([table("x", ["x"])], empty, known, 2)


def fine(spacing, shape=(60, 50, 40)):
    image = np.zeros(shape, np.float32)
    image[4:-4, 4:-4, 4:-4] = np.random.default_rng(0).uniform(100, 900, [n - 8 for n in shape])
    labels = np.zeros(shape, np.uint8)
    labels[10:20, 10:20, 10:20] = 2
    return assembled("a", [("t1c", image)], {"ref": cropped(labels)}, shape, np.diag([*spacing, 1.0]))


def test_a_scan_finer_than_a_millimetre_is_averaged_and_says_so(tmp_path):
    case = fine((0.5, 0.5, 1.2))
    (tmp_path / "a.js").write_text(images_script("a", "c", case.images, case.head, case.affine))
    told = content(tmp_path / "a.js", "posttxImages")
    assert (told["mm"], told["native_mm"], told["averaged"]) == ([1, 1, 1.2], [0.5, 0.5, 1.2], True)
    shown = decoded(told["images"]["t1c"]["nii"])
    inside = np.argwhere(np.asarray(shown.dataobj) > 0)
    assert np.allclose(shown.affine @ [*inside.mean(axis=0), 1], case.affine @ [29.5, 24.5, 19.5, 1], atol=0.5)
    labels = labels_script(case, "c", "m", [], 0, b"")
    told = json.loads(labels.removeprefix("posttxLabels(").rstrip().removesuffix(");"))
    assert np.allclose(np.diag(decoded(told["maps"]["reference"]).affine)[:3], [0.5, 0.5, 1.2])


def test_maps_are_cropped_in_their_place_and_end_in_empty_voxels():
    case = fine((1.0, 1.0, 1.0))
    told = labels_script(case, "c", "m", [], 0, b"")
    shown = decoded(json.loads(told.removeprefix("posttxLabels(").rstrip().removesuffix(");"))["maps"]["reference"])
    data = np.asarray(shown.dataobj)
    assert data.shape == (12, 12, 12)
    assert data[1:-1, 1:-1, 1:-1].sum() == data.sum() == 2 * 10**3
    assert np.allclose(shown.affine @ [1, 1, 1, 1], case.affine @ [10, 10, 10, 1])


def test_values_that_are_no_numbers_and_empty_images_are_background():
    image = np.array([[[0.0, np.nan, np.inf, 5.0, 10.0]]])
    grey, low, high = quantised(image)
    assert grey[0, 0, :3].tolist() == [0, 0, 0]
    assert grey[0, 0, 3:].tolist() == [1, 255]
    assert (low, high) == (pytest.approx(5, rel=0.01), pytest.approx(10, rel=0.01))
    grey, low, high = quantised(np.zeros((2, 2, 2)))
    assert not grey.any()
    assert low < high
    one, _, _ = quantised(np.full((2, 2, 2), 7.0))
    assert (one == 1).all()


def test_errors_tell_missed_from_added():
    reference, prediction = np.array([1, 2, 0, 3, 0]), np.array([1, 0, 4, 2, 0])
    assert error_map(reference, prediction).tolist() == [0, 2, 4 + ADDED, 3, 0]


def test_a_hostile_or_long_id_ends_no_script():
    hostile = "</script><script>alert(1)//" + "x" * 280
    case = fine((1.0, 1.0, 1.0))
    script = images_script(hostile, hostile, case.images, hull_of([case.head]), case.affine)
    assert "<" not in script
    assert json.loads(script.removeprefix("posttxImages(").rstrip().removesuffix(");"))["case"] == hostile


def test_the_small_picture_is_a_small_picture(held):
    held.thumbs(held.rows[:1])
    with Image.open(io.BytesIO((held.report / f"thumbs/{COHORT}/old/P1-1.webp").read_bytes())) as picture:
        assert picture.format == "WEBP"
        assert picture.width == 240

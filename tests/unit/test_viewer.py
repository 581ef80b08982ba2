import base64
import gzip
import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import results_tree as tree
from scipy import ndimage

from posttx.reporting.case_volumes import assembled, cropped
from posttx.reporting.viewer import SECOND, case_script, error_map, looks, outline_map


def volumes(spacing=1.0, prediction=True):
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [-10, -20, -30]
    image = np.zeros((20, 22, 18), np.float32)
    image[4:16, 4:18, 4:14] = np.random.default_rng(0).uniform(100, 900, (12, 14, 10))
    labels = np.zeros(image.shape, np.int16)
    labels[6:10, 6:12, 6:10] = 2
    maps = {"ref": cropped(labels)} | ({"pred": cropped(np.roll(labels, 2, axis=0))} if prediction else {})
    return assembled("BraTS-GLI-00001-100", [("t1c", image)], maps, image.shape, affine)


def read(script):
    assert script.startswith("posttxCase(")
    return json.loads(script.removeprefix("posttxCase(").rstrip().removesuffix(");"))


def decoded(text):
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def test_maps_keep_their_place_in_the_world():
    case = volumes()
    content = read(case_script(case, pd.DataFrame()))
    shown = decoded(content["maps"]["reference"])
    first = np.argwhere(np.asarray(shown.dataobj) == 2)[0]
    assert np.allclose(shown.affine @ [*first, 1], case.affine @ [6, 6, 6, 1])
    assert np.asarray(shown.dataobj).sum() == 2 * 4 * 6 * 4
    assert content["center"] == [-10 + 8.5, -20 + 8.5, -30 + 7.5]


def test_fine_images_are_averaged_where_they_are():
    case = volumes()
    coarse = decoded(read(case_script(case, pd.DataFrame()))["images"]["t1c"])
    assert np.allclose(coarse.header.get_zooms(), 2)
    data = np.asarray(coarse.dataobj)
    inside = np.argwhere(data > 0)
    middle = coarse.affine @ [*inside.mean(axis=0), 1]
    assert np.allclose(middle, case.affine @ [9.5, 10.5, 8.5, 1], atol=1)
    assert data.dtype == np.uint8
    assert data.max() == 255
    kept = decoded(read(case_script(volumes(3.0), pd.DataFrame()))["images"]["t1c"])
    assert np.allclose(kept.header.get_zooms(), 3)


def test_images_of_any_place_and_size_are_cropped_to_one_head():
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[:3, 3] = [5, -7, 11]
    images = [np.zeros((41, 33, 12), np.float32) for _ in range(2)]
    images[0][9:20, 7:19, 2:9], images[1][30:41, 20:33, 5:12] = 100, 200
    case = assembled("a", zip(("t1n", "t2f"), images, strict=True), {}, images[0].shape, affine)
    content = read(case_script(case, pd.DataFrame()))
    shown = {name: decoded(text) for name, text in content["images"].items()}
    grid = decoded(content["grid"]["grid"])
    assert grid.shape == (41 - 5, 33 - 3, 12)
    assert np.allclose(grid.affine @ [0, 0, 0, 1], affine @ [5, 3, 0, 1])
    for image, known in zip(shown.values(), images, strict=True):
        assert image.shape == shown["t1n"].shape
        assert np.allclose(image.header.get_zooms(), (2, 2, 3))
        bright = np.asarray(image.dataobj) > 0
        for corner in (np.argwhere(bright).min(axis=0), np.argwhere(bright).max(axis=0)):
            x, y, z = np.linalg.solve(affine, image.affine @ [*corner, 1])[:3]
            # the middle of a block of 2 x 2 x 1 voxels that has a part of the known box
            around = [slice(max(0, round(x - 0.5)), round(x + 1.5)), slice(max(0, round(y - 0.5)), round(y + 1.5))]
            assert known[(*around, round(z))].any()


def test_label_maps_are_cropped_and_end_in_empty_voxels():
    maps = {name: decoded(text) for name, text in read(case_script(volumes(), pd.DataFrame()))["maps"].items()}
    assert sorted(maps) == ["errors", "outlines", "prediction", "reference"]
    for shown in maps.values():
        labels = np.asarray(shown.dataobj)
        assert labels.shape == (4 + 2 + 2, 6 + 2, 4 + 2)
        assert labels[1:-1, 1:-1, 1:-1].sum() == labels.sum() > 0


def test_a_case_without_labels_is_shown_from_the_middle_of_its_head():
    image = np.zeros((40, 40, 40))
    image[4:11, 20:31, 30:41] = 7
    case = assembled("a", [("t1c", image)], {"ref": cropped(np.zeros(image.shape))}, image.shape, np.eye(4))
    content = read(case_script(case, pd.DataFrame()))
    assert content["center"] == [(0 + 14) / 2, (16 + 34) / 2, (26 + 39) / 2]
    assert not np.asarray(decoded(content["maps"]["reference"]).dataobj).any()


def test_errors_tell_missed_from_added():
    reference, prediction = np.array([1, 2, 0, 3, 0]), np.array([1, 0, 4, 2, 0])
    assert error_map(reference, prediction).tolist() == [0, 2, 4 + SECOND, 3, 0]


def test_outlines_are_hollow_and_of_both():
    labels = np.zeros((9, 9, 3), np.int16)
    labels[1:8, 1:8, 1] = 1
    outlines = outline_map(labels, np.zeros_like(labels))
    assert outlines[4, 4, 1] == 0
    assert outlines[1, 4, 1] == 1
    assert (outlines > 0).sum() == 24
    assert outline_map(np.zeros_like(labels), labels).max() == 1 + SECOND


@pytest.mark.parametrize("seed", range(3))
def test_outlines_are_those_of_binary_erosion(seed):
    labels = np.random.default_rng(seed).integers(0, 8, (30, 28, 6)) // 2
    labels = ndimage.median_filter(labels, 5)
    outlines, cross = np.zeros_like(labels), ndimage.generate_binary_structure(2, 1)[:, :, None]
    for label in range(1, 4):
        outlines[(labels == label) & ~ndimage.binary_erosion(labels == label, cross)] = label
    assert 0 < (outlines > 0).sum() < (labels > 0).sum()
    np.testing.assert_array_equal(outline_map(labels, np.zeros_like(labels)), outlines)


def test_without_a_prediction_there_are_no_errors_to_show():
    assert list(read(case_script(volumes(prediction=False), pd.DataFrame()))["maps"]) == ["reference"]


def test_lesions_come_along_and_cannot_end_the_script():
    lesions = tree.lesion_table(tree.case_metrics(1)).head(2).assign(region="</script>", dice=[0.5, float("nan")])
    script = case_script(volumes(), lesions)
    assert "</script>" not in script
    rows = read(script)["lesions"]
    assert [row[4] for row in rows] == [0.5, None]
    assert rows[0][0] == "</script>"


def test_the_same_case_gives_the_same_bytes():
    assert case_script(volumes(), pd.DataFrame()) == case_script(volumes(), pd.DataFrame())


def test_looks():
    assert looks({1: "#102030"}, {1: "NETC"})[0]["rgb"] == [16, 32, 48]

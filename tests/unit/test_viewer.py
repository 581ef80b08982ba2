import base64
import gzip
import json

import nibabel as nib
import numpy as np
import pandas as pd
import results_tree as tree

from posttx.reporting.case_pictures import CaseVolumes
from posttx.reporting.viewer import SECOND, case_script, error_map, looks, outline_map


def volumes(spacing=1.0, prediction=True):
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [-10, -20, -30]
    image = np.zeros((20, 22, 18), np.float32)
    image[4:16, 4:18, 4:14] = np.random.default_rng(0).uniform(100, 900, (12, 14, 10))
    labels = np.zeros(image.shape, np.int16)
    labels[6:10, 6:12, 6:10] = 2
    moved = np.roll(labels, 2, axis=0) if prediction else None
    return CaseVolumes("BraTS-GLI-00001-100", {"t1c": image}, labels, moved, (spacing,) * 3, affine)


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

"""Which file is whose prediction: the names that people use, and what is said where none fits or two do."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from posttx.errors import PostTxError
from posttx.nifti import read_volume, write_volume
from posttx.scoring.prediction_findings import matching_findings
from posttx.scoring.predictions import DEPTH, WAYS, case_of_name, check_predictions, find_predictions
from posttx.scoring.segmentation_files import read_segmentation

CASES = ["BraTS-GLI-00001-100", "BraTS-GLI-00001-101"]
ONE = CASES[0]


def laid(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return [root / name for name in names]


def codes(found, root, cases=CASES):
    return [finding.code for finding in matching_findings(found, root, "c", "m", cases)]


NAMES = {
    f"{ONE}.nii.gz": "<case>",
    f"{ONE}.nii": "<case>",
    f"{ONE}.NII.GZ": "<case>",
    f"{ONE}.mha": "<case>",
    f"{ONE}.NRRD": "<case>",
    f"{ONE}/{ONE}.nii.gz": "<case>",
    f"fold_3/validation/{ONE}.nii.gz": "<case>",
    f"{ONE}-seg.nii.gz": "<case>_pred",
    f"{ONE}_seg.nii": "<case>_pred",
    f"{ONE}_pred.nii.gz": "<case>_pred",
    f"{ONE}_Prediction.mha": "<case>_pred",
    f"{ONE}/{ONE}-seg.nii.gz": "<case>_pred",
    f"{ONE}_0000.nii.gz": "<case>_0000",
    f"team7_{ONE}.nii.gz": "<anything>-<case>",
    f"team7_{ONE}_pred.nii.gz": "<anything>-<case>",
    "result-00001-100.nii.gz": "<anything>-<patient>-<timepoint>",
    f"{ONE}/prediction.nii.gz": "any name in <case>/",
    f"site/{ONE}/segmentation.nii.gz": "any name in <case>/",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_a_person_would_match_are_matched_and_told(tmp_path, name):
    (path,) = laid(tmp_path, name)
    found = find_predictions(tmp_path, CASES)
    assert (found.files, found.ways) == ({ONE: path}, {ONE: NAMES[name]})
    assert NAMES[name] in WAYS
    assert (codes(found, tmp_path, [ONE]) == []) == (NAMES[name] == "<case>")


def test_every_way_is_tried():
    assert set(NAMES.values()) == set(WAYS)


def test_images_hidden_files_and_other_formats_are_passed_over_and_named(tmp_path):
    names = [f"{ONE}/{ONE}{end}" for end in ("-t1c.nii.gz", "_0000.nii.gz", "_0001.nii.gz", ".json", ".npz")]
    names += [f"{ONE}/t1ce.nii.gz", f"{ONE}_flair.nii.gz", f".1.{ONE}.nii.gz", "_cases.tsv", f"__MACOSX/{ONE}.nii.gz"]
    laid(tmp_path, *names, f"._{ONE}.nii.gz")
    found = find_predictions(tmp_path, CASES)
    assert (found.files, found.repeated, found.unknown) == ({}, {}, [])
    assert len(found.images) == 5
    assert {path.name for path in found.hidden} == {f".1.{ONE}.nii.gz", f"._{ONE}.nii.gz"}
    text = " ".join(finding.message for finding in matching_findings(found, tmp_path, "c", "m", CASES))
    for path in (*found.images, *found.hidden):
        assert path.name in text


def test_a_prediction_beside_its_images_is_the_prediction(tmp_path):
    laid(tmp_path, f"{ONE}_0000.nii.gz", f"{ONE}.nii.gz")
    found = find_predictions(tmp_path, CASES)
    assert found.files[ONE].name == f"{ONE}.nii.gz"
    assert [path.name for path in found.images] == [f"{ONE}_0000.nii.gz"]


@pytest.mark.parametrize("ids", [["case_0001", "case_0002"], ["sub-01_2019", "sub-01_2021"], ["x_0000", "x_0001"]])
def test_ids_that_end_in_four_digits_are_cases_and_no_channels(tmp_path, ids):
    laid(tmp_path, *[f"{case}.nii.gz" for case in ids])
    found = find_predictions(tmp_path, ids)
    assert sorted(found.files) == ids
    assert codes(found, tmp_path, ids) == []


def test_ids_that_end_in_four_digits_may_have_channels_of_their_own(tmp_path):
    laid(tmp_path, "case_0001.nii.gz", "case_0001_0000.nii.gz", "case_0001_0001.nii.gz")
    found = find_predictions(tmp_path, ["case_0001"])
    assert found.files["case_0001"].name == "case_0001.nii.gz"
    assert len(found.images) == 2


def test_two_predictions_and_predictions_of_nobody_are_told_apart(tmp_path):
    names = [f"{ONE}.nii.gz", f"{ONE}-seg.nii.gz", f"{CASES[1]}.nii.gz", "BraTS-GLI-09999-100.nii.gz"]
    laid(tmp_path, *names)
    found = find_predictions(tmp_path, CASES)
    assert list(found.files) == [CASES[1]]
    assert {path.name for path in found.repeated[ONE]} == set(names[:2])
    assert [path.name for path in found.unknown] == names[3:]
    assert codes(found, tmp_path) == ["EVA009", "EVA013"]


TWICE = [
    (f"{ONE}.nii.gz", f"{ONE}.mha"),
    (f"fold_0/validation/{ONE}.nii.gz", f"all/{ONE}.nii.gz"),
    (f"{ONE}/a.nii.gz", f"{ONE}/b.nii.gz"),
]


@pytest.mark.parametrize("pair", TWICE)
def test_an_ambiguous_case_is_refused_with_both_files(tmp_path, pair):
    paths = laid(tmp_path, *pair)
    with pytest.raises(PostTxError, match="EVA006") as caught:
        check_predictions(find_predictions(tmp_path, CASES), tmp_path, CASES)
    assert all(str(path) in str(caught.value) for path in paths)


def test_a_name_that_fits_two_cases_is_refused_with_both(tmp_path):
    cases = ["BraTS-GLI-00001-100", "BraTS-MET-00001-100"]
    laid(tmp_path, "result-00001-100.nii.gz")
    with pytest.raises(PostTxError, match="BraTS-GLI-00001-100 and BraTS-MET-00001-100"):
        find_predictions(tmp_path, cases)


def test_the_folder_of_one_case_does_not_take_another_case(tmp_path):
    laid(tmp_path, f"{ONE}/BraTS-GLI-00777-100.nii.gz")
    assert find_predictions(tmp_path, CASES).files == {}


def test_the_longest_id_is_meant(tmp_path):
    laid(tmp_path, "team_a_b.nii.gz")
    assert list(find_predictions(tmp_path, ["b", "a_b"]).files) == ["a_b"]


def test_no_match_at_all_is_refused_with_what_is_there_and_what_is_wanted(tmp_path):
    laid(tmp_path, "patient1.nii.gz", "deep/er/patient2.nii.gz", "deep/er/too/deep.nii.gz")
    with pytest.raises(PostTxError, match="EVA014") as caught:
        check_predictions(find_predictions(tmp_path, CASES), tmp_path, CASES)
    for part in ("2 volumes", "patient1.nii.gz", "deep/er/patient2.nii.gz", f"{ONE}.nii.gz", f"{DEPTH} levels"):
        assert part in str(caught.value)
    check_predictions(find_predictions(tmp_path, []), tmp_path, [])


def test_a_case_whose_own_id_ends_in_seg_is_itself(tmp_path):
    laid(tmp_path, "scan-seg.nii.gz")
    assert list(find_predictions(tmp_path, ["scan-seg"]).files) == ["scan-seg"]


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(PostTxError, match=r"EVA001.*does not exist"):
        find_predictions(tmp_path / "no", CASES)


@pytest.mark.parametrize(
    ("name", "case"), [("a_1.nii.gz", "a_1"), ("a_1_pp.nrrd", "a_1"), ("a_1-seg.nii", "a_1"), (f"x-{ONE}.mha", ONE)]
)
def test_the_case_of_a_name_without_a_folder(name, case):
    assert case_of_name(name, [ONE]) == case


# Other formats.

SHAPE = (5, 6, 7)
TURNED = np.array([[0, -1.5, 0, 30], [2.0, 0, 0, -20], [0, 0, 2.5, 10], [0, 0, 0, 1]])


@pytest.mark.parametrize("ending", [".mha", ".nrrd", ".NRRD"])
@pytest.mark.parametrize("affine", [np.diag([1.0, 1, 1, 1]), np.diag([-1.0, 1, 2, 1]), TURNED])
def test_other_formats_are_read_on_the_grid_that_nifti_has(tmp_path, ending, affine):
    data = (np.arange(210).reshape(SHAPE) % 5).astype(np.uint8)
    write_volume(tmp_path / "a.nii.gz", data, affine)
    SimpleITK.WriteImage(SimpleITK.ReadImage(tmp_path / "a.nii.gz"), tmp_path / f"a{ending.lower()}", True)
    (tmp_path / f"a{ending.lower()}").rename(tmp_path / f"b{ending}")
    volume = read_segmentation(tmp_path / f"b{ending}")
    expected = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.data, expected.data)
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-5)
    assert volume.data.flags.f_contiguous
    assert volume.orientation == "".join(nib.aff2axcodes(expected.affine))


DETACHED = {
    "a.mha": b"NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = /etc/hostname\n",
    "a.nrrd": b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: /etc/hostname\n\n",
}


@pytest.mark.parametrize("name", DETACHED)
def test_voxels_in_another_file_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(DETACHED[name])
    with pytest.raises(PostTxError, match=r"FIL003.*another file"):
        read_segmentation(tmp_path / name)


@pytest.mark.parametrize("name", DETACHED)
def test_what_is_no_volume_is_refused_under_its_code(tmp_path, name):
    for content, code in ((b"", "FIL003"), (b"nothing of the kind", "FIL003")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PostTxError, match=code):
            read_segmentation(tmp_path / name)
    flat = SimpleITK.GetImageFromArray(np.zeros((4, 4), np.uint8))
    SimpleITK.WriteImage(flat, tmp_path / name)
    with pytest.raises(PostTxError, match="FIL005"):
        read_segmentation(tmp_path / name)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((4, 4, 4), np.uint8)), tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-20])
    with pytest.raises(PostTxError, match="FIL"):
        read_segmentation(tmp_path / name)
    (tmp_path / name).unlink()
    with pytest.raises(PostTxError, match="FIL001"):
        read_segmentation(tmp_path / name)

"""Where predictions lie in a case, and what is to be done with one that lies nowhere: each remedy is followed."""

from __future__ import annotations

import itertools
import re

import nibabel as nib
import numpy as np
import pytest
from nibabel.processing import resample_from_to

from posttx.errors import PostTxError
from posttx.geometry.grids import Grid, difference_text, differs_by_rounding, grid_of, same_grid
from posttx.geometry.index_maps import same_voxels
from posttx.geometry.reading import Reading
from posttx.geometry.resampling import labels_on_grid
from posttx.nifti import read_volume, write_volume
from posttx.scoring.placement import prediction_on_grid

LAS = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
SHAPE = (20, 22, 24)
CASE = Grid(SHAPE, LAS)


def turned(data, affine, axes, flips):
    """Return the same voxels in world space, stored in another axis order and direction."""
    ornt = np.array([[axis, -1 if flip else 1] for axis, flip in zip(axes, flips, strict=True)])
    other = nib.Nifti1Image(data, affine).as_reoriented(ornt)
    return np.asarray(other.dataobj), other.affine


def labels(shape=SHAPE):
    """Return a lesion that no mirroring and no order of axes maps onto itself."""
    data = np.zeros(shape, np.uint8)
    data[3:9, 4:8, 5:17] = 2
    data[9:12, 4:14, 5:8] = 1
    return np.asfortranarray(data)


@pytest.fixture
def file(tmp_path):
    def write(data, affine, code=1):
        path = tmp_path / "pred.nii.gz"
        write_volume(path, np.asfortranarray(data), affine, code)
        if not code:
            image = nib.Nifti1Image(np.asarray(data), None)
            image.header["sform_code"] = image.header["qform_code"] = 0
            image.to_filename(path)
        return read_volume(path)

    return write


def placed(volume, reading=None, reference=None, evidence=None):
    reading = reading or Reading("agree", CASE, "t1c")
    return prediction_on_grid(volume.data, volume, reading, reference, reading.grid, "case-1", evidence)


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_every_orientation_of_the_cases_grid_is_mapped_back(axes, file):
    data = labels()
    for flips in itertools.product((False, True), repeat=3):
        volume = file(*turned(data, LAS, axes, flips))
        np.testing.assert_array_equal(placed(volume), data)


@pytest.mark.parametrize(
    "change",
    [
        lambda affine: affine @ np.diag([1, 1, 1.01, 1]),
        lambda affine: affine + np.array([[0, 0, 0, 0.5], [0] * 4, [0] * 4, [0] * 4]),
        lambda affine: affine + np.array([[0, 0.1, 0, 0], [0] * 4, [0] * 4, [0] * 4]),
        lambda affine: affine * np.array([[0.0], [1], [1], [1]]),
    ],
    ids=["spacing", "shift", "shear", "singular"],
)
def test_another_grid_is_no_orientation_of_this_one(change):
    other = Grid(SHAPE, change(LAS))
    assert not same_voxels(other, CASE)
    assert Reading("agree", CASE, "t1c").place_prediction(other) is None


def test_float32_noise_of_headers_is_no_other_grid():
    noisy = LAS + 5e-5 * np.array([[1, 0, 0, 1], [0, -1, 0, 1], [0, 0, 1, 1], [0] * 4])
    case = Grid((182, 218, 182), LAS)
    assert Reading("agree", case, "t1c").place_prediction(Grid(case.shape, noisy)) is case


def test_a_prediction_goes_where_the_file_goes_whose_header_it_shares():
    """The reference's header is wrong: predictions with the images' header and those with its own are both right."""
    wrong = LAS @ np.diag([-1.0, 1, 1, 1])
    wrong[:3, 3] = (0, 0, 0)
    reference = Grid(SHAPE, wrong)
    data = labels()
    trusted = Reading("trust_voxels", CASE, "t1c")
    for axes, flips in (((0, 1, 2), (False,) * 3), ((0, 1, 2), (True, False, False)), ((2, 0, 1), (False, True, True))):
        for affine in (LAS, wrong):
            stored, own = turned(data, affine, axes, flips)
            source = trusted.place_prediction(Grid(stored.shape, own), reference)
            np.testing.assert_array_equal(labels_on_grid(stored, source, CASE), data)
    assert trusted.place_prediction(Grid(SHAPE, LAS @ np.diag([2.0, 2, 2, 1])), reference) is None


def test_a_flipped_header_over_one_box_is_read_by_the_decision():
    """Both headers describe the same box, so that affines alone would also fit; the audit's decision tells."""
    _, flipped = turned(labels(), LAS, (0, 1, 2), (True, False, False))
    reference = Grid(SHAPE, flipped)
    for decision, expected in (("trust_voxels", LAS), ("trust_affine", flipped)):
        reading = Reading(decision, CASE, "t1c")
        assert reading.place_prediction(CASE, reference) is CASE
        np.testing.assert_array_equal(reading.place_prediction(reference, reference).affine, expected)


# --- rounded voxel sizes ---


def test_voxel_edges_with_three_decimals_are_the_same_grid_and_are_told(file):
    fine = Grid((256, 256, 160), LAS @ np.diag([0.9375, 0.9375, 1.0, 1.0]))
    rounded = Grid(fine.shape, LAS @ np.diag([0.938, 0.938, 1.0, 1.0]))
    assert same_grid(fine, rounded)
    assert differs_by_rounding(rounded, fine)
    assert not differs_by_rounding(fine, fine)
    text = difference_text(rounded, fine)
    assert "voxels of 0.938 x 0.938 x 1 mm against 0.9375 x 0.9375 x 1 mm" in text
    assert "a corner lies 0.18 mm off, 0.047 mm are tolerated" in text
    assert "origin" not in text


@pytest.mark.parametrize(
    "change",
    [
        lambda affine: affine @ np.diag([0.942 / 0.9375, 1, 1, 1]),
        lambda affine: affine + np.array([[0, 0, 0, 0.2], [0] * 4, [0] * 4, [0] * 4]),
        lambda affine: affine + np.array([[0, 0.001, 0, 0], [0] * 4, [0] * 4, [0] * 4]),
    ],
    ids=["two decimals", "shift", "shear"],
)
def test_nothing_but_rounding_passes_as_rounding(change):
    fine = Grid((256, 256, 160), LAS @ np.diag([0.9375, 0.9375, 1.0, 1.0]))
    other = Grid(fine.shape, change(fine.affine))
    assert not same_grid(fine, other)


def test_index_by_index_is_what_resampling_a_rounded_grid_would_give(file):
    """The accepted reading and resampling to the nearest neighbour give the same voxels."""
    fine = LAS @ np.diag([0.9375, 0.9375, 1.0, 1.0])
    data = np.random.default_rng(0).integers(0, 4, (160, 160, 3)).astype(np.uint8)
    other = nib.Nifti1Image(data, LAS @ np.diag([0.938, 0.938, 1.0, 1.0]))
    resampled = resample_from_to(other, (data.shape, fine), order=0)
    np.testing.assert_array_equal(np.asarray(resampled.dataobj), data)


# --- EVA002: the remedy is the true one ---


def refused(volume, evidence):
    with pytest.raises(PostTxError) as raised:
        placed(volume, evidence=evidence)
    assert (raised.value.code, raised.value.case) == ("EVA002", "case-1")
    assert raised.value.file.endswith("pred.nii.gz")
    assert "trust_voxels" not in raised.value.remedy
    return raised.value


def follow(remedy, volume, file):
    """Do to a prediction what the remedy says, with the tools that users have."""
    data, affine = volume.data, volume.affine
    if found := re.search(r"order its axes (\w), (\w), (\w)", remedy, re.IGNORECASE):
        data = data.transpose(["ijk".index(axis) for axis in found.groups()])
    if found := re.search(r"mirror it along ([ijk, ]+?)(?:,| and|$) then", remedy, re.IGNORECASE):
        data = np.flip(data, ["ijk".index(axis) for axis in found[1].split(", ")])
    if "copy the header" in remedy.lower():
        return file(data, LAS)
    assert "Resample" in remedy
    image = resample_from_to(nib.Nifti1Image(np.asarray(data), affine), (SHAPE, LAS), order=0)
    return file(np.asarray(image.dataobj), LAS)


IDENTITY = np.eye(4)
LOST = {
    "identity": (lambda data: data, IDENTITY, 1, "its affine is the identity"),
    "identity of another convention": (lambda data: data, np.diag([-1.0, -1, 1, 1]), 1, "its affine is the identity"),
    "edges alone": (lambda data: data, np.diag([2.0, 2, 2, 1]), 1, "its affine has no origin"),
    "no orientation": (lambda data: data, None, 0, "says nothing of orientation"),
    "array of another library": (lambda data: data.transpose(2, 1, 0), IDENTITY, 1, "order its axes k, j, i"),
    "mirrored too": (lambda data: data.transpose(2, 1, 0)[:, ::-1], IDENTITY, 1, "mirror it along j"),
    "header of another case": (lambda data: data, LAS @ np.diag([-1.0, -1, 1, 1]), 1, "does not fit its voxels"),
}


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_header_is_told_and_copying_it_back_gives_the_labels(kind, file):
    change, affine, code, told = LOST[kind]
    volume = file(change(labels()), affine, code)
    error = refused(volume, labels())
    assert told in f"{error.problem} {error.remedy}"
    assert "Dice of 1.00" in error.problem
    assert "header of the case's t1c" in error.remedy
    assert "do not resample" in error.remedy
    np.testing.assert_array_equal(placed(follow(error.remedy, volume, file)), labels())


def test_a_lost_header_is_told_without_labels_to_compare_with(file):
    volume = file(labels(), IDENTITY)
    error = refused(volume, np.zeros(SHAPE, np.uint8))
    assert "Dice" not in error.problem
    np.testing.assert_array_equal(placed(follow(error.remedy, volume, file)), labels())


def test_a_prediction_on_a_coarser_grid_is_to_be_resampled(file):
    coarse = resample_from_to(nib.Nifti1Image(labels(), LAS), ((10, 11, 12), LAS @ np.diag([2.0, 2, 2, 1])), order=0)
    volume = file(np.asarray(coarse.dataobj), coarse.affine)
    error = refused(volume, labels())
    assert "10 x 11 x 12 voxels against 20 x 22 x 24" in error.problem
    assert "voxels of 2 x 2 x 2 mm against 1 x 1 x 1 mm" in error.problem
    result = placed(follow(error.remedy, volume, file))
    assert (result == labels()).mean() > 0.97


def test_a_prediction_off_by_half_a_voxel_is_to_be_resampled(file):
    shifted = LAS.copy()
    shifted[2, 3] += 0.4
    volume = file(labels(), shifted)
    error = refused(volume, labels())
    assert "origin (90, -126, -71.6) against (90, -126, -72) mm" in error.problem
    assert "a corner lies 0.4 mm off, 0.05 mm are tolerated" in error.problem
    assert grid_of(follow(error.remedy, volume, file)).shape == SHAPE
    np.testing.assert_array_equal(placed(follow(error.remedy, volume, file)), labels())

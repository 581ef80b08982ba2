from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest

from posttx.errors import PostTxError
from posttx.nifti import read_volume, write_volume
from posttx.scoring.sources import (
    IDENTITY,
    AxisMap,
    Grid,
    aligned,
    alignment,
    axis_map,
    grid_of,
)

LAS = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
SHAPE = (5, 6, 7)


def turned(data, affine, axes, flips):
    """Return the same voxels in world space, stored in another axis order and direction."""
    image = nib.Nifti1Image(data, affine)
    ornt = np.array([[axis, -1 if flip else 1] for axis, flip in zip(axes, flips, strict=True)])
    other = image.as_reoriented(ornt)
    return np.asarray(other.dataobj), other.affine


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_every_orientation_of_the_same_grid_is_mapped_back(axes):
    data = np.arange(210, dtype=np.uint8).reshape(SHAPE)
    for flips in itertools.product((False, True), repeat=3):
        other, affine = turned(data, LAS, axes, flips)
        mapping = axis_map(Grid(other.shape, affine), Grid(SHAPE, LAS))
        assert mapping is not None
        np.testing.assert_array_equal(mapping.apply(other), data)


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
    assert axis_map(Grid(SHAPE, change(LAS)), Grid(SHAPE, LAS)) is None


def test_another_shape_is_another_grid():
    assert axis_map(Grid((5, 6, 8), LAS), Grid(SHAPE, LAS)) is None


def test_float32_noise_of_headers_is_no_other_grid():
    noisy = LAS + 5e-5 * np.array([[1, 0, 0, 1], [0, -1, 0, 1], [0, 0, 1, 1], [0] * 4])
    assert axis_map(Grid((182, 218, 182), noisy), Grid((182, 218, 182), LAS)) == IDENTITY


def test_trusted_voxels_lay_predictions_on_the_images_grid_index_by_index():
    image = Grid(SHAPE, LAS)
    wrong = LAS @ np.diag([-1.0, 1, 1, 1])  # The reference's header says otherwise than the voxels do.
    wrong[:3, 3] = (0, 0, 0)
    reference = Grid(SHAPE, wrong)
    flip = AxisMap((0, 1, 2), (True, False, False))
    ours = alignment(image, reference, image, "trust_voxels")
    copied = alignment(reference, reference, image, "trust_voxels")
    data, affine = turned(np.arange(210, dtype=np.uint8).reshape(SHAPE), LAS, (0, 1, 2), (True, False, False))
    theirs = alignment(Grid(data.shape, affine), reference, image, "trust_voxels")
    assert (ours, copied, theirs) == (IDENTITY, IDENTITY, flip)
    assert alignment(image, reference, image, "trust_affine") is None
    assert alignment(Grid(SHAPE, LAS @ np.diag([2.0, 2, 2, 1])), reference, image, "trust_voxels") is None


def test_flipped_header_of_one_box_is_read_by_the_decision():
    image = Grid(SHAPE, LAS)
    _, flipped = turned(np.zeros(SHAPE), LAS, (0, 1, 2), (True, False, False))
    reference = Grid(SHAPE, flipped)
    assert alignment(image, reference, image, "trust_voxels") == IDENTITY
    assert alignment(image, reference, image, "trust_affine") == AxisMap((0, 1, 2), (True, False, False))


def test_another_grid_is_refused_with_both_grids_and_a_remedy(tmp_path):
    write_volume(tmp_path / "a.nii.gz", np.zeros((5, 6, 8), np.uint8), LAS)
    volume = read_volume(tmp_path / "a.nii.gz")
    reference = Grid(SHAPE, LAS)
    with pytest.raises(PostTxError, match=r"EVA002.*case-1.*5 x 6 x 8 LAS.*5 x 6 x 7.*Resample"):
        aligned(volume.data, alignment(grid_of(volume), reference), volume, reference, "case-1")

"""The slice that the audit keeps of a case: which one, how it lies, what stands in it."""

import io

import nibabel as nib
import numpy as np
import pytest
from audit_cases import audited, copy_case, rewrite, write_phantoms
from PIL import Image

from posttx.nifti import read_volume, write_volume


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    return next(iter(write_phantoms(tmp_path_factory.mktemp("thumbnails"), 1).values()))


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def row_of(files, **options):
    (row,) = audited(files, **options).thumbnails
    return row


def reorient(path, codes):
    image = nib.load(path)
    turn = nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(codes))
    turned = image.as_reoriented(turn)
    write_volume(path, np.asarray(turned.dataobj), turned.affine)


def test_the_slice_with_the_largest_labelled_area_is_kept(phantom):
    seg = read_volume(phantom["seg"]).data
    level = int((seg > 0).sum(axis=(0, 1)).argmax())
    row = row_of(phantom)
    labels = pixels(row["labels"])
    assert np.array_equal(
        np.bincount(labels.ravel(), minlength=5)[1:], np.bincount(seg[:, :, level].ravel(), minlength=5)[1:]
    )
    assert pixels(row["image"]).shape == labels.shape
    assert (row["modality"], row["row_mm"], row["column_mm"]) == ("t2f", 3.0, 3.0)


def test_rows_run_from_anterior_to_posterior_and_the_right_is_on_the_left(phantom, tmp_path):
    files = copy_case(phantom, tmp_path)
    shape = read_volume(files["seg"]).data.shape

    def corner(data):
        # Written L-A-S: i grows to the left, j to the front.
        data = np.zeros_like(data)
        data[2:6, shape[1] - 8 : shape[1] - 2, 20:24] = 1
        return data

    rewrite(files["seg"], corner)
    labels = pixels(row_of(files)["labels"])
    where = np.argwhere(labels == 1)
    assert len(where) == 24
    assert where[:, 0].max() < labels.shape[0] / 2
    assert where[:, 1].max() < labels.shape[1] / 2


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SRP", "ASR"])
def test_the_picture_does_not_depend_on_how_the_file_is_stored(phantom, tmp_path, codes):
    files = copy_case(phantom, tmp_path)
    for path in files.values():
        reorient(path, codes)
    plain, turned = row_of(phantom), row_of(files)
    assert np.array_equal(pixels(plain["labels"]), pixels(turned["labels"]))
    assert np.array_equal(pixels(plain["image"]), pixels(turned["image"]))


def test_the_reference_is_drawn_where_the_accepted_reading_puts_it(phantom, tmp_path):
    files = copy_case(phantom, tmp_path)

    def turned(affine):
        # Another header over the same array, as in the real cases: R-A-S images, L-P-S reference.
        shape = read_volume(files["seg"]).data.shape
        return affine @ np.array(
            [[-1, 0, 0, shape[0] - 1], [0, -1, 0, shape[1] - 1], [0, 0, 1, 0], [0, 0, 0, 1]], float
        )

    rewrite(files["seg"], affine=turned)
    by_voxels = pixels(row_of(files, geometry="trust_voxels")["labels"])
    assert np.array_equal(by_voxels, pixels(row_of(phantom)["labels"]))
    by_affine = pixels(row_of(files, geometry="trust_affine")["labels"])
    assert not np.array_equal(by_affine, by_voxels)


def test_grey_values_span_the_clipped_range_and_background_is_black(phantom):
    image = pixels(row_of(phantom)["image"])
    assert image[0, 0] == 0
    assert image.max() == 255
    assert set(np.unique(image[image > 0])) <= set(range(1, 256))


def test_labels_beyond_a_byte_are_kept_as_strange(phantom, tmp_path):
    files = copy_case(phantom, tmp_path)
    rewrite(files["seg"], lambda data: np.where(data > 0, 4000, 0).astype(np.int16))
    assert set(np.unique(pixels(row_of(files)["labels"]))) == {0, 255}


def test_a_case_without_a_reference_shows_the_middle_of_the_head(phantom):
    row = row_of({name: path for name, path in phantom.items() if name != "seg"})
    assert row["labels"] is None
    assert (pixels(row["image"]) > 0).mean() > 0.4


def test_where_flair_is_broken_another_image_is_shown(phantom, tmp_path):
    files = copy_case(phantom, tmp_path)
    files["t2f"].write_bytes(b"nothing")
    assert row_of(files)["modality"] == "t1c"


def test_a_case_that_cannot_be_read_has_a_row_without_a_picture(tmp_path):
    row = row_of({name: tmp_path / f"{name}.nii.gz" for name in ("t1n", "t1c", "t2w", "t2f", "seg")})
    assert (row["case"], row["image"], row["labels"], row["modality"]) == ("case-1", None, None, None)

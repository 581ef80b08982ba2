import io

import nibabel as nib
import numpy as np
import pytest
import results_tree as tree
from PIL import Image

from posttx.errors import PostTxError
from posttx.geometry.grids import grid_of
from posttx.geometry.reading import Reading
from posttx.nifti import read_volume, write_volume
from posttx.reporting.case_pictures import draw_case
from posttx.reporting.case_volumes import (
    assembled,
    averaged,
    cropped,
    read_scan,
    tile,
    upright,
    view_mm,
)

LABEL_COLORS = {label.value: label.color for label in tree.SCHEME.labels}
SHAPE = (20, 24, 18)
LAS = np.diag([-3.0, 3.0, 3.0, 1.0])


def volumes(reference=True, lesion=True):
    draw = np.random.default_rng(0)
    image = np.zeros(SHAPE, np.float32)
    image[2:-2, 2:-2, 2:-2] = draw.uniform(50, 100, (16, 20, 14))
    labels = np.zeros(SHAPE, np.int16)
    if lesion:
        labels[5:9, 8:14, 6:10] = 2
        labels[6:8, 9:12, 7:9] = 3
    maps = {"ref": labels} if reference else {}
    maps["pred"] = np.roll(labels, 1, 0)
    return assembled(
        "BraTS-GLI-00001-100",
        dict.fromkeys(("t1n", "t1c", "t2w", "t2f"), image).items(),
        {kind: cropped(volume) for kind, volume in maps.items()},
        SHAPE,
        np.diag([3.0, 3.0, 3.0, 1.0]),
    )


def write_case(folder, case, affine=LAS, shape=SHAPE, reference_affine=None):
    rng = np.random.default_rng(1)
    paths = {}
    for name in ("t1n", "t1c", "t2w", "t2f"):
        paths[name] = str(folder / f"{case}-{name}.nii.gz")
        write_volume(paths[name], rng.uniform(1, 9, shape).astype(np.float32), affine)
    labels = np.zeros(shape, np.uint8)
    labels[2:5, 3:9, 4:8] = 1
    paths["seg"] = str(folder / f"{case}-seg.nii.gz")
    write_volume(paths["seg"], labels, affine if reference_affine is None else reference_affine)
    return paths


def reading_by(path, decision="agree"):
    return Reading(decision, grid_of(read_volume(path)), "t1n")


def middle(case):
    return tuple((side.start + side.stop - 1) // 2 for side in case.labels.box)


def test_the_view_is_radiological_and_upright():
    volume = np.zeros((3, 4, 5))
    volume[2, 3, 4] = 1  # the most right... R-A-S grows to the right, front and top
    assert upright(volume[:, :, 4], 2)[0, 0] == 1  # patient's right on the left, front up
    assert upright(volume[:, 3], 1)[0, 0] == 1  # patient's right on the left, top up
    assert upright(volume[2], 0)[0, -1] == 1  # front to the right, top up


def test_a_case_is_turned_to_ras_and_aligned_by_affine(tmp_path):
    paths = write_case(tmp_path, "a")
    prediction = tmp_path / "pred.nii.gz"
    labels = nib.load(paths["seg"]).get_fdata()[::-1].astype(np.uint8)
    flipped = np.diag([3.0, 3.0, 3.0, 1.0])
    flipped[0, 3] = -3.0 * (SHAPE[0] - 1)
    write_volume(prediction, labels, flipped)
    images = {name: paths[name] for name in ("t1n", "t1c")}
    case = read_scan("a", images, paths["seg"], reading_by(paths["t1n"])).with_prediction(prediction)
    assert np.array_equal(case.labels.maps["ref"], case.labels.maps["pred"])
    # L-A-S indices 2 to 4 are that far from the left in R-A-S
    assert case.labels.box == (slice(SHAPE[0] - 5, SHAPE[0] - 2), slice(3, 9), slice(4, 8))
    assert (case.labels.maps["ref"] == 1).all()
    assert np.allclose(case.affine @ [SHAPE[0] - 3, 3, 4, 1], LAS @ [2, 3, 4, 1])


def test_voxels_may_be_trusted_over_affines(tmp_path):
    paths = write_case(tmp_path, "a", reference_affine=np.diag([-3.0, -3.0, 3.0, 1.0]))
    images = {"t1n": paths["t1n"]}
    with pytest.raises(PostTxError, match="contradict each other"):
        read_scan("a", images, paths["seg"], reading_by(paths["t1n"], "fail"))
    shown = read_scan("a", images, paths["seg"], reading_by(paths["t1n"], "trust_voxels")).with_prediction(None)
    assert shown.labels.maps["ref"].sum() == 3 * 6 * 4


def test_another_grid_is_refused_by_name(tmp_path):
    paths = write_case(tmp_path, "a")
    write_volume(tmp_path / "p.nii.gz", np.zeros((4, 4, 4), np.uint8), LAS)
    scan = read_scan("a", {"t1n": paths["t1n"]}, None, reading_by(paths["t1n"]))
    with pytest.raises(PostTxError, match=r"p\.nii\.gz"):
        scan.with_prediction(tmp_path / "p.nii.gz")


def drawn(case, colors):
    return draw_case(case, middle(case), 0.0, colors, tree.NAMES)


def redness(case):
    """Return how far red is above the other channels in the reddest of 500 pixels of the T1 panels."""
    pixels = np.asarray(Image.open(io.BytesIO(drawn(case, LABEL_COLORS))).convert("RGB")).astype(int)
    panel = pixels[:-30, : pixels.shape[1] // 5]
    return np.percentile(panel[..., 0] - panel[..., 1:].max(axis=2), 99.8)


def test_the_outline_of_a_core_is_not_hidden_by_that_of_its_rim():
    case = volumes()
    for labels in case.labels.maps.values():
        core = (labels == 3).any(axis=2, keepdims=True) & (labels > 0)
        labels[labels > 0] = 3
        labels[core] = 1
    assert redness(case) > 30
    assert redness(volumes()) < 15


@pytest.mark.parametrize(("reference", "lesion"), [(True, True), (False, True), (True, False)])
def test_a_picture_is_drawn_with_or_without_reference_and_lesion(reference, lesion):
    content = drawn(volumes(reference, lesion), LABEL_COLORS)
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "WEBP"
        assert picture.width > 900
    assert content == drawn(volumes(reference, lesion), LABEL_COLORS)


def test_contours_are_in_the_class_colour():
    content = drawn(volumes(), {2: "#00ff00", 3: "#ff0000"})
    with Image.open(io.BytesIO(content)) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    green = (pixels[..., 1] > 180) & (pixels[..., 0] < 110) & (pixels[..., 2] < 110)
    assert green.sum() > 100


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("factors", [(2, 2, 2), (1, 3, 2), (1, 1, 1)])
def test_blocks_are_averaged_with_nothing_beyond_the_end(order, factors):
    image = np.random.default_rng(0).integers(0, 4000, (7, 6, 5)).astype(np.int16)
    wide = np.pad(image, [(0, -size % n) for size, n in zip(image.shape, factors, strict=True)]).astype(float)
    blocks = wide.reshape([part for size, n in zip(wide.shape, factors, strict=True) for part in (size // n, n)])
    found = averaged(np.asarray(image, order=order), factors)
    np.testing.assert_allclose(found, blocks.mean(axis=(1, 3, 5)), rtol=1e-6)


def test_a_tile_shows_the_voxels_of_its_slice():
    draw = np.random.default_rng(0)
    image, labels = draw.uniform(1, 2, SHAPE), np.zeros(SHAPE)
    labels[4:9, 5:12, 7:10] = draw.integers(1, 4, (5, 7, 3))
    labels[6, 8, 13] = 4
    case = assembled("a", [("t1c", image)], {"ref": cropped(labels)}, SHAPE, np.diag([1.0, 2.0, 3.0, 1.0]))
    place = (6, 8, 8)
    for axis, index in enumerate(place):
        cut = tile(case, "t1c", axis, place)
        np.testing.assert_array_equal(cut.image, upright(image.take(index, axis), axis))
        np.testing.assert_array_equal(cut.maps["ref"], upright(labels.take(index, axis), axis))
    assert tile(case, "t1c", 0, place).aspect == pytest.approx(3 / 2)


def test_the_view_near_the_lesion_holds_all_of_it_and_stays_in_the_scan():
    labels = np.zeros((150, 140, 30))
    labels[2:30, 60:90, 10:20] = 2
    affine = np.eye(4)
    case = assembled("a", [("t1c", np.ones(labels.shape))], {"ref": cropped(labels)}, labels.shape, affine)
    near = tile(case, "t1c", 2, middle(case), view_mm(20.0))
    assert near.image.shape == near.maps["ref"].shape == (70, 70)
    assert (near.maps["ref"] == 2).sum() == 28 * 30
    assert near.image.all()


def test_the_head_is_what_any_image_or_label_holds():
    first, second, labels = (np.zeros((60, 50, 40)) for _ in range(3))
    first[20:30, 20:30, 20:30] = 5
    second[25:40, 22:28, 10:15] = -5
    labels[45, 25, 25] = 1
    images = [("t1n", first), ("t1c", second)]
    case = assembled("a", images, {"pred": cropped(labels)}, first.shape, np.diag([2.0, 2.0, 2.0, 1.0]))
    assert case.head == (slice(18, 48), slice(18, 32), slice(8, 32))
    nothing = assembled("a", [("t1n", np.zeros(first.shape))], {}, first.shape, np.eye(4))
    assert tile(nothing, "t1n", 2, middle(nothing)).image.size

"""Grids: the way to the standard grid and back, exact where it can be, and close where it cannot."""

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttx.errors import PostTxError
from posttx.geometry.grids import Grid, same_grid, standard_grid
from posttx.geometry.index_maps import needs_resampling, same_voxels
from posttx.geometry.reading import Reading
from posttx.geometry.resampling import image_on_grid, labels_on_grid
from posttx.geometry.transforms import grid_columns, grids_of_row, restore_labels
from posttx.nifti import Volume

LAS = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
CODES = ["".join(code) for axes in itertools.permutations(["RL", "AP", "SI"]) for code in itertools.product(*axes)]


def affine_of(orientation: str, spacing, origin=(3.0, -7.0, 11.0)) -> np.ndarray:
    affine = nib.orientations.inv_ornt_aff(nib.orientations.axcodes2ornt(tuple(orientation)), (1, 1, 1))
    affine = np.round(affine) @ np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    return affine


def world(grid: Grid, index) -> np.ndarray:
    return (grid.affine @ [*index, 1])[:3]


def blobs(shape, spacing, seed=0) -> np.ndarray:
    """Return four nested and touching round lesions of some 10 to 30 mm in world units, label 1 to 4."""
    draw = np.random.default_rng(seed)
    grid = np.meshgrid(*[(np.arange(n) + 0.5) * s for n, s in zip(shape, spacing, strict=True)], indexing="ij")
    extent = np.array(shape) * spacing
    result = np.zeros(shape, np.uint8)
    centre = extent * draw.uniform(0.4, 0.6, 3)
    for label, radius in ((2, 26), (1, 15), (3, 10)):
        result[sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True)) < radius**2] = label
    result[sum((axis - c) ** 2 for axis, c in zip(grid, np.add(centre, (22, 0, 0)), strict=True)) < 12**2] = 4
    return result


def dice(one, other, label) -> float:
    return 2 * np.sum((one == label) & (other == label)) / (np.sum(one == label) + np.sum(other == label))


def test_las_to_ras_flips_the_first_axis_and_moves_the_origin():
    grid = Grid((182, 218, 182), LAS)
    standard = standard_grid(grid, "RAS", 1.0)
    assert standard.shape == grid.shape
    np.testing.assert_array_equal(standard.affine, [[1, 0, 0, -91], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
    assert not needs_resampling(grid, standard)


@given(source=st.sampled_from(CODES), target=st.sampled_from(CODES), shape=st.tuples(*[st.integers(1, 5)] * 3))
@settings(max_examples=100, deadline=None)
def test_any_orientation_is_reached_and_left_without_changing_a_bit(source, target, shape):
    data = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    grid = Grid(shape, affine_of(source, (1, 1, 1)))
    standard = standard_grid(grid, target, 1.0)
    assert standard.orientation == target
    there = image_on_grid(data, grid, standard)
    image = nib.Nifti1Image(data, grid.affine)
    peer = image.as_reoriented(
        nib.orientations.ornt_transform(nib.io_orientation(grid.affine), nib.orientations.axcodes2ornt(tuple(target)))
    )
    np.testing.assert_array_equal(there, np.asarray(peer.dataobj))
    np.testing.assert_allclose(standard.affine, peer.affine)
    assert np.array_equal(image_on_grid(there, standard, grid).view(np.uint32), data.view(np.uint32))


@given(
    orientation=st.sampled_from(CODES),
    spacing=st.tuples(*[st.floats(0.4, 6)] * 3),
    shape=st.tuples(*[st.integers(2, 40)] * 3),
)
@settings(max_examples=100, deadline=None)
def test_resampling_keeps_centre_and_extent(orientation, spacing, shape):
    grid = Grid(shape, affine_of(orientation, spacing))
    standard = standard_grid(grid, "RAS", 1.0)
    assert standard.orientation == "RAS"
    centre = world(grid, (np.array(shape) - 1) / 2)
    np.testing.assert_allclose(world(standard, (np.array(standard.shape) - 1) / 2), centre, atol=1e-6)
    kept = np.abs(standard.spacing - 1) < 1.1e-3
    assert kept.all()
    extent = np.sort(np.array(shape) * grid.spacing)
    assert np.all(np.abs(np.sort(np.array(standard.shape) * standard.spacing) - extent) <= 0.52)


def test_oblique_axes_stay_oblique():
    angle = 0.2
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = LAS.copy()
    affine[:3, :3] = turn @ affine[:3, :3]
    grid = Grid((10, 12, 14), affine)
    standard = standard_grid(grid, "RAS", 1.0)
    assert not needs_resampling(grid, standard)
    assert standard.orientation == "RAS"
    np.testing.assert_allclose(np.abs(standard.affine[:3, :3]), np.abs(turn))


def test_an_affine_off_by_rounding_is_the_same_grid():
    grid = Grid((182, 218, 182), LAS)
    rounded = LAS + np.random.default_rng(0).uniform(-1e-6, 1e-6, (4, 4)) * [[1], [1], [1], [0]]
    assert same_grid(grid, Grid(grid.shape, rounded))
    assert not needs_resampling(Grid(grid.shape, rounded), standard_grid(grid, "RAS", 1.0))
    shifted = LAS.copy()
    shifted[0, 3] += 0.5
    assert not same_grid(grid, Grid(grid.shape, shifted))
    assert not same_grid(grid, Grid((182, 218, 181), LAS))


def test_a_spacing_off_by_rounding_keeps_its_voxels():
    grid = Grid((240, 240, 155), affine_of("LPS", (0.9995, 1.0, 1.0004)))
    assert not needs_resampling(grid, standard_grid(grid, "RAS", 1.0))


def test_a_shift_by_whole_voxels_is_copied_and_padded_with_zero():
    data = np.arange(1, 28, dtype=np.float64).reshape(3, 3, 3)
    grid, moved = Grid((3, 3, 3), np.eye(4)), np.eye(4)
    moved[0, 3] = 1
    result = image_on_grid(data, grid, Grid((3, 3, 3), moved))
    np.testing.assert_array_equal(result[:2], data[1:])
    assert not result[2].any()
    moved[0, 3] = 7
    assert not image_on_grid(data, grid, Grid((3, 3, 3), moved)).any()


def test_no_copy_is_made_where_the_voxels_are_the_same():
    data = np.zeros((4, 5, 6), np.float32)
    grid = Grid(data.shape, LAS)
    assert np.shares_memory(image_on_grid(data, grid, standard_grid(grid, "PIR", 1.0)), data)


def test_the_same_voxels_are_known_in_any_order():
    grid = Grid((4, 5, 6), LAS)
    for orientation in CODES:
        assert same_voxels(grid, standard_grid(grid, orientation, 1.0))
    shifted = LAS.copy()
    shifted[0, 3] += 1
    assert not same_voxels(grid, Grid(grid.shape, shifted))
    assert not same_voxels(grid, Grid((4, 5, 5), LAS))
    assert not same_voxels(grid, standard_grid(grid, "RAS", 2.0))


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_a_linear_ramp_survives_any_resampling(interpolation):
    shape = (24, 20, 12)
    grid = Grid(shape, affine_of("LPS", (0.8, 1.3, 2.5)))
    standard = standard_grid(grid, "RAS", 1.0)

    def ramp(of: Grid):
        index = np.stack(np.meshgrid(*map(np.arange, of.shape), indexing="ij"), -1)
        return 500 + (index @ of.affine[:3, :3].T + of.affine[:3, 3]) @ [1.0, -2.0, 3.0]

    result = image_on_grid(ramp(grid), grid, standard, interpolation)
    inner = (slice(5, -5),) * 3
    np.testing.assert_allclose(result[inner], ramp(standard)[inner], rtol=1e-3)


def test_a_tilted_grid_takes_the_general_way_to_nearly_the_same_values():
    data = np.random.default_rng(0).normal(100, 5, (16, 18, 20)).astype(np.float32)
    grid = Grid(data.shape, affine_of("LAS", (1.5, 1.5, 1.5)))
    standard = standard_grid(grid, "RAS", 1.0)
    tilt = np.eye(4)
    tilt[0, 1] = 0.01
    general = image_on_grid(data, grid, Grid(standard.shape, standard.affine @ tilt))
    separable = image_on_grid(data, grid, standard)
    inner = (slice(3, -3),) * 3
    assert np.abs(general[inner] - separable[inner]).mean() < 1.5


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_background_stays_exactly_zero(interpolation):
    data = np.zeros((20, 20, 20), np.float32)
    data[5:15, 5:15, 5:15] = np.random.default_rng(0).normal(100, 5, (10, 10, 10))
    grid = Grid(data.shape, affine_of("RAS", (2, 2, 2)))
    result = image_on_grid(data, grid, standard_grid(grid, "RAS", 1.0), interpolation)
    assert result.shape == (40, 40, 40)
    assert (result != 0).sum() == 20**3
    assert (result[10:30, 10:30, 10:30] != 0).all()


def test_what_lies_outside_the_source_is_zero():
    data = np.full((10, 10, 10), 7.0)
    source = Grid(data.shape, affine_of("RAS", (2, 2, 2), (0, 0, 0)))
    target = Grid((60, 60, 60), affine_of("RAS", (1, 1, 1), (-20.5, -20.5, -20.5)))
    result = image_on_grid(data, source, target)
    assert (result != 0).sum() == 20**3
    np.testing.assert_allclose(result[result != 0], 7)
    assert (labels_on_grid(data.astype(np.uint8), source, target) == 7).sum() == 20**3


@given(
    orientation=st.sampled_from(CODES),
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    target=st.sampled_from(["RAS", "LPI", "SAR"]),
)
@settings(max_examples=60, deadline=None)
def test_labels_come_back_identical_without_resampling(orientation, shape, target):
    labels = np.random.default_rng(2).integers(0, 5, shape).astype(np.uint8)
    grid = Grid(shape, affine_of(orientation, (1, 1, 1)))
    standard = standard_grid(grid, target, 1.0)
    row = grid_columns(grid, standard)
    assert row["resampled"] is False
    back, affine = restore_labels(labels_on_grid(labels, grid, standard), row)
    np.testing.assert_array_equal(back, labels)
    np.testing.assert_array_equal(affine, grid.affine)
    assert back.dtype == labels.dtype
    assert back.flags.f_contiguous


@pytest.mark.parametrize(
    ("spacing", "orientation"),
    [
        ((1.2, 1.2, 1.2), "LPS"),
        ((0.9, 0.9, 0.9), "RAS"),
        ((1.0, 1.0, 3.0), "PIR"),
        ((0.7, 0.7, 1.5), "LAS"),
        ((2, 2, 2), "RAS"),
    ],
)
def test_labels_come_back_with_dice_098_at_1_mm(spacing, orientation):
    shape = tuple(int(90 / edge) for edge in spacing)
    labels = blobs(shape, spacing)
    grid = Grid(shape, affine_of(orientation, spacing))
    standard = standard_grid(grid, "RAS", 1.0)
    there = labels_on_grid(labels, grid, standard)
    row = grid_columns(grid, standard)
    assert row["resampled"] is True
    back, _ = restore_labels(there, row)
    assert set(np.unique(there)) == {0, 1, 2, 3, 4}
    for label in (1, 2, 3, 4):
        assert dice(back, labels, label) >= 0.98
        volume = np.prod(spacing) * np.sum(labels == label)
        assert np.sum(there == label) == pytest.approx(volume, rel=0.05)


@pytest.mark.parametrize("label", [1, 255])
def test_no_integer_arises_between_two_labels(label):
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[:6], labels[6:] = 2, label
    grid = Grid(labels.shape, affine_of("RAS", (1.7, 1.7, 1.7)))
    there = labels_on_grid(labels, grid, standard_grid(grid, "RAS", 1.0))
    assert set(np.unique(there)) == {2, label}


def test_an_empty_map_stays_empty_and_a_full_one_full():
    grid = Grid((9, 9, 9), affine_of("LPS", (2, 2, 2)))
    standard = standard_grid(grid, "RAS", 1.0)
    assert not labels_on_grid(np.zeros(grid.shape, np.uint8), grid, standard).any()
    assert (labels_on_grid(np.full(grid.shape, 3, np.uint8), grid, standard) == 3).all()


def test_a_row_survives_its_text_form_exactly():
    rng = np.random.default_rng(0)
    affine = np.vstack([rng.normal(size=(3, 4)), [0, 0, 0, 1]])
    one, other = Grid((3, 4, 5), affine), Grid((6, 7, 8), LAS)
    for grid, again in zip((one, other), grids_of_row(grid_columns(one, other)), strict=True):
        assert grid.shape == again.shape
        np.testing.assert_array_equal(grid.affine, again.affine)


def test_a_map_of_another_grid_is_not_restored():
    grid = Grid((3, 4, 5), LAS)
    row = {**grid_columns(grid, standard_grid(grid, "RAS", 1.0)), "case": "X-1"}
    with pytest.raises(PostTxError, match="case X-1: the label map has shape"):
        restore_labels(np.zeros((5, 4, 3), np.uint8), row)


def volume(shape, affine) -> Volume:
    return Volume(np.zeros(shape, np.uint8), affine, nib.Nifti1Header(), Path("a-seg.nii.gz"))


def test_the_reading_of_the_audit_says_where_a_file_lies():
    leader = Grid((4, 5, 6), LAS)
    other = Grid((4, 5, 6), np.diag([-1.0, -1, 1, 1]))
    same = Grid((4, 5, 6), LAS.copy())
    for decision in ("agree", "trust_affine", "trust_voxels", "fail"):
        assert Reading(decision, leader, "t1c").place(same) is leader
    assert Reading("trust_voxels", leader, "t1c").place(other) is leader
    assert Reading("trust_affine", leader, "t1c").place(other) is other
    with pytest.raises(PostTxError, match=r"GEO001.*contradict"):
        Reading("fail", leader, "t1c").place(other)
    with pytest.raises(PostTxError, match="no index-by-index reading"):
        Reading("trust_voxels", leader, "t1c").place(Grid((4, 5, 7), LAS))

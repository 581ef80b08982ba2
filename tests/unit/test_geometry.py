import re

import nibabel as nib
import numpy as np
import pytest
from audit_cases import audited, codes, copy_case, rewrite, write_phantoms
from hypothesis import given
from hypothesis import strategies as st
from six_geometries import GEOMETRIES

from posttx.auditing.agreement import among, carry, eta_squared, flat_places, label_points, unravel
from posttx.auditing.geometry import head_findings, majority_grid
from posttx.geometry.grids import Grid, difference_text, displacement, same_grid, valid_affine

LAS = np.diag([-1.0, 1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return next(iter(write_phantoms(tmp_path_factory.mktemp("phantoms"), 1).values()))


def flip_xy(affine):
    """Turn an affine as in the two real cases: the same voxels, left and right and front and back exchanged."""
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


@pytest.mark.parametrize(("noise", "same"), [(0.0, True), (1e-6, True), (1e-5, True), (0.1, False)])
def test_tiny_differences_of_affines_are_none(noise, same):
    affine = LAS.copy()
    affine[:3] += noise
    assert same_grid(Grid((182, 218, 182), LAS), Grid((182, 218, 182), affine)) is same


def test_displacement_is_that_of_the_worst_corner():
    turned = LAS.copy()
    turned[0, 1] = 0.1
    assert displacement(LAS, turned, (11, 11, 11)) == pytest.approx(1.0)


def test_majority_names_the_files_that_differ():
    moved = LAS.copy()
    moved[0, 3] = 9
    grids = {name: Grid((9, 9, 9), LAS) for name in ("t1n", "t1c", "t2w", "t2f")}
    assert majority_grid(grids) == ("t1n", [])
    assert majority_grid({**grids, "t1n": Grid((9, 9, 9), moved)}) == ("t1c", ["t1n"])


@pytest.mark.parametrize(
    "affine",
    [np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([0.001, 1, 1, 1]), np.diag([50.0, 1, 1, 1]), np.ones((4, 4))],
)
def test_impossible_affines(affine):
    assert not valid_affine(affine)
    assert valid_affine(LAS)


@given(st.tuples(*[st.integers(1, 6)] * 3), st.data())
def test_places_and_indices_are_each_others_inverse(shape, data):
    places = np.arange(np.prod(shape))
    points = unravel(places, shape)
    assert (flat_places(points, shape) == places).all()
    assert (flat_places(points + np.array(shape), shape) == -1).all()


def test_carry_by_affine_finds_the_same_point_in_another_orientation():
    ras = np.diag([1.0, 1.0, 1.0, 1.0])
    ras[0, 3] = -9
    source, target = Grid((10, 10, 10), LAS), Grid((10, 10, 10), ras)
    points = np.array([[0, 1, 2], [9, 0, 0]])
    assert (
        carry(points, source, target, "affine") == flat_places(np.array([[9, 1, 2], [0, 0, 0]]), (10, 10, 10))
    ).all()
    assert (carry(points, source, target, "voxels") == flat_places(points, (10, 10, 10))).all()


def test_eta_squared_is_the_share_of_variance_that_groups_explain():
    assert eta_squared(np.array([0, 0, 1, 1]), np.array([1.0, 1.0, 3.0, 3.0])) == 1.0
    assert eta_squared(np.array([0, 1, 0, 1]), np.array([1.0, 1.0, 3.0, 3.0])) == 0.0
    assert eta_squared(np.zeros(5, int), np.arange(5.0)) == 0.0
    assert eta_squared(np.array([0, 0, 1, 1, 1]), np.array([1.0, 1.0, 3.0, 3.0, np.nan])) == 1.0
    assert eta_squared(np.zeros(0, int), np.zeros(0)) == 0.0


def test_label_points_are_labelled_and_their_surroundings_are_not():
    labels = np.zeros((30, 30, 30), int, order="F")
    labels[10:20, 10:20, 10:20] = 2
    flat = labels.ravel(order="K")
    places = np.flatnonzero(flat)
    points, groups = label_points(places, flat[places], labels.shape, np.ones(3))
    at = labels[tuple(points.T)]
    assert (at[groups == 1] == 2).all()
    assert (at[groups == 0] == 0).all()
    assert (groups == 0).sum() > 100
    assert (among(np.array([places[0], -1, 10**9]), places) == [True, False, False]).all()


def test_no_labels_give_no_points():
    points, groups = label_points(np.zeros(0, int), np.zeros(0, int), (5, 5, 5), np.ones(3))
    assert points.shape == (0, 3)
    assert groups.size == 0


def test_files_on_one_grid_agree(files):
    audit = audited(files)
    assert [row["decision"] for row in audit.geometry] == ["agree"]
    assert not {finding.code for finding in audit.findings if finding.row()["severity"] != "info"}


@pytest.mark.parametrize(
    ("setting", "decision", "code"),
    [
        ("fail", "fail", "GEO002"),
        ("trust_voxels", "trust_voxels", "GEO003"),
        ("trust_affine", "trust_affine", "GEO004"),
    ],
)
def test_a_reference_whose_affine_lies_is_told_and_the_voxels_are_believed(files, tmp_path, setting, decision, code):
    own = copy_case(files, tmp_path)
    rewrite(own["seg"], affine=flip_xy)
    audit = audited(own, setting)
    row = audit.geometry[0]
    assert (row["decision"], row["grid_file"]) == (decision, "t1n")
    assert code in codes(audit)
    assert "trust_voxels is right" in row["evidence"]
    assert row["score_voxels"] > 0.25 > 0.1 > row["score_affine"]
    assert row["inside_voxels"] > 0.99
    # Whatever is configured, the intensities per label are read where the evidence says, unless the config insists.
    means = [part["mean_t2f"] for part in audit.labels if part["name"] == "SNFH"]
    assert (means[0] > 2) == (setting != "trust_affine")


@pytest.mark.parametrize(
    ("setting", "code"), [("trust_affine", "GEO003"), ("trust_voxels", "GEO004"), ("fail", "GEO002")]
)
def test_a_reference_stored_in_another_orientation_is_right_by_its_affine(files, tmp_path, setting, code):
    own = copy_case(files, tmp_path)
    image = nib.load(own["seg"])
    back = np.eye(4)
    back[1, 1], back[1, 3] = -1, image.shape[1] - 1
    rewrite(own["seg"], voxels=lambda data: data[:, ::-1], affine=lambda affine: affine @ back)
    audit = audited(own, setting)
    assert code in codes(audit)
    assert "trust_affine is right" in audit.geometry[0]["evidence"]


def test_an_image_elsewhere_is_told_with_the_better_reading(files, tmp_path):
    own = copy_case(files, tmp_path)
    rewrite(own["t2w"], affine=flip_xy)
    audit = audited(own)
    assert "GEO001" in codes(audit)
    assert audit.geometry[0]["decision"] == "fail"
    assert "trust_voxels is right" in audit.geometry[0]["evidence"]
    remedy = next(finding.remedy for finding in audit.findings if finding.code == "GEO001")
    assert "audit.geometry: trust_voxels" in remedy


def test_different_shapes_cannot_be_read_index_by_index(files, tmp_path):
    own = copy_case(files, tmp_path)
    rewrite(own["seg"], voxels=lambda data: data[:, :, :-2])
    assert audited(own, "trust_voxels").geometry[0]["decision"] == "fail"
    audit = audited(own, "trust_affine")
    assert audit.geometry[0]["decision"] == "trust_affine"
    assert "GEO003" in codes(audit)


@pytest.mark.parametrize("axes", [0, 1, 2])
def test_a_mirrored_reference_is_found_though_headers_agree(files, tmp_path, axes):
    own = copy_case(files, tmp_path)
    rewrite(own["seg"], voxels=lambda data: np.flip(data, axes))
    audit = audited(own)
    assert "GEO012" in codes(audit)
    assert "GEO013" not in codes(audit)


@pytest.mark.parametrize("modality", ["t1n", "t1c", "t2w"])
def test_a_mirrored_image_is_found_and_named(files, tmp_path, modality):
    own = copy_case(files, tmp_path)
    rewrite(own[modality], voxels=lambda data: data[::-1])
    found = [finding for finding in audited(own).findings if finding.code == "GEO013"]
    assert [finding.modality for finding in found] == [modality]


def test_a_reference_beside_the_head_is_told(files, tmp_path):
    own = copy_case(files, tmp_path)

    def add(data):
        data[:2, :2, :] = 2
        return data

    rewrite(own["seg"], voxels=add)
    assert "GEO014" in codes(audited(own))


def test_images_without_reference_and_reference_without_images(files):
    images = {name: path for name, path in files.items() if name != "seg"}
    assert audited(images, use="predict").geometry[0]["decision"] == "agree"
    alone = audited({"seg": files["seg"]})
    assert (alone.geometry[0]["decision"], alone.geometry[0]["grid_file"]) == ("agree", "seg")
    assert [row["voxels"] for row in alone.labels]
    assert not alone.intensity


def test_no_readable_file_has_no_geometry(tmp_path):
    audit = audited({name: tmp_path / f"{name}.nii.gz" for name in ("t1n", "seg")}, use="train")
    assert audit.geometry == []
    assert codes(audit) == {"FIL001", "COH007", "COH021"}


def test_a_whole_head_and_a_cut_head_are_told():
    grid = Grid((160, 160, 160), LAS)
    mask = np.ones(160**3, bool)
    found = [finding.code for finding in head_findings(mask, grid, "c", "x", "t1n")]
    assert found.count("GEO010") == 6
    assert "GEO011" in found
    assert head_findings(np.zeros(160**3, bool), grid, "c", "x", "t1n") == []


OPEN = {"GEO001", "GEO002", "GEO004"}


def advised(audit):
    """Return what the finding of a contradiction advises for `audit.geometry`; empty where it names no setting."""
    (remedy,) = [finding.row()["remedy"] for finding in audit.findings if finding.code in OPEN]
    return re.findall(r"trust_\w+", remedy)


@pytest.mark.parametrize("kind", ["one image shifted", "first image the outlier", "reference elsewhere"])
def test_the_advised_reading_ends_a_contradiction(files, tmp_path, kind):
    own = copy_case(files, tmp_path)
    GEOMETRIES[kind](own)
    (setting,) = advised(audited(own))
    assert not codes(audited(own, setting)) & OPEN


def test_the_reading_that_the_voxels_speak_against_is_told_with_the_other(files, tmp_path):
    own = copy_case(files, tmp_path)
    GEOMETRIES["reference elsewhere"](own)
    assert advised(audited(own, "trust_affine")) == ["trust_voxels"]


def test_where_both_readings_fit_either_is_offered_and_either_ends_the_contradiction(files, tmp_path):
    own = copy_case(files, tmp_path)
    GEOMETRIES["two readings tie"](own)
    assert advised(audited(own)) == ["trust_affine", "trust_voxels"]
    for setting in ("trust_affine", "trust_voxels"):
        assert not codes(audited(own, setting)) & OPEN


def test_arrays_of_different_shapes_are_never_advised_to_be_read_index_by_index(files, tmp_path):
    own = copy_case(files, tmp_path)
    rewrite(own["t2w"], affine=flip_xy)
    rewrite(own["seg"], voxels=lambda data: data[:, :, :-2])
    audit = audited(own)
    assert advised(audit) == ["trust_affine"]
    assert "trust_voxels" not in advised(audit)
    # What it says of the headers is true as well: both are corrected, and the case is one.
    assert not codes(audited(copy_case(files, tmp_path / "mended"))) & OPEN
    row = audited(own, "trust_voxels").geometry[0]
    assert (row["decision"], row["origin"]) == ("fail", "shapes")


def test_every_difference_of_two_grids_is_said():
    grid = Grid((10, 12, 14), np.diag([-1.0, 1, 1, 1]))
    turn = nib.eulerangles.euler2mat(z=0.1)
    oblique = LAS.copy()
    oblique[:3, :3] = turn @ oblique[:3, :3]
    said = {
        "11 x 12 x 14 voxels against 10 x 12 x 14": Grid((11, 12, 14), LAS),
        "voxels of 1 x 1 x 1.0003 mm against 1 x 1 x 1 mm": Grid(grid.shape, LAS @ np.diag([1, 1, 1.0003, 1])),
        "axes RAS against LAS": Grid(grid.shape, np.eye(4)),
        "axes turned by 5.7 degrees": Grid(grid.shape, oblique),
        "origin (0, 0, 2.5) against (0, 0, 0) mm": Grid(grid.shape, nib.affines.from_matvec(LAS[:3, :3], [0, 0, 2.5])),
        "a corner lies 2.5 mm off, 0.05 mm are": Grid(grid.shape, nib.affines.from_matvec(LAS[:3, :3], [0, 0, 2.5])),
    }
    for text, other in said.items():
        assert text in difference_text(other, grid)

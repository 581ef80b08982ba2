"""The phantom cohort: drawn like the real one, written like BraTS, recognisable from its intensities."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import make_phantom_case
from posttx.cases import IMAGE_COLUMNS, MODALITIES, phantom_ids
from posttx.errors import PostTxError
from posttx.phantom import PhantomCase, make_case
from posttx.phantom.anatomy import CENTRE_MM, make_anatomy, make_grid, smooth_field
from posttx.phantom.draw import (
    CLASSES,
    ET,
    NETC,
    PATTERNS,
    QUANTILES,
    RC,
    SNFH,
    VOLUMES_MM3,
    CaseDraw,
    draw_case,
    patient_uniforms,
    rng_of,
    volume_at,
)
from posttx.phantom.lesions import make_labels, make_site

SCRIPTS = Path(make_phantom_case.__file__).parent
SHARED = Path(__file__).resolve().parents[2].parent / "shared"
SPACING = 3.0
IDS = phantom_ids(16, 1)
TOUCHING = np.ones((3, 3, 3), bool)


@pytest.fixture(scope="module")
def cases() -> dict[str, PhantomCase]:
    return {case: make_case(case, patient, timepoint, 1, SPACING) for case, patient, timepoint in IDS}


@pytest.fixture(scope="module")
def draws() -> list[CaseDraw]:
    return [draw_case(case, patient, 5) for case, patient, _ in phantom_ids(300, 5)]


def drawn_for(patient: str, seed: int = 1) -> CaseDraw:
    return draw_case(f"{patient}-100", patient, seed)


def normalised(made: PhantomCase) -> dict[str, np.ndarray]:
    """Every modality in units of spread around the median of the brain without lesions."""
    healthy = (made.images["t1n"] > 0) & (made.labels == 0)
    result = {}
    for modality, image in made.images.items():
        values = image[healthy].astype(float)
        result[modality] = (image - np.median(values)) / values.std()
    return result


# --- what is drawn ---


def test_presence_follows_the_real_table(draws: list[CaseDraw]) -> None:
    for label, real in ((NETC, 0.4355), (SNFH, 0.9981), (ET, 0.7545), (RC, 0.8476)):
        assert np.mean([label in draw.volumes_mm3 for draw in draws]) == pytest.approx(real, abs=0.08)
    patterns = Counter(frozenset(draw.volumes_mm3) for draw in draws)
    for pattern, share in PATTERNS:
        assert patterns[pattern] / len(draws) == pytest.approx(share, abs=0.08)


@pytest.mark.parametrize("label", CLASSES)
def test_volumes_follow_the_real_quantiles(draws: list[CaseDraw], label: int) -> None:
    volumes = np.sort([draw.volumes_mm3[label] for draw in draws if label in draw.volumes_mm3])
    ranks = np.interp(np.log(volumes), np.log(VOLUMES_MM3[label]), QUANTILES)
    uniform = (np.arange(volumes.size) + 0.5) / volumes.size
    assert np.abs(ranks - uniform).max() < 0.10


def test_a_small_cohort_already_shows_every_class_and_both_ends_of_the_gain() -> None:
    drawn = [draw_case(case, patient, 1) for case, patient, _ in IDS]
    assert all(sum(label in draw.volumes_mm3 for draw in drawn) >= 4 for label in CLASSES)
    gains = [draw.p99["t1c"] for draw in drawn]
    assert max(gains) / min(gains) > 10


def test_gains_span_two_decades_within_the_real_extremes(draws: list[CaseDraw]) -> None:
    gains = np.array([draw.p99["t1c"] for draw in draws])
    assert gains.min() >= 92.39
    assert gains.max() <= 12202.66
    assert gains.max() / gains.min() > 60
    assert gains.mean() == pytest.approx(1700, rel=0.25)


def test_stored_types_are_mixed_as_in_the_real_cohort(draws: list[CaseDraw]) -> None:
    shares = Counter(draw.dtypes["t1c"] for draw in draws)
    assert shares["float32"] / len(draws) == pytest.approx(865 / 1350, abs=0.08)
    assert shares["float64"] / len(draws) == pytest.approx(463 / 1350, abs=0.08)
    assert sum(draw.dtypes["t2w"] == "int16" for draw in draws) >= shares["int16"] > 0


def test_constants_are_those_of_the_published_quantiles() -> None:
    path = SHARED / "data" / "published" / "label_volumes.csv"
    if not path.is_file():
        pytest.skip(f"no {path}")
    import pandas as pd

    table = pd.read_csv(path).set_index("label")
    columns = [f"q{round(100 * quantile):02d}" for quantile in QUANTILES]
    for label in CLASSES:
        assert tuple(table.loc[label, columns]) == VOLUMES_MM3[label]
        present = sum(share for pattern, share in PATTERNS if label in pattern)
        assert present == pytest.approx(table.loc[label, "present"], abs=0.001)


@given(st.sampled_from(CLASSES), st.floats(0, 1), st.floats(0, 1))
def test_volume_grows_with_rank_between_the_extremes(label: int, first: float, second: float) -> None:
    low, high = sorted((first, second))
    extremes = VOLUMES_MM3[label][0], VOLUMES_MM3[label][-1]
    assert extremes[0] * 0.999 <= volume_at(label, low) <= volume_at(label, high) <= extremes[1] * 1.001


@given(st.text(max_size=20), st.integers(0, 99))
def test_any_patient_id_gets_its_place(patient: str, seed: int) -> None:
    uniforms = patient_uniforms(patient, seed)
    assert ((uniforms >= 0) & (uniforms < 1)).all()
    assert (patient_uniforms(patient, seed) == uniforms).all()
    assert drawn_for(patient, seed) == drawn_for(patient, seed)


@given(st.floats(1, 10))
def test_voxels_keep_the_volume_above_the_floor(spacing: float) -> None:
    voxels = CaseDraw({NETC: 1.0, SNFH: 100_000.0}, {}, {}).voxels(spacing)
    assert voxels[NETC] == round(1 + 7 * min(spacing - 1, 1))
    assert voxels[SNFH] == round(100_000 / spacing**3)


# --- grid and files ---


def test_grid_at_1_mm_is_that_of_brats() -> None:
    grid = make_grid(1.0)
    assert grid.shape == (182, 218, 182)
    assert (grid.affine == [[-1, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]]).all()


@given(st.floats(1, 10))
def test_grid_covers_the_field_of_view_at_any_spacing(spacing: float) -> None:
    grid = make_grid(spacing)
    assert nib.aff2axcodes(grid.affine) == ("L", "A", "S")
    for count, extent in zip(grid.shape, (182, 218, 182), strict=True):
        assert extent <= count * spacing + 1e-6 < extent + spacing + 1e-5


@pytest.mark.parametrize("spacing", [0.5, 0.0, -1.0, 11.0, float("nan")])
def test_spacing_out_of_range_is_refused(spacing: float) -> None:
    with pytest.raises(PostTxError, match="between 1 and 10"):
        make_grid(spacing)


def test_smooth_field_is_one_field_at_every_spacing() -> None:
    fields = [smooth_field(rng_of("x"), make_grid(spacing), 20.0) for spacing in (2.0, 6.0)]
    # 6 mm voxels have their centres on every third voxel of 2 mm, beginning with the second.
    fine = fields[0][1::3, 1::3, 1::3]
    coarse = fields[1][: fine.shape[0], : fine.shape[1], : fine.shape[2]]
    assert np.allclose(fine, coarse, atol=1e-4)
    assert fields[1].std() == pytest.approx(1, abs=0.15)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def write(folder: Path, case: str, seed: int) -> dict[str, str]:
    make_phantom_case.write_case({name: folder / f"{name}.nii.gz" for name in IMAGE_COLUMNS}, case, seed, 4.0)
    return digests(folder)


def test_same_seed_same_bytes_in_another_process(tmp_path: Path) -> None:
    here = write(tmp_path / "here", "BraTS-GLI-01000-100", 1)
    program = (
        "import make_phantom_case as m; from posttx.cases import IMAGE_COLUMNS; m.write_case("
        "{n: f'there/{n}.nii.gz' for n in IMAGE_COLUMNS}, 'BraTS-GLI-01000-100', 1, 4.0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, env=environment)
    assert digests(tmp_path / "there") == here
    assert len(here) == 5
    other = write(tmp_path / "other", "BraTS-GLI-01000-100", 2)
    assert not set(other.values()) & set(here.values())


def test_importing_the_script_does_not_import_what_is_slow() -> None:
    program = "import make_phantom_case, sys; sys.exit(len({'pandas', 'nilearn', 'torch'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_files_are_as_in_brats(tmp_path: Path) -> None:
    case = "BraTS-GLI-01000-100"
    write(tmp_path, case, 1)
    types = draw_case(case, "BraTS-GLI-01000", 1).dtypes
    for name in IMAGE_COLUMNS:
        image = nib.load(tmp_path / f"{name}.nii.gz")
        assert nib.aff2axcodes(image.affine) == ("L", "A", "S")
        assert image.shape == make_grid(4.0).shape
        assert image.get_data_dtype() == np.dtype(types.get(name, "uint8"))


def test_wrong_case_id_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(PostTxError, match="not in the form"):
        write(tmp_path / "none", "someone", 1)
    assert not (tmp_path / "none").exists()


# --- what is seen ---


def test_background_is_0_and_brain_is_not(cases: dict[str, PhantomCase]) -> None:
    for made in cases.values():
        brain = made.images["t1n"] > 0
        assert 1.0e6 < brain.sum() * SPACING**3 < 2.2e6
        assert ndimage.label(brain)[1] == 1
        for image in made.images.values():
            assert ((image > 0) == brain).all()
            assert (image[~brain] == 0).all()
        assert not made.labels[~brain].any()


def test_gain_is_the_drawn_one(cases: dict[str, PhantomCase]) -> None:
    for case, patient, _ in IDS:
        drawn = draw_case(case, patient, 1)
        for modality, image in cases[case].images.items():
            assert np.percentile(image[image > 0], 99) == pytest.approx(drawn.p99[modality], rel=0.01)
            assert image.dtype == drawn.dtypes[modality]


def test_int16_scans_keep_their_brain() -> None:
    case, patient = next(
        (f"X-{number:05d}-100", f"X-{number:05d}")
        for number in range(1000)
        if set(draw_case(f"X-{number:05d}-100", f"X-{number:05d}", 1).dtypes.values()) == {"int16"}
    )
    made = make_case(case, patient, 100, 1, 6.0)
    masks = [image > 0 for image in made.images.values()]
    assert all(image.dtype == np.int16 for image in made.images.values())
    assert all((mask == masks[0]).all() for mask in masks)


def test_voxels_per_class_are_the_drawn_ones(cases: dict[str, PhantomCase]) -> None:
    for case, patient, _ in IDS:
        counts = {label: int((cases[case].labels == label).sum()) for label in CLASSES}
        assert {label: count for label, count in counts.items() if count} == draw_case(case, patient, 1).voxels(SPACING)


def test_cavity_touches_the_surface_of_the_brain_and_is_in_one_piece(cases: dict[str, PhantomCase]) -> None:
    seen = 0
    for made in cases.values():
        cavity = made.labels == RC
        if cavity.any():
            seen += 1
            assert (ndimage.binary_dilation(cavity, TOUCHING) & (made.images["t1n"] == 0)).any()
            parts = np.bincount(ndimage.label(cavity, TOUCHING)[0].ravel())[1:]
            assert parts.max() / parts.sum() > 0.9
    assert seen > 8


def test_core_lies_inside_the_rim_and_the_halo_around_all(cases: dict[str, PhantomCase]) -> None:
    for made in cases.values():
        labels = made.labels
        core, rim = labels == NETC, labels == ET
        if core.any() and rim.sum() > core.sum():
            shell = ndimage.binary_dilation(core) & ~core & ~rim
            assert shell.sum() < 0.25 * core.sum() + 8
        rest = (labels > 0) & (labels != SNFH)
        if rest.any():
            assert (ndimage.binary_dilation(rest, TOUCHING, iterations=2) & (labels == SNFH)).any()


def test_each_class_is_recognised_from_intensities_alone(cases: dict[str, PhantomCase]) -> None:
    for made in cases.values():
        image = normalised(made)
        big = {label for label in CLASSES if (made.labels == label).sum() >= 20}
        mean = {label: {name: image[name][made.labels == label].mean() for name in MODALITIES} for label in big}
        if ET in big:
            assert mean[ET]["t1c"] - mean[ET]["t1n"] > 1.5
            assert mean[ET]["t1n"] < 0.5
        if SNFH in big:
            assert mean[SNFH]["t2f"] > 1.5
            assert abs(mean[SNFH]["t1c"] - mean[SNFH]["t1n"]) < 0.8
        if NETC in big:
            assert mean[NETC]["t1c"] < -0.5
            assert mean[NETC]["t2f"] > 0.3
        if RC in big:
            assert mean[RC]["t2w"] > 1.5
            assert mean[RC]["t2f"] < -1.5
            assert mean[RC]["t1n"] < -1.2
            assert mean[RC]["t1c"] < -1


def test_vessels_enhance_in_scans_without_enhancing_tumour(cases: dict[str, PhantomCase]) -> None:
    without = [made for made in cases.values() if not (made.labels == ET).any()]
    assert without
    for made in without:
        image = normalised(made)
        brain = (made.images["t1n"] > 0) & (made.labels == 0)
        difference = (image["t1c"] - image["t1n"])[brain]
        assert np.percentile(difference, 99.5) > 2 * abs(np.percentile(difference, 0.5))


def test_fluid_is_bright_on_t2_and_dark_on_flair_and_t1() -> None:
    grid = make_grid(SPACING)
    patient = IDS[0][1]
    flip = bool(rng_of(1, patient, "flip").random() < 0.5)
    anatomy = make_anatomy(grid, rng_of(1, patient, "anatomy"), flip)
    made = make_case(*IDS[0], 1, SPACING)
    image = normalised(made)
    fluid = (anatomy.csf > 0.85) & (made.labels == 0) & (anatomy.depth > 15)
    assert fluid.sum() > 100
    assert image["t2w"][fluid].mean() > 1.5
    assert image["t2f"][fluid].mean() < -1.5
    assert image["t1n"][fluid].mean() < -1.5


def test_scans_of_a_patient_share_brain_and_site_and_differ_in_noise(cases: dict[str, PhantomCase]) -> None:
    pairs = [
        (cases[first], cases[second]) for (first, patient, _), (second, other, _) in pairwise(IDS) if patient == other
    ]
    assert pairs
    for first, second in pairs:
        assert ((first.images["t1n"] > 0) == (second.images["t1n"] > 0)).all()
        assert (first.images["t1n"] != second.images["t1n"]).any()
        centres = [np.argwhere(made.labels > 0).mean(axis=0) * SPACING for made in (first, second)]
        assert np.linalg.norm(centres[0] - centres[1]) < 45


def test_patients_differ_in_shape_and_in_side(cases: dict[str, PhantomCase]) -> None:
    made = {patient: cases[case] for case, patient, _ in IDS}
    masks = [one.images["t1n"] > 0 for one in made.values()]
    assert all((masks[0] != mask).mean() > 0.005 for mask in masks[1:])
    middle = make_grid(SPACING).shape[0] / 2
    sides = {bool(np.argwhere(one.labels > 0)[:, 0].mean() < middle) for one in made.values()}
    assert sides == {True, False}


def test_flip_mirrors_the_brain_and_the_lesion() -> None:
    grid = make_grid(4.0)
    plain, mirrored = (make_anatomy(grid, rng_of("a"), flip) for flip in (False, True))
    assert (plain.mask != mirrored.mask).any()
    for anatomy, side in ((plain, -1), (mirrored, 1)):
        site = make_site(anatomy, rng_of("s"), side > 0)
        assert np.sign(site.surface[0] - CENTRE_MM[0]) == side


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from(CLASSES), st.integers(1, 3000), max_size=4), st.integers(0, 9))
def test_any_volumes_are_met_to_the_voxel(voxels: dict[int, int], number: int) -> None:
    grid = make_grid(5.0)
    anatomy = make_anatomy(grid, rng_of("anatomy", number), number % 2 == 0)
    site = make_site(anatomy, rng_of("site", number), number % 2 == 0)
    labels = make_labels(anatomy, site, voxels, np.zeros(3))
    assert {label: int((labels == label).sum()) for label in voxels} == voxels
    assert not labels[~anatomy.mask].any()
    if RC in voxels:
        cavity = ndimage.binary_dilation(labels == RC, TOUCHING)
        assert (cavity & ~anatomy.mask).any()


def test_a_class_that_does_not_fit_takes_what_is_free() -> None:
    grid = make_grid(6.0)
    anatomy = make_anatomy(grid, rng_of("small"), False)
    labels = make_labels(anatomy, make_site(anatomy, rng_of("s"), False), {RC: 100, SNFH: 10**7}, np.zeros(3))
    assert (labels == RC).sum() == 100
    assert (labels == SNFH).sum() == (anatomy.mask & (anatomy.csf < 0.5) & (labels != RC)).sum()

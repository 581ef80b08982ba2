"""Planted pitfalls: each voxel's cause known, each as a reader tells it, the plain phantom untouched."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

import make_phantom_case
from posttx.cases import IMAGE_COLUMNS
from posttx.phantom import PhantomCase, make_case
from posttx.phantom.anatomy import make_anatomy, make_grid
from posttx.phantom.difficulty import Difficulty
from posttx.phantom.draw import CLASSES, ET, NETC, RC, SNFH, draw_case, rng_of
from posttx.phantom.pitfalls import RESEMBLES, SIGNALS, Cause
from posttx.phantom_patients import phantom_ids

SPACING = 2.0
SEED = 7
NUMBERS = {"vessels": 8.0, "plexus": 3.0, "blood": 5.0, "ischaemia": 12.0, "csf_pockets": 8.0}
FIRST = {patient: (case, patient, time) for case, patient, time in reversed(phantom_ids(12, SEED))}
IDS = sorted(FIRST.values())[:3]
# Of the phantom before it could be made harder: digest of the labels, every 1,200th voxel of the brain.
PLAIN = {
    "BraTS-GLI-02000-100": (
        "74d8e9fa1ac66046",
        {
            "t1n": [559.174, 887.511, 1239.59, 639.237, 1333.6, 1392.01, 1192.75],
            "t1c": [287.452, 674.077, 685.973, 361.424, 661.056, 739.783, 631.988],
            "t2w": [1890.57, 1203.01, 939.653, 1629.49, 900.851, 977.511, 1049.62],
            "t2f": [176.319, 239.683, 426.595, 226.914, 411.507, 453.573, 456.124],
        },
    ),
    "BraTS-GLI-18001-100": (
        "d11259a7c8fdc2dd",
        {
            "t1n": [111.977, 378.694, 322.766, 261.082, 240.944, 182.381, 163.573],
            "t1c": [263.698, 799.09, 630.697, 537.719, 447.757, 330.844, 427.388],
            "t2w": [625.647, 243.729, 355.444, 426.971, 411.72, 576.621, 597.912],
            "t2f": [61.4892, 110.576, 152.374, 133.504, 154.811, 114.701, 83.1035],
        },
    ),
}


@pytest.fixture(scope="module")
def cases() -> list[tuple[PhantomCase, PhantomCase]]:
    """Three heads, each plain and with pitfalls."""
    return [(make_case(*who, SEED, SPACING), make_case(*who, SEED, SPACING, Difficulty(NUMBERS))) for who in IDS]


@pytest.fixture(scope="module")
def hard(cases) -> list[PhantomCase]:
    return [made for _, made in cases]


def relative(made: PhantomCase, modality: str) -> np.ndarray:
    """Signal relative to the median of the brain outside lesions and pitfalls."""
    healthy = (made.images["t1n"] > 0) & (made.labels == 0) & (made.causes == 0)
    image = made.images[modality].astype(float)
    return image / np.median(image[healthy])


@pytest.mark.parametrize("case", PLAIN)
def test_the_plain_phantom_is_what_it_was(case):
    made = make_case(case, case[:-4], 100, int(case[10:12]), 6.0)
    digest, probes = PLAIN[case]
    assert hashlib.sha256(made.labels.tobytes()).hexdigest()[:16] == digest
    for modality, values in probes.items():
        image = made.images[modality]
        # the last bits of an exponential differ between processors; another random number would change percents
        assert image[image > 0][::1200] == pytest.approx(values, rel=1e-4)
    assert not made.causes.any()


def test_pitfalls_change_their_own_voxels_alone(cases):
    for plain, made in cases:
        assert (plain.labels == made.labels).all()
        away = (made.images["t1n"] > 0) & ~ndimage.binary_dilation(made.causes > 0, iterations=2)
        for modality, image in made.images.items():
            ratio = image[away].astype(float) / plain.images[modality][away]
            low, high = np.percentile(ratio, (1, 99))  # one gain for the whole image, and rounding of int16
            assert high / low < 1.03
            inside = made.causes > 0
            assert np.abs(image[inside] / plain.images[modality][inside] / np.median(ratio) - 1).max() > 0.3


def test_every_cause_lies_outside_the_tumour_of_the_reference(hard):
    assert {int(value) for made in hard for value in np.unique(made.causes)} == {*Cause}
    for made in hard:
        assert not made.causes[np.isin(made.labels, (ET, NETC, RC))].any()
        in_halo = set(np.unique(made.causes[made.labels == SNFH]))
        assert in_halo <= {Cause.NONE, Cause.VESSELS, Cause.BLOOD}
        assert not made.causes[made.images["t1n"] == 0].any()


@pytest.mark.parametrize("cause", RESEMBLES)
def test_each_cause_has_the_signal_that_readers_go_by(hard, cause):
    for made in hard:
        core = ndimage.binary_erosion(made.causes == cause) if cause is not Cause.VESSELS else made.causes == cause
        if core.sum() < 10:
            continue
        mean = {name: float(np.median(relative(made, name)[core])) for name in made.images}
        if RESEMBLES[cause] == ET:
            assert mean["t1c"] > 1.4
        if cause is Cause.VESSELS:
            assert mean["t2w"] < 0.8
            assert mean["t2f"] < 0.9
        if cause is Cause.BLOOD:
            assert abs(mean["t1c"] - mean["t1n"]) < 0.35
            assert mean["t1n"] > 1.4
        if cause is Cause.PLEXUS:
            assert mean["t1n"] < 1
        if cause is Cause.ISCHAEMIA:
            assert mean["t2f"] > 1.4
            assert abs(mean["t1c"] - mean["t1n"]) < 0.15
        if cause is Cause.CSF_POCKETS:
            assert mean["t2w"] > 1.6
            assert max(mean["t2f"], mean["t1n"], mean["t1c"]) < 0.6


def test_what_is_planted_is_as_bright_as_what_it_resembles():
    from posttx.phantom import LESIONS

    key = {ET: "t1c", SNFH: "t2f", RC: "t2w"}
    for cause, label in RESEMBLES.items():
        assert SIGNALS[cause][key[label]] == pytest.approx(LESIONS[key[label]][label], rel=0.05)


def test_vessels_are_long_and_thin(hard):
    for made in hard:
        parts, count = ndimage.label(made.causes == Cause.VESSELS, np.ones((3, 3, 3)))
        inside = ndimage.distance_transform_edt(made.causes == Cause.VESSELS) * SPACING
        assert count
        assert inside.max() < 5
        extents = [max(part.stop - part.start for part in box) * SPACING for box in ndimage.find_objects(parts)]
        assert max(extents) > 15


def test_plexus_lies_in_the_ventricles_on_both_sides(hard):
    grid = make_grid(SPACING)
    for made, (_, patient, _) in zip(hard, IDS, strict=True):
        anatomy = make_anatomy(
            grid, rng_of(SEED, patient, "anatomy"), bool(rng_of(SEED, patient, "flip").random() < 0.5)
        )
        here = made.causes == Cause.PLEXUS
        x = anatomy.template[0][here]
        assert (x < -5).any() or (x > 5).any()
        assert anatomy.depth[here].min() > 10
        assert ndimage.binary_dilation(anatomy.csf > 0.5, iterations=2)[here].mean() > 0.8
    sides = [np.sign(np.argwhere(made.causes == Cause.PLEXUS)[:, 0] - made.causes.shape[0] / 2) for made in hard]
    assert sum(len({*side}) == 2 for side in sides) >= 2


def test_most_ischaemic_foci_have_their_like_on_the_other_side_and_lie_far_from_the_lesion(hard):
    found = []
    for made in hard:
        foci = made.causes == Cause.ISCHAEMIA
        away = ndimage.distance_transform_edt(made.labels == 0) * SPACING
        assert away[foci].min() > 8
        mirrored = ndimage.binary_dilation(foci[::-1], iterations=round(8 / SPACING))
        found.append(mirrored[foci].mean())
    assert np.median(found) > 0.6  # a large lesion leaves no room for the like of those on the other side


def test_csf_pockets_lie_at_the_cortex_or_at_a_ventricle(hard):
    for made in hard:
        pockets, count = ndimage.label(made.causes == Cause.CSF_POCKETS, np.ones((3, 3, 3)))
        outside = made.images["t1n"] == 0
        near = ndimage.binary_dilation(outside, iterations=round(6 / SPACING))
        touching = sum(bool(near[pockets == part].any()) for part in range(1, count + 1))
        assert count
        assert touching >= count / 3


def test_more_of_a_pitfall_is_planted_with_a_higher_number_and_nothing_without():
    who = IDS[0]
    counts = [
        int((make_case(*who, SEED, 4.0, Difficulty({"ischaemia": number})).causes > 0).sum()) for number in (2.0, 20.0)
    ]
    assert 0 < 3 * counts[0] < counts[1]
    only = make_case(*who, SEED, 4.0, Difficulty({"vessels": 10.0}))
    assert set(np.unique(only.causes)) == {Cause.NONE, Cause.VESSELS}


def test_the_same_patient_keeps_vessels_and_gets_new_blood():
    _, patient, time = IDS[0]
    first, second = (
        make_case(f"{patient}-{at}", patient, at, SEED, 4.0, Difficulty(NUMBERS)).causes for at in (time, time + 3)
    )
    vessels = [causes == Cause.VESSELS for causes in (first, second)]
    assert (vessels[0] & vessels[1]).sum() > 0.7 * vessels[0].sum()
    assert ((first == Cause.BLOOD) != (second == Cause.BLOOD)).any()


def test_a_rim_lines_the_wall_of_the_cavity_and_keeps_the_volumes():
    seen = 0
    for who in sorted(FIRST.values()):
        if {ET, RC} <= set(draw_case(who[0], who[1], SEED).volumes_mm3):
            plain, rim = (make_case(*who, SEED, 4.0, Difficulty(rims=share)) for share in (0.0, 1.0))
            for label in CLASSES:
                assert (plain.labels == label).sum() == (rim.labels == label).sum()
            assert lined(rim) > min(1.3 * lined(plain), 0.9)
            seen += 1
    assert seen >= 2


def lined(made: PhantomCase) -> float:
    """Return the share of the cavity's wall, as far as brain goes, that is enhancing tissue or the core behind it."""
    cavity = made.labels == RC
    wall = ndimage.binary_dilation(cavity) & ~cavity & (made.images["t1n"] > 0)
    return float(np.isin(made.labels, (ET, NETC))[wall].mean())


def test_causes_are_written_beside_the_scan_and_the_same_bytes_again(tmp_path: Path):
    case, digests = IDS[0][0], []
    for folder in (tmp_path / "a", tmp_path / "b"):
        paths = {name: folder / f"{name}.nii.gz" for name in (*IMAGE_COLUMNS, "cause")}
        make_phantom_case.write_case(paths, case, SEED, 6.0, pitfalls=NUMBERS, sites=2, rims=0.5)
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths.values()])
        causes = nib.load(paths["cause"])
        assert causes.get_data_dtype() == np.uint8
        assert set(np.unique(causes.dataobj)) <= {*Cause}
        assert np.asarray(causes.dataobj).any()
    assert digests[0] == digests[1]


def test_difficulty_is_plain_without_settings():
    assert Difficulty() == replace(Difficulty(NUMBERS, 2, 0.5), pitfalls={}, sites=1, rims=0.0)
    assert not Difficulty().has_rim("X", 1)

"""A phantom case: real anatomy, post-treatment lesions and the scanners' disorder, written exactly like BraTS.

Everything follows from (seed, patient) and (seed, case): anatomy, side and site of the lesion belong to the patient,
volumes, intensities, noise and gain to the scan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from posttx.cases import MODALITIES
from posttx.phantom.anatomy import Anatomy, make_anatomy, make_grid, smooth_field
from posttx.phantom.difficulty import PLAIN, Difficulty, Scanner
from posttx.phantom.draw import CLASSES, ET, NETC, RC, SNFH, draw_case, rng_of
from posttx.phantom.lesions import make_labels, make_site
from posttx.phantom.pitfalls import plant, show

# Signal relative to white matter (T1, T1c) or grey matter (T2, FLAIR) of the same scan.
TISSUES: dict[str, dict[str, float]] = {
    "t1n": {"csf": 0.24, "gm": 0.68, "wm": 1.00},
    "t1c": {"csf": 0.25, "gm": 0.70, "wm": 1.00},
    "t2w": {"csf": 2.30, "gm": 1.00, "wm": 0.68},
    "t2f": {"csf": 0.18, "gm": 1.00, "wm": 0.74},
}
LESIONS: dict[str, dict[int, float]] = {
    "t1n": {NETC: 0.42, SNFH: 0.64, ET: 0.66, RC: 0.24},
    "t1c": {NETC: 0.30, SNFH: 0.65, ET: 1.75, RC: 0.26},
    "t2w": {NETC: 1.45, SNFH: 1.45, ET: 1.25, RC: 2.25},
    "t2f": {NETC: 1.20, SNFH: 1.75, ET: 1.40, RC: 0.26},
}
# Blood in vessels (sinus, sulcal arteries and veins) and the choroid plexus: they enhance, hence T1c differs from T1n.
VESSEL = {"t1n": 0.62, "t1c": 1.60, "t2w": 0.45, "t2f": 0.45}
CHOROID = {"t1n": 0.55, "t1c": 1.45, "t2w": 1.50, "t2f": 0.90}
BLEEDING_SHARE = 0.2
BLOOD_T1N = 1.30
PARTIAL_VOLUME = 0.38  # standard deviation in voxels of the blur between lesion and brain


@dataclass(frozen=True)
class PhantomCase:
    """Images by modality, labels and causes (``pitfalls.Cause``), arrays L-A-S of one shape.

    ``affine`` leads to mm in MNI space (RAS).
    """

    images: dict[str, np.ndarray]
    labels: np.ndarray
    causes: np.ndarray
    affine: np.ndarray


def make_case(
    case: str, patient: str, timepoint: int, seed: int, spacing: float, difficulty: Difficulty = PLAIN
) -> PhantomCase:
    """Make one scan; the same arguments give the same arrays.

    ``spacing`` in mm, 1 to 10; at 1 mm the grid is BraTS's 182 x 218 x 182. Background is exactly 0 and brain is not.
    ``timepoint`` is part of the scan's identity, so that two of them differ even under one name. ``difficulty`` adds to
    the plain scan: what it leaves out has the head, lesions and noise of the plain one.
    """
    grid = make_grid(spacing)
    flip = bool(rng_of(seed, patient, "flip").random() < 0.5)
    anatomy = make_anatomy(grid, rng_of(seed, patient, "anatomy"), flip)
    site = make_site(anatomy, rng_of(seed, patient, "site"), flip)
    drawn = draw_case(case, patient, seed)
    scan = rng_of(seed, case, timepoint, "scan")
    labels = make_labels(anatomy, site, drawn.voxels(spacing), 1.0 * scan.standard_normal(3),
                         difficulty.has_rim(patient, seed))  # fmt: skip
    weights = _weights(labels, anatomy.mask)
    vessels = _vessels(anatomy, rng_of(seed, patient, "vessels"))
    texture = smooth_field(rng_of(seed, patient, "texture"), grid, 7.0)[anatomy.mask]
    bleeding = rng_of(seed, patient, "blood").random() < BLEEDING_SHARE
    planted = plant(anatomy, labels, difficulty.pitfalls, (seed, patient), (seed, case, timepoint))
    planting = rng_of(seed, case, timepoint, "pitfalls")
    scanner = difficulty.scanner(patient)
    images = {}
    for modality in MODALITIES:
        signal = _signal(modality, anatomy, weights, vessels, texture, bleeding, scan)
        show(signal, modality, planted, texture, planting)
        signal = _acquire(signal, modality, anatomy, scanner, scan)
        images[modality] = _store(signal, anatomy.mask, drawn.p99[modality], drawn.dtypes[modality])
    return PhantomCase(images, labels, planted.causes, grid.affine)


def _weights(labels: np.ndarray, mask: np.ndarray) -> dict[int, np.ndarray]:
    """Return the share of each class in every voxel of the brain, (n,), with soft borders."""
    weights = {}
    box = ndimage.find_objects((labels > 0).view(np.uint8))
    for label in CLASSES:
        share = np.zeros(labels.shape, np.float32)
        if box:
            around = tuple(slice(max(part.start - 3, 0), part.stop + 3) for part in box[0])
            share[around] = ndimage.gaussian_filter((labels[around] == label).astype(np.float32), PARTIAL_VOLUME)
        weights[label] = share[mask]
    return weights


def _vessels(anatomy: Anatomy, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of blood vessels and of choroid plexus in every voxel of the brain, each (n,).

    Sulcal vessels run where two smooth random fields are both zero, which is a set of curves. The superior sagittal
    sinus lies in the midline at the convexity, the choroid plexus in the atria; both by the template's coordinates.
    """
    first, second = (smooth_field(draw, anatomy.grid, 12.0)[anatomy.mask] for _ in range(2))
    patchy = smooth_field(draw, anatomy.grid, 5.0)[anatomy.mask]
    x, y, z = (axis[anatomy.mask] for axis in anatomy.template)
    csf, gm, depth = anatomy.csf[anatomy.mask], anatomy.gm[anatomy.mask], anatomy.depth[anatomy.mask]
    thin = 0.13 + 0.035 * (anatomy.grid.spacing - 1)
    curves = np.exp(-(first**2 + second**2) / (2 * thin**2)) * np.clip(1.6 * csf + 0.5 * gm, 0, 1)
    curves *= np.float32(0.13 / thin)
    sinus = np.exp(-((x / 3.5) ** 2)) * (depth < 5) * (z > 0) * ((z > 30) | (np.abs(y + 17) > 60))
    middle = _segment((np.abs(x), y, z), (6.0, 4.0, -16.0), (40.0, 2.0, -10.0))
    arteries = np.exp(-((middle / 1.8) ** 2))
    atrium = np.exp(-(((np.abs(x) - 23) / 7) ** 2 + ((y + 39) / 7) ** 2 + ((z - 8) / 8) ** 2))
    choroid = np.clip(1.5 * atrium * csf * (0.8 + 0.5 * patchy), 0, 1)
    return np.clip(np.maximum.reduce([curves, 0.9 * sinus, 0.9 * arteries]), 0, 1), choroid


def _segment(point: tuple[np.ndarray, ...], start: tuple[float, ...], stop: tuple[float, ...]) -> np.ndarray:
    along = [b - a for a, b in zip(start, stop, strict=True)]
    length = sum(part**2 for part in along)
    t = sum((at - a) * part for at, a, part in zip(point, start, along, strict=True)) / length
    t = np.clip(t, 0, 1)
    return np.sqrt(sum((at - a - t * part) ** 2 for at, a, part in zip(point, start, along, strict=True)))


def _signal(
    modality: str,
    anatomy: Anatomy,
    weights: dict[int, np.ndarray],
    vessels: tuple[np.ndarray, np.ndarray],
    texture: np.ndarray,
    bleeding: bool,
    scan: np.random.Generator,
) -> np.ndarray:
    """Return the signal of every voxel of the brain, (n,): shares of tissue times their signal, each a bit off."""
    off = np.exp(0.04 * scan.standard_normal(3 + len(CLASSES)))
    tissues = TISSUES[modality]
    signal: np.ndarray = np.zeros(weights[RC].shape, np.float32)
    for factor, (name, share) in zip(off, (("csf", anatomy.csf), ("gm", anatomy.gm), ("wm", anatomy.wm)), strict=False):
        signal += share[anatomy.mask] * np.float32(tissues[name] * factor)
    if modality in ("t1n", "t1c"):
        signal = signal * (0.6 + 0.4 * anatomy.t1[anatomy.mask])  # nuclei and the brain stem, which three tissues lack
    for share, table in zip(vessels, (VESSEL, CHOROID), strict=True):
        signal = signal + share * (table[modality] - signal)
    signal = signal * (1 + 0.025 * texture)
    healthy = 1 - sum(weights.values())
    signal = signal * np.clip(healthy, 0, 1)
    for factor, (label, share) in zip(off[3:], weights.items(), strict=True):
        value = BLOOD_T1N if bleeding and (modality, label) == ("t1n", NETC) else LESIONS[modality][label]
        rough = 0.03 if label == RC else 0.09
        signal = signal + share * np.float32(value * factor) * (1 + rough * texture)
    return signal


def _acquire(
    signal: np.ndarray, modality: str, anatomy: Anatomy, scanner: Scanner, scan: np.random.Generator
) -> np.ndarray:
    """Add what a scanner adds: its contrast, a bias field, and Rician noise that shrinks with the voxel's edge."""
    if modality in scanner.powers:
        signal = np.maximum(signal, 1e-3) ** np.float32(scanner.powers[modality])
    bias = np.exp(scan.uniform(0.03, 0.09) * smooth_field(scan, anatomy.grid, 70.0)[anatomy.mask])
    level = np.float32(scanner.noise * scan.uniform(0.02, 0.05) / anatomy.grid.spacing)
    real = signal * bias + level * scan.standard_normal(signal.size, dtype=np.float32)
    imaginary = level * scan.standard_normal(signal.size, dtype=np.float32)
    return np.hypot(real, imaginary)


def _store(signal: np.ndarray, mask: np.ndarray, p99: float, dtype: str) -> np.ndarray:
    """Return the image with its 99th percentile over the brain at ``p99``, background 0, brain above 0."""
    scaled = (signal * (p99 / np.percentile(signal, 99))).astype(np.float32)
    smallest = 1.0 if dtype == "int16" else 1e-3
    values = np.rint(scaled) if dtype == "int16" else scaled
    image = np.zeros(mask.shape, dtype)
    image[mask] = np.clip(values, smallest, np.iinfo(np.int16).max if dtype == "int16" else None)
    return image

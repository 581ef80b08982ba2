"""What a phantom case is made of, drawn without an image: classes present, volumes, scanner, stored type.

The real values are quantiles and co-occurrences over the 1,621 labelled scans of BraTS 2024 post-treatment glioma.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from posttx.phantom_patients import patient_number

NETC, SNFH, ET, RC = 1, 2, 3, 4
CLASSES = (NETC, SNFH, ET, RC)
# Classes that occur together and the share of scans; ordered so that the shares of NETC and RC lie side by side.
PATTERNS: tuple[tuple[frozenset[int], float], ...] = (
    (frozenset({SNFH, ET}), 0.0204),
    (frozenset({NETC, SNFH}), 0.0018),
    (frozenset({NETC, SNFH, ET}), 0.1080),
    (frozenset({NETC, SNFH, ET, RC}), 0.3239),
    (frozenset({NETC, SNFH, RC}), 0.0018),
    (frozenset({SNFH, ET, RC}), 0.3017),
    (frozenset({ET, RC}), 0.0006),
    (frozenset({SNFH, RC}), 0.2184),
    (frozenset({RC}), 0.0012),
    (frozenset({SNFH}), 0.0222),
)
QUANTILES = (0.0, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 1.0)
VOLUMES_MM3: dict[int, tuple[float, ...]] = {
    NETC: (1, 12, 35, 184, 1171, 4638, 11167, 18203, 54423),
    SNFH: (127, 5362, 9387, 17722, 36932, 67941, 110589, 139974, 327009),
    ET: (1, 68, 217, 1099, 5595, 14573, 31401, 46995, 150383),
    RC: (1, 243, 560, 2095, 7410, 19187, 37861, 53589, 165848),
}
# Spearman correlations of the volumes of classes that are both present, in the order of CLASSES.
CORRELATION = np.array(
    [[1.0, 0.24, 0.65, -0.10], [0.24, 1.0, 0.42, -0.03], [0.65, 0.42, 1.0, -0.15], [-0.10, -0.03, -0.15, 1.0]]
)
WITHIN_PATIENT = 0.25  # share of the variance of presence and log-volume that lies between scans of one patient
# 99th percentile of a scan: median, spread (of the natural logarithm), lowest and highest.
P99: dict[str, tuple[float, float, float, float]] = {
    "t1n": (1000.0, 0.95, 87.05, 5217.71),
    "t1c": (1000.0, 1.10, 92.39, 12202.66),
    "t2w": (1400.0, 0.80, 208.44, 6371.00),
    "t2f": (550.0, 0.85, 53.54, 2814.21),
}
SAME_SCANNER = 0.85  # correlation of the four gains
INT16_SHARE, FLOAT64_SHARE = 22 / 1350, 463 / 1350
FLOOR_VOXELS, FLOOR_SPACING = 8, 2.0
# Steps of the additive recurrences over patients: pattern (golden ratio), four volumes, scanner; no two alike or
# mirrored, so that the first few patients already differ in everything.
STEPS = np.array([(math.sqrt(5) - 1) / 2, *(math.sqrt(number) % 1 for number in (3, 2, 11, 23, 10))])
# Which of the equally likely phantom worlds is drawn. The demo's seeds were chosen in it so that its few scans show
# every class, in lesions large enough for its voxels.
EDITION = 4
NORMAL = NormalDist()


@dataclass(frozen=True)
class CaseDraw:
    """What one scan shows: volume in mm3 per class present, gain and stored type per modality."""

    volumes_mm3: Mapping[int, float]
    p99: Mapping[str, float]
    dtypes: Mapping[str, str]

    def voxels(self, spacing: float) -> dict[int, int]:
        """Return the voxels per class present on a grid of ``spacing`` mm.

        The volume in mm3 stays as drawn, except that no class is smaller than a floor of 1 voxel at 1 mm, rising
        linearly to 8 voxels at 2 mm and above: a speck of 1 mm3 cannot be shown on a coarse grid.
        """
        share = min(max((spacing - 1.0) / (FLOOR_SPACING - 1.0), 0.0), 1.0)
        floor = round(1 + share * (FLOOR_VOXELS - 1))
        return {label: max(round(volume / spacing**3), floor) for label, volume in self.volumes_mm3.items()}


def rng_of(*parts: object) -> np.random.Generator:
    """Return a generator seeded by SHA-256 of the parts: the same in every process and on every machine."""
    digest = hashlib.sha256("\0".join(str(part) for part in parts).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


def patient_uniforms(patient: str, seed: int) -> np.ndarray:
    """Return a patient's six numbers in [0, 1): pattern, four volumes, scanner.

    They spread evenly over patients numbered one after another (an additive recurrence over the number at the end of
    the id, Niederreiter 1978), so that a cohort of few patients already covers the common patterns and both tails.
    An id without a number gets a hashed place in the sequence.
    """
    number = patient_number(patient)
    index = int(rng_of(seed, patient, "index").integers(1 << 30)) if number is None else number
    return (rng_of(EDITION, seed, "patients").random(STEPS.size) + index * STEPS) % 1.0


def draw_case(case: str, patient: str, seed: int) -> CaseDraw:
    """Draw what a scan shows and how its scanner stores it.

    Presence follows the real co-occurrence table and volumes the real quantiles (log-linear between them) over many
    patients; volumes of one scan are correlated by a Gaussian copula, scans of one patient resemble each other.
    """
    uniforms = patient_uniforms(patient, seed)
    draw = rng_of(EDITION, seed, case, "draw")
    alone, place = draw.random(2)
    present = _pattern(float(place if alone < WITHIN_PATIENT else uniforms[0]))
    own = np.array([NORMAL.inv_cdf(min(max(float(u), 1e-9), 1 - 1e-9)) for u in uniforms[1:5]])
    mixed = math.sqrt(1 - WITHIN_PATIENT) * own + math.sqrt(WITHIN_PATIENT) * draw.standard_normal(4)
    factor = np.linalg.cholesky(2 * np.sin(np.pi / 6 * CORRELATION))
    ranks = [NORMAL.cdf(float(value)) for value in factor @ mixed]
    volumes = {label: volume_at(label, rank) for label, rank in zip(CLASSES, ranks, strict=True) if label in present}
    return CaseDraw(volumes, _gains(float(uniforms[5]), draw), _dtypes(float(draw.random())))


def volume_at(label: int, rank: float) -> float:
    """Return the volume in mm3 at a quantile of a class, log-linear between the real quantiles."""
    return float(np.exp(np.interp(rank, QUANTILES, np.log(VOLUMES_MM3[label]))))


def _pattern(place: float) -> frozenset[int]:
    ends = np.cumsum([share for _, share in PATTERNS])
    return PATTERNS[int(np.searchsorted(ends / ends[-1], place, side="right"))][0]


def _gains(scanner: float, draw: np.random.Generator) -> dict[str, float]:
    shared = NORMAL.inv_cdf(min(max(scanner, 1e-9), 1 - 1e-9))
    gains = {}
    for modality, (median, spread, low, high) in P99.items():
        value = SAME_SCANNER * shared + math.sqrt(1 - SAME_SCANNER**2) * float(draw.standard_normal())
        # Squeezed between the real extremes by ranks, so that nothing piles up at them.
        bottom, top = (NORMAL.cdf(math.log(end / median) / spread) for end in (low, high))
        rank = bottom + (top - bottom) * NORMAL.cdf(value)
        gains[modality] = median * math.exp(spread * NORMAL.inv_cdf(rank))
    return gains


def _dtypes(place: float) -> dict[str, str]:
    if place < INT16_SHARE:
        return dict.fromkeys(P99, "int16")
    if place < 2 * INT16_SHARE:
        return {modality: "int16" if modality == "t2w" else "float32" for modality in P99}
    return dict.fromkeys(P99, "float64" if place < 2 * INT16_SHARE + FLOAT64_SHARE else "float32")

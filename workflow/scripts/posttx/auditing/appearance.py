"""What a case looks like beside its own normal-appearing brain: head masks, lesion intensities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from posttx.auditing.agreement import among, carry, unravel
from posttx.auditing.findings import Finding
from posttx.auditing.images import Image, Normal, normal_of, sample_places
from posttx.auditing.label_audit import Reference
from posttx.auditing.readings import Geometry
from posttx.geometry.grids import Grid

MASK_DICE = 0.9
MEDIAN_FROM = 4000
OUTSIDE_FROM = 20_000
OUTSIDE_SHARE = 0.01


class Appearance:
    """The case's images at common places inside the head, and normal-appearing brain of each.

    ``points`` are the places (n, 3) as voxel indices of the case's grid, ``lesion`` says which of them a label covers.
    Images are carried to the common grid by the case's reading.
    """

    def __init__(
        self, images: Mapping[str, Image], reference: Reference | None, grid: Grid | None, geometry: Geometry
    ) -> None:
        self.images = {name: image for name, image in images.items() if image.stats.count}
        self.reference, self.reference_grid, self.geometry = reference, grid, geometry
        self.values: dict[str, np.ndarray] = {}
        self.normals: dict[str, Normal] = {}
        self.points, self.lesion = np.zeros((0, 3), np.int64), np.zeros(0, bool)
        base = self.images.get(geometry.reading.grid_file)
        if base is None:
            return
        places = sample_places(base.stats.head)
        points = self.points = unravel(places, base.grid.shape)
        for name, image in self.images.items():
            same = image.grid.shape == base.grid.shape and geometry.aligned_by == "voxels"
            own = places if same else carry(points, base.grid, image.grid, geometry.aligned_by)
            self.values[name] = image.at(own)
        self.lesion = np.zeros(places.size, bool)
        if reference is not None and grid is not None and reference.places.size:
            at = carry(points, base.grid, grid, geometry.aligned_by)
            self.lesion = among(at, reference.places)
        for name, values in self.values.items():
            if (normal := normal_of(values[~self.lesion])) is not None:
                self.normals[name] = normal

    def z(self, name: str) -> np.ndarray | None:
        """Return the normalised values of one image at the common places, None where it cannot be normalised."""
        return self.normals[name].normalise(self.values[name]) if name in self.normals else None

    def label_values(self, label: int) -> dict[str, np.ndarray]:
        """Return, per image that can be normalised, the values of a label's voxels, those outside the head left out."""
        reference, grid = self.reference, self.reference_grid
        if reference is None or grid is None:
            return {}
        places = reference.places_of(label)
        points = None
        told = {}
        for name in self.normals:
            image, own = self.images[name], places
            if self.geometry.aligned_by == "affine" or image.grid.shape != reference.shape:
                points = unravel(places, reference.shape) if points is None else points
                own = carry(points, grid, image.grid, self.geometry.aligned_by)
            told[name] = image.raw_at(own)
        return told


def mask_findings(images: Mapping[str, Image], cohort: str, case: str) -> list[Finding]:
    """Return the images whose head (non-zero voxels) overlaps with the others' below a Dice of 0.9; same shape only."""
    heads = {name: image.stats.head for name, image in images.items() if image.stats.count}
    if len({head.size for head in heads.values()}) != 1 or len(heads) < 2:
        return []
    names = list(heads)
    first = {name: heads[names[0]].dice(heads[name]) for name in names[1:]}
    if min(first.values()) >= MASK_DICE:
        return []
    typical = {
        name: float(np.median([heads[name].dice(heads[other]) for other in names if other != name])) for name in names
    }
    found = []
    for name in [name for name in names if typical[name] < MASK_DICE] or [min(names, key=lambda name: typical[name])]:
        message = f"its non-zero voxels overlap with those of the other modalities by a Dice of {typical[name]:.2f}"
        found.append(Finding("INT008", cohort, message, case, name))
    return found


def label_evidence(look: Appearance, label: int) -> dict[str, dict[str, Any]]:
    """Return, per modality, mean, median and spread of a label's normalised intensities, where it has any."""
    told = {}
    for name, values in look.label_values(label).items():
        if values.size:
            normal = look.normals[name]
            low, median, high = np.percentile(values[:: max(1, values.size // MEDIAN_FROM)], [16, 50, 84])
            told[name] = {
                "mean": float(normal.normalise(values.mean(dtype=np.float64))),
                "median": float(normal.normalise(median)),
                "spread": float(high - low) / 2 / normal.scale,
                "voxels": int(values.size),
            }
    return told


def outside_findings(look: Appearance, cohort: str, case: str) -> list[Finding]:
    """Return a finding when over 1 % of the labelled voxels lie where no image has tissue."""
    reference, grid = look.reference, look.reference_grid
    if reference is None or grid is None or not reference.places.size or not look.images:
        return []
    places = reference.places[:: max(1, reference.places.size // OUTSIDE_FROM)]
    points = unravel(places, reference.shape)
    covered = np.zeros(places.size, bool)
    for image in look.images.values():
        at = carry(points, grid, image.grid, look.geometry.aligned_by)
        covered |= image.stats.head.has(at)
    outside = 1 - float(covered.mean())
    if outside <= OUTSIDE_SHARE:
        return []
    return [Finding("GEO014", cohort, f"{outside:.1%} of the labelled voxels lie outside the head", case, "seg")]

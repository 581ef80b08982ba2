"""Readings of a case whose files contradict each other: what the voxels say for each, and which one is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from posttx.auditing.agreement import READINGS, carry, eta_squared, grey_groups, label_points, score, unravel
from posttx.auditing.findings import Finding
from posttx.auditing.geometry import majority_grid
from posttx.auditing.images import Image, sample_places
from posttx.auditing.label_audit import Reference
from posttx.geometry.grids import Grid, difference_text, differs_by_rounding, same_grid
from posttx.geometry.reading import AGREE, FAIL, TRUST_VOXELS, Reading

CLEAR_RATIO = 2.0
CLEAR_SCORE = 0.05


@dataclass(frozen=True)
class Evidence:
    """Per reading (voxels, affine): its score from 0 to 1, and the share of points that fall into the head."""

    scores: Mapping[str, float]
    inside: Mapping[str, float]

    @property
    def better(self) -> str:
        """Return the reading that is clearly better, or an empty string."""
        voxels, affine = (self.scores.get(name, 0.0) for name in READINGS)
        best, other = max(voxels, affine), min(voxels, affine)
        if best < CLEAR_SCORE or best < CLEAR_RATIO * other:
            return ""
        return "voxels" if voxels > affine else "affine"

    def text(self) -> str:
        """Return the evidence in words."""
        if not self.scores:
            return "there is no evidence"
        told = {"voxels": "index by index", "affine": "by the affines"}
        parts = [
            f"read {told[name]} it fits with {self.scores[name]:.2f} of 1, {self.inside[name]:.0%} inside the head"
            for name in READINGS
            if name in self.scores
        ]
        verdict = f"trust_{self.better} is right" if self.better else "neither is clearly right"
        return f"{', '.join(parts)}: {verdict}"


@dataclass(frozen=True)
class Geometry:
    """The reading of a case that all stages follow, and what speaks for it.

    ``aligned_by`` is ``voxels`` or ``affine`` for what follows in the audit, also where the decision is ``fail``.
    """

    reading: Reading
    aligned_by: str
    evidence: Evidence
    text: str
    findings: tuple[Finding, ...]

    def row(self, cohort: str, case: str) -> dict[str, Any]:
        """Return the case's row of the geometry table."""
        row: dict[str, Any] = {"cohort": cohort, "case": case, "evidence": self.text, **self.reading.row()}
        for name in READINGS:
            row[f"score_{name}"] = self.evidence.scores.get(name, float("nan"))
            row[f"inside_{name}"] = self.evidence.inside.get(name, float("nan"))
        return row


def decide(
    cohort: str,
    case: str,
    setting: str,
    images: Mapping[str, Image],
    reference: Reference | None,
    reference_grid: Grid | None,
) -> Geometry | None:
    """Compare the grids of a case's files, weigh the readings where they differ, and decide by ``setting``.

    ``setting`` is what the config accepts: fail, trust_affine or trust_voxels. Files on one grid are read as they are.
    A case without any readable file has no geometry: None.
    """
    grids = {name: image.grid for name, image in images.items()}
    if not grids and reference_grid is None:
        return None
    grid_file, outliers = majority_grid(grids) if grids else ("seg", [])
    base = grids[grid_file] if grids else reference_grid
    assert base is not None
    files = grids | ({"seg": reference_grid} if reference_grid is not None else {})
    rounded = tuple(_rounding_findings(cohort, case, files, grid_file))
    aside = reference_grid is not None and not same_grid(base, reference_grid)
    if not outliers and not aside:
        text = "all files lie on one grid" if grids else "there are no images to compare with"
        return Geometry(Reading(AGREE, base, grid_file), "voxels", Evidence({}, {}), text, rounded)
    others = {name: grid for name, grid in files.items() if name in outliers or (name == "seg" and aside)}
    evidence = _weigh(images, grid_file, outliers, reference if aside else None, reference_grid)
    text = f"{'; '.join(f'{name} against {grid_file}: {difference_text(grid, base)}' for name, grid in others.items())}"
    text += f"; {evidence.text()}"
    same_shape = all(grid.shape == base.shape for grid in others.values())
    decision, code = _verdict(setting, evidence, same_shape, bool(outliers))
    if setting == TRUST_VOXELS and decision == FAIL:
        text += "; shapes differ, so that no reading index by index exists"
    origin = "shapes" if decision != setting else "setting"
    finding = Finding(code, cohort, text, case, ", ".join(others), _remedy(code, evidence, same_shape))
    aligned_by = decision.removeprefix("trust_") if decision != FAIL else (evidence.better or "affine")
    reading = Reading(decision, base, grid_file, origin)
    return Geometry(reading, aligned_by, evidence, text, (finding, *rounded))


def _rounding_findings(cohort: str, case: str, files: Mapping[str, Grid], grid_file: str) -> list[Finding]:
    """Return a finding per file whose voxel edges are those of the case's grid but for rounding."""
    base = files[grid_file]
    return [
        Finding("GEO015", cohort, f"{name} against {grid_file}: {difference_text(grid, base)}", case, name)
        for name, grid in files.items()
        if differs_by_rounding(grid, base)
    ]


def _verdict(setting: str, evidence: Evidence, same_shape: bool, images_differ: bool) -> tuple[str, str]:
    """Return the decision and the code of its finding."""
    if setting == FAIL or (setting == TRUST_VOXELS and not same_shape):
        return FAIL, "GEO001" if images_differ else "GEO002"
    against = evidence.better and setting != f"trust_{evidence.better}"
    return setting, "GEO004" if against else "GEO003"


def _remedy(code: str, evidence: Evidence, same_shape: bool) -> str:
    """Return the remedy that ends a contradiction; empty where the code's own does."""
    better = evidence.better
    if code == "GEO004":
        return f"Set `audit.geometry: trust_{better}`, or correct the case" if better == "affine" or same_shape else ""
    if code not in ("GEO001", "GEO002"):
        return ""
    if better == "affine" or (better and same_shape):
        return f"Set `audit.geometry: trust_{better}`, which the voxels support, or correct the headers"
    if not same_shape:
        return "Set `audit.geometry: trust_affine` if the headers are right, or resample the file onto the others' grid"
    return (
        "Compare the files in a viewer, then set `audit.geometry: trust_affine` if the headers are right, "
        "`trust_voxels` if the arrays are aligned"
    )


def _weigh(
    images: Mapping[str, Image], base: str, outliers: list[str], reference: Reference | None, grid: Grid | None
) -> Evidence:
    """Score both readings by every file that lies on another grid; the mean over these files counts."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in READINGS}
    usable = {name: image for name, image in images.items() if image.stats.count}
    for reading in READINGS:
        for name in outliers:
            if base in usable and name in usable and (reading == "affine" or _same_shape(images[name], images[base])):
                found[reading].append(_image_score(usable[base], usable[name], reading))
        if reference is not None and grid is not None and reference.places.size and usable:
            points, groups = label_points(reference.places, reference.labels, reference.shape, grid.spacing)
            rest = {name: image for name, image in usable.items() if name not in outliers}
            if reading == "affine" or grid.shape == images[base].grid.shape:
                values = {name: image.at(carry(points, grid, image.grid, reading)) for name, image in rest.items()}
                found[reading].append(score(groups, values))
    filled = {name: parts for name, parts in found.items() if parts}
    return Evidence(
        {name: float(np.mean([part[0] for part in parts])) for name, parts in filled.items()},
        {name: float(np.mean([part[1] for part in parts])) for name, parts in filled.items()},
    )


def _same_shape(a: Image, b: Image) -> bool:
    return a.grid.shape == b.grid.shape


def _image_score(base: Image, other: Image, reading: str) -> tuple[float, float]:
    places = sample_places(base.stats.head)
    values = other.at(carry(unravel(places, base.grid.shape), base.grid, other.grid, reading))
    inside = float(np.isfinite(values).mean()) if values.size else 0.0
    return inside * eta_squared(grey_groups(base.at(places)), values), inside

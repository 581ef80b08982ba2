"""Geometry of a case: grids, affines that contradict each other, and which reading of them the voxels support."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from nibabel.spatialimages import HeaderDataError

from posttx.auditing.findings import Finding
from posttx.geometry.grids import Grid, displacement, grid_of, same_grid, valid_affine
from posttx.nifti import Volume

FIELD_MM = (100.0, 400.0)
ANISOTROPIC = 2.0
BRAIN_LITRES = 2.6
BORDER_MM2 = 200.0


def file_findings(volume: Volume, cohort: str, case: str, modality: str) -> list[Finding]:
    """Return what is wrong with the geometry of one file by itself."""
    found: list[Finding] = []

    def add(code: str, message: str) -> None:
        found.append(Finding(code, cohort, message, case, modality))

    grid = grid_of(volume)
    if not valid_affine(grid.affine):
        add("GEO007", f"the affine is {np.array2string(grid.affine[:3], precision=4).replace(chr(10), ' ')}")
        return found
    header = volume.header
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    if not sform and not qform:
        add("GEO006", "neither sform nor qform is set")
    elif sform and qform:
        apart = _forms_apart(volume)
        if apart is None:
            add("GEO005", "the qform holds no rotation; the sform is used")
        elif apart > grid.tolerance_mm:
            add("GEO005", f"qform and sform place a corner {apart:.2f} mm apart; the sform is used")
    spacing, extent = grid.spacing, grid.spacing * grid.shape
    if spacing.max() / spacing.min() > ANISOTROPIC:
        add("GEO008", f"voxels measure {' x '.join(f'{edge:.3g}' for edge in spacing)} mm")
    if extent.min() < FIELD_MM[0] or extent.max() > FIELD_MM[1]:
        add("GEO009", f"the volume measures {' x '.join(f'{edge:.0f}' for edge in extent)} mm")
    return found


def _forms_apart(volume: Volume) -> float | None:
    """Return by how many mm sform and qform place a corner differently; None where the qform is no affine at all."""
    try:
        with np.errstate(all="ignore"):
            qform = volume.header.get_qform()
    except (HeaderDataError, ValueError):
        return None
    shape = grid_of(volume).shape
    return displacement(volume.header.get_sform(), qform, shape) if np.isfinite(qform).all() else None


def majority_grid(grids: Mapping[str, Grid]) -> tuple[str, list[str]]:
    """Return the modality whose grid most images share (the first of them), and the modalities that differ from it."""
    best, outliers = "", list(grids)
    for name, grid in grids.items():
        different = [other for other in grids if not same_grid(grid, grids[other])]
        if len(different) < len(outliers) or not best:
            best, outliers = name, different
    return best, outliers


def head_findings(head: np.ndarray, grid: Grid, cohort: str, case: str, modality: str) -> list[Finding]:
    """Return whether a head mask (flat, Fortran order) holds far more than a brain, or reaches the volume's border."""
    if not valid_affine(grid.affine):
        return []
    found = []
    litres = np.count_nonzero(head) * grid.voxel_mm3 / 1e6
    if litres > BRAIN_LITRES:
        message = f"{litres:.2f} litres are not zero, a brain has 1.0 to 1.9"
        found.append(Finding("GEO011", cohort, message, case, modality))
    box = head.reshape(grid.shape, order="F")
    for axis, name in enumerate("ijk"):
        face = grid.voxel_mm3 / float(grid.spacing[axis])
        for end, told in ((0, "first"), (-1, "last")):
            slices = tuple(end if other == axis else slice(None) for other in range(3))
            area = np.count_nonzero(box[slices]) * face
            if area > BORDER_MM2:
                message = f"{area:.0f} mm² of the {told} slice along {name} ({grid.orientation}) are not zero"
                found.append(Finding("GEO010", cohort, message, case, modality))
    return found

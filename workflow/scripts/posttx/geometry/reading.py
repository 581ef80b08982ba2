"""The one reading of a case: decided in the audit, kept in its table, followed by every later stage."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posttx.errors import PostTxError
from posttx.geometry.grids import Grid, columns_of, grid_from, same_grid
from posttx.geometry.index_maps import index_map, same_voxels
from posttx.geometry.resampling import labels_on_grid

logger = logging.getLogger(__name__)
AGREE, TRUST_AFFINE, TRUST_VOXELS, FAIL = DECISIONS = ("agree", "trust_affine", "trust_voxels", "fail")
# Where a decision came from: all headers say the same, `audit.geometry`, or shapes that leave no other.
ORIGINS = ("headers", "setting", "shapes")


@dataclass(frozen=True)
class Reading:
    """How the files of a case are to be read: where each of them lies, and which grid is that of the case.

    ``decision``: ``agree`` (all files lie on one grid), ``trust_affine`` (each lies where its own affine says),
    ``trust_voxels`` (the arrays are aligned index by index, whatever the affines say) or ``fail`` (they contradict each
    other, and no reading is chosen). ``grid`` is that of ``grid_file`` (a modality, or ``seg`` where there is no
    image): images, reference and predictions are laid on it. ``origin``, one of ``ORIGINS``, says what decided.
    """

    decision: str
    grid: Grid
    grid_file: str
    origin: str = "headers"

    def row(self) -> dict[str, Any]:
        """Return the reading's columns of the geometry table; numbers come back from it as they were."""
        named = {"decision": self.decision, "grid_file": self.grid_file, "origin": self.origin}
        return named | columns_of(self.grid, "grid")

    def place(self, own: Grid, file: str | Path = "") -> Grid:
        """Return the grid on which a file of the case lies whose own header says ``own``.

        Where that is the case's grid, the very same is returned. Under ``fail`` a file that lies elsewhere is an error
        that names ``file``.
        """
        if same_grid(own, self.grid):
            return self.grid
        if self.decision in (AGREE, TRUST_AFFINE):
            return own
        if self.decision != TRUST_VOXELS:
            raise PostTxError(
                "the affines of the case contradict each other",
                remedy="Read the audit's finding, then set audit.geometry to trust_affine or trust_voxels",
                file=file,
                code="GEO001",
            )
        if own.shape != self.grid.shape:
            raise PostTxError(
                f"the array has shape {own.shape}, that of the case is {self.grid.shape}: no index-by-index reading",
                remedy="Set audit.geometry to trust_affine, or export the file on the grid of the others",
                file=file,
                code="GEO001",
            )
        return self.grid

    def place_prediction(self, own: Grid, reference: Grid | None = None) -> Grid | None:
        """Return the grid on which a prediction lies whose own header says ``own``; None: on none of the case's.

        A prediction was made from the images or from a file that shares the header of the reference (``reference``, as
        its header says): one with the reference's grid goes where the reference goes, one with the case's grid lies
        there, both also in another order of axes and directions.
        """
        if reference is not None and same_grid(own, reference):
            return self.place(reference)
        if same_grid(own, self.grid):
            return self.grid
        if same_voxels(own, self.grid):
            return own
        if reference is not None and same_voxels(own, reference):
            return Grid(own.shape, self.place(reference).affine @ index_map(reference, own))
        return None


def reading_of(row: Mapping[str, Any]) -> Reading:
    """Return the reading of a row of the geometry table."""
    return Reading(row["decision"], grid_from(row, "grid"), row["grid_file"], row["origin"])


def readings_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Reading]:
    """Return case -> reading of the rows of one cohort's geometry table."""
    return {row["case"]: reading_of(row) for row in rows}


def unaudited(own: Grid, name: str = "seg") -> Reading:
    """Return the reading of a case of which one file alone is known: it lies where its header says."""
    return Reading(AGREE, own, name)


def reference_on_grid(labels: np.ndarray, own: Grid, reading: Reading, target: Grid, path: str | Path) -> np.ndarray:
    """Return a reference (integers from 0) on ``target``, read by the case's reading; the same array if it lies there.

    Labels that the target's voxels are too coarse for, or that lie beside it, are named in a warning. A reference of
    which no label lies on the target is an error.
    """
    source = reading.place(own, path)
    if source is target:
        return labels
    result = labels_on_grid(labels, source, target)
    if np.count_nonzero(labels) == np.count_nonzero(result):
        return result
    before, after = (np.flatnonzero(np.bincount(part.ravel(order="K"))[1:]) + 1 for part in (labels, result))
    if before.size and not after.size:
        raise PostTxError(
            f"read by {reading.decision}, no label lies on the images",
            remedy="Set audit.geometry to the reading that the audit found, or correct the case",
            file=path,
            code="GEO004",
        )
    for value in np.setdiff1d(before, after):
        logger.warning("%s: label %d is lost: it is too small for the images' grid, or lies beside it", path, value)
    return result

"""Rows of ``transforms.parquet``: how a case was brought to its standard grid, and the way back for label maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from posttx.errors import PostTxError
from posttx.geometry.grids import Grid, columns_of, grid_from
from posttx.geometry.index_maps import needs_resampling
from posttx.geometry.resampling import labels_on_grid, means_on_grid


def grid_columns(original: Grid, standard: Grid) -> dict[str, Any]:
    """Return the columns of a transforms row that ``restore_labels`` reads; affines as JSON, rows of 4 numbers."""
    return {
        **columns_of(original, "original"),
        "original_orientation": original.orientation,
        **columns_of(standard, "standard"),
        "standard_orientation": standard.orientation,
        "resampled": needs_resampling(original, standard),
    }


def grids_of_row(row: Mapping[str, Any]) -> tuple[Grid, Grid]:
    """Return the original and the standard grid of a transforms row (a dictionary or a row of the table)."""
    return grid_from(row, "original"), grid_from(row, "standard")


def restore_labels(label_map: np.ndarray, row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return a label map (or counts per voxel) of a case's standard grid on its original grid, and that grid's affine.

    ``row`` is the case's row of ``transforms.parquet``. The result is identical to what was standardised where no
    resampling was needed. A map of another shape than the row's standard grid raises an error.
    """
    original, standard = _grids_for(label_map, row)
    return np.asfortranarray(labels_on_grid(label_map, standard, original)), original.affine


def restore_values(values: Sequence[np.ndarray], mask: np.ndarray, row: Mapping[str, Any]) -> list[np.ndarray]:
    """Return uint8 values that voxels of a mask have on a case's standard grid, such as probabilities, as above.

    Identical where no resampling was needed. Otherwise a voxel has the mean, by weights of linear interpolation, of
    those voxels of the mask that it is interpolated from, and 0 where none of them is in the mask.
    """
    original, standard = _grids_for(mask, row)
    for array in values:
        _grids_for(array, row)
    return [np.asfortranarray(restored) for restored in means_on_grid(values, mask, standard, original)]


def _grids_for(array: np.ndarray, row: Mapping[str, Any]) -> tuple[Grid, Grid]:
    """Return the original and the standard grid of a row; raise where an array does not lie on the standard one."""
    original, standard = grids_of_row(row)
    if array.shape != standard.shape:
        raise PostTxError(
            f"the label map has shape {array.shape}, its standard grid {standard.shape}",
            remedy="Predict the case again from its standardised images",
            case=str(row.get("case", "")),
        )
    return original, standard

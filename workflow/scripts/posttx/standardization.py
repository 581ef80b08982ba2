"""Standardisation of one case: one grid, one intensity range, whole files, and the row that says how to come back.

The foreground is not cropped here: nnU-Net crops it itself and undoes that itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posttx.cases import MODALITIES
from posttx.clipping import clip_into, clipped, difference_channel
from posttx.errors import PostTxError
from posttx.files import renaming
from posttx.grid import (
    Grid,
    grid_columns,
    grid_of,
    image_on_grid,
    labels_on_grid,
    needs_resampling,
    read_grid,
    same_grid,
    same_voxels,
    standard_grid,
)
from posttx.label_maps import REFERENCE, consecutive, label_array
from posttx.nifti import Volume, form_code, pack_volume, read_volume

logger = logging.getLogger(__name__)
# The image whose grid stands for the case where the audit names none: the others are registered to it, mostly.
LEADER = "t1c"


@dataclass(frozen=True)
class Settings:
    """What the config asks of a standardised case; ``spacing`` in mm, ``extra_channels`` such as ``t1c-t1n``."""

    orientation: str = "RAS"
    spacing: float = 1.0
    clip_percentiles: tuple[float, float] = (1.0, 99.0)
    interpolation: str = "linear"
    extra_channels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One case: its files (modality or ``seg`` -> path), the audit's geometry decision, and where the results go.

    ``leader`` is the modality whose grid is that of the case; ``labels`` are the integers of the label scheme,
    ascending.
    """

    case: str
    files: Mapping[str, str]
    decision: str
    leader: str
    folder: Path
    settings: Settings
    labels: tuple[int, ...]


def settings_from(config: Mapping[str, Any]) -> Settings:
    """Return the config's ``standardize`` section as settings; keys left out keep their defaults."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in config.items()
    }
    return Settings(**values)


def image_file(folder: Path, case: str, channel: int) -> Path:
    """Return the file of one channel below the folder of a shard, as nnU-Net names it."""
    return folder / "images" / f"{case}_{channel:04d}.nii.gz"


def label_file(folder: Path, case: str) -> Path:
    """Return the file of a standardised reference below the folder of a shard."""
    return folder / "labels" / f"{case}.nii.gz"


def standardize_case(job: Job) -> dict[str, Any]:
    """Write the standardised files of one case and return its transforms row (without cohort and shard).

    Every file is read once, and at most the leader and one more image are held, so that a worker needs about 0.6 GB at
    182 x 218 x 182 float64. All images go to the standard grid made of the leader's grid; one on another grid is read
    by the audit's decision, which the log and the column ``moved`` say. The files are not flushed to the disk: that is
    for whoever writes the table of the rows (``files.flush``).
    """
    try:
        return _standardized(job)
    except PostTxError as error:
        if error.case:
            raise
        file = error.file or job.files[job.leader]
        raise PostTxError(error.problem, remedy=error.remedy, case=job.case, file=file, code=error.code) from error


def _standardized(job: Job) -> dict[str, Any]:
    leader = read_volume(job.files[job.leader])
    original = grid_of(leader)
    standard = standard_grid(original, job.settings.orientation, job.settings.spacing)
    row: dict[str, Any] = {
        **grid_columns(original, standard),
        "decision": job.decision,
        "grid_of": job.leader,
        "form_code": form_code(leader.header),
        "labels": ",".join(map(str, job.labels)),
    }
    wanted = {name for channel in job.settings.extra_channels for name in channel.split("-")}
    kept, moved = {}, []
    for number, name in enumerate(MODALITIES):
        volume = leader if name == job.leader else read_volume(job.files[name])
        if not same_grid(grid_of(volume), original):
            moved.append(name)
        image, columns = _standard_image(volume, name, read_grid(volume, original, job.decision), standard, job)
        row |= columns
        _write(job, number, image, standard, row["form_code"])
        if name in wanted:
            kept[name] = image
    for number, channel in enumerate(job.settings.extra_channels, start=len(MODALITIES)):
        first, second = channel.split("-")
        _write(job, number, difference_channel(kept[first], kept[second]), standard, row["form_code"])
    if "seg" in job.files:
        label_map = standard_reference(read_volume(job.files["seg"]), original, standard, job.decision, job.labels)
        with renaming(label_file(job.folder, job.case)) as beside:
            pack_volume(beside, label_map, standard.affine, row["form_code"])
    row["moved"] = ",".join(moved)
    _say(job, row, original, standard)
    return {"case": job.case, **row}


def _standard_image(
    volume: Volume, name: str, source: Grid, standard: Grid, job: Job
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return one modality, read as lying on ``source``, on the standard grid, clipped, and its columns of the row.

    The limits are taken of the voxels as they were scanned, before any interpolation.
    """
    turned = same_voxels(source, standard)
    image = np.zeros(standard.shape if turned else source.shape, np.float32, order="F")
    # Seen from the source's grid the standard image is a view: filling that turns the image without another copy.
    target = image_on_grid(image, standard, source) if turned else image
    (low, high), lost = clip_into(target, volume.data, *job.settings.clip_percentiles)
    if lost:
        logger.warning("case %s, %s: %d voxels that are NaN or infinite become 0", job.case, name, lost)
    if not turned:
        image = image_on_grid(image, source, standard, job.settings.interpolation)
        # A cubic overshoots at edges.
        image = clipped(image, low, high) if np.isfinite(low) else image
    return np.asfortranarray(image), {f"clip_{name}_low": low, f"clip_{name}_high": high, f"nonfinite_{name}": lost}


def standard_reference(
    reference: Volume, images: Grid, standard: Grid, decision: str, labels: Sequence[int]
) -> np.ndarray:
    """Return a reference as uint8 on the standard grid of its images, read by the audit's geometry decision.

    The integers are those that a network learns: 1..n, in the order of ``labels``. What ``label_maps`` does not read as
    one of ``labels`` raises an error.
    """
    source = read_grid(reference, images, decision)
    whole, _ = label_array(reference, labels, REFERENCE)  # the audit tells what was rounded
    learnt = consecutive(whole, labels)
    result = np.asfortranarray(labels_on_grid(learnt, source, standard))
    _tell_lost_labels(learnt, result, reference.path, decision, labels)
    return result


def _tell_lost_labels(learnt: np.ndarray, result: np.ndarray, path: Path, decision: str, labels: Sequence[int]) -> None:
    """Warn of labels that another voxel size or an edge swallowed; raise where that leaves nothing."""
    if np.count_nonzero(learnt) == np.count_nonzero(result):
        return
    before, after = (np.flatnonzero(np.bincount(part.ravel(order="K"))[1:]) for part in (learnt, result))
    if before.size and not after.size:
        raise PostTxError(
            f"read by {decision}, no label lies on the images",
            remedy="Set audit.geometry to the reading that the audit found, or correct the case",
            file=path,
            code="GEO004",
        )
    for value in np.setdiff1d(before, after):
        logger.warning("%s: label %d is too small for the standard grid and is lost there", path, labels[value])


def _write(job: Job, number: int, image: np.ndarray, grid: Grid, code: int) -> None:
    with renaming(image_file(job.folder, job.case, number)) as beside:
        pack_volume(beside, image, grid.affine, code)


def _say(job: Job, row: Mapping[str, Any], original: Grid, standard: Grid) -> None:
    steps = [f"{original.orientation} to {standard.orientation}"]
    if needs_resampling(original, standard):
        steps.append(f"resampled from {row['original_shape']} to {row['standard_shape']} voxels")
    if row["moved"]:
        steps.append(f"{row['moved']} moved to the grid of {job.leader} by {job.decision}")
    if job.decision != "agree":
        steps.append(f"reference placed by {job.decision}")
    logger.info("case %s: %s", job.case, "; ".join(steps))

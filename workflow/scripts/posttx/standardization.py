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
from posttx.geometry.grids import Grid, difference_text, grid_of, same_grid, standard_grid
from posttx.geometry.index_maps import needs_resampling, same_voxels
from posttx.geometry.reading import AGREE, Reading, reference_on_grid, unaudited
from posttx.geometry.resampling import image_on_grid
from posttx.geometry.transforms import grid_columns
from posttx.label_maps import REFERENCE, consecutive, label_array
from posttx.missing_modalities import missing_of
from posttx.nifti import Volume, form_code, pack_volume, read_volume

logger = logging.getLogger(__name__)
# The images whose grid stands for the case where the audit names none: the others are registered to the first, mostly.
LEADERS = ("t1c", *MODALITIES)


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
    """One case: its files (modality or ``seg`` -> path), the audit's reading of them, and where the results go.

    ``labels`` are the integers of the label scheme, ascending.
    """

    case: str
    files: Mapping[str, str]
    reading: Reading | None
    folder: Path
    settings: Settings
    labels: tuple[int, ...]

    @property
    def leader(self) -> str:
        """Return the modality whose grid is that of the case; of an unread case, the first there is of ``LEADERS``."""
        named = self.reading.grid_file if self.reading else ""
        there = [name for name in (named, *LEADERS) if name in MODALITIES and name in self.files]
        return there[0] if there else LEADERS[0]


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

    A modality that the case lacks becomes a channel of zeros, as does a difference that needs it; its limits are NaN.
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
    reading = _reading(job, leader)
    original = reading.grid
    standard = standard_grid(original, job.settings.orientation, job.settings.spacing)
    row: dict[str, Any] = {
        **grid_columns(original, standard),
        "decision": reading.decision,
        "grid_of": job.leader,
        "form_code": form_code(leader.header),
        "labels": ",".join(map(str, job.labels)),
    }
    wanted = {name for channel in job.settings.extra_channels for name in channel.split("-")}
    kept, moved = {}, []
    for number, name in enumerate(MODALITIES):
        if name not in job.files:
            # Zeros stay zeros when nnU-Net normalises them: what training by channel dropout shows a network, too.
            row |= {f"clip_{name}_low": float("nan"), f"clip_{name}_high": float("nan"), f"nonfinite_{name}": 0}
            _write(job, number, np.zeros(standard.shape, np.float32, order="F"), standard, row["form_code"])
            continue
        volume = leader if name == job.leader else read_volume(job.files[name])
        own = grid_of(volume)
        if not same_grid(own, original):
            moved.append(name)
        image, columns = _standard_image(volume, name, reading.place(own, volume.path), standard, job)
        row |= columns
        _write(job, number, image, standard, row["form_code"])
        if name in wanted:
            kept[name] = image
    for number, channel in enumerate(job.settings.extra_channels, start=len(MODALITIES)):
        parts = [kept[name] for name in channel.split("-") if name in kept]
        image = difference_channel(*parts) if len(parts) == 2 else np.zeros(standard.shape, np.float32, order="F")
        _write(job, number, image, standard, row["form_code"])
    if "seg" in job.files:
        label_map = standard_reference(read_volume(job.files["seg"]), reading, standard, job.labels)
        with renaming(label_file(job.folder, job.case)) as beside:
            pack_volume(beside, label_map, standard.affine, row["form_code"])
    row["moved"] = ",".join(moved)
    _say(job, row, original, standard)
    return {"case": job.case, **row}


def _reading(job: Job, leader: Volume) -> Reading:
    """Return the audit's reading of a case; of one that it knows nothing about, that of the leader's header alone.

    A leader that lies elsewhere than the audit saw is an error: it was replaced since.
    """
    own = grid_of(leader)
    if job.reading is None or job.reading.grid_file != job.leader:
        return unaudited(own, job.leader)
    if not same_grid(own, job.reading.grid):
        raise PostTxError(
            f"its header changed since the audit ({difference_text(own, job.reading.grid)})",
            remedy="Run again with `--forcerun scan_shard`, so that the case is audited anew",
            file=leader.path,
        )
    return job.reading


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


def standard_reference(reference: Volume, reading: Reading, standard: Grid, labels: Sequence[int]) -> np.ndarray:
    """Return a reference as uint8 on the standard grid of its images, read by the audit's reading of the case.

    The integers are those that a network learns: 1..n, in the order of ``labels``. What ``label_maps`` does not read as
    one of ``labels`` raises an error.
    """
    whole, _ = label_array(reference, labels, REFERENCE)  # the audit tells what was rounded
    placed = reference_on_grid(whole, grid_of(reference), reading, standard, reference.path)
    return np.asfortranarray(consecutive(placed, labels))


def _write(job: Job, number: int, image: np.ndarray, grid: Grid, code: int) -> None:
    with renaming(image_file(job.folder, job.case, number)) as beside:
        pack_volume(beside, image, grid.affine, code)


def _say(job: Job, row: Mapping[str, Any], original: Grid, standard: Grid) -> None:
    steps = [f"{original.orientation} to {standard.orientation}"]
    if needs_resampling(original, standard):
        steps.append(f"resampled from {row['original_shape']} to {row['standard_shape']} voxels")
    if row["moved"]:
        steps.append(f"{row['moved']} moved to the grid of {job.leader} by {row['decision']}")
    if missing := missing_of(job.files):
        steps.append(f"zeros in place of {', '.join(missing)}, which the case lacks")
    if row["decision"] != AGREE:
        steps.append(f"reference placed by {row['decision']}")
    logger.info("case %s: %s", job.case, "; ".join(steps))

"""The pictures of the audit's page: the slice of every case that the audit kept, its reference contoured."""

from __future__ import annotations

import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from PIL import Image

from posttx.files import replacing

LONGER_SIDE = 320
LINE = 2
STRANGE_COLOR = "#ff00ff"
WEBP_QUALITY = 75


def draw_thumbnails(
    thumbnails: pd.DataFrame, folder: str | Path, colors: Mapping[int, str], threads: int = 1
) -> dict[tuple[str, str], str]:
    """Write ``<cohort>/<case>.webp`` below ``folder`` and return (cohort, case) -> path relative to it.

    ``thumbnails`` has the columns of the thumbnails table, ``colors`` label -> ``#rrggbb``; labels without a colour are
    magenta. Cases without an image get no file and no entry.
    """
    known = thumbnails[thumbnails["image"].notna()]
    names = list(zip(known["cohort"].astype(str), known["case"].astype(str), strict=True))
    paths = {(cohort, case): f"{cohort}/{case}.webp" for cohort, case in names}
    Path(folder).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        draw = partial(_write, folder=Path(folder), colors=colors)
        for _ in pool.map(draw, known.to_dict("records"), paths.values()):
            pass
    return paths


def _write(row: Mapping[str, Any], path: str, folder: Path, colors: Mapping[int, str]) -> None:
    labels = None if row["labels"] is None or row["labels"] is pd.NA else _decoded(row["labels"])
    pixels = contoured(_decoded(row["image"]), labels, row["row_mm"], row["column_mm"], colors)
    with replacing(folder / path) as beside:
        Image.fromarray(pixels).save(beside, "WEBP", quality=WEBP_QUALITY, method=2)


def contoured(
    grey: np.ndarray, labels: np.ndarray | None, row_mm: float, column_mm: float, colors: Mapping[int, str]
) -> np.ndarray:
    """Return a slice (rows, columns; uint8) as RGB, its longer side ``LONGER_SIDE`` pixels, each label outlined.

    The outline is the inner rim of the label, so that what touches is told apart. Pixels are square in mm.
    """
    height, width = grey.shape[0] * row_mm, grey.shape[1] * column_mm
    scale = LONGER_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC))
    rgb = np.stack([picture] * 3, axis=-1)
    if labels is None or not labels.any():
        return rgb
    enlarged = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    rim = _rim(enlarged)
    for label in np.unique(enlarged[rim]).tolist():
        rgb[rim & (enlarged == label)] = np.round(255 * np.array(to_rgb(colors.get(label, STRANGE_COLOR))))
    return rgb


def _rim(labels: np.ndarray) -> np.ndarray:
    """Return which labelled pixels have a pixel of another label or of background within ``LINE`` pixels."""
    padded = np.pad(labels, LINE)
    rim = np.zeros(labels.shape, bool)
    for shift in range(1, LINE + 1):
        for down, right in ((shift, 0), (-shift, 0), (0, shift), (0, -shift)):
            rows = slice(LINE + down, LINE + down + labels.shape[0])
            columns = slice(LINE + right, LINE + right + labels.shape[1])
            rim |= padded[rows, columns] != labels
    return rim & (labels != 0)


def _decoded(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))

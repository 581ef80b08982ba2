"""Cases for the interactive viewer: small volumes in a script, which a page may load from disk."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from isal import igzip

from posttx.geometry.grids import moved
from posttx.reporting.case_volumes import CaseImage, CaseVolumes, averaged, block_sizes, placed_in

# Labels of the second kind (false positives; outlines of the prediction) are shifted by this much.
SECOND = 100
# isal's levels 0 to 2 take as long as each other, 3 three times that, thirty times for an empty volume, for 1 % less
COMPRESSION_LEVEL = 2
LESION_COLUMNS = ("region", "source", "state", "volume_mm3", "dice", "centroid_x_mm", "centroid_y_mm", "centroid_z_mm")


def case_script(volumes: CaseVolumes, lesions: pd.DataFrame, picture: bytes = b"") -> str:
    """Return JavaScript that hands one case to the viewer, by calling ``posttxCase`` with it.

    Images are averaged to about ``COARSE_MM`` where they are finer, and scaled to 8 bits between their percentiles 0.5
    and 99.7; label maps keep their voxels and are cropped to the lesions. All are gzipped NIfTI in base64 with their
    place in the world. ``lesions`` are this case's rows of ``schemas.LESIONS``; ``picture`` (WebP) stands in for the
    volumes where a browser cannot draw them.
    """
    images = {name: _encoded(*_coarse(image, volumes)) for name, image in volumes.images.items()}
    rows = [[_plain(row[name]) for name in LESION_COLUMNS] for row in lesions.to_dict("records")]
    # niivue resamples every layer onto the first volume's voxels: an empty one keeps those of the label maps
    start, size = zip(*((part.start, part.stop - part.start) for part in volumes.head), strict=True)
    grid = _encoded(np.zeros(size, np.uint8), moved(volumes.affine, start))
    content = {
        "grid": {"grid": grid},
        "case": volumes.case,
        "images": images,
        "maps": _maps(volumes),
        "lesions": rows,
        "center": _center(volumes),
        "picture": f"data:image/webp;base64,{base64.b64encode(picture).decode()}" if picture else "",
    }
    return f"posttxCase({json.dumps(content, separators=(',', ':')).replace('<', chr(92) + 'u003c')});\n"


def _maps(volumes: CaseVolumes) -> dict[str, str]:
    """Return the label maps, and where both are known their errors and outlines, in the box of the lesions."""
    # niivue repeats the outermost voxels without end, so those must be empty
    padded = {kind: np.pad(labels.astype(np.uint8), 1) for kind, labels in volumes.labels.maps.items()}
    maps = {name: padded[kind] for kind, name in (("ref", "reference"), ("pred", "prediction")) if kind in padded}
    if len(maps) == 2:
        maps["errors"] = error_map(maps["reference"], maps["prediction"])
        maps["outlines"] = outline_map(maps["reference"], maps["prediction"])
    affine = moved(volumes.affine, [part.start - 1 for part in volumes.labels.box])
    return {name: _encoded(labels, affine, "label") for name, labels in maps.items()}


def error_map(reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return uint8: a label where the reference has it and the prediction not; ``SECOND`` more where it was added."""
    errors = np.where(reference != prediction, reference, 0).astype(np.uint8)
    added = (reference == 0) & (prediction > 0)
    errors[added] = prediction[added] + SECOND
    return errors


def outline_map(reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return uint8: the axial outlines of the reference's labels, and those of the prediction ``SECOND`` higher.

    A label's outline is its voxels with a neighbour in the slice that is not of this label, or beyond the array.
    """
    outlines = np.zeros(reference.shape, np.uint8)
    for labels, shift in ((reference, 0), (prediction, SECOND)):
        wide = np.pad(labels, ((1, 1), (1, 1), (0, 0)))
        beside = (wide[2:, 1:-1], wide[:-2, 1:-1], wide[1:-1, 2:], wide[1:-1, :-2])
        rim = np.logical_or.reduce([labels != other for other in beside]) & (labels > 0)
        outlines[rim] = labels[rim] + shift
    return outlines


def _eight_bits(image: np.ndarray) -> np.ndarray:
    inside = image[image != 0]
    low, high = np.percentile(inside, [0.5, 99.7]) if inside.size else (0.0, 1.0)
    scaled = np.clip((image.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1) * 254 + 1
    return np.where(image == 0, 0, np.rint(scaled)).astype(np.uint8)


def _coarse(image: CaseImage, volumes: CaseVolumes) -> tuple[np.ndarray, np.ndarray]:
    """Return the averaged image around the head, and its affine, whose origin is the middle of the first block."""
    size = [part.stop - part.start for part in volumes.head]
    factors = np.array(block_sizes(volumes.spacing, size, 2.0, 10**9))
    first = np.array([part.start for part in volumes.head])
    blocks = _eight_bits(averaged(placed_in(image, volumes.head), factors.tolist()))
    affine = moved(volumes.affine, first + (factors - 1) / 2)
    affine[:3, :3] *= factors
    return blocks, affine


def _encoded(data: np.ndarray, affine: np.ndarray, intent: str = "none") -> str:
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    # niivue colours a volume label by label, without blending neighbours, where the header calls it labels.
    image.header.set_intent(intent)
    return base64.b64encode(igzip.compress(image.to_bytes(), COMPRESSION_LEVEL, mtime=0)).decode()


def _center(volumes: CaseVolumes) -> list[float]:
    """Return the place in the world (mm, R-A-S) of the lesions' middle, or of the head's where there are none."""
    found = np.argwhere(volumes.labels.lesion)
    if len(found):
        middle = found.mean(axis=0) + [part.start for part in volumes.labels.box]
    else:
        middle = np.array([(part.start + part.stop - 1) / 2 for part in volumes.head])
    return [round(float(value), 2) for value in (volumes.affine @ [*middle, 1.0])[:3]]


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return round(float(value), 3) if isinstance(value, float) else value


def looks(colors: Mapping[int, str], names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return label, name, colour and the pale colour of the second kind, as the viewer's page uses them."""
    told = []
    for label, color in colors.items():
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        pale = [round(0.45 * part + 0.55 * 255) for part in rgb]
        told.append({"label": label, "name": names[label], "rgb": rgb, "pale": pale})
    return told

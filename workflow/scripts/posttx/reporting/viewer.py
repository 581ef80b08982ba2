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
from scipy import ndimage

from posttx.reporting.case_pictures import CaseVolumes, bounding_box

# Labels of the second kind (false positives; outlines of the prediction) are shifted by this much.
SECOND = 100
COARSE_MM = 2.0
MARGIN_MM = 6.0
LESION_COLUMNS = ("region", "source", "state", "volume_mm3", "dice", "centroid_x_mm", "centroid_y_mm", "centroid_z_mm")


def case_script(volumes: CaseVolumes, lesions: pd.DataFrame, picture: bytes = b"") -> str:
    """Return JavaScript that hands one case to the viewer, by calling ``posttxCase`` with it.

    Images are cropped to the head, averaged to about ``COARSE_MM`` where they are finer, and scaled to 8 bits between
    their percentiles 0.5 and 99.7; label maps keep their voxels. All are gzipped NIfTI in base64 with their place
    in the world. ``lesions`` are this case's rows of ``schemas.LESIONS``; ``picture`` (WebP) stands in for the volumes
    where a browser cannot draw them.
    """
    box = bounding_box(volumes.head, np.ceil(MARGIN_MM / np.array(volumes.spacing)).astype(int))
    affine = volumes.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array([part.start for part in box])
    images = {name: _encoded(*_coarse(volume[box], affine)) for name, volume in volumes.images.items()}
    maps = {}
    reference, prediction = (None if v is None else v[box] for v in (volumes.reference, volumes.prediction))
    for name, labels in (("reference", reference), ("prediction", prediction)):
        if labels is not None:
            maps[name] = _encoded(labels.astype(np.uint8), affine, "label")
    if reference is not None and prediction is not None:
        maps["errors"] = _encoded(error_map(reference, prediction), affine, "label")
        maps["outlines"] = _encoded(outline_map(reference, prediction), affine, "label")
    rows = [[_plain(row[name]) for name in LESION_COLUMNS] for row in lesions.to_dict("records")]
    # niivue resamples every layer onto the first volume's voxels: an empty one keeps those of the label maps
    grid = _encoded(np.zeros([part.stop - part.start for part in box], np.uint8), affine)
    content = {
        "grid": {"grid": grid},
        "case": volumes.case,
        "images": images,
        "maps": maps,
        "lesions": rows,
        "center": _center(volumes),
        "picture": f"data:image/webp;base64,{base64.b64encode(picture).decode()}" if picture else "",
    }
    return f"posttxCase({json.dumps(content, separators=(',', ':')).replace('<', chr(92) + 'u003c')});\n"


def error_map(reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return uint8: a label where the reference has it and the prediction not; ``SECOND`` more where it was added."""
    errors = np.where(reference != prediction, reference, 0).astype(np.uint8)
    added = (reference == 0) & (prediction > 0)
    errors[added] = prediction[added] + SECOND
    return errors


def outline_map(reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return uint8: the axial outlines of the reference's labels, and those of the prediction ``SECOND`` higher."""
    outlines = np.zeros(reference.shape, np.uint8)
    cross = ndimage.generate_binary_structure(2, 1)[:, :, None]
    for labels, shift in ((reference, 0), (prediction, SECOND)):
        for label in np.unique(labels[labels > 0]).tolist():
            box = bounding_box(labels == label, np.zeros(3, dtype=int))
            mask = labels[box] == label
            outlines[box][mask & ~ndimage.binary_erosion(mask, cross, border_value=0)] = label + shift
    return outlines


def _eight_bits(image: np.ndarray) -> np.ndarray:
    inside = image[image != 0]
    low, high = np.percentile(inside, [0.5, 99.7]) if inside.size else (0.0, 1.0)
    scaled = np.clip((image.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1) * 254 + 1
    return np.where(image == 0, 0, np.rint(scaled)).astype(np.uint8)


def _coarse(image: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average blocks of voxels; the affine's origin moves to the middle of the first block."""
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    factors = [max(1, int(factor)) for factor in np.floor(COARSE_MM / spacing + 1e-3)]
    blocks = image
    for axis, factor in enumerate(factors):
        stop = blocks.shape[axis] // factor * factor
        parts = [blocks[(slice(None),) * axis + (slice(start, stop, factor),)] for start in range(factor)]
        # sums of strided views: numpy's mean over a reshaped axis is several times slower
        blocks = sum(parts[1:], start=parts[0].astype(np.float32)) / np.float32(factor) if factor > 1 else blocks
    coarse = affine.copy()
    coarse[:3, :3] = affine[:3, :3] * factors
    coarse[:3, 3] += affine[:3, :3] @ ((np.array(factors) - 1) / 2)
    return _eight_bits(blocks), coarse


def _encoded(data: np.ndarray, affine: np.ndarray, intent: str = "none") -> str:
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    # niivue colours a volume label by label, without blending neighbours, where the header calls it labels.
    image.header.set_intent(intent)
    return base64.b64encode(igzip.compress(image.to_bytes(), 3, mtime=0)).decode()


def _center(volumes: CaseVolumes) -> list[float]:
    """Return the place in the world (mm, R-A-S) of the lesions' middle, or of the head's where there are none."""
    mask = volumes.lesion if volumes.lesion.any() else volumes.head
    middle = np.argwhere(mask).mean(axis=0) if mask.any() else [size / 2 for size in mask.shape]
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

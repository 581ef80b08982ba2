"""Files that review.html loads by ``<script src>``, as a page may from disk: images of a case, labels of each model."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip

from posttx.geometry.boxes import Box
from posttx.geometry.grids import moved
from posttx.reporting.case_findings import Finding, opening
from posttx.reporting.case_volumes import CaseImage, CaseVolumes, averaged, block_sizes, placed_in
from posttx.reporting.script_json import script_json

SCHEMA = 1
# In the map of errors, labels that were added where the reference has none are shifted by this much.
ADDED = 100
# Images are averaged where they are finer, or where the head has more voxels than a browser draws at once with ease.
FINEST_MM, MOST_VOXELS = 1.0, 12_000_000
# Steps of grey: noise is wider than one; all 255 make the files larger by six tenths, and a reader sees none of them.
LEVELS = 64
# isal's levels 0 to 2 take as long as each other, 3 three times that, thirty times for an empty volume, for 1 % less
COMPRESSION_LEVEL = 2


def images_script(case: str, cohort: str, images: Mapping[str, CaseImage], head: Box, affine: np.ndarray) -> str:
    """Return JavaScript that hands the images of a case to the page: ``posttxImages({...})``.

    Images are cropped to ``head`` and keep their voxels (a scan finer than ``FINEST_MM`` is averaged, which is told);
    grey 1 to 255 stands for ``low`` to ``high`` in the scanner's units (percentiles 0.5 and 99.7 of what is not 0)
    in ``LEVELS`` steps, 0 for the background.
    """
    spacing = nib.affines.voxel_sizes(affine).tolist()
    size = [side.stop - side.start for side in head]
    factors = block_sizes(spacing, size, FINEST_MM, MOST_VOXELS)
    place = moved(affine, [side.start + (factor - 1) / 2 for side, factor in zip(head, factors, strict=True)])
    place[:3, :3] *= factors
    content = {
        "schema": SCHEMA,
        "cohort": cohort,
        "case": case,
        "images": {name: _image(image, head, factors, place) for name, image in images.items()},
        "mm": [round(mm * factor, 3) for mm, factor in zip(spacing, factors, strict=True)],
        "native_mm": [round(mm, 3) for mm in spacing],
        "averaged": math.prod(factors) > 1,
    }
    return script("posttxImages", content)


def labels_script(
    volumes: CaseVolumes, cohort: str, model: str, found: Sequence[Finding], further: int, picture: bytes
) -> str:
    """Return JavaScript that hands the labels of a case to the page: ``posttxLabels({...})``.

    Label maps are cropped to the lesions, with an empty voxel around; ``found`` are the findings, the worst first, and
    ``further`` the number of those left out; ``picture`` (WebP) stands in where a browser cannot draw volumes.
    """
    content = {
        "schema": SCHEMA,
        "cohort": cohort,
        "model": model,
        "case": volumes.case,
        "maps": _maps(volumes),
        "findings": [_finding(volumes, finding) for finding in found],
        "further": further,
        "open": volumes.world(opening(volumes, found)[0]),
        "picture": f"data:image/webp;base64,{base64.b64encode(picture).decode()}",
    }
    return script("posttxLabels", content)


def script(function: str, content: Mapping[str, Any]) -> str:
    """Return a call of a JavaScript function with JSON."""
    return f"{function}({script_json(content)});\n"


def error_map(reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return uint8: a label where the reference has it and the prediction not; ``ADDED`` more where it was added."""
    errors = np.where(reference != prediction, reference, 0).astype(np.uint8)
    added = (reference == 0) & (prediction > 0)
    errors[added] = prediction[added] + ADDED
    return errors


def _maps(volumes: CaseVolumes) -> dict[str, str]:
    # niivue repeats the outermost voxels without end, so those must be empty
    padded = {kind: np.pad(labels.astype(np.uint8), 1) for kind, labels in volumes.labels.maps.items()}
    maps = {name: padded[kind] for kind, name in (("ref", "reference"), ("pred", "prediction")) if kind in padded}
    if len(maps) == 2:
        maps["errors"] = error_map(maps["reference"], maps["prediction"])
    affine = moved(volumes.affine, [part.start - 1 for part in volumes.labels.box])
    return {name: _encoded(labels, affine, "label") for name, labels in maps.items()}


def _image(image: CaseImage, head: Box, factors: Sequence[int], affine: np.ndarray) -> dict[str, Any]:
    whole = placed_in(image, head)
    if math.prod(factors) > 1:
        whole = averaged(whole, factors)
    grey, low, high = quantised(whole)
    return {"nii": _encoded(grey, affine), "low": low, "high": high}


def quantised(image: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return an image as grey 1 to 255 (0 where it is 0 or no number), and what grey 1 and 255 stand for."""
    # along memory, in place: three times as fast as by a mask of the voxels in a volume
    values = np.array(image, np.float32, order="F").ravel(order="K")
    inside = (values != 0) & np.isfinite(values)
    known = values[inside]
    low, high = (float(value) for value in np.percentile(known, [0.5, 99.7])) if known.size else (0.0, 1.0)
    high = max(high, low + 1e-6)
    np.clip(np.nan_to_num(values, copy=False), low, high, out=values)
    values -= low
    values *= (LEVELS - 1) / (high - low)
    np.rint(values, out=values)
    values *= 254 / (LEVELS - 1)
    values += 1
    np.rint(values, out=values)
    grey = np.where(inside, values.astype(np.uint8), 0).astype(np.uint8).reshape(image.shape, order="F")
    return grey, float(f"{low:.6g}"), float(f"{high:.6g}")


def _encoded(data: np.ndarray, affine: np.ndarray, intent: str = "none") -> str:
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    # niivue colours a volume label by label, without blending neighbours, where the header calls it labels.
    image.header.set_intent(intent)
    return base64.b64encode(igzip.compress(image.to_bytes(), COMPRESSION_LEVEL, mtime=0)).decode()


def _finding(volumes: CaseVolumes, finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "region": finding.region,
        "label": finding.label,
        "ml_ref": finding.ml_ref,
        "ml_pred": finding.ml_pred,
        "dice": None if finding.dice is None else round(finding.dice, 4),
        "mm": volumes.world(finding.place),
        "radius_mm": round(finding.radius_mm, 1),
    }

"""References: which integers they hold, where, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import cc3d
import numpy as np
from isal import isal_zlib

from posttx.auditing.findings import Finding
from posttx.geometry.boxes import bounding_box
from posttx.label_maps import REFERENCE, whole_values

SPECK_VOXELS = 5
STRANGE_LABELS = 20
# The largest label told apart; float32 holds it exactly, so that no rounding carries it out of an int32.
LARGEST = 2**31 - 128


@dataclass(frozen=True)
class Reference:
    """The labelled voxels of one reference: ``places`` are flat Fortran-order indices, ``labels`` their integers.

    ``content`` is a digest of both, empty where nothing is labelled.
    """

    shape: tuple[int, ...]
    places: np.ndarray
    labels: np.ndarray
    content: str

    @cached_property
    def counts(self) -> dict[int, int]:
        """Return integer -> voxels, in ascending order."""
        if self.labels.size and self.labels.min() >= 0 and self.labels.max() < 2**16:
            counts = np.bincount(self.labels)
            return {int(label): int(counts[label]) for label in np.flatnonzero(counts)}
        values, counts = np.unique(self.labels, return_counts=True)
        return dict(zip(values.tolist(), counts.tolist(), strict=True))

    def places_of(self, label: int) -> np.ndarray:
        """Return the flat indices of one label, ascending."""
        return self.places[self.labels == label]


def read_reference(
    data: np.ndarray, names: Mapping[int, str], cohort: str, case: str
) -> tuple[Reference, list[Finding]]:
    """Return the labelled voxels, labels rounded, and what is wrong with the values; background only: no places."""
    flat = data.ravel(order="K")
    places = np.flatnonzero(flat != 0)
    values = flat[places]
    found: list[tuple[str, str]] = []
    if values.dtype.kind == "f":
        places, values, found = _whole(places, values)
    values = (
        np.clip(values, -LARGEST if values.dtype.kind != "u" else 0, LARGEST) if values.dtype.itemsize > 2 else values
    )
    reference = Reference(data.shape, places, values.astype(np.int32), "")
    if not places.size:
        found.append(("LAB004", "every voxel is background"))
    strange = {label: count for label, count in reference.counts.items() if label not in names}
    if strange:
        shown = ", ".join(f"{label} ({count} voxels)" for label, count in list(strange.items())[:10])
        more = f" and {len(strange) - 10} more" if len(strange) > 10 else ""
        message = f"labels that the scheme does not name: {shown}{more}; it names {', '.join(map(str, names))}"
        found.append(("LAB001", message))
    content = f"{isal_zlib.crc32(places):08x}-{isal_zlib.crc32(reference.labels):08x}" if places.size else ""
    findings = [Finding(code, cohort, message, case, "seg") for code, message in found]
    return Reference(data.shape, places, reference.labels, content), findings


def _whole(places: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[tuple[str, str]]]:
    """Return places and rounded values of a float reference without what is no number, and the findings about that."""
    read = whole_values(values)
    found = []
    if read.infinite:
        found.append((REFERENCE.infinite, f"{read.infinite} voxels are NaN or infinite"))
    if read.between:
        found.append((REFERENCE.between, read.odd()))
    if read.rounded:
        found.append((REFERENCE.rounded, read.rounding()))
    kept = np.isfinite(read.whole) & (read.whole != 0)
    places, whole = (places, read.whole) if kept.all() else (places[kept], read.whole[kept])
    return places, np.clip(whole, -LARGEST, LARGEST), found


def speck_findings(reference: Reference, names: Mapping[int, str], cohort: str, case: str) -> list[Finding]:
    """Return an info finding that counts, per label, its 26-connected components below ``SPECK_VOXELS`` voxels."""
    named = {label: name for label, name in names.items() if 0 < label < 256 and label in reference.counts}
    if not named:
        return []
    volume = np.zeros(int(np.prod(reference.shape)), np.uint8)
    volume[reference.places] = np.where(np.isin(reference.labels, list(named)), reference.labels, 0)
    whole = volume.reshape(reference.shape, order="F")
    box = np.asfortranarray(whole[bounding_box(whole) or ()])
    components, count = cc3d.connected_components(box, connectivity=26, return_N=True)
    sizes = np.bincount(components.ravel(order="K"), minlength=count + 1)
    small = np.flatnonzero((sizes < SPECK_VOXELS) & (sizes > 0) & (np.arange(sizes.size) > 0))
    if not small.size:
        return []
    places = np.flatnonzero(np.isin(components.ravel(order="K"), small))
    pairs = np.unique(np.stack([box.ravel(order="K")[places], components.ravel(order="K")[places]]), axis=1)
    counts = ", ".join(f"{name} {int((pairs[0] == label).sum())}" for label, name in named.items() if label in pairs[0])
    return [Finding("LAB005", cohort, f"components of fewer than {SPECK_VOXELS} voxels: {counts}", case, "seg")]

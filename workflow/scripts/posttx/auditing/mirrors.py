"""Files of a case that were mirrored although their headers agree: found by trying all mirrorings of the array."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from posttx.auditing.agreement import flat_places, grey_groups, label_points, score
from posttx.auditing.appearance import Appearance
from posttx.auditing.findings import Finding
from posttx.auditing.images import Image

FLIPS = tuple(itertools.product((1, -1), repeat=3))
# Below these scores a file fits so poorly that its mirror images are tried; misplaced references stay below 0.1.
FINE = {"image": 0.5, "seg": 0.25}
GAIN = 0.1
RATIO = 1.5
MOST_POINTS = 4_000
FEW_VOXELS = 1000


def mirror_findings(cohort: str, case: str, look: Appearance) -> list[Finding]:
    """Return findings where a file fits the others clearly better when mirrored; tested only where the fit is poor.

    Only files whose arrays are aligned index by index are compared, and an image only with its case's first one.
    """
    shape = look.geometry.reading.grid.shape
    same = {
        name: image
        for name, image in look.images.items()
        if image.grid.shape == shape and image.stats.count > FEW_VOXELS
    }
    base = look.geometry.reading.grid_file
    if look.geometry.aligned_by != "voxels" or base not in same:
        return []
    found = []
    odd = _mirrored_images(look, same)
    for name, (axes, before, after) in odd.items():
        message = f"fits the other images with {before:.2f} as it is and with {after:.2f} mirrored along {axes}"
        found.append(Finding("GEO013", cohort, message, case, name))
    reference, sound = look.reference, {name: image for name, image in same.items() if name not in odd}
    if reference is not None and reference.places.size and reference.shape == shape and sound:
        points, groups = label_points(reference.places, reference.labels, shape, look.geometry.reading.grid.spacing)
        if best := _best_flip(points, groups, sound, shape, FINE["seg"]):
            message = f"fits the images with {best[1]:.2f} as it is and with {best[2]:.2f} mirrored along {best[0]}"
            found.append(Finding("GEO012", cohort, message, case, "seg"))
    return found


def _mirrored_images(look: Appearance, images: Mapping[str, Image]) -> dict[str, tuple[str, float, float]]:
    base, shape = look.geometry.reading.grid_file, look.geometry.reading.grid.shape
    step = max(1, len(look.points) // MOST_POINTS)
    points, groups = look.points[::step], grey_groups(look.values[base][::step]) + 1
    odd = {}
    for name, image in images.items():
        if name != base and (best := _best_flip(points, groups, {name: image}, shape, FINE["image"])):
            odd[name] = best
    if len(odd) > 1 and len(odd) == len(images) - 1:
        # All the others disagree with the base and so, most likely, not with each other: the base is the mirrored one.
        return {base: next(iter(odd.values()))}
    return odd


def _best_flip(
    points: np.ndarray, groups: np.ndarray, images: Mapping[str, Image], shape: tuple[int, ...], fine: float
) -> tuple[str, float, float] | None:
    """Return (axes, score as it is, score when mirrored along them) where mirroring is clearly better, else None."""

    def fit(flip: tuple[int, ...]) -> float:
        turned = np.where(np.array(flip) < 0, np.array(shape) - 1 - points, points)
        return score(groups, {name: image.at(flat_places(turned, shape)) for name, image in images.items()})[0]

    now = fit(FLIPS[0])
    if now >= fine:
        return None
    best, flip = max((fit(flip), flip) for flip in FLIPS[1:])
    if best < now + GAIN or best < RATIO * now:
        return None
    return " and ".join(axis for axis, sign in zip("ijk", flip, strict=True) if sign < 0), now, best

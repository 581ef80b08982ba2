"""Files under each other's names: T1n for T1c, T2w for FLAIR, told by what contrast and fluid do in healthy tissue."""

from __future__ import annotations

import math

import numpy as np

from posttx.auditing.appearance import Appearance
from posttx.auditing.findings import Finding

# True order, phantoms at 1 to 4 mm and the two real cases: skew >= 0.19, log ratio >= 1.99, fluid share 1.00; exchanged
# files turn the signs. The limits leave half of that distance, because an error has to be certain.
SKEW = -0.1
LOG_RATIO = -1.0
FLUID_SHARE = 0.15
FLUID_VOXELS = 50
FEW_VOXELS = 1000
FAR = 2.0
CLEAR_ENHANCEMENT = 1.0


def swap_findings(look: Appearance, cohort: str, case: str) -> list[Finding]:
    """Return findings for swapped modalities; images that cannot be normalised are not judged."""
    return [*_swapped_t1(look, cohort, case), *_swapped_t2(look, cohort, case)]


def _swapped_t1(look: Appearance, cohort: str, case: str) -> list[Finding]:
    """Contrast makes vessels, plexus and meninges brighter on T1c: the tail of the normalised T1c - T1n points upwards.

    Lesions are left out: blood is bright on T1n. Where there is no reference to leave them out by, or a label enhances
    clearly in the file called T1c, doubt remains and the finding is a warning.
    """
    t1n, t1c = look.z("t1n"), look.z("t1c")
    if t1n is None or t1c is None:
        return []
    apart = (t1c - t1n)[~look.lesion]
    apart = apart[np.isfinite(apart)]
    if apart.size < FEW_VOXELS:
        return []
    low, middle, high = np.percentile(apart, [0.5, 50, 99.5])
    skew = (high + low - 2 * middle) / (high - low) if high > low else 0.0
    up, down = int((apart > middle + FAR).sum()), int((apart < middle - FAR).sum())
    if skew >= SKEW or math.log((up + 1) / (down + 1)) >= LOG_RATIO:
        return []
    enhancement = _enhancement(look)
    # In swapped files a bleeding core seems to enhance; then the true enhancement, turned, is the larger of the two.
    enhancing = max(enhancement, default=0.0) > max(CLEAR_ENHANCEMENT, -min(enhancement, default=0.0))
    code = "INT012" if look.reference is None or enhancing else "INT009"
    message = (
        f"of {apart.size} places in healthy tissue, {down} are clearly brighter on the file called T1n and {up} on the "
        f"one called T1c (skew {skew:.2f})"
    )
    return [Finding(code, cohort, message, case, "t1n, t1c")]


def _enhancement(look: Appearance) -> list[float]:
    """Return, per label, the median on T1c minus that on T1n, both normalised."""
    told = []
    for label in look.reference.counts if look.reference is not None else ():
        values = look.label_values(label)
        medians = [
            look.normals[name].normalise(np.median(values[name])) for name in ("t1n", "t1c") if values[name].size
        ]
        if len(medians) == 2:
            told.append(float(medians[1] - medians[0]))
    return told


def _swapped_t2(look: Appearance, cohort: str, case: str) -> list[Finding]:
    """Fluid is dark on T1n; T2w shows it bright, FLAIR suppresses it."""
    t1n, t2w, t2f = (look.z(name) for name in ("t1n", "t2w", "t2f"))
    if t1n is None or t2w is None or t2f is None:
        return []
    fluid = ~look.lesion & (t1n < -1) & (np.fmax(t2w, t2f) > 1)
    count = int(fluid.sum())
    if count < FLUID_VOXELS:
        return []
    share = float((t2w[fluid] > t2f[fluid]).mean())
    if share >= FLUID_SHARE:
        return []
    message = f"of {count} fluid places, dark on T1n, only {share:.0%} are brighter on the file called T2w"
    return [Finding("INT010", cohort, message, case, "t2w, t2f")]

"""What makes a phantom cohort harder than the plain one: planted pitfalls, a second site, enhancing rims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from posttx.phantom.draw import rng_of
from posttx.phantom_patients import SITES, site_of


@dataclass(frozen=True)
class Difficulty:
    """The settings of a cohort beside seed and voxel edge; those left out give the plain phantom.

    ``pitfalls``: name of a cause -> mean number per scan; ``sites``: 1 or 2; ``rims``: share of the patients whose
    enhancing tissue lines the wall of the cavity.
    """

    pitfalls: Mapping[str, float] = field(default_factory=dict)
    sites: int = 1
    rims: float = 0.0

    def has_rim(self, patient: str, seed: int) -> bool:
        """Say whether the enhancing tissue of a patient lines the wall of the cavity."""
        return self.rims > 0 and bool(rng_of(seed, patient, "rim").random() < self.rims)

    def scanner(self, patient: str) -> Scanner:
        """Return the scanner of the site that a patient belongs to."""
        return SCANNERS[site_of(patient, self.sites)]


PLAIN = Difficulty()


@dataclass(frozen=True)
class Scanner:
    """How a site's protocol differs: a power per modality on the signal relative to healthy tissue, and more noise.

    A power below 1 brings bright and dark closer together: enhancement of 1.75 times white matter becomes 1.52 at 0.75.
    """

    powers: Mapping[str, float] = field(default_factory=dict)
    noise: float = 1.0


SCANNERS: Mapping[str, Scanner] = dict(
    zip(SITES, (Scanner(), Scanner({"t1n": 1.25, "t1c": 0.75, "t2w": 0.85, "t2f": 0.70}, noise=2.0)), strict=True)
)

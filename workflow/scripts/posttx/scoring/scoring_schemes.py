"""The rules of each scoring scheme as data: what "the official metric" of a year does, as executed.

Read in the scorers themselves: ``rachitsaluja/BraTS-2023-Metrics`` (eval.py), ``rachitsaluja/BraTS-2024-Metrics``
(metrics_GLI.py at 9e8879a, used in 2024 and 2025), ``brats-evaluation`` 0.0.10 (config_gli.yaml, panoptica 2.1.7).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from posttx.errors import PostTxError

if TYPE_CHECKING:  # the measures themselves take half a second to import
    from posttx.scoring.surfaces import Definition

Matching = Literal["none", "touching", "bipartite"]


@dataclass(frozen=True)
class RegionRule:
    """How the lesions of one region are delimited and which of them count.

    ``dilation``: iterations of the 18-neighbourhood that join components and in which a prediction counts as found.
    Reference lesions of at most ``ignore_ref_mm3`` are left out, predicted ones of at most ``drop_pred_voxels`` erased.
    """

    dilation: int = 0
    ignore_ref_mm3: float = 0.0
    drop_pred_voxels: int = 0


@dataclass(frozen=True)
class ScoringScheme:
    """One scheme. Regions are named as in the label scheme; those without a rule of their own follow ``default``.

    ``join_across``: region -> the regions whose lesions join it: components that touch the same lesion of another class
    are one lesion. ``penalty_mm``: HD95 of a missed lesion and of a false positive. ``absent``: lesion-wise
    (Dice, HD95, NSD) where neither reference nor prediction has a lesion that counts.
    """

    name: str
    description: str
    matching: Matching
    hd95: Definition
    nsd: Definition
    rules: Mapping[str, RegionRule] = field(default_factory=dict)
    default: RegionRule = field(default_factory=RegionRule)
    join_predictions: bool = False
    join_across: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    penalty_mm: float = math.inf
    absent: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    lesion_nsd: bool = True
    nsd_epsilon: float = 0.0

    def rule(self, region: str) -> RegionRule:
        """Return the rule of a region."""
        return self.rules.get(region, self.default)


SCHEMES = {
    "voxel": ScoringScheme(
        name="voxel",
        description="voxel metrics alone: no lesions, no surface distances",
        matching="none",
        hd95="surfel",
        nsd="surfel",
        lesion_nsd=False,
    ),
    # The official scorer reports WT, TC and ET; other regions are scored by the same rule.
    "brats2023": ScoringScheme(
        name="brats2023",
        description="BraTS 2023 glioma: dilation 3, reference lesions up to 50 mm3 ignored, penalty 374 mm",
        matching="touching",
        hd95="surfel",
        nsd="surfel",
        default=RegionRule(dilation=3, ignore_ref_mm3=50.0),
        penalty_mm=374.0,
        absent=(1.0, 0.0, math.nan),
        lesion_nsd=False,
    ),
    "brats2024": ScoringScheme(
        name="brats2024",
        description="BraTS 2024 and 2025 post-treatment glioma, as executed: SNFH is dilated by 3 like ET, TC and WT",
        matching="touching",
        hd95="surfel",
        nsd="border",
        rules={
            "ET": RegionRule(dilation=3, ignore_ref_mm3=10.0, drop_pred_voxels=10),
            "NETC": RegionRule(dilation=5, ignore_ref_mm3=20.0, drop_pred_voxels=20),
            "RC": RegionRule(dilation=5, ignore_ref_mm3=20.0, drop_pred_voxels=20),
        },
        default=RegionRule(dilation=3, ignore_ref_mm3=20.0, drop_pred_voxels=20),
        join_predictions=True,
        # In this order: the classes one after the other, each over the lesions as they were before any joining.
        join_across={
            "NETC": ("ET", "RC"),
            "ET": ("NETC", "RC"),
            "RC": ("ET", "NETC"),
            "SNFH": ("ET", "RC", "NETC"),
        },
        penalty_mm=337.0,
        absent=(1.0, 0.0, 1.0),
        nsd_epsilon=1e-8,
    ),
    "brats2026": ScoringScheme(
        name="brats2026",
        description="brats-evaluation 0.0.10 (panoptica): one-to-one matching by Dice, means over matched lesions",
        matching="bipartite",
        hd95="border",
        nsd="border",
    ),
}
# The least Dice at which two lesions can be matched one to one (brats2026).
MATCHING_DICE = 1e-6


def scoring_scheme(name: str, snfh_dilation: str = "executed") -> ScoringScheme:
    """Return a scheme by name.

    The 2024 scorer means to dilate SNFH by 5, but tests for the misspelt name "SFNH", so that 3 applies:
    ``snfh_dilation`` is ``executed`` (3) or ``intended`` (5) and concerns ``brats2024`` alone.
    """
    if name not in SCHEMES:
        raise PostTxError(f"there is no scoring scheme {name!r}", remedy=f"Use one of: {', '.join(SCHEMES)}")
    scheme = SCHEMES[name]
    if name == "brats2024" and snfh_dilation == "intended":
        description = "BraTS 2024 and 2025 post-treatment glioma, as documented: SNFH is dilated by 5"
        rules = {**scheme.rules, "SNFH": replace(scheme.default, dilation=5)}
        return replace(scheme, rules=rules, description=description)
    return scheme

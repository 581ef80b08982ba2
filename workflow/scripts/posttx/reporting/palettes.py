"""Colours of the regions (the label scheme's, or a palette that every reader can tell apart), names of modalities."""

from __future__ import annotations

from collections.abc import Iterable

from posttx.labels import LabelScheme

# Okabe and Ito (2008), black and white left out: distinct with every common form of colour blindness.
OKABE_ITO = ("#D55E00", "#009E73", "#0072B2", "#E69F00", "#CC79A7", "#56B4E9", "#F0E442")
PALETTES = ("scheme", "okabe-ito")
MODALITY_NAMES = {"t1n": "T1", "t1c": "T1-Gd", "t2w": "T2", "t2f": "FLAIR"}


def region_colors(scheme: LabelScheme, palette: str = "scheme") -> dict[str, str]:
    """Return region name -> ``#rrggbb``, in the order of the scheme's regions; ``palette`` is one of ``PALETTES``."""
    if palette == "scheme":
        return {region.name: region.color for region in scheme.regions}
    return {region.name: OKABE_ITO[i % len(OKABE_ITO)] for i, region in enumerate(scheme.regions)}


def cycle(names: Iterable[str]) -> dict[str, str]:
    """Return name -> colour for things that have no colour of their own (cohorts, folds), in the order given."""
    return {name: OKABE_ITO[(i + 2) % len(OKABE_ITO)] for i, name in enumerate(names)}

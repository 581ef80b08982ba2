"""Colours of the regions (the label scheme's, or a palette that every reader can tell apart), names of modalities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from posttx.labels import LabelScheme

# The hues of Okabe and Ito (2008), black and white left out, with their lightness set further apart: as seen with
# deuteranopia (Machado, Oliveira and Fernandes 2009) or protanopia, all pairs of the seven differ by 15 in CIEDE2000 or
# more; of the original four pairs do not.
OKABE_ITO = ("#B85C00", "#00A272", "#0067B2", "#DB9F1F", "#CC79A7", "#54B9F1", "#F3FF44")
# Of cohorts and folds: none of the classes' colours, none too pale on white or too dark on black.
FURTHER = ("#3b78b5", "#c9822b", "#4f9d69", "#a25fa0", "#6b7a8f", "#b5524a")
PALETTES = ("scheme", "okabe-ito")
MODALITY_NAMES = {"t1n": "T1", "t1c": "T1-Gd", "t2w": "T2", "t2f": "FLAIR"}


def region_colors(scheme: LabelScheme, palette: str = "scheme") -> dict[str, str]:
    """Return region name -> ``#rrggbb``, in the order of the scheme's regions; ``palette`` is one of ``PALETTES``."""
    if palette == "scheme":
        return {region.name: region.color for region in scheme.regions}
    return {region.name: OKABE_ITO[i % len(OKABE_ITO)] for i, region in enumerate(scheme.regions)}


def described_regions(scheme: LabelScheme, palette: str = "scheme") -> dict[str, dict[str, Any]]:
    """Return region name -> what the pages are told of it: names, integers, and its colour by either palette.

    ``color`` is that of ``palette``; ``label`` is the integer of a single label, None of a composite region.
    """
    colors = {name: region_colors(scheme, name) for name in PALETTES}
    return {
        region.name: {
            "long_name": region.long_name,
            "label": region.label,
            "labels": list(region.labels),
            "color": colors[palette][region.name],
            "scheme_color": colors["scheme"][region.name],
            "alternative": colors["okabe-ito"][region.name],
        }
        for region in scheme.regions
    }


def palette_style(regions: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the style sheet of the regions' colours: ``--class-<i>`` by the palette that ``data-palette`` names.

    ``regions`` are those of the report's settings, in their order, single labels first.
    """
    wanted = {"scheme": "scheme_color", "okabe-ito": "alternative"}
    return "\n".join(
        f':root[data-palette="{palette}"] {{ '
        + " ".join(f"--class-{i}: {region[key]};" for i, region in enumerate(regions.values()))
        + " }"
        for palette, key in wanted.items()
    )


def cycle(names: Iterable[str]) -> dict[str, str]:
    """Return name -> colour for things that have no colour of their own (cohorts, folds), in the order given."""
    return {name: FURTHER[i % len(FURTHER)] for i, name in enumerate(names)}

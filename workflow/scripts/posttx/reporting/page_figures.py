"""Figures on a page: those of the catalogue that it shows, as SVG within it, with captions and how to read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from posttx.reporting.figures import SECTIONS, Figure, drawn_per
from posttx.reporting.style import INK

GROUPS = re.compile(r"(<g>|<g [^>]*[^/>]>|</g>)")
# How matplotlib writes colours: of hatched areas as an attribute, else in a style.
FILLED = re.compile(r' fill="(#[0-9a-f]{6})"')
PAINTED = re.compile(r"(fill|stroke): (#[0-9a-f]{6})\b")


@dataclass(frozen=True)
class Shown:
    """A figure as a page shows it: its entry, the anchor, the SVG, caption and alternative text."""

    figure: Figure
    id: str
    svg: Markup
    caption: str
    alt: str

    @property
    def section(self) -> str:
        """Return the part of the page that shows it."""
        return self.figure.section


def shown(
    results: Path,
    kind: str,
    key: str = "",
    counts: bool = False,
    regions: Mapping[str, Mapping[str, Any]] | None = None,
    **names: str,
) -> list[Shown]:
    """Return the figures of a kind for a page; ``key`` tells those of one model and cohort from another's.

    ``regions`` are those of the report's settings, whose colours follow the page's palette. ``names`` holds cohort,
    model and convention as the paths and captions of the kind need them. Of ``counts`` alone nothing is shown that
    needs images.
    """
    made, colors = [], variables(regions or {})
    for figure in drawn_per(kind):
        if not (counts and figure.needs_images):
            anchor = "-".join(["figure", figure.id.replace("_", "-"), *([key] if key else [])])
            own = colors if "colors" in figure.parameters else {}
            svg = inlined(results / figure.path.format(**names), anchor, own)
            made.append(Shown(figure, anchor, svg, figure.caption.format(**names), figure.alt.format(**names)))
    return made


def readings(pictures: Iterable[Shown]) -> dict[str, list[tuple[str, str]]]:
    """Return section -> (title, how to read it) of the figures shown, once for however many blocks show one."""
    entries = {picture.figure.id: picture.figure for picture in pictures}
    return {
        section: [(figure.title, figure.reading) for figure in entries.values() if figure.section == section]
        for section in SECTIONS
    }


def variables(regions: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return colour -> variable of the style sheet (``palettes.palette_style``), of colours that only one class has."""
    colors = [str(region["color"]).lower() for region in regions.values()]
    return {color: f"var(--class-{i}, {color})" for i, color in enumerate(colors) if colors.count(color) == 1}


def unwrapped(svg: str) -> str:
    """Return an SVG without the groups that have no attribute: half of its elements, once the ids are gone."""
    kept: list[str] = []
    bare: list[bool] = []
    for part in GROUPS.split(svg):
        if part == "</g>":
            kept += [] if bare.pop() else [part]
        elif GROUPS.fullmatch(part):
            bare.append(part == "<g>")
            kept += [] if bare[-1] else [part]
        else:
            kept.append(part)
    return "".join(kept)


def inlined(path: Path, prefix: str, colors: Mapping[str, str] | None = None) -> Markup:
    """Return an SVG of ours for inlining: ids by ``prefix`` or dropped, its ink the page's, no header, no empty groups.

    ``colors`` maps further colours to what stands for them on the page.
    """
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda found: f' id="{prefix}-{found[1]}"' if found[1] in used else "", text)
    text = unwrapped(text)
    text = re.sub(r'\bhref="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    known = dict(colors or {})
    text = FILLED.sub(lambda found: f' style="fill: {known[found[1]]}"' if found[1] in known else found[0], text)
    text = PAINTED.sub(lambda found: f"{found[1]}: {known.get(found[2], found[2])}", text)
    text = text.replace(INK, "currentColor")
    # The size comes from the page; the view box keeps the proportions.
    sized = re.compile(r'(<svg[^>]*?) width="([\d.]+)pt" height="[\d.]+pt"')
    return Markup(sized.sub(r'\1 style="max-width:\2pt" aria-hidden="true"', text, count=1))

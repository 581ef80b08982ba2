"""Figures on a page: those of the catalogue that it shows, as SVG within it, with captions and how to read them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from posttx.reporting.figures import SECTIONS, Figure, drawn_per
from posttx.reporting.style import INK


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


def shown(results: Path, kind: str, key: str = "", counts: bool = False, **names: str) -> list[Shown]:
    """Return the figures of a kind for a page; ``key`` tells those of one model and cohort from another's.

    ``names`` holds cohort, model and convention as the paths and captions of the kind need them. Of ``counts`` alone
    nothing is shown that needs images.
    """
    made = []
    for figure in drawn_per(kind):
        if not (counts and figure.needs_images):
            anchor = "-".join(["figure", figure.id.replace("_", "-"), *([key] if key else [])])
            svg = inlined(results / figure.path.format(**names), anchor)
            made.append(Shown(figure, anchor, svg, figure.caption.format(**names), figure.alt.format(**names)))
    return made


def readings(pictures: Iterable[Shown]) -> dict[str, list[tuple[str, str]]]:
    """Return section -> (title, how to read it) of the figures shown, once for however many blocks show one."""
    entries = {picture.figure.id: picture.figure for picture in pictures}
    return {
        section: [(figure.title, figure.reading) for figure in entries.values() if figure.section == section]
        for section in SECTIONS
    }


def inlined(path: Path, prefix: str) -> Markup:
    """Return an SVG of ours for inlining: ids by ``prefix`` or dropped, its ink the page's, no XML header."""
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda found: f' id="{prefix}-{found[1]}"' if found[1] in used else "", text)
    text = re.sub(r'\bhref="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    text = text.replace(INK, "currentColor")
    # The size comes from the page; the view box keeps the proportions.
    sized = re.compile(r'(<svg[^>]*?) width="([\d.]+)pt" height="[\d.]+pt"')
    return Markup(sized.sub(r'\1 style="max-width:\2pt" aria-hidden="true"', text, count=1))

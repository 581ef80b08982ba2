"""Pictures of single cases: four modalities with the contours of reference and prediction, and where they differ."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from contourpy import LineType, contour_generator
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.transforms import IdentityTransform
from PIL import Image

from posttx.reporting.case_volumes import CaseVolumes, Place, Tile, tile, view_mm
from posttx.reporting.palettes import MODALITY_NAMES
from posttx.reporting.style import RC

REFERENCE_LINE, PREDICTION_LINE = "solid", (0, (2.2, 1.1))
# half the time of method 4 for a file 4 % larger
WEBP_QUALITY, WEBP_METHOD = 78, 2
DPI = 88
WIDTH, GAP = 968, 2
# 4 to 6 kB a case: a list shows one, a patient's row a few
THUMB_WIDTH, THUMB_QUALITY = 240, 68
TITLE, LEGEND = 22, 26
BACKGROUND, PALE = "#000000", "#e6e6e6"
DIMMED = 0.45


@dataclass(frozen=True)
class _Panel:
    """A place on the picture in pixels, from its top left corner."""

    left: int
    top: int
    width: int
    height: int


class _Picture:
    """Grey panels, contours and texts laid on one picture by pixels: matplotlib's axes cost most of the time."""

    def __init__(self, height: int, width: int = WIDTH) -> None:
        self.height = height
        self._pixels = np.zeros((height, width, 3), np.uint8)
        # a half pixel more, since matplotlib rounds down what it computes from inches
        self._figure = Figure(figsize=((width + 0.5) / DPI, (height + 0.5) / DPI), facecolor="none", dpi=DPI)

    def show(self, panel: _Panel, pixels: np.ndarray, resample: Image.Resampling = Image.Resampling.BILINEAR) -> None:
        """Lay grey or RGB pixels (uint8) on a panel, which they fill."""
        scaled = np.asarray(Image.fromarray(pixels).resize((panel.width, panel.height), resample))
        rows, columns = slice(panel.top, panel.top + panel.height), slice(panel.left, panel.left + panel.width)
        self._pixels[rows, columns] = scaled[..., None] if scaled.ndim == 2 else scaled

    def outline(self, panels: Sequence[_Panel], cut: Tile, colors: Mapping[int, str]) -> None:
        """Draw the contours of a tile's labels on all ``panels``: the reference solid, the prediction dashed."""
        scale = np.array([panels[0].width / cut.image.shape[1], -panels[0].height / cut.image.shape[0]])
        corners = [np.array([panel.left, len(self._pixels) - panel.top]) for panel in panels]
        areas = {label: sum(int((labels == label).sum()) for labels in cut.maps.values()) for label in colors}
        # The smallest last: a core shares its whole border with the rim around it, whose line would hide its own.
        for label in sorted(colors, key=areas.__getitem__, reverse=True):
            color = colors[label]
            for kind, style, width in (("ref", REFERENCE_LINE, 0.9), ("pred", PREDICTION_LINE, 1.3)):
                lines = [(line + 0.5) * scale for line in _contours(cut.maps.get(kind), label)]
                moved = [line + corner for corner in corners for line in lines]
                look: Any = {"colors": color, "linestyles": [style], "linewidths": width}
                if moved:
                    self._figure.add_artist(LineCollection(moved, transform=IdentityTransform(), **look))

    def write(self, x: float, y: float, text: str, boxed: bool = False, **options: Any) -> None:
        """Write a text whose baseline begins at (x, y), counted from the top left corner."""
        box = {"facecolor": BACKGROUND, "edgecolor": "none", "alpha": 0.6, "pad": 1.5} if boxed else None
        self._figure.text(x, len(self._pixels) - y, text, bbox=box, parse_math=False,
                          transform=IdentityTransform(), **{"color": PALE, **options})  # fmt: skip

    def drawn(self) -> Image.Image:
        """Return the picture."""
        renderer = FigureCanvasAgg(self._figure).get_renderer()
        buffer = np.asarray(renderer.buffer_rgba())
        buffer[..., :3], buffer[..., 3] = self._pixels, 255
        # onto the pixels themselves: handed to matplotlib as an image, they would be resampled
        self._figure.draw(renderer)
        return Image.fromarray(buffer[..., :3])


def draw_case(
    volumes: CaseVolumes, place: Place, radius_mm: float, colors: Mapping[int, str], names: Mapping[int, str]
) -> bytes:
    """Return a WebP picture: rows axial, near the lesion, and coronal; columns the modalities and the errors.

    Slices go through ``place``, a voxel of the lesion to be shown, whose size is about ``radius_mm``; ``colors`` and
    ``names`` go by label. The reference is solid, the prediction dashed; the last column fills what was missed in the
    class's colour and what was added in a pale tone.
    """
    columns = [*volumes.images, "errors"]
    rows = [("axial", 2, None), ("near", 2, view_mm(radius_mm)), ("coronal", 1, None)]
    cuts = [{name: tile(volumes, name, axis, place, near) for name in volumes.images} for _, axis, near in rows]
    width = (WIDTH - GAP * (len(columns) - 1)) // len(columns)
    heights = [_height(next(iter(line.values())), width) for line in cuts]
    top = TITLE
    with matplotlib.rc_context(RC):
        picture = _Picture(TITLE + sum(heights) + GAP * (len(rows) - 1) + LEGEND)
        for (view, axis, near), line, height in zip(rows, cuts, heights, strict=True):
            panels = [_Panel(i * (width + GAP), top, width, height) for i in range(len(columns))]
            for panel, cut in zip(panels, line.values(), strict=False):
                picture.show(panel, _grey(cut.image))
            first = next(iter(line.values()))
            picture.outline(panels[:-1], first, colors)
            _show_errors(picture, panels[-1], first, colors)
            picture.write(4, top + height - 4, f"{view}, slice {place[axis]}", True,
                          fontsize=7.5)  # fmt: skip
            if near is None:
                picture.write(4, top + height // 2, "R", True, fontsize=7.5)
            top += height + GAP
        for i, column in enumerate(columns):
            picture.write(i * (width + GAP) + width / 2, TITLE - 5, MODALITY_NAMES.get(column, column), fontsize=9,
                          fontweight="bold", ha="center")  # fmt: skip
        _legend(picture, top - GAP + LEGEND - 9, colors, names)
        return _webp(picture.drawn())


def draw_thumb(volumes: CaseVolumes, place: Place, colors: Mapping[int, str]) -> bytes:
    """Return a small WebP picture: the axial slice of the first image through a voxel, with both contours."""
    cut = tile(volumes, next(iter(volumes.images)), 2, place)
    with matplotlib.rc_context(RC):
        picture = _Picture(_height(cut, THUMB_WIDTH), THUMB_WIDTH)
        panel = _Panel(0, 0, THUMB_WIDTH, picture.height)
        picture.show(panel, _grey(cut.image))
        picture.outline([panel], cut, colors)
        return _webp(picture.drawn(), THUMB_QUALITY)


def _height(cut: Tile, width: int) -> int:
    return max(1, round(width * cut.image.shape[0] * cut.aspect / cut.image.shape[1]))


def _grey(image: np.ndarray) -> np.ndarray:
    """Return 8-bit grey values: white at the percentile 99.7 of what is not 0, black at 0, or at 0.5 % below it."""
    inside = image[image != 0]
    low, high = np.percentile(inside, [0.5, 99.7]) if inside.size else (0.0, 1.0)
    low = min(low, 0)
    return np.nan_to_num(np.clip((image - low) * (255 / max(high - low, 1e-6)), 0, 255)).astype(np.uint8)


def _contours(labels: np.ndarray | None, label: int) -> list[np.ndarray]:
    """Return the contours of one label as points (column, row) between the centres of pixels."""
    mask = labels == label if labels is not None else np.zeros((2, 2), bool)
    if not mask.any():
        return []
    # contourpy itself: matplotlib's contour sets are seven times slower, and there are dozens a picture
    return contour_generator(z=mask.astype(np.float32), line_type=LineType.Separate).lines(0.5)  # type: ignore[return-value]


def _show_errors(picture: _Picture, panel: _Panel, cut: Tile, colors: Mapping[int, str]) -> None:
    if len(cut.maps) < 2:
        picture.show(panel, _grey(cut.image))
        text = "no reference" if "pred" in cut.maps else "no prediction"
        picture.write(panel.left + panel.width / 4, panel.top + panel.height / 2, text, True, fontsize=7.5)
        return
    ref, pred = cut.maps["ref"], cut.maps["pred"]
    pixels = np.repeat((DIMMED * _grey(cut.image)).astype(np.uint8)[..., None], 3, axis=2)
    for label, color in colors.items():
        rgb = np.array(to_rgb(color))
        pixels[(ref == label) & (pred != label)] = np.round(255 * rgb)
        pixels[(pred == label) & (ref == 0)] = np.round(255 * (0.4 * rgb + 0.6))
    picture.show(panel, pixels, Image.Resampling.NEAREST)


def _legend(picture: _Picture, y: float, colors: Mapping[int, str], names: Mapping[int, str]) -> None:
    picture.write(0.01 * WIDTH, y, "reference: solid   prediction: dashed   errors: full = missed, pale = added",
                  fontsize=8.5)  # fmt: skip
    for i, (label, color) in enumerate(colors.items()):
        picture.write((0.62 + 0.09 * i) * WIDTH, y, f"■ {names[label]}", color=color, fontsize=9, fontweight="bold")


def _webp(picture: Image.Image, quality: int = WEBP_QUALITY) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=quality, method=WEBP_METHOD)
    return stream.getvalue()

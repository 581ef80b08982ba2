"""Pictures of single cases: four modalities with the contours of reference and prediction, and where they differ."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib
import nibabel as nib
import numpy as np
from contourpy import LineType, contour_generator
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from posttx.errors import PostTxError
from posttx.files import replacing
from posttx.nifti import Volume, read_volume
from posttx.reporting.palettes import MODALITY_NAMES
from posttx.reporting.style import RC
from posttx.scoring.sources import IDENTITY, AxisMap, Grid, alignment, axis_map, grid_of

REFERENCE_LINE, PREDICTION_LINE = "solid", (0, (2.2, 1.1))
WEBP_QUALITY = 78
HEAD_MARGIN = 3
SMALLEST_VIEW_MM, VIEW_MARGIN = 70.0, 1.4
PICTURE_DPI = 88
PICTURE_INCHES = 11.0
BACKGROUND, PALE = "#000000", "#e6e6e6"


@dataclass(frozen=True)
class CaseVolumes:
    """One case in R-A-S order; reference and prediction are None where there is none, ``spacing`` is in mm."""

    case: str
    images: Mapping[str, np.ndarray]
    reference: np.ndarray | None
    prediction: np.ndarray | None
    spacing: tuple[float, float, float]
    affine: np.ndarray = field(default_factory=lambda: np.eye(4))

    @cached_property
    def lesion(self) -> np.ndarray:
        """Return where reference or prediction hold any label."""
        masks = [volume > 0 for volume in (self.reference, self.prediction) if volume is not None]
        masks = masks or [np.zeros(next(iter(self.images.values())).shape, bool)]
        return np.logical_or.reduce(masks)

    @cached_property
    def slices(self) -> tuple[int, int, int]:
        """Return the index of the slice with the largest lesion area across each axis."""
        first, second, third = (slice_with_most(self.lesion, axis) for axis in range(3))
        return first, second, third

    @cached_property
    def box(self) -> tuple[slice, ...]:
        """Return the bounding box of the head, a little wider."""
        return bounding_box(self.head, np.full(3, HEAD_MARGIN))

    @cached_property
    def head(self) -> np.ndarray:
        """Return where any modality is not 0, or a label is."""
        return np.logical_or.reduce([*[volume != 0 for volume in self.images.values()], self.lesion])


def read_case(
    case: str,
    images: Mapping[str, str | Path],
    reference: str | Path | None,
    prediction: str | Path | None,
    geometry: str = "fail",
) -> CaseVolumes:
    """Read the volumes of a case and turn them to R-A-S by the axes of the first image.

    ``geometry`` is the audit's setting: label maps are laid over the images by the affines, or index by index under
    ``trust_voxels`` - as they are scored. Raises a ``PostTxError`` that names the file where a grid is another one.
    """
    first = read_volume(next(iter(images.values())))
    grid = grid_of(first)
    turn = nib.orientations.io_orientation(first.affine)
    names = list(images)
    volumes = {name: first if name == names[0] else read_volume(images[name]) for name in names}
    maps: dict[str, Volume] = {
        kind: read_volume(path) for kind, path in (("ref", reference), ("pred", prediction)) if path is not None
    }
    arrays = {name: _on_grid(volume, axis_map(grid_of(volume), grid), grid, case) for name, volume in volumes.items()}
    labels = {}
    if "ref" in maps:
        mapping = IDENTITY if geometry == "trust_voxels" else axis_map(grid_of(maps["ref"]), grid)
        labels["ref"] = _on_grid(maps["ref"], mapping, grid, case)
    if "pred" in maps:
        own = grid_of(maps["pred"])
        trusted = "ref" in maps and geometry == "trust_voxels"
        mapping = alignment(own, grid_of(maps["ref"]), grid, geometry) if trusted else axis_map(own, grid)
        labels["pred"] = _on_grid(maps["pred"], mapping, grid, case)
    spacing = np.array(first.spacing)[np.argsort(turn[:, 0])]
    turned = {name: nib.orientations.apply_orientation(array, turn) for name, array in {**arrays, **labels}.items()}
    whole = {kind: np.rint(turned.pop(kind)).astype(np.int16) for kind in labels}
    return CaseVolumes(
        case,
        turned,
        whole.get("ref"),
        whole.get("pred"),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        first.affine @ nib.orientations.inv_ornt_aff(turn, first.data.shape),
    )


def _on_grid(volume: Volume, mapping: AxisMap | None, grid: Grid, case: str) -> np.ndarray:
    if mapping is not None:
        data = mapping.apply(volume.data)
        if data.shape == grid.shape:
            return data
    raise PostTxError(
        f"its grid ({' x '.join(map(str, volume.data.shape))} {volume.orientation}) is not that of the images",
        remedy="Give segmentations on the grid of the scan",
        case=case,
        file=volume.path,
    )


def slice_with_most(mask: np.ndarray, axis: int) -> int:
    """Return the index along ``axis`` where ``mask`` has the largest area; the middle slice of an empty mask."""
    area = mask.sum(axis=tuple(other for other in range(3) if other != axis))
    return int(area.argmax()) if area.any() else mask.shape[axis] // 2


def shown(volume: np.ndarray, axis: int, index: int, box: tuple[slice, ...] | None = None) -> np.ndarray:
    """Return one slice as rows x columns for display: radiological (patient's right on the left), up is up."""
    place: list[slice | int] = list(box or (slice(None),) * 3)
    place[axis] = index
    plane = volume[tuple(place)].T[::-1]
    return plane[:, ::-1] if axis != 0 else plane


@dataclass(frozen=True)
class Tile:
    """One slice ready to be shown: grey values, label maps by ``ref`` and ``pred``, height over width of a voxel."""

    case: str
    image: np.ndarray
    maps: Mapping[str, np.ndarray]
    aspect: float


def tile(volumes: CaseVolumes, modality: str, axis: int = 2, *, near: bool = False) -> Tile:
    """Cut the slice across ``axis`` with the largest lesion area, in radiological view, cropped to the head.

    ``near`` crops to a square around the lesion in that slice instead, so that its outlines can be judged.
    """
    index = volumes.slices[axis]
    box = _lesion_box(volumes, axis, index) if near else volumes.box
    maps = {"ref": volumes.reference, "pred": volumes.prediction}
    across, up = [mm for other, mm in enumerate(volumes.spacing) if other != axis]
    return Tile(
        volumes.case,
        shown(volumes.images[modality], axis, index, box),
        {kind: shown(volume, axis, index, box) for kind, volume in maps.items() if volume is not None},
        up / across,
    )


def _lesion_box(volumes: CaseVolumes, axis: int, index: int) -> tuple[slice, ...]:
    """Return the square around the lesion of one slice, at least ``SMALLEST_VIEW_MM`` wide, moved inside the volume."""
    plane = np.expand_dims(np.take(volumes.lesion, index, axis=axis), axis)
    tight = bounding_box(plane, np.zeros(3, dtype=int)) if plane.any() else volumes.box
    lengths = [(part.stop - part.start) * mm for part, mm in zip(tight, volumes.spacing, strict=True)]
    side = max(SMALLEST_VIEW_MM, VIEW_MARGIN * max(length for other, length in enumerate(lengths) if other != axis))
    box = []
    for other, (part, mm) in enumerate(zip(tight, volumes.spacing, strict=True)):
        size = volumes.lesion.shape[other]
        width = size if other == axis else min(size, round(side / mm))
        start = (part.start + part.stop - width) // 2
        start = 0 if other == axis else min(max(0, start), size - width)
        box.append(slice(start, start + width))
    return tuple(box)


def draw_case(volumes: CaseVolumes, colors: Mapping[int, str], names: Mapping[int, str]) -> bytes:
    """Return a WebP picture: rows axial, near the lesion, and coronal; columns the modalities and the errors.

    Slices are those with the largest lesion area; ``colors`` and ``names`` go by label. The reference is solid, the
    prediction dashed; the last column fills what was missed in the class's colour and what was added in a pale tone.
    """
    columns = [*volumes.images, "errors"]
    first = columns[0]
    rows = [("axial", 2, False), ("near", 2, True), ("coronal", 1, False)]
    cuts = [tile(volumes, first, axis, near=near) for _, axis, near in rows]
    ratios = [cut.image.shape[0] * cut.aspect / cut.image.shape[1] for cut in cuts]
    height = PICTURE_INCHES / len(columns) * sum(ratios) + 0.55
    with matplotlib.rc_context(RC):
        canvas = Figure(figsize=(PICTURE_INCHES, height), facecolor=BACKGROUND, dpi=PICTURE_DPI)
        axes = canvas.subplots(len(rows), len(columns), squeeze=False, gridspec_kw={
            "height_ratios": ratios, "left": 0, "right": 1, "bottom": 0.30 / height, "top": 1 - 0.25 / height,
            "wspace": 0.01, "hspace": 0.01})  # fmt: skip
        for line, (view, axis, near) in zip(axes, rows, strict=True):
            for panel, column in zip(line, columns, strict=True):
                if column == "errors":
                    _draw_errors(panel, tile(volumes, first, axis, near=near), colors)
                else:
                    _draw_contours(panel, tile(volumes, column, axis, near=near), colors)
            _write(line[0], 0.02, 0.02, f"{view}, slice {volumes.slices[axis]}")
            _write(line[0], 0.02, 0.5, "" if near else "R")
        for panel, column in zip(axes[0], columns, strict=True):
            # a fixed height: matplotlib would lay out every tick of every panel to find one
            panel.set_title(MODALITY_NAMES.get(column, column), color=PALE, fontsize=9, pad=3, loc="center", y=1.0)
        _legend(canvas, colors, names)
        return _webp(canvas)


def montage(tiles: Sequence[Tile], captions: Mapping[str, str], colors: Mapping[int, str], path: str | Path) -> None:
    """Write a PNG with the slice of each case and both contours, five in a row.

    ``captions`` maps case id to the line under its id. No case: a picture that says so.
    """
    columns = 5
    rows = max(1, -(-len(tiles) // columns))
    height = 2.95 * rows if tiles else 1.2
    with matplotlib.rc_context(RC):
        canvas = Figure(figsize=(PICTURE_INCHES, height), facecolor=BACKGROUND, dpi=PICTURE_DPI)
        axes = canvas.subplots(rows, columns, squeeze=False,
                               gridspec_kw={"left": 0, "right": 1, "bottom": 0.005, "top": 1 - 0.42 / height,
                                            "wspace": 0.02, "hspace": 0.17})  # fmt: skip
        for panel in axes.ravel():
            panel.set_axis_off()
        for panel, cut in zip(axes.ravel(), tiles, strict=False):
            _draw_contours(panel, cut, colors)
            panel.set_title(f"{cut.case[-24:]}\n{captions.get(cut.case, '')}", color=PALE, fontsize=8, loc="center",
                            parse_math=False, fontweight="normal", y=1.0)  # fmt: skip
        if not tiles:
            canvas.text(0.5, 0.5, "No case to show.", color=PALE, ha="center", va="center")
        with replacing(path) as beside:
            canvas.savefig(beside, format="png", facecolor=BACKGROUND, metadata={"Software": None})


def _draw_contours(axes: Axes, cut: Tile, colors: Mapping[int, str]) -> None:
    axes.set_axis_off()
    image = cut.image.astype(np.float32)
    inside = image[image != 0]
    low, high = np.percentile(inside, [0.5, 99.7]) if inside.size else (0.0, 1.0)
    axes.imshow(image, cmap="gray", vmin=min(low, 0), vmax=max(high, low + 1e-6), aspect=cut.aspect,
                interpolation="bilinear")  # fmt: skip
    for label, color in colors.items():
        for kind, style, width in (("ref", REFERENCE_LINE, 0.9), ("pred", PREDICTION_LINE, 1.3)):
            mask = cut.maps[kind] == label if kind in cut.maps else np.zeros((2, 2), bool)
            if mask.any():
                # contourpy itself: matplotlib's contour sets are seven times slower, and there are hundreds a picture
                lines: Any = contour_generator(z=mask.astype(np.float32), line_type=LineType.Separate).lines(0.5)
                axes.add_collection(LineCollection(lines, colors=color, linestyles=[style], linewidths=width))


def _draw_errors(axes: Axes, cut: Tile, colors: Mapping[int, str]) -> None:
    axes.set_axis_off()
    axes.imshow(cut.image.astype(np.float32), cmap="gray", aspect=cut.aspect)
    if len(cut.maps) < 2:
        _write(axes, 0.25, 0.5, "no reference" if "pred" in cut.maps else "no prediction")
        return
    ref, pred = cut.maps["ref"], cut.maps["pred"]
    layer = np.zeros((*ref.shape, 4), np.float32)
    layer[..., 3] = 0.55
    for label, color in colors.items():
        rgb = np.array(to_rgb(color))
        layer[(ref == label) & (pred != label)] = (*rgb, 1.0)
        layer[(pred == label) & (ref == 0)] = (*(0.4 * rgb + 0.6), 1.0)
    axes.imshow(layer, interpolation="nearest", aspect=cut.aspect)


def _write(axes: Axes, x: float, y: float, text: str) -> None:
    box = {"facecolor": BACKGROUND, "edgecolor": "none", "alpha": 0.6, "pad": 1.5}
    axes.text(x, y, text, color=PALE, fontsize=7.5, transform=axes.transAxes, bbox=box if text else None)


def bounding_box(mask: np.ndarray, margin: np.ndarray) -> tuple[slice, ...]:
    """Return the bounding box of a mask (all of it where nothing is set), ``margin`` voxels wider within the array."""
    box = []
    # one plane after another: numpy is ten times slower over two axes at once
    front, side = np.asarray(mask.any(axis=0)), np.asarray(mask.any(axis=2))
    for axis, used in enumerate((side.any(axis=1), side.any(axis=0), front.any(axis=0))):
        line = np.flatnonzero(np.asarray(used))
        start, stop = (int(line[0]), int(line[-1]) + 1) if len(line) else (0, mask.shape[axis])
        box.append(slice(max(0, start - int(margin[axis])), min(mask.shape[axis], stop + int(margin[axis]))))
    return tuple(box)


def _legend(canvas: Figure, colors: Mapping[int, str], names: Mapping[int, str]) -> None:
    height = 0.10 / float(canvas.get_figheight())
    canvas.text(0.01, height, "reference: solid   prediction: dashed   errors: full = missed, pale = added", color=PALE,
                fontsize=8.5)  # fmt: skip
    for i, (label, color) in enumerate(colors.items()):
        canvas.text(0.62 + 0.09 * i, height, f"■ {names[label]}", color=color, fontsize=9, weight="bold",
                    parse_math=False)  # fmt: skip


def _webp(canvas: Figure) -> bytes:
    agg = FigureCanvasAgg(canvas)
    agg.draw()
    stream = io.BytesIO()
    Image.fromarray(np.asarray(agg.buffer_rgba())[..., :3]).save(stream, "WEBP", quality=WEBP_QUALITY, method=4)
    return stream.getvalue()

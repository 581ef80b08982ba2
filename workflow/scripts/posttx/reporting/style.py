"""One look for every figure, and SVG files that are the same bytes for the same data.

Matplotlib writes an element of a hundred bytes for every mark. Of a cloud of marks we make one path with an SVG marker
at each of its places: a tenth of the bytes, a thousandth of the elements, and still vectors in their own colour, sharp
in print. A picture of the same cloud at 200 dots per inch takes three times as much.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from posttx.files import digest_of, write_text

# The report replaces this one colour by the page's own text colour, so that a figure follows light and dark.
INK = "#1f2328"
# Of letters on a pale ground, in light and dark: no page replaces it.
ON_PALE = "#1f2329"
GRID = "#8c959f55"
PALE = "#8c959f"
# inches; the page shows a figure at its own size at most, so that letters have one size in all of them
WIDTH = 7.6
SMALL = 8.5
# From this number of points on a panel marks lie on each other.
MANY = 200
# highest over lowest value of a logarithmic axis that might show no whole decade
SHORT = 50
# From this number of marks of one kind on they are a cloud.
CLOUD = 50
MARK = r'<use xlink:href="#(\w+)" x="([-\d.]+)" y="([-\d.]+)" style="([^"]*)"/>\s*'
CLOUDS = re.compile(rf"(?:{MARK}){{{CLOUD},}}")
UPRIGHT = re.compile(r' transform="rotate\(-?0 [^"]*\)"')
COORDINATE = re.compile(r"(?<![\w.])-?\d+\.\d{3,}")
DRAWN = re.compile(r' (?:d|x|y)="[^"]*"')
STATES = {
    "present": "o",
    "missed": "X",
    "hallucinated": "^",
}
# Any, because the stubs of matplotlib list its 300 keys as literals.
RC: Any = {
    "figure.dpi": 100,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.size": 9.5,
    # few: each text of a file names them all
    "font.sans-serif": ["DejaVu Sans"],
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "posttx",
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": SMALL,
    "legend.borderaxespad": 0.2,
    "hatch.linewidth": 0.8,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


@contextmanager
def figure(
    path: str | Path, rows: int = 1, columns: int = 1, size: tuple[float, float] = (WIDTH, 4.0), **options: Any
) -> Iterator[Any]:
    """Yield the axes of a new figure and write it to ``path`` (SVG) at the end: text as text, no date, stable ids.

    Yields one ``Axes`` for a single panel, else a 2-D array of them; ``size`` in inches. Figures are made without
    pyplot, so nothing is kept in memory and no display is needed.
    """
    with matplotlib.rc_context(RC):
        canvas = Figure(figsize=size, layout="constrained")
        axes = canvas.subplots(rows, columns, squeeze=False, **options)
        yield axes[0, 0] if rows == columns == 1 else axes
        write_text(path, _svg(canvas))


@contextmanager
def panels(
    path: str | Path, count: int, columns: int = 2, height: float = 2.6, more: float = 0.3, **options: Any
) -> Iterator[list[Axes]]:
    """Yield the axes of ``count`` panels, one at least, in rows as full as can be; three of them stand in one row.

    ``columns`` is the most that a row has else, ``height`` that of a row and ``more`` what the figure has beside its
    rows, in inches.
    """
    count = max(1, count)
    rows = 1 if count == 3 else -(-count // columns)
    columns = -(-count // rows)
    with figure(path, rows, columns, size=(WIDTH, height * rows + more), **options) as axes:
        every = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
        for unused in every[count:]:
            unused.remove()
        yield list(every[:count])


def _svg(canvas: Figure) -> str:
    """Return a figure as SVG; places in hundredths of a point: nobody sees more, and they are half of the file."""
    stream = io.StringIO()
    canvas.savefig(stream, format="svg", metadata={"Date": None, "Creator": "PostTx"})
    return compact(stream.getvalue())


def compact(svg: str) -> str:
    """Return an SVG with short numbers, no turns by 0, and runs of ``CLOUD`` marks or more as paths with markers."""
    rounded = DRAWN.sub(lambda found: COORDINATE.sub(_rounded, found[0]), svg)
    return CLOUDS.sub(_cloud, UPRIGHT.sub("", rounded))


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _cloud(run: re.Match[str]) -> str:
    """Return paths for a run of marks, one for each shape and style in it."""
    places: dict[tuple[str, str], list[str]] = {}
    for shape, x, y, style in re.findall(MARK, run[0]):
        places.setdefault((shape, style), []).append(f"{x} {y}")
    made = []
    for (shape, style), at in places.items():
        name = f"cloud{digest_of([shape, style])[:12]}"
        ends = "".join(f' marker-{part}="url(#{name})"' for part in ("start", "mid", "end"))
        made.append(
            f'<marker id="{name}" markerUnits="userSpaceOnUse" overflow="visible">'
            f'<use xlink:href="#{shape}" style="{style}"/></marker>'
            f'<path d="M{" ".join(at)}" style="fill: none; stroke: none"{ends}/>\n'
        )
    return "".join(made)


def points(axes: Axes, x: np.ndarray, y: np.ndarray, color: str, marker: str = "o", size: float = 15) -> None:
    """Draw one mark per case, without an outline; many are smaller and paler."""
    area, alpha = (size / 2, 0.4) if len(x) >= MANY else (size, 0.7)
    axes.scatter(x, y, marker=marker, s=area, color=color, alpha=alpha, linewidth=0, zorder=3)


def counted(n: int, patients: int) -> str:
    """Return how many cases of how many patients a panel shows."""
    return f"n = {n} ({patients} patient{'' if patients == 1 else 's'})"


def entitle(axes: Axes, name: str, counted: str = "") -> None:
    """Write what a panel shows on its left, and how many cases and patients enter on its right."""
    axes.set_title(name, parse_math=False)
    axes.set_title(counted, loc="right", fontsize=SMALL, fontweight="normal", parse_math=False)


def note(axes: Axes, text: str) -> None:
    """Write below the figure what it leaves out; nothing for an empty text."""
    canvas = axes.figure
    if text and isinstance(canvas, Figure):
        canvas.supxlabel(text, fontsize=SMALL, style="italic", x=0.99, ha="right")


def logarithmic(axes: Axes, which: str = "x", scale: str = "log", **options: Any) -> None:
    """Make an axis, drawn on already, logarithmic with ticks at whole decades only, and between on a ``SHORT`` range.

    Labels are plain numbers: to typeset powers of ten takes a tenth of the time of all figures.
    """
    (axes.set_xscale if which == "x" else axes.set_yscale)(scale, **options)
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    if scale == "log" and high / low < SHORT:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def say(axes: Axes, text: str) -> None:
    """Write ``text`` where a plot would be: a figure without data says why instead of standing empty."""
    axes.set_axis_off()
    canvas = axes.figure
    if isinstance(canvas, Figure) and len(canvas.axes) == 1:
        canvas.set_size_inches(canvas.get_figwidth(), 0.8)
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, wrap=True, style="italic")

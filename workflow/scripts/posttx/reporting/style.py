"""One look for every figure, and SVG files that are the same bytes for the same data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from posttx.files import replacing

# The report replaces this one colour by the page's own text colour, so that a figure follows light and dark.
INK = "#1f2328"
GRID = "#8c959f55"
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
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


@contextmanager
def figure(
    path: str | Path, rows: int = 1, columns: int = 1, size: tuple[float, float] = (7.6, 4.0), **options: Any
) -> Iterator[Any]:
    """Yield the axes of a new figure and write it to ``path`` (SVG) at the end: text as text, no date, stable ids.

    Yields one ``Axes`` for a single panel, else a 2-D array of them; ``size`` in inches. Figures are made without
    pyplot, so nothing is kept in memory and no display is needed.
    """
    with matplotlib.rc_context(RC):
        canvas = Figure(figsize=size, layout="constrained")
        axes = canvas.subplots(rows, columns, squeeze=False, **options)
        yield axes[0, 0] if rows == columns == 1 else axes
        with replacing(path) as beside:
            canvas.savefig(beside, format="svg", metadata={"Date": None, "Creator": "PostTx"})


def logarithmic(axes: Axes, which: str = "x", scale: str = "log", **options: Any) -> None:
    """Make an axis logarithmic with labels at whole decades only: those between overlap on a short range.

    Labels are plain numbers: to typeset powers of ten takes a tenth of the time of all figures.
    """
    (axes.set_xscale if which == "x" else axes.set_yscale)(scale, **options)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def say(axes: Axes, text: str) -> None:
    """Write ``text`` where a plot would be: a figure without data says why instead of standing empty."""
    axes.set_axis_off()
    canvas = axes.figure
    if isinstance(canvas, Figure) and len(canvas.axes) == 1:
        canvas.set_size_inches(canvas.get_figwidth(), 0.8)
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, wrap=True, style="italic")

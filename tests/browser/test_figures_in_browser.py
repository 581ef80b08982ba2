"""What a browser paints of a figure: every mark of a cloud, in the colours of the page's palette."""

import io

import numpy as np
import pytest
import results_tree as tree
from PIL import Image

from posttx.reporting.figures_model import draw_dice
from posttx.reporting.page_figures import inlined, variables
from posttx.reporting.palettes import described_regions, palette_style

REGIONS = described_regions(tree.SCHEME)
PAGE = """<!DOCTYPE html><html data-palette="scheme"><head><style>{style} body {{ margin: 0; background: {ground} }}
svg {{ width: 760px }}</style></head><body>{svg}</body></html>"""


def painted(page, color: str) -> int:
    """Return the number of pixels whose hue is that of ``color``, mixed with the ground or not."""
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], float)
    pixels = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), float)
    ground = pixels[-1, -1]
    along = wanted - ground
    share = (pixels - ground) @ along / (along @ along)
    off = np.linalg.norm(pixels - ground - share[..., None] * along, axis=-1)
    return int(((share > 0.2) & (off < 12)).sum())


@pytest.mark.parametrize("ground", ["#ffffff", "#14181d"])
def test_a_cloud_is_painted_in_the_colour_that_the_palette_gives(opened, tmp_path, ground):
    draw_dice(tree.case_metrics(400), tree.COLORS, tmp_path / "dice.svg")
    svg = inlined(tmp_path / "dice.svg", "figure-dice", variables(REGIONS))
    (tmp_path / "page.html").write_text(PAGE.format(style=palette_style(REGIONS), svg=svg, ground=ground))
    assert "marker-mid" in svg
    page = opened(tmp_path / "page.html")
    first = {name: painted(page, REGIONS[name]["scheme_color"]) for name in ("NETC", "SNFH", "ET")}
    # 300 marks of some 2.6 pixels across
    assert all(count > 600 for count in first.values()), first
    page.evaluate("document.documentElement.dataset.palette = 'okabe-ito'")
    second = {name: painted(page, REGIONS[name]["alternative"]) for name in first}
    assert all(count > 600 for count in second.values()), second
    page.evaluate("document.querySelectorAll('[marker-mid]').forEach((cloud) => cloud.remove())")
    left = {name: painted(page, REGIONS[name]["alternative"]) for name in first}
    assert all(left[name] < second[name] - 600 for name in left), (second, left)

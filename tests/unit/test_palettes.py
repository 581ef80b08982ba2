"""Colours as a reader with deuteranopia sees them: Machado et al. 2009 (severity 1), differences by CIEDE2000."""

import itertools
import math

import numpy as np
import pytest
import results_tree as tree

from posttx.reporting.palettes import OKABE_ITO, described_regions, palette_style, region_colors

DEUTERANOPIA = np.array([
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
])  # fmt: skip
PROTANOPIA = np.array([
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
])  # fmt: skip
TO_XYZ = np.array([
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
])  # fmt: skip
WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(color, seen=None):
    """Return CIELAB (D65) of ``#rrggbb``, as seen through a matrix on linear RGB."""
    parts = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(linear if seen is None else seen @ linear, 0, 1) / WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


def ciede2000(one, other):
    """Return the difference of two CIELAB colours, after Sharma, Wu and Dalal 2005."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    g = 0.5 * (1 - math.sqrt(mean**7 / (mean**7 + 25**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = 0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    hue = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2))
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    middle = h1 + h2
    if c1 * c2 != 0:
        middle = middle / 2 if abs(h1 - h2) <= 180 else (middle + (360 if middle < 360 else -360)) / 2
    t = (
        1
        - 0.17 * math.cos(math.radians(middle - 30))
        + 0.24 * math.cos(math.radians(2 * middle))
        + 0.32 * math.cos(math.radians(3 * middle + 6))
        - 0.2 * math.cos(math.radians(4 * middle - 63))
    )
    sl = 1 + 0.015 * (lightness - 50) ** 2 / math.sqrt(20 + (lightness - 50) ** 2)
    sc, sh = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    spread = 2 * math.sqrt(chroma**7 / (chroma**7 + 25**7))
    rt = -spread * math.sin(math.radians(60 * math.exp(-(((middle - 275) / 25) ** 2))))
    parts = ((l2 - l1) / sl, (c2 - c1) / sc, hue / sh)
    return math.sqrt(sum(part**2 for part in parts) + rt * parts[1] * parts[2])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.5, 0), (50, 3.2592, 0.335), 1.0),
    ],
)
def test_the_difference_is_that_of_the_published_pairs(one, other, expected):
    assert ciede2000(one, other) == pytest.approx(expected, abs=1e-4)


def closest(colors, seen=None):
    seen_as = [lab(color, seen) for color in colors]
    return min(ciede2000(one, other) for one, other in itertools.combinations(seen_as, 2))


@pytest.mark.parametrize("seen", [None, DEUTERANOPIA, PROTANOPIA])
def test_the_alternative_palette_is_told_apart(seen):
    for classes in range(4, len(OKABE_ITO) + 1):
        assert closest(OKABE_ITO[:classes], seen) >= 15


def test_the_schemes_own_colours_are_not():
    assert closest([label.color for label in tree.SCHEME.labels], DEUTERANOPIA) < 15


def test_both_palettes_are_told_of_every_region():
    regions = described_regions(tree.SCHEME, "okabe-ito")
    assert [region["color"] for region in regions.values()] == list(region_colors(tree.SCHEME, "okabe-ito").values())
    style = palette_style(regions)
    for i, region in enumerate(regions.values()):
        for color in (region["scheme_color"], region["alternative"]):
            assert f"--class-{i}: {color};" in style

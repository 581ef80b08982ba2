"""The slow rules of tests/unit/slow_scorers.py on the real pairs: minutes, so only by `make oracles`."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import pytest
from real_pairs import PAIRS, REGIONS, real_pair

from posttx.geometry.boxes import bounding_box
from posttx.scoring.evaluation import Scoring, score_pair

sys.path.append(str(Path(__file__).resolve().parents[1] / "unit"))
import slow_scorers as slow

pytestmark = pytest.mark.skipif("POSTTX_BRATS_EVALUATE" not in os.environ, reason="takes minutes: make oracles")
ORACLES = {"brats2023": slow.brats_2023, "brats2024": slow.brats_2024}


@pytest.mark.parametrize("scheme", ORACLES)
@pytest.mark.parametrize(("model", "case"), PAIRS)
def test_real_pairs_score_as_the_slow_rules_say(shared, model, case, scheme):
    reference, prediction = real_pair(shared, model, case)
    box = tuple(
        slice(max(0, side.start - 7), min(extent, side.stop + 7))
        for side, extent in zip(bounding_box(reference, prediction), reference.shape, strict=True)
    )
    rows = score_pair(reference, prediction, (1.0, 1.0, 1.0), Scoring(REGIONS, scheme))["metrics"]
    for row in rows:
        expected = ORACLES[scheme](reference[box], prediction[box], row["region"], (1.0, 1.0, 1.0))
        for name, value in expected.items():
            assert row.get(name, math.nan) == pytest.approx(value, abs=1e-9, nan_ok=True), (row["region"], name)

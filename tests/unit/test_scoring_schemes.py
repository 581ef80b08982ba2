from __future__ import annotations

import math

import pytest

from posttx.errors import PostTxError
from posttx.scoring.scoring_schemes import SCHEMES, scoring_scheme


def test_every_scheme_is_named_as_its_key_and_described():
    assert set(SCHEMES) == {"voxel", "brats2023", "brats2024", "brats2026"}
    assert all(scheme.name == name and scheme.description for name, scheme in SCHEMES.items())


@pytest.mark.parametrize(
    ("name", "region", "dilation", "ignored", "dropped"),
    [
        ("brats2023", "ET", 3, 50, 0),
        ("brats2023", "RC", 3, 50, 0),
        ("brats2024", "ET", 3, 10, 10),
        ("brats2024", "TC", 3, 20, 20),
        ("brats2024", "WT", 3, 20, 20),
        ("brats2024", "SNFH", 3, 20, 20),
        ("brats2024", "NETC", 5, 20, 20),
        ("brats2024", "RC", 5, 20, 20),
        ("brats2026", "WT", 0, 0, 0),
    ],
)
def test_rules_are_those_of_the_domain_table(name, region, dilation, ignored, dropped):
    rule = scoring_scheme(name).rule(region)
    assert (rule.dilation, rule.ignore_ref_mm3, rule.drop_pred_voxels) == (dilation, ignored, dropped)


def test_penalties_and_absent_values_are_those_of_the_domain_table():
    assert [scoring_scheme(name).penalty_mm for name in ("brats2023", "brats2024", "brats2026")] == [374, 337, math.inf]
    assert scoring_scheme("brats2024").absent == (1.0, 0.0, 1.0)
    assert scoring_scheme("brats2023").absent[:2] == (1.0, 0.0)
    assert all(math.isnan(value) for value in scoring_scheme("brats2026").absent)


def test_the_misspelt_class_can_be_scored_as_intended():
    assert scoring_scheme("brats2024", "intended").rule("SNFH").dilation == 5
    assert scoring_scheme("brats2024", "intended").rule("WT").dilation == 3
    assert scoring_scheme("brats2024").rule("SNFH").dilation == 3


def test_unknown_scheme_names_the_known_ones():
    with pytest.raises(PostTxError, match="brats2023, brats2024, brats2026"):
        scoring_scheme("brats2022")

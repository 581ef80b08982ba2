"""One reading of label maps: the same values are accepted, rounded or refused by audit, standardisation and scoring."""

from pathlib import Path

import numpy as np
import pytest
import test_standardize
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from test_score_shard import CASES, LAS, Cohort

from posttx.auditing.label_audit import read_reference
from posttx.errors import CasesFailedError, PostTxError
from posttx.label_maps import (
    PREDICTION,
    REFERENCE,
    ROUNDING,
    consecutive,
    label_array,
    of_scheme,
    scheme_of_row,
    whole_values,
)
from posttx.labels import load_scheme
from posttx.nifti import Volume, read_volume, write_volume
from posttx.schemas import FINDINGS, read_table

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (5, 6, 7)
FOUR, GAPPED = (1, 2, 3, 4), (1, 2, 4)


def volume_of(data, tmp_path):
    write_volume(tmp_path / "a.nii.gz", data, np.eye(4))
    return read_volume(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_whole_numbers_of_any_type_are_labels(tmp_path, dtype):
    data = np.arange(210).reshape(SHAPE).astype(dtype) % 5
    labels, rounded = label_array(volume_of(data, tmp_path), FOUR, PREDICTION)
    assert labels.dtype == np.uint8
    assert labels.flags.f_contiguous
    assert not rounded
    np.testing.assert_array_equal(labels, data)


# Value, type, the codes of a reference and of a prediction that holds it once, and what a message must show of it.
REFUSED = [
    (7, np.uint8, "LAB001", "EVA003", "7"),
    (300, np.int16, "LAB001", "EVA003", "300"),
    (-1, np.int16, "LAB001", "EVA003", "-1"),
    (260, np.float32, "LAB001", "EVA003", "260"),
    (0.5, np.float32, "LAB002", "EVA004", "0.5"),
    (1.0123456, np.float64, "LAB002", "EVA004", "1.0123456"),
    (0.9882, np.float32, "LAB002", "EVA004", "0.9882"),
    (np.nan, np.float64, "LAB003", "EVA004", "NaN"),
    (np.inf, np.float64, "LAB003", "EVA004", "infinite"),
]


def spoilt(value, dtype):
    data = np.zeros(SHAPE, dtype)
    data[1, 2, 3] = value
    data[0, 0, :3] = 1
    return data


@pytest.mark.parametrize(("value", "dtype", "in_reference", "in_prediction", "shown"), REFUSED)
def test_anything_else_is_refused_with_case_file_and_all_digits(
    tmp_path, value, dtype, in_reference, in_prediction, shown
):
    volume = volume_of(spoilt(value, dtype), tmp_path)
    for kind, code in ((REFERENCE, in_reference), (PREDICTION, in_prediction)):
        with pytest.raises(PostTxError) as raised:
            label_array(volume, FOUR, kind, "case-1")
        assert (raised.value.code, raised.value.case) == (code, "case-1")
        assert raised.value.file.endswith("a.nii.gz")
        assert shown in raised.value.problem
        assert kind.name in raised.value.problem


@pytest.mark.parametrize(("value", "dtype", "code", "_", "shown"), REFUSED)
def test_the_audit_tells_of_the_same_values(value, dtype, code, _, shown):
    _, found = read_reference(np.asfortranarray(spoilt(value, dtype)), dict.fromkeys(FOUR, "x"), "c", "case")
    assert [finding.code for finding in found] == [code]
    assert shown in found[0].message


def scaled(labels, dtype, slope):
    """Return labels as they come back from storage in integers with a slope, as nibabel scales floats."""
    return np.rint(labels / slope).astype(dtype) * slope


ROUNDED = {
    "float noise": lambda labels: labels * np.float64(1.00002),
    "0.9999 as float32": lambda labels: labels * np.float32(0.9999),
    "scaled to int16": lambda labels: scaled(labels, np.int16, 4 / 32767),
    "1.00392, five labels scaled to a byte": lambda labels: scaled(labels.astype(float), np.uint8, 1.00392157 / 64),
    "a background off 0": lambda labels: labels + 0.00392157,
}


@pytest.mark.parametrize("change", ROUNDED.values(), ids=ROUNDED)
def test_values_off_their_integer_by_rounding_are_that_integer_at_every_stage(tmp_path, change):
    labels = test_standardize.reference()
    data = change(labels)
    assert 0 < np.abs(data - labels).max() <= ROUNDING
    for kind in (REFERENCE, PREDICTION):
        read, told = label_array(Volume(data, np.eye(4), None, tmp_path), FOUR, kind)
        np.testing.assert_array_equal(read, labels)
        assert "off an integer" in told
    audited, found = read_reference(np.asfortranarray(data), dict.fromkeys(FOUR, "x"), "c", "case")
    assert audited.counts == {label: int((labels == label).sum()) for label in np.unique(labels[labels > 0])}
    assert [finding.code for finding in found] == ["LAB008"]
    shard = test_standardize.Shard(tmp_path)
    write_volume(shard.add().files["seg"], data, test_standardize.LAS)
    shard.run()
    np.testing.assert_array_equal(shard.label().data, labels[::-1])


def test_the_tolerance_is_one_and_includes_its_limit():
    assert ROUNDING == 0.01
    assert not whole_values(np.array([1 + ROUNDING - 1e-9, 3.99000001])).between
    assert whole_values(np.array([1.0101, 2.0])).between == ("1.0101",)


def test_a_rounded_prediction_is_scored_and_told(tmp_path):
    cohort = Cohort(tmp_path)
    cohort.score()
    exact = cohort.table("one")
    cohort.write(f"one/{CASES[1]}.nii.gz", read_volume(cohort.root / f"one/{CASES[1]}.nii.gz").data * 1.00002)
    cohort.score()
    assert cohort.table("one").equals(exact)
    findings = read_table(cohort.gather("one", folder=str(cohort.root / "one"))["findings"], FINDINGS)
    assert findings[["code", "case"]].to_numpy().tolist() == [["EVA010", CASES[1]]]
    assert "model one" in findings["message"].item()
    assert "4.00008" in findings["message"].item()


# Schemes with gaps: 1, 2 and 4, as BraTS 2018 to 2021.


def test_a_label_in_a_gap_is_refused(tmp_path):
    for dtype in (np.uint8, np.float32):
        with pytest.raises(PostTxError, match=r"EVA003.*labels 3 of the prediction"):
            label_array(volume_of(spoilt(3, dtype), tmp_path), GAPPED, PREDICTION)
        with pytest.raises(PostTxError, match=r"LAB001.*labels 3 of the reference"):
            label_array(volume_of(spoilt(3, dtype), tmp_path), GAPPED, REFERENCE)


def test_networks_learn_consecutive_integers_and_come_back_to_those_of_the_scheme():
    labels = np.array([0, 1, 2, 4, 4], np.uint8)
    learnt = consecutive(labels, GAPPED)
    assert learnt.tolist() == [0, 1, 2, 3, 3]
    assert of_scheme(learnt, GAPPED).tolist() == labels.tolist()
    assert consecutive(labels, (1, 2, 3, 4)) is labels
    assert scheme_of_row({"labels": "1,2,4"}) == GAPPED
    for name in ("brats2021", "brats2024"):
        scheme = load_scheme(ROOT / f"config/labels/{name}.yaml")
        own = np.array(scheme.values, np.uint8)
        assert consecutive(own, scheme.values).tolist() == [scheme.learnt()[label.name] for label in scheme.labels]
        # nnU-Net gives a network as many outputs as there are labels: a larger integer would have none.
        outputs = LabelManager({"background": 0} | scheme.learnt(), None).num_segmentation_heads
        assert outputs == max(scheme.learnt().values()) + 1


def test_a_standardised_reference_holds_what_nnunet_learns(tmp_path):
    shard = test_standardize.Shard(tmp_path)
    labels = test_standardize.reference()
    labels = np.where(labels == 3, 0, labels).astype(np.uint8)
    write_volume(shard.add().files["seg"], labels, test_standardize.LAS)
    row = shard.run(labels=GAPPED).loc["A-00001-100"]
    np.testing.assert_array_equal(shard.label().data, np.where(labels == 4, 3, labels)[::-1])
    assert scheme_of_row(row) == GAPPED
    labels[5, 5, 5] = 3
    write_volume(shard.cases["A-00001-100"].files["seg"], labels, test_standardize.LAS)
    with pytest.raises(CasesFailedError, match=r"LAB001.*labels 3"):
        shard.run(labels=GAPPED)


def test_scores_are_those_of_the_same_voxels_under_consecutive_integers(tmp_path):
    plain, gapped = Cohort(tmp_path / "plain"), Cohort(tmp_path / "gapped")
    for cohort, third in ((plain, 3), (gapped, 4)):
        for folder in ("references", "one", "two"):
            for case in CASES:
                path = cohort.root / folder / f"{case}.nii.gz"
                data = read_volume(path).data
                data = np.where(data == 4, 0, data)
                cohort.write(f"{folder}/{case}.nii.gz", np.where(data == 3, third, data).astype(np.uint8), LAS)
        cohort.score(regions={"A": [1], "B": [2], "C": [third], "WT": [1, 2, third]})
    drop = ["label"]
    assert gapped.table("one").drop(columns=drop).equals(plain.table("one").drop(columns=drop))
    assert set(gapped.table("one")["label"].dropna()) == set(GAPPED)

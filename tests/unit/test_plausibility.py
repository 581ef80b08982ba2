"""Predictions that are not what they say: labels exchanged, arrays mirrored, outside the head; poor models are not."""

import numpy as np
import pytest
from test_score_shard import CASES, LAS, SHAPE, Cohort, labels

from posttx.schemas import FINDINGS, read_table
from posttx.scoring import plausibility
from posttx.scoring.metrics import joint_histogram

RNG = np.random.default_rng(4)


def head(shape=(30, 34, 30)):
    """Return a reference of four classes off the middle of every axis, within a head."""
    data = np.zeros(shape, np.uint8)
    data[4:13, 5:16, 6:14] = 2
    data[6:12, 7:12, 8:12] = 3
    data[7:9, 8:10, 9:11] = 1
    data[14:18, 5:11, 6:11] = 4
    return data


def exchanged(reference, prediction):
    return plausibility.exchanged_labels(joint_histogram(reference, prediction, 5))


def poor(reference, share=0.5, seed=0):
    """Return a prediction whose labelled voxels are, by that share, of a random class or none."""
    rng = np.random.default_rng(seed)
    wrong = (reference > 0) & (rng.random(reference.shape) < share)
    return np.where(wrong, rng.integers(0, 5, reference.shape), reference).astype(np.uint8)


ORDERS = {
    "published names": [0, 3, 1, 2, 4],
    "ET and RC": [0, 1, 2, 4, 3],
    "BraTS 2021 without RC": [0, 1, 2, 4, 0],
}


@pytest.mark.parametrize("order", ORDERS)
def test_labels_of_another_order_are_told_with_their_dice(order):
    reference = head()
    told = exchanged(reference, np.array(ORDERS[order], np.uint8)[reference])
    assert "labels look exchanged or of another scheme" in told
    for label, other in enumerate(ORDERS[order]):
        if other not in (0, label) and (reference == label).sum() >= plausibility.LEAST_VOXELS:
            assert f"predicted {other} is {label} (Dice" in told or order == "published names"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.9, 1])
def test_a_poor_model_is_not_said_to_exchange_labels(seed, share):
    reference = head()
    assert exchanged(reference, poor(reference, share, seed)) == ""


def test_a_model_that_knows_one_class_only_or_none_is_not_accused():
    reference = head()
    for prediction in ((reference > 0) * np.uint8(2), np.zeros_like(reference), (reference == 3) * np.uint8(3)):
        assert exchanged(reference, prediction) == ""


def told_of(reference, prediction):
    counts = joint_histogram(reference, prediction, 5)
    return plausibility.misplaced(reference, prediction, plausibility.overlap_of_all(counts))


TURNS = {
    "mirrored along its 1st axis": lambda data: data[::-1],
    "mirrored along its 2nd and 3rd axis": lambda data: data[:, ::-1, ::-1],
    "transposed (axes in the order 3rd, 2nd, 1st)": lambda data: data.transpose(2, 1, 0),
    "transposed (axes in the order 3rd, 2nd, 1st) and mirrored along its 2nd axis": lambda data: data[:, ::-1].T,
}  # fmt: skip


@pytest.mark.parametrize("turn", TURNS)
def test_an_array_that_is_turned_is_told_with_what_undoes_it(turn):
    reference = head()
    assert f"the array looks {turn}: the Dice of everything labelled is 0." in told_of(
        reference, TURNS[turn](reference)
    )


@pytest.mark.parametrize("prediction", [np.roll(head(), 9, 1), np.roll(head(), (5, 7, 6), (0, 1, 2)), head()])
def test_a_shifted_or_good_prediction_is_not_said_to_be_turned(prediction):
    assert told_of(head(), prediction) == ""


def test_a_prediction_outside_the_head_is_told_and_images_without_a_background_say_nothing():
    image = np.zeros((20, 20, 20), np.int16)
    image[8:] = 5
    stray = np.zeros(image.shape, np.uint8)
    stray[2:8, 2:9, 2:9] = 1
    assert plausibility.outside_head(stray, image) == "100% of the 294 predicted voxels lie outside the head"
    assert plausibility.outside_head(np.roll(stray, 8, 0), image) == ""
    assert plausibility.outside_head(stray, RNG.normal(size=image.shape)) == ""
    assert plausibility.outside_head(np.zeros_like(stray), image) == ""
    assert plausibility.outside_head(stray[:5], image) == ""


def findings(cohort, model="one"):
    return read_table(cohort.gather(model, folder=str(cohort.root / model))["findings"], FINDINGS)


def test_all_is_told_in_the_findings_of_the_model_and_scores_stay_as_they_are(tmp_path):
    cohort = Cohort(tmp_path)
    cohort.score(["one"])
    assert len(findings(cohort)) == 0
    for number, case in enumerate(CASES):
        cohort.write(f"one/{case}.nii.gz", np.array([0, 1, 2, 4, 3], np.uint8)[labels(number)])
    cohort.score(["one"])
    table = findings(cohort)
    assert table[["severity", "code", "case"]].fillna("").to_numpy().tolist() == [["error", "EVA016", ""]]
    assert "predicted 4 is 3 (Dice 0.00 as its own label, 1.00 so)" in table["message"].item()
    assert cohort.table("one").query("region == 'ET'")["dice"].max() == 0


def test_a_prediction_that_is_the_reference_itself_is_told(tmp_path):
    cohort = Cohort(tmp_path)
    (cohort.root / f"one/{CASES[0]}.nii.gz").write_bytes((cohort.root / f"references/{CASES[0]}.nii.gz").read_bytes())
    cohort.score(["one"])
    assert findings(cohort)[["code", "case"]].to_numpy().tolist() == [["EVA019", CASES[0]]]


def test_a_good_prediction_is_looked_at_no_further_than_its_confusions(tmp_path, monkeypatch):
    for name in ("misplaced", "outside_head"):
        monkeypatch.setattr(plausibility, name, lambda *_: pytest.fail("looked at"))
    cohort = Cohort(tmp_path)
    big = np.zeros(SHAPE, np.uint8)
    big[2:12, 3:13, 5:15] = 2
    for case in CASES:
        cohort.write(f"references/{case}.nii.gz", big)
        cohort.write(f"one/{case}.nii.gz", np.roll(big, 1, 0), LAS)
    cohort.score(["one"])

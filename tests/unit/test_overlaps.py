"""Rows of overlaps: lesion-wise Dice and Dice of any choice of components are those of scoring the images."""

import cc3d
import numpy as np
import pandas as pd
import pytest

from posttx.postprocess.overlaps import Component, overlap_rows
from posttx.postprocess.subsets import NONE, Cohort
from posttx.scoring.evaluation import Scoring, score_pair
from posttx.scoring.scoring_schemes import scoring_scheme

CLASSES = {"NETC": 1, "SNFH": 2, "ET": 3, "RC": 4}
REGIONS = {name: [label] for name, label in CLASSES.items()}
SPACING = (1.0, 1.5, 2.0)
SHAPE = (56, 18, 14)
TRIALS = 40


def blobs(draw: np.random.Generator, count: int) -> np.ndarray:
    """Return labels of boxes and specks at random, and of boxes along bars, farther apart than dilations reach.

    Lesions of one class at the two ends of a bar of another are joined by it, or not, as the scheme says.
    """
    labels = np.zeros(SHAPE, np.uint8, order="F")
    for _ in range(count):
        low = [int(draw.integers(0, size)) for size in SHAPE]
        edges = draw.integers(2, 6, 3) if draw.random() < 0.5 else draw.integers(1, 3, 3)
        labels[tuple(slice(a, a + int(n)) for a, n in zip(low, edges, strict=True))] = draw.integers(0, 5)
    for side in np.flatnonzero(draw.random(2) < 0.7) * 10:
        bar, others = draw.permutation(4)[:2] + 1
        labels[:, side : side + 2, 5:8] = bar
        for start in (1, 19, 37):
            if draw.random() < 0.8:
                labels[start : start + 4, side + 2 : side + 4, 5:8] = others
    return labels


def parts(prediction: np.ndarray, draw: np.random.Generator) -> tuple[np.ndarray, list[Component]]:
    """Return the components of a prediction, numbered through; what surrounds each is drawn."""
    numbers, components = np.zeros(prediction.shape, np.int32), []
    for label in CLASSES.values():
        found = cc3d.connected_components(prediction == label, connectivity=26)
        for number in range(1, int(found.max()) + 1):
            around = int(draw.choice([value for value in (0, 1, 2, 3, 4) if value != label]))
            components.append(Component(label, number, around, int((found == number).sum())))
            numbers[found == number] = len(components)
    return numbers, components


def cohort(cases: list[tuple], scheme) -> Cohort:
    rows = [
        {"case": f"{i:03d}", **row}
        for i, (reference, _, numbers, components) in enumerate(cases)
        for row in overlap_rows(reference, numbers, components, CLASSES, scheme, float(np.prod(SPACING)))
    ]
    return Cohort.of(pd.DataFrame(rows), CLASSES, scheme)


@pytest.mark.parametrize("name", ["brats2024", "brats2023", "voxel", "brats2026"])
def test_scores_of_any_choice_are_those_of_scoring_the_images(name):
    draw = np.random.default_rng(7)
    cases = []
    for _ in range(TRIALS):
        reference, prediction = (blobs(draw, int(draw.integers(0, 6))) for _ in range(2))
        near = draw.random(SHAPE) < draw.choice([0.0, 0.0, 0.8])
        prediction = np.where(near, reference, prediction)
        cases.append((reference, prediction, *parts(prediction, draw)))
    scheme = scoring_scheme(name)
    table = cohort(cases, scheme)
    labels = list(CLASSES.values())
    for keep in (1.0, 0.7, 0.3, 0.0):
        # dropped ones get what surrounds them, or nothing
        every = [one for *_, components in cases for one in components]
        own = np.array([labels.index(one.label) for one in every])
        around = np.array([labels.index(one.surround) if one.surround else NONE for one in every])
        fate = draw.random(len(own))
        choice = np.where(fate < keep, own, np.where(fate < (1 + keep) / 2, around, NONE))
        dice = table.dice(choice)
        lesions = [table.lesion_scores(which, choice) for which in range(len(labels))]
        start = 0
        for i, (reference, _, numbers, components) in enumerate(cases):
            chosen = np.array([0, *[0 if c == NONE else labels[c] for c in choice[start : start + len(components)]]])
            start += len(components)
            scoring = Scoring(REGIONS, name if name != "voxel" else "brats2023", (1.0,))
            prediction = np.asfortranarray(chosen[numbers].astype(np.uint8))
            for which, row in enumerate(score_pair(reference, prediction, SPACING, scoring)["metrics"]):
                either = row["n_ref"] + row["n_pred"]
                assert dice[i, which] == pytest.approx(row["dice"] if either else 1.0, abs=1e-12)
                if name in ("brats2023", "brats2024"):
                    assert lesions[which].dice[i] == pytest.approx(row["lesion_dice"], abs=1e-12)
                    assert lesions[which].counted[i] == row["lesions_ref"]
                    assert lesions[which].missed[i] == row["lesions_fn"]
                    assert lesions[which].false[i] == row["lesions_fp"]

"""What a reader is led to in a case, and in which order."""

import numpy as np
import pytest
import results_tree as tree

from posttx.reporting.case_findings import INVENTED, LESION, LOW, MISSED, findings, opening
from posttx.reporting.case_volumes import assembled, cropped
from posttx.schemas import LESIONS
from posttx.scoring.evaluation import Scoring, score_pair
from posttx.scoring.scoring_schemes import SCHEMES

SHAPE = (60, 50, 40)
AFFINE = np.array([[1.0, 0, 0, -20], [0, 1.0, 0, -30], [0, 0, 2.0, 5], [0, 0, 0, 1]])
CLASSES = {name: label for label, name in tree.NAMES.items()}
NETC, SNFH, ET, RC = (CLASSES[name] for name in ("NETC", "SNFH", "ET", "RC"))


def box(*sides):
    return tuple(slice(start, start + size) for start, size in sides)


def pair():
    """Return labels of a large lesion that was found, and others that were not; and where those are."""
    reference = np.zeros(SHAPE, np.uint8)
    reference[box((5, 20), (5, 20), (5, 15))] = SNFH
    prediction = reference.copy()
    return reference, prediction


def look(reference, prediction, scheme="brats2024", most=50, table=True):
    maps = {"ref": reference, "pred": prediction}
    maps = {kind: cropped(labels) for kind, labels in maps.items() if labels is not None}
    case = assembled("a", [("t1c", np.ones(SHAPE, np.float32))], maps, SHAPE, AFFINE)
    rows = []
    if table and reference is not None:
        scored = score_pair(reference, prediction, (1.0, 1.0, 2.0), Scoring(tree.SCHEME.scoring(), scheme), AFFINE)
        rows = [{name: row.get(name) for name in LESIONS.columns} for row in scored["lesions"]]
    found, further = findings(case, rows, CLASSES, SCHEMES[scheme], 0.2, most)
    return case, found, further


@pytest.mark.parametrize("scheme", ["brats2024", "brats2023", "brats2026", "voxel"])
def test_the_order_is_missed_classes_missed_lesions_invented_low_and_the_rest(scheme):
    reference, prediction = pair()
    reference[box((35, 3), (35, 3), (30, 3))] = RC  # the class is missed wholly
    reference[box((48, 6), (5, 6), (5, 6))] = SNFH  # a missed lesion, larger than the missed class
    prediction[box((48, 4), (40, 4), (30, 4))] = NETC  # invented
    reference[box((5, 6), (35, 6), (5, 6))] = ET
    prediction[box((10, 6), (40, 6), (10, 6))] = ET  # one voxel in common
    _, found, further = look(reference, prediction, scheme)
    assert further == 0
    assert [(item.kind, item.region) for item in found[:4]] == [
        (MISSED, "RC"),
        (MISSED, "SNFH"),
        (INVENTED, "NETC"),
        (LOW, "ET"),
    ]
    assert {item.kind for item in found[4:]} == {LESION}
    assert (found[0].ml_ref, found[2].ml_pred) == (0.054, 0.128)
    assert found[3].dice == pytest.approx(2 / (2 * 6**3))
    for item in found:
        side = prediction if item.kind == INVENTED else reference
        if item.kind == LOW:
            assert (reference[item.place] == ET) != (prediction[item.place] == ET)
        else:
            assert side[item.place] == item.label


def test_the_place_is_a_voxel_of_that_very_lesion_not_its_centroid():
    """A missed ring around a lesion that was found: the centroid of the ring lies in the other lesion."""
    reference, prediction = pair()
    ring = np.zeros(SHAPE, bool)
    ring[box((30, 22), (10, 22), (20, 3))] = True
    ring[box((36, 10), (16, 10), (20, 3))] = False
    reference[ring] = ET
    reference[box((40, 2), (20, 2), (21, 1))] = ET
    prediction[box((40, 2), (20, 2), (21, 1))] = ET
    case, found, _ = look(reference, prediction, "brats2026")
    assert (found[0].kind, found[0].region) == (MISSED, "ET")
    assert ring[found[0].place]
    place, radius = opening(case, found)
    assert place == found[0].place
    assert 15 < radius < 35
    # the scorer's joins are undone by no one: the same lesion by components alone
    assert look(reference, prediction, "voxel")[1][0].place == place


def test_a_large_lesion_that_was_found_comes_after_a_small_one_that_was_not():
    reference, prediction = pair()
    reference[box((50, 3), (40, 3), (30, 3))] = SNFH
    case, found, _ = look(reference, prediction)
    assert [item.kind for item in found] == [MISSED, LESION]
    assert opening(case, found)[0][2] == 31


def test_without_a_reference_lesions_are_listed_by_volume():
    _, prediction = pair()
    prediction[box((50, 3), (40, 3), (30, 3))] = ET
    _, found, _ = look(None, prediction)
    assert [(item.kind, item.region, item.ml_ref) for item in found] == [(LESION, "SNFH", None), (LESION, "ET", None)]
    assert found[0].ml_pred > found[1].ml_pred


def test_nothing_to_see_opens_in_the_middle_of_the_head():
    empty = np.zeros(SHAPE, np.uint8)
    case, found, further = look(empty, empty)
    assert (found, further) == ([], 0)
    assert opening(case, found) == ((29, 24, 19), 0.0)


def test_a_class_whose_specks_the_scheme_ignores_is_told_all_the_same():
    reference, prediction = pair()
    reference[40, 40, 30] = ET
    prediction[50, 40, 10] = RC
    _, found, _ = look(reference, prediction)
    assert [(item.kind, item.region, item.place) for item in found[:2]] == [
        (MISSED, "ET", (40, 40, 30)),
        (INVENTED, "RC", (50, 40, 10)),
    ]


def test_thousands_of_specks_are_cut_and_counted():
    reference, prediction = pair()
    prediction[::3, ::3, 30::3] = NETC
    _, found, further = look(reference, prediction, "brats2026", most=10)
    assert len(found) == 10
    assert further == int((prediction == NETC).sum()) + 1 - 10

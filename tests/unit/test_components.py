"""Rows of predicted components: against a slow reading of what each column says, and how they are gathered."""

import itertools

import cc3d
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from posttx.files import read_json, write_json
from posttx.networks.confidence import Segmentation, Votes
from posttx.postprocess.components import component_rows, components_of, components_table, rows_as_json
from posttx.schemas import COMPONENTS, read_table, write_table

NAMES = {1: "A", 3: "C", 255: "Z"}
AFFINE = np.diag([-2.0, 1, 1.5, 1])
MAPS = hnp.arrays(np.uint8, (4, 5, 3), elements=st.sampled_from([0, 0, 0, 1, 3, 255]))


def segmentation(label_map, seed=0, folds=4):
    draw = np.random.default_rng(seed)
    probability, entropy = (draw.integers(1, 256, label_map.shape, np.uint8) * (label_map > 0) for _ in range(2))
    votes = Votes(draw.integers(0, folds + 1, label_map.shape, np.uint8), folds)
    return Segmentation(label_map, probability, entropy, votes)


def neighbours(voxel, shape):
    for step in itertools.product((-1, 0, 1), repeat=3):
        beside = tuple(a + b for a, b in zip(voxel, step, strict=True))
        if any(step) and all(0 <= index < length for index, length in zip(beside, shape, strict=True)):
            yield beside


def slowly(found):
    """Return the rows by flooding from the first voxel of each component in the order of the file."""
    label_map, rows, seen, counts = found.label_map, [], set(), {}
    for voxel in sorted(itertools.product(*map(range, label_map.shape)), key=lambda voxel: voxel[::-1]):
        label = int(label_map[voxel])
        if not label or voxel in seen:
            continue
        component, open_voxels = {voxel}, [voxel]
        while open_voxels:
            for beside in neighbours(open_voxels.pop(), label_map.shape):
                if label_map[beside] == label and beside not in component:
                    component.add(beside)
                    open_voxels.append(beside)
        seen |= component
        counts[label] = counts.get(label, 0) + 1
        shell = {beside for one in component for beside in neighbours(one, label_map.shape)} - component
        around = [int(label_map[one]) for one in shell]
        index = tuple(np.array(sorted(component)).T)
        rows.append(
            {
                "label": label,
                "component": counts[label],
                "voxels": len(component),
                "volume_mm3": 3.0 * len(component),
                "p_mean": found.probability[index].mean() / 255,
                "p_max": found.probability[index].max() / 255,
                "entropy": found.entropy[index].mean() / 255,
                "dissent": found.votes.dissent[index].mean() / found.votes.folds,
                "touches": ",".join(NAMES[one] for one in sorted(set(around) - {0})),
                "surround": min(set(around), key=lambda one: (-around.count(one), one), default=0),
                **{f"centre_{name}": np.mean(side) for name, side in zip("ijk", index, strict=True)},
            }
        )
    for row in rows:
        row["share"] = row["voxels"] / max(other["voxels"] for other in rows if other["label"] == row["label"])
        row["region"] = NAMES[row["label"]]
        row["case"] = "a"
    table = pd.DataFrame(rows, columns=list(COMPONENTS.columns))
    return table.sort_values(["label", "component"], ignore_index=True)


@settings(max_examples=60)
@given(MAPS, st.sampled_from("CF"))
def test_every_column_is_what_it_says(label_map, order):
    found = segmentation(np.asarray(label_map, order=order))
    table = components_table({"a": component_rows(found, AFFINE)}, NAMES)
    pd.testing.assert_frame_equal(table, slowly(found), check_dtype=False)


def test_components_are_numbered_as_scoring_numbers_them():
    draw = np.random.default_rng(1)
    label_map = np.asfortranarray(
        (draw.random((30, 40, 20)) < 0.1) * draw.choice([1, 3], (30, 40, 20)).astype(np.uint8)
    )
    found = components_of(label_map)
    for label in (1, 3):
        expected = cc3d.connected_components(np.asfortranarray(label_map == label).view(np.uint8), connectivity=26)
        own = found.within * (found.labels == label)
        assert np.array_equal(own[found.numbers], expected[found.box])


def test_rows_survive_their_way_through_json_and_parquet(tmp_path):
    draw = np.random.default_rng(2)
    cases = {}
    for case in ("b", "a"):
        found = segmentation(draw.choice([0, 0, 0, 1, 3], (9, 8, 7)).astype(np.uint8))
        write_json(tmp_path / f"{case}.json", rows_as_json(component_rows(found, AFFINE)))
        cases[case] = read_json(tmp_path / f"{case}.json")
        cases[f"{case}-empty"] = rows_as_json(component_rows(segmentation(np.zeros((4, 4, 4), np.uint8)), AFFINE))
    unknown = Segmentation(*(np.ones((2, 2, 2), np.uint8) for _ in range(3)))
    cases["without votes"] = rows_as_json(component_rows(unknown, AFFINE))
    write_table(components_table(cases, NAMES), COMPONENTS, tmp_path / "c.parquet")
    table = read_table(tmp_path / "c.parquet", COMPONENTS)
    assert set(table["case"]) == {"a", "b", "without votes"}
    assert table.equals(table.sort_values(["case", "label", "component"], kind="stable"))
    assert table["dissent"].isna().equals(table["case"] == "without votes")
    assert table[table["case"] == "a"]["p_max"].tolist() == cases["a"]["p_max"]


@pytest.mark.parametrize("cases", [{}, {"a": component_rows(segmentation(np.zeros((3, 3, 3), np.uint8)), AFFINE)}])
def test_no_component_is_an_empty_table(tmp_path, cases):
    write_table(components_table(cases, NAMES), COMPONENTS, tmp_path / "c.parquet")
    assert read_table(tmp_path / "c.parquet", COMPONENTS).empty


def test_a_component_that_fills_the_map_has_nothing_around_it():
    rows = component_rows(segmentation(np.full((2, 3, 4), 255, np.uint8)), AFFINE)
    assert (rows["surround"].tolist(), rows["touches"].tolist(), rows["voxels"].tolist()) == ([0], [""], [24])

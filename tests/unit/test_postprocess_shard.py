"""Rules applied to label maps: against a slow reading, a shard at a time, with links where nothing changes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import postprocess_shard as script
from posttx.errors import CasesFailedError, PostTxError
from posttx.files import sha256_of
from posttx.networks.confidence import Segmentation
from posttx.nifti import read_volume, write_volume
from posttx.postprocess.apply import applied
from posttx.postprocess.components import component_rows, components_table
from posttx.postprocess.rules import Rule, RuleSet, dropped
from posttx.schemas import COMPONENTS, write_table
from posttx.shard_files import write_case_list

NAMES = {1: "NETC", 3: "ET"}
AFFINE = np.diag([-1.0, 2, 1, 1])
KEPT, LOST, EMPTY = "a-1", "a-2", "a-3"
RULES = {"ET": Rule(min_mm3=5)}


def rows_of(label_map, case="a"):
    draw = np.random.default_rng(int(label_map.sum()))
    probability = draw.integers(100, 256, label_map.shape).astype(np.uint8)
    return components_table({case: component_rows(Segmentation(label_map, probability, probability), AFFINE)}, NAMES)


def slowly(label_map, rows, rules):
    """Find every component of the rows by its voxels nearest to each other, and write over those that are dropped."""
    result = label_map.copy()
    gone = dropped(rows, rules)
    for row, drop in zip(rows.to_dict("records"), gone, strict=True):
        if drop:
            voxels = {tuple(v) for v in np.argwhere(label_map == row["label"])}
            start = min(voxels, key=lambda v: order_of(v, label_map, row))
            component, waiting = {start}, [start]
            while waiting:
                here = waiting.pop()
                near = {v for v in voxels - component if max(abs(a - b) for a, b in zip(v, here, strict=True)) == 1}
                component |= near
                waiting += near
            becomes = 0 if rules[row["region"]].then == "background" else row["surround"]
            for voxel in component:
                result[voxel] = becomes
    return result


def order_of(voxel, label_map, row):
    """Return 0 for the first voxel in the file of the component with the row's number, 1 for any other."""
    seen, number = set(), 0
    for start in sorted(map(tuple, np.argwhere(label_map == row["label"])), key=lambda v: v[::-1]):
        if start in seen:
            continue
        number += 1
        if number == row["component"]:
            return int(start != voxel)
        waiting = [start]
        while waiting:
            here = waiting.pop()
            if here in seen:
                continue
            seen.add(here)
            waiting += [
                tuple(map(int, v))
                for v in np.argwhere(label_map == row["label"])
                if max(abs(a - b) for a, b in zip(v, here, strict=True)) == 1
            ]
    raise AssertionError("no such component")


MAPS = hnp.arrays(np.uint8, (3, 4, 3), elements=st.sampled_from([0, 0, 0, 1, 3]))
RULE = st.builds(
    Rule, min_mm3=st.sampled_from([0, 3, 7]), min_probability=st.sampled_from([0, 0.6, 0.9]),
    presence_mm3=st.sampled_from([0, 9]), then=st.sampled_from(["surroundings", "background"]),
)  # fmt: skip


@settings(max_examples=40)
@given(MAPS, st.dictionaries(st.sampled_from(["ET", "NETC"]), RULE))
def test_dropped_components_become_what_the_rule_says_and_nothing_else_changes(label_map, rules):
    label_map = np.asfortranarray(label_map)
    before, rows = label_map.copy(), rows_of(label_map)
    result = applied(label_map, rows, rules)
    assert np.array_equal(result, slowly(label_map, rows, rules))
    assert np.array_equal(label_map, before)
    assert result.dtype == np.uint8
    assert (result is label_map) == (not dropped(rows, rules).any())


def test_rows_of_another_prediction_are_refused():
    label_map = np.zeros((6, 6, 6), np.uint8, order="F")
    label_map[1, 1, 1] = 3
    rows, other = rows_of(label_map, "case 7"), label_map.copy(order="F")
    other[1, 1, 2] = 3
    with pytest.raises(PostTxError, match="case 7: the rows of its components are those of another prediction"):
        applied(other, rows, RULES)


@pytest.fixture
def shard(tmp_path):
    """Return the list of predictions and the table of components of a shard of three cases."""
    folder, tables = tmp_path / "m" / "000", []
    for case in (KEPT, LOST, EMPTY):
        label_map = np.zeros((12, 10, 8), np.uint8, order="F")
        if case != EMPTY:
            label_map[2:11, 1:9, 1:7] = 1
            label_map[4:7, 3:6, 2:4] = 3
        if case == LOST:
            label_map[9, 5, 4] = 3  # inside NETC
            label_map[0, 9, 7] = 3  # alone
        write_volume(folder / f"{case}.nii.gz", label_map, AFFINE, 4)
        tables.append(rows_of(label_map, case))
    write_case_list(folder / "_cases.tsv", [KEPT, LOST, EMPTY])
    table = pd.concat([one for one in tables if len(one)])
    write_table(table.sort_values(["case", "label", "component"]), COMPONENTS, tmp_path / "c.parquet")
    return folder / "_cases.tsv", tmp_path / "c.parquet"


def run(shard, rules=RULES, splits=None, folds=(), workers=1):
    out = shard[0].parents[2] / "m+post" / "000" / "_cases.tsv"
    script.postprocess_shard(*shard, RuleSet("m", NAMES, rules, "", folds), out, splits, workers)
    return out.parent


def stored(folder, case):
    return read_volume(folder / f"{case}.nii.gz")


@pytest.mark.parametrize("workers", [1, 2])
def test_only_what_rules_drop_changes_and_the_rest_is_linked(shard, workers):
    raw, out = shard[0].parent, run(shard, workers=workers)
    for case in (KEPT, EMPTY):
        assert (raw / f"{case}.nii.gz").samefile(out / f"{case}.nii.gz")
    before, after = stored(raw, LOST), stored(out, LOST)
    assert np.argwhere(before.data != after.data).tolist() == [[0, 9, 7], [9, 5, 4]]
    assert (after.data[9, 5, 4], after.data[0, 9, 7]) == (1, 0)
    assert np.array_equal(before.affine, after.affine)
    assert after.header["sform_code"] == 4
    table = pd.read_csv(out / "_cases.tsv", sep="\t")
    assert table["case"].tolist() == [KEPT, LOST, EMPTY]
    assert table["sha256"].tolist() == [sha256_of(out / f"{case}.nii.gz") for case in (KEPT, LOST, EMPTY)]


def test_a_second_run_with_other_rules_leaves_the_predictions_alone(shard):
    raw = shard[0].parent
    digests = {path: sha256_of(path) for path in raw.iterdir()}
    run(shard)
    (shard[0].parents[2] / "m+post" / "000" / "gone.nii.gz").write_bytes(b"")
    out = run(shard, {"NETC": Rule(min_mm3=1000, then="background")})
    assert {path: sha256_of(path) for path in raw.iterdir()} == digests
    assert not (out / "gone.nii.gz").exists()
    assert set(np.unique(stored(out, KEPT).data)) == {0, 3}
    assert np.array_equal(stored(run(shard, {}), LOST).data, stored(raw, LOST).data)


def test_a_case_of_the_train_cohort_gets_the_rules_of_its_fold(shard, tmp_path):
    pd.DataFrame({"case": [KEPT, LOST, EMPTY], "fold": [1, 0, 1]}).to_parquet(tmp_path / "splits.parquet")
    harsh = {"ET": Rule(min_mm3=1e6)}
    out = run(shard, RULES, tmp_path / "splits.parquet", ({}, harsh))
    assert np.array_equal(stored(out, LOST).data, stored(shard[0].parent, LOST).data)
    assert 3 not in stored(out, KEPT).data
    with pytest.raises(PostTxError, match="of 1 folds, and the case is of fold 1"):
        run(shard, RULES, tmp_path / "splits.parquet", ({},))
    pd.DataFrame({"case": [KEPT], "fold": [1]}).to_parquet(tmp_path / "splits.parquet")
    with pytest.raises(PostTxError, match=f"{LOST}.*in no fold"):
        run(shard, RULES, tmp_path / "splits.parquet", ({}, harsh))


def test_a_bad_case_does_not_hide_the_others(shard):
    path = shard[0].parent / f"{LOST}.nii.gz"
    content = path.read_bytes()
    for damage, told in ((lambda: path.write_bytes(content[:50]), "FIL004"), (path.unlink, "FIL001")):
        damage()
        with pytest.raises(CasesFailedError, match=rf"1 of 3 cases failed(.|\n)*{told}.*{LOST}"):
            run(shard)
        out = shard[0].parents[2] / "m+post" / "000"
        assert sorted(file.name for file in out.iterdir()) == [f"{KEPT}.nii.gz", f"{EMPTY}.nii.gz"]
    (shard[0].parent / f"{KEPT}.nii.gz").unlink()
    with pytest.raises(CasesFailedError, match=r"2 of 3 cases failed"):
        run(shard)


def test_without_hard_links_cases_are_copied(shard, monkeypatch):
    def refused(self, target):
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refused)
    out = run(shard)
    assert not (shard[0].parent / f"{KEPT}.nii.gz").samefile(out / f"{KEPT}.nii.gz")
    assert sha256_of(shard[0].parent / f"{KEPT}.nii.gz") == sha256_of(out / f"{KEPT}.nii.gz")

"""What nnU-Net is told: dataset.json, the changed plan, the published plan from nnU-Net's own planner."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from published_plan import CHANNELS, LABELS, measured_cohort, plans

from check_plan import check_plan
from plan_experiment import plan_experiment
from posttx.errors import PostTxError
from posttx.files import read_json, write_json
from posttx.networks.nnunet import compare_plan, customize_plan, dataset_json, preprocessed_digest, training_stamp
from posttx.networks.trainings import PLANNERS
from preprocess_dataset import mark
from write_dataset import write_dataset


@pytest.fixture(scope="module")
def published_plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    # nnU-Net's axes run from the slowest in the file: the same order as in its own plans.
    return plans(tmp_path_factory.mktemp("plans"), (142, 175, 136))


def test_planner_finds_the_published_network(published_plans: dict[str, Any]) -> None:
    compared = {row["property"]: row for row in compare_plan(published_plans)}
    assert all(row["equal"] for row in compared.values()), compared
    assert compared["patch_size"]["planned"] == [128, 160, 112]
    assert compared["strides"]["planned"][-1] == [2, 2, 1]


@pytest.mark.parametrize("kind", ["resenc_m", "resenc_l"])
def test_residual_encoders_are_planned_and_told_from_the_published_network(tmp_path: Path, kind: str) -> None:
    planned = plans(tmp_path, (142, 175, 136), PLANNERS[kind][0])
    assert "ResidualEncoderUNet" in planned["configurations"]["3d_fullres"]["architecture"]["network_class_name"]
    compared = {row["property"]: row for row in compare_plan(planned)}
    assert not all(row["equal"] for row in compared.values())
    changed = customize_plan(planned, "3d_fullres", {"batch_size": 5})
    assert changed["configurations"]["3d_fullres"]["batch_size"] == 5


def test_another_plan_is_told_by_each_difference(published_plans: dict[str, Any]) -> None:
    changed = customize_plan(published_plans, "3d_fullres", {"batch_size": 4, "patch_size": [128, 128, 128]})
    assert {row["property"] for row in compare_plan(changed) if not row["equal"]} == {"patch_size", "batch_size"}


def test_check_plan_writes_every_property(tmp_path: Path, published_plans: dict[str, Any]) -> None:
    write_json(tmp_path / "plans.json", customize_plan(published_plans, "3d_fullres", {"batch_size": 4}))
    check_plan(tmp_path / "plans.json", "3d_fullres", tmp_path / "table.parquet")
    table = pd.read_parquet(tmp_path / "table.parquet").set_index("property")
    assert len(table) == 11
    assert table.loc["batch_size"].to_dict() == {"published": "2", "planned": "4", "equal": False}
    assert table["equal"].sum() == 10


def test_customized_plan_builds_a_network(published_plans: dict[str, Any]) -> None:
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    overrides = {"patch_size": [16, 24, 16], "batch_size": 3, "features": [4, 8, 16], "batch_dice": True}
    changed = customize_plan(published_plans, "3d_fullres", overrides)
    settings = changed["configurations"]["3d_fullres"]
    assert (settings["patch_size"], settings["batch_size"], settings["batch_dice"]) == ([16, 24, 16], 3, True)
    assert settings["data_identifier"] == "nnUNetPlans_3d_fullres"
    assert published_plans["configurations"]["3d_fullres"]["batch_size"] == 2
    architecture = settings["architecture"]
    network = get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        4,
        5,
        deep_supervision=False,
    )
    assert network(torch.zeros(1, 4, 16, 24, 16)).shape == (1, 5, 16, 24, 16)


def test_patch_that_cannot_be_halved_is_refused(published_plans: dict[str, Any]) -> None:
    with pytest.raises(PostTxError, match="30 is no multiple of 4"):
        customize_plan(published_plans, "3d_fullres", {"patch_size": [32, 30, 32], "features": [4, 8, 16]})


def test_network_without_deep_supervision_is_refused(published_plans: dict[str, Any]) -> None:
    with pytest.raises(PostTxError, match="fewer than three stages"):
        customize_plan(published_plans, "3d_fullres", {"patch_size": [32, 32, 32], "features": [4, 8]})


@pytest.mark.parametrize("planner", ["ExperimentPlanner", "nnUNetPlannerResEncM"])
def test_the_plan_is_nnunets_own_but_for_the_changes(tmp_path: Path, planner: str) -> None:
    nnunets = plans(tmp_path / "theirs", (142, 175, 136), planner)
    with measured_cohort(tmp_path / "ours", (142, 175, 136)) as preprocessed:
        plan_experiment(501, planner, preprocessed / "nnUNetPlans.json", "3d_fullres", '{"batch_size": 5}')
        ours = read_json(preprocessed / "nnUNetPlans.json")
        # nnUNetv2_train reads this one beside the plan.
        assert read_json(preprocessed / "dataset.json")["labels"] == {"background": 0, **LABELS}
    assert ours == customize_plan(nnunets, "3d_fullres", {"batch_size": 5})
    assert list(ours) == list(nnunets)


def test_no_plan_is_written_before_the_changes_are_in_it(tmp_path: Path) -> None:
    with measured_cohort(tmp_path, (142, 175, 136)) as preprocessed:
        with pytest.raises(PostTxError, match="fewer than three stages"):
            plan_experiment(
                501, "ExperimentPlanner", preprocessed / "nnUNetPlans.json", "3d_fullres", '{"features": [4, 8]}'
            )
        assert [path.name for path in preprocessed.glob("*[pP]lans*")] == []


def test_dataset_names_every_file_relative_to_the_raw_folder(tmp_path: Path) -> None:
    for shard, cases in (("000", ["b", "a"]), ("001", ["c"])):
        folder = tmp_path / "results" / "standardized" / "training" / shard
        folder.mkdir(parents=True)
        pd.DataFrame({"case": cases}).to_parquet(folder / "transforms.parquet")
    raw = tmp_path / "results" / "nnunet" / "raw" / "Dataset501_X"
    tables = sorted((tmp_path / "results" / "standardized" / "training").glob("*/transforms.parquet"))
    write_dataset(tables, raw / "dataset.json", LABELS, ["t1c-t1n"])
    content = read_json(raw / "dataset.json")
    assert content["channel_names"] == {"0": "t1n", "1": "t1c", "2": "t2w", "3": "t2f", "4": "t1c-t1n"}
    assert content["labels"] == {"background": 0, **LABELS}
    assert content["numTraining"] == 3
    assert list(content["dataset"]) == ["a", "b", "c"]
    label = os.path.normpath(raw / content["dataset"]["c"]["label"])
    assert label == str(tmp_path / "results" / "standardized" / "training" / "001" / "labels" / "c.nii.gz")
    assert content["dataset"]["c"]["images"][4].endswith("/images/c_0004.nii.gz")


def test_dataset_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PostTxError, match="no training cases"):
        dataset_json({}, CHANNELS, LABELS, tmp_path)


def test_marker_follows_the_content(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("a.b2nd", "a_seg.b2nd", "a.pkl"):
        (tmp_path / "data" / name).write_bytes(name.encode())
    first = preprocessed_digest(tmp_path / "data")
    assert first["cases"] == 1
    os.utime(tmp_path / "data" / "a.pkl", (1, 1))
    assert preprocessed_digest(tmp_path / "data") == first
    (tmp_path / "data" / "a.pkl").write_bytes(b"other")
    assert preprocessed_digest(tmp_path / "data") != first
    write_json(tmp_path / "dataset.json", {"dataset": {"a": {}, "b": {}}})
    with pytest.raises(SystemExit, match="1 of 2 cases"):
        mark(tmp_path / "dataset.json", tmp_path / "data", tmp_path / "marker.json")
    assert not (tmp_path / "marker.json").exists()


def test_stamp_tells_what_changed_and_ignores_paths() -> None:
    dataset = {"labels": LABELS, "dataset": {"a": {"label": "/here/a.nii.gz"}}}
    split = {"train": ["a"], "val": ["b"]}
    stamp = training_stamp({"p": 1}, dataset, split, {"digest": "x"}, {"epochs": 5})
    moved = {**dataset, "dataset": {"a": {"label": "/there/a.nii.gz"}}}
    assert training_stamp({"p": 1}, moved, split, {"digest": "x"}, {"epochs": 5}) == stamp
    other = training_stamp({"p": 1}, dataset, split, {"digest": "x"}, {"epochs": 6})
    assert {key for key in stamp if stamp[key] != other[key]} == {"settings"}

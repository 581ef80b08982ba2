"""What patches are centred on: rarity, and hard negatives that come from the training part alone."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny_nnunet as tiny
import torch
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader

from gather_mined import gather_mined
from posttx.errors import PostTxError
from posttx.files import read_json, read_parquet, write_json
from posttx.networks.levers import round_that_begins, schedule, total_epochs
from posttx.networks.levers.hard_negatives import HardNegatives, in_image, invented, mine, mine_round
from posttx.networks.levers.sampling import Centre, PlannedLoader, Rarity, class_volumes
from posttx.networks.training import MINED

RARE = {"sampling": "rarity"}
MINING = {"hard_negatives": {"rounds": 2, "classes": ["X", "Y"], "share": 0.3}}
TRAINING, HELD_OUT = (tiny.SPLITS[0][part] for part in ("train", "val"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("sampling")
        for key, value in tiny.folders(root).items():
            patch.setenv(key, value)
        tiny.make_dataset(root)
        yield root


def trainer_of(root: Path, patch: pytest.MonkeyPatch, **levers: Any) -> Any:
    trainer = tiny.make_trainer(patch, root, plans=tiny.lever_plans(root, **levers))
    trainer.initialize()
    return trainer


def test_a_class_is_drawn_inversely_to_its_volume_and_a_small_lesion_as_often_as_a_large_one() -> None:
    draw = Rarity({"a": {1: 600, 2: 1}, "b": {1: 300, 2: 99}, "c": {1: 0, 2: 0, 3: 0}})
    np.random.seed(0)
    drawn = [draw() for _ in range(20_000)]
    assert None not in drawn
    shares = Counter(centre.label for centre in drawn if centre)
    assert set(shares) == {1, 2}
    # 1 / 900 and 1 / 100
    assert shares[2] / len(drawn) == pytest.approx(0.9, abs=0.01)
    rare = Counter(centre.case for centre in drawn if centre and centre.label == 2)
    assert rare["a"] / sum(rare.values()) == pytest.approx(0.5, abs=0.015)
    assert Rarity({"a": {1: 0}})() is None


def test_volumes_are_those_of_the_preprocessed_references(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(dataset, monkeypatch)
    training, _ = trainer.get_tr_and_val_datasets()
    volumes = class_volumes(training, [1, 2])
    assert list(volumes) == sorted(TRAINING)
    # a cube of 8 voxels with one of 4 in it
    assert all(counted == {1: 8**3 - 4**3, 2: 4**3} for counted in volumes.values())


def drawn_by(loader: Any, seed: int) -> list[Centre]:
    """Return what the patches of 300 batches are centred on."""
    np.random.seed(seed)
    drawn = []
    for _ in range(300):
        cases = loader.get_indices()
        assert cases == [centre.case for centre in loader._centres]
        drawn += loader._centres
    return drawn


def test_patches_of_the_training_part_are_centred_by_rarity(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(dataset, monkeypatch, **RARE)
    training, held_out = (augmenter.data_loader for augmenter in trainer.get_dataloaders())
    assert isinstance(training, PlannedLoader)
    # what is compared between trainings stays nnU-Net's
    assert type(held_out) is nnUNetDataLoader
    first, again, other = (drawn_by(training, seed) for seed in (1, 1, 2))
    assert first == again != other
    labels = Counter(centre.label for centre in first + other)
    # 64 voxels of 2 and 448 of 1 in every case
    assert labels[2] / labels.total() == pytest.approx(7 / 8, abs=0.03), labels
    assert {centre.case for centre in first} == set(TRAINING)
    training.transforms = None
    batch = training.generate_train_batch()
    assert [case in TRAINING for case in batch["keys"]] == [True, True]
    assert not training._centres
    plain = trainer_of(dataset, monkeypatch)
    assert type(plain.get_dataloaders()[0].data_loader) is nnUNetDataLoader


def test_a_patch_is_centred_on_the_voxel_that_was_mined(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(dataset, monkeypatch, **MINING)
    trainer.get_dataloaders()
    training, _ = trainer.get_tr_and_val_datasets()
    row = {"case": TRAINING[1], "label": 2, "voxel": [9, 12, 11]}
    loader = PlannedLoader(
        training, 2, (8, 8, 8), (8, 8, 8), trainer.label_manager, draw=HardNegatives([row], 1.0, TRAINING, None)
    )
    assert loader.get_indices() == [TRAINING[1]] * 2
    shape = np.array([20, 27, 22])
    assert loader.get_bbox(shape, False, {1: np.array([[0, 1, 1, 1]])}) == ([5, 8, 7], [13, 16, 15])
    assert loader.get_bbox(shape, False, None) == ([5, 8, 7], [13, 16, 15])


def test_hard_negatives_take_their_share_and_leave_the_rest_to_the_other_plan() -> None:
    rows = [{"case": case, "label": 1, "voxel": [1, 2, 3]} for case in ("a", "b")]
    np.random.seed(0)
    draw = HardNegatives(rows, 0.3, ["a", "b", "c"], lambda: Centre("c", 2))
    drawn = Counter(centre.case for centre in (draw() for _ in range(10_000)) if centre)
    assert drawn["c"] / 10_000 == pytest.approx(0.7, abs=0.02)
    assert drawn["a"] / drawn["b"] == pytest.approx(1, abs=0.1)
    assert HardNegatives([], 0.3, ["a"], None)() is None


def test_hard_negatives_of_a_held_out_case_are_refused() -> None:
    rows = [{"case": "held", "label": 1, "voxel": [1, 2, 3]}]
    with pytest.raises(PostTxError, match="mined in held, which is no case that this fold is trained on"):
        HardNegatives(rows, 0.3, ["a", "b"], None)


def test_the_network_looks_at_the_training_part_alone(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("raw", "preprocessed"):
        (tmp_path / part).symlink_to(dataset / part)
    trainer = trainer_of(tmp_path, monkeypatch, **MINING)
    read: list[str] = []
    load = trainer.dataset_class.load_case
    monkeypatch.setattr(trainer.dataset_class, "load_case", lambda self, case: (read.append(case), load(self, case))[1])
    rows = mine_round(trainer, trainer._module(), 1, lambda: None)
    assert read == sorted(TRAINING)
    assert not set(read) & set(HELD_OUT)
    assert {row["case"] for row in rows} <= set(TRAINING)
    assert trainer.network.decoder.deep_supervision
    assert {row["round"] for row in rows} <= {1}


def test_components_without_a_voxel_of_the_class_are_invented_and_their_centre_lies_in_them() -> None:
    predicted, reference = np.zeros((2, 12, 12, 12), np.int16)
    predicted[1:3, 1:3, 1:3] = 2
    reference[2, 2, 2] = 2
    predicted[6, 2:9, 2], predicted[6, 2, 2:9], predicted[6, 8, 2:9] = 2, 2, 2
    reference[6, 2:9, 2] = 1
    (found,) = invented(predicted, reference, 2)
    assert found[0] == 19
    assert predicted[found[1]] == 2
    assert found[1][0] == 6
    assert invented(predicted, reference, 1) == []
    assert invented(np.zeros_like(predicted), reference, 2) == []


def test_a_voxel_is_told_in_the_image_that_was_cropped_and_resampled() -> None:
    properties = {
        "shape_after_cropping_and_before_resampling": [10, 20, 30],
        "bbox_used_for_cropping": [[2, 12], [0, 20], [5, 35]],
    }
    assert in_image((3, 4, 5), (10, 20, 30), properties) == [10.0, 4.0, 5.0]
    assert in_image((3, 4, 5), (20, 40, 60), properties) == [7.2, 1.8, 3.2]


class Dataset:
    """A dataset of two cases; the first voxels of an image say what is predicted."""

    identifiers = ("a", "b")

    def load_case(self, case: str) -> tuple[np.ndarray, np.ndarray, None, dict]:
        image = np.zeros((1, 6, 6, 6), np.float32)
        image[0, 1, 1, 1 : 2 + (case == "b")] = 1
        properties = {
            "shape_after_cropping_and_before_resampling": [6, 6, 6], "bbox_used_for_cropping": [[0, 6]] * 3,
        }  # fmt: skip
        return image, np.zeros((1, 6, 6, 6), np.int16), None, properties


def test_mining_that_was_interrupted_goes_on_and_that_of_another_network_begins_anew(tmp_path: Path) -> None:
    path, looked = tmp_path / "mined_1.json", []

    def segment(image: np.ndarray) -> np.ndarray:
        looked.append(int(image.sum()))
        return image[0].astype(np.int16)

    def stop(case: str) -> None:
        raise KeyboardInterrupt

    def run(stamp: str, between: Callable[[str], None] = lambda case: None) -> list[dict[str, Any]]:
        return mine(Dataset(), segment, {"X": 1}, stamp, path, between)

    with pytest.raises(KeyboardInterrupt):
        run("one", stop)
    partial = path.with_suffix(".jsonl")
    partial.write_text(partial.read_text() + '{"stamp": "one", "case": "b", "mi')
    rows = run("one")
    assert looked == [1, 2]
    assert [(row["case"], row["class"], row["component"], row["voxels"]) for row in rows] == [
        ("a", "X", 1, 1), ("b", "X", 1, 2),
    ]  # fmt: skip
    assert rows[0]["centre"] == [1.0, 1.0, 1.0]
    assert not partial.exists()
    assert run("one") == rows
    assert looked == [1, 2]
    assert run("two") == rows
    assert looked == [1, 2, 1, 2]
    assert read_json(path)["stamp"] == "two"


def test_rounds_are_a_quarter_as_long_and_begin_at_a_tenth_of_the_rate() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
    assert total_epochs({}, 20) == 20
    assert total_epochs(MINING, 20) == 30
    begin = [epoch for epoch in range(30) if round_that_begins(MINING, 20, epoch)]
    assert begin == [20, 25]
    assert [round_that_begins(MINING, 20, epoch) for epoch in begin] == [1, 2]
    assert not any(round_that_begins({}, 20, epoch) for epoch in range(30))
    rates = []
    planned = schedule(MINING, optimizer, 0.1, 20)
    for epoch in range(30):
        planned.step(epoch)
        rates.append(optimizer.param_groups[0]["lr"])
    plain = schedule({}, optimizer, 0.1, 20)
    for epoch in range(20):
        plain.step(epoch)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rates[epoch])
    assert rates[20] == rates[25] == pytest.approx(0.01)
    assert rates[24] == pytest.approx(0.01 * (1 / 5) ** 0.9)


def test_what_was_mined_is_a_table_and_a_held_out_case_in_it_is_refused(tmp_path: Path) -> None:
    checkpoints = [tmp_path / f"fold_{fold}" / "checkpoint_final.pth" for fold in range(2)]
    row = {"round": 1, "case": "a", "class": "ET", "label": 3, "component": 1, "voxels": 7, "voxel": [1, 2, 3],
           "centre": [3.0, 2.0, 1.5]}  # fmt: skip
    write_json(tmp_path / "splits.json", [{"train": ["a"], "val": ["b"]}, {"train": ["b"], "val": ["a"]}])
    write_json(checkpoints[0].with_name(MINED), [row])
    write_json(checkpoints[1].with_name(MINED), [])
    output = {kind: tmp_path / f"mined.{kind}" for kind in ("parquet", "csv")}
    gather_mined(checkpoints, tmp_path / "splits.json", output)
    (told,) = read_parquet(output["parquet"]).to_dict("records")
    assert told == {"fold": 0, "round": 1, "case": "a", "class": "ET", "component": 1, "voxels": 7,
                    "centre_i": 3.0, "centre_j": 2.0, "centre_k": 1.5}  # fmt: skip
    assert list(pd.read_csv(output["csv"])["centre_k"]) == [1.5]
    write_json(checkpoints[1].with_name(MINED), [row])
    with pytest.raises(PostTxError, match="fold 1 mined hard negatives in a, which it was not trained on"):
        gather_mined(checkpoints, tmp_path / "splits.json", output)

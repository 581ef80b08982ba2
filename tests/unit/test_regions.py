"""Regions as targets: which are learnt, that every label comes back, and what nnU-Net trains and predicts with them."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_nnunet as tiny
import torch
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from posttx.errors import PostTxError
from posttx.files import read_json
from posttx.labels import Label, LabelScheme, Region, load_scheme
from posttx.networks import trainings
from posttx.networks.averaging import Average, Slab, expected_probabilities
from posttx.networks.checkpoints import FINAL
from posttx.networks.confidence import kept_files
from posttx.networks.levers.regions import learnt_names, with_regions
from posttx.networks.nnunet import image_name
from posttx.networks.predictor import load_ensemble
from posttx.networks.targets import Target, expand_targets, region_targets
from posttx.networks.validation import validate_held_out
from posttx.nifti import read_volume

LABELS = tiny.ROOT / "config/labels"
TARGETS = [{"name": "XY", "labels": [1, 2], "label": 1}, {"name": "Y", "labels": [2], "label": 2}]


def scheme(labels: int, composites: Sequence[Sequence[int]]) -> LabelScheme:
    """Return a scheme of labels 2, 4, 6 ... and composite regions of them."""
    singles = tuple(Label(2 * number, f"L{number}", "", "#000000") for number in range(1, labels + 1))
    regions = (Region(f"R{n}", "", tuple(2 * one for one in held), "#000000") for n, held in enumerate(composites))
    return LabelScheme("own", "", singles, tuple(regions))


def drawn(targets: Sequence[Target], label: int) -> int:
    """Return what is drawn last in a voxel of a label that lies inside every region that holds it."""
    return [one["label"] for one in targets if label in one["labels"]][-1]


@pytest.mark.parametrize(
    ("name", "learnt"),
    [
        ("brats2024", {"WT": ([1, 2, 3], 2), "TC": ([1, 3], 1), "ET": ([3], 3), "RC": ([4], 4)}),
        ("brats2021", {"WT": ([1, 2, 3], 2), "TC": ([1, 3], 1), "ET": ([3], 3)}),
    ],
)
def test_regions_of_the_shipped_schemes_are_those_of_the_challenges(name: str, learnt: dict) -> None:
    targets = region_targets(load_scheme(LABELS / f"{name}.yaml"))
    assert {one["name"]: (one["labels"], one["label"]) for one in targets} == learnt
    assert [one["name"] for one in targets] == list(learnt)


def test_every_label_of_any_scheme_comes_back() -> None:
    draw = random.Random(1)
    for _ in range(300):
        labels = draw.randint(2, 6)
        some = [draw.sample(range(1, labels + 1), draw.randint(1, labels)) for _ in range(draw.randint(1, 4))]
        if all(len(held) == 1 for held in some):
            continue
        targets = region_targets(scheme(labels, some))
        assert [drawn(targets, label) for label in range(1, labels + 1)] == list(range(1, labels + 1)), some
        assert len({tuple(one["labels"]) for one in targets}) == len(targets) == labels


@pytest.mark.parametrize("composites", [[], [[2]]])
def test_a_scheme_without_a_region_of_several_labels_is_refused(composites: list) -> None:
    config = {"models": {"m": {"train": {"targets": "regions"}}}}
    with pytest.raises(PostTxError, match=r"models.m.train.targets: the label scheme own has no region of several"):
        expand_targets(config, scheme(3, composites))


def test_regions_are_settings_of_the_lever_so_that_other_regions_are_another_plan() -> None:
    names = set()
    for composites in ([[1, 2]], [[2, 3]]):
        train = {"targets": "regions", "planner": "plain", "plan": {}}
        config = {"models": {"m": {"train": train}, "p": {"train": {"targets": "labels"}}, "q": {"counts": {}}}}
        expand_targets(config, scheme(3, composites))
        assert trainings.levers(train)["targets"] == region_targets(scheme(3, composites))
        assert config["models"]["p"]["train"]["targets"] == "labels"
        names.add(trainings.plans_name(train))
    assert len(names) == 2


def test_nnunet_is_told_regions_and_the_order_in_which_they_are_drawn() -> None:
    dataset = {"labels": {"background": 0, "X": 1, "Y": 2}, "numTraining": 3}
    assert with_regions(dataset, {}) == dataset
    told = with_regions(dataset, {"posttx": {"levers": {"targets": TARGETS}}})
    assert told == {**dataset, "labels": {"background": 0, "XY": [1, 2], "Y": 2}, "regions_class_order": [1, 2]}
    manager = LabelManager(told["labels"], told["regions_class_order"])
    assert (manager.has_regions, manager.num_segmentation_heads) == (True, 2)
    assert learnt_names(told, manager) == ["XY", "Y"]
    assert learnt_names(dataset, LabelManager(dataset["labels"], None)) == ["X", "Y"]
    assert expected_probabilities(manager).tolist() == [[0, 0], [1, 0], [1, 1]]


def test_means_of_regions_are_drawn_where_they_exceed_a_half() -> None:
    manager = LabelManager({"background": 0, "XY": [1, 2], "Y": 2}, [1, 2])
    draw = np.random.default_rng(0)
    shape, place = (20, 5, 6), (slice(1, 19), slice(0, 5), slice(1, 6))
    said = [draw.random((2, 18, 5, 5), np.float32) for _ in range(2)]
    average = Average(manager)
    for weight, one in zip((0.25, 0.75), said, strict=True):
        labels = np.asarray(manager.convert_probabilities_to_segmentation(one), np.uint8)
        average.add([Slab(place, one, labels)], shape, weight)
    found = average.segmentation()
    mean = 0.25 * said[0] + 0.75 * said[1]
    expected = np.zeros(shape, np.uint8)
    expected[place] = np.where(mean[1] > 0.5, 2, np.where(mean[0] > 0.5, 1, 0))
    each = [np.where(one[1] > 0.5, 2, np.where(one[0] > 0.5, 1, 0)) for one in said]
    agreed = each[0] == each[1]
    assert np.array_equal(expected[place][agreed], each[0][agreed])
    assert np.array_equal(found.label_map, expected.transpose(2, 1, 0))
    sure = np.zeros(shape)
    sure[place] = np.where(mean[1] > 0.5, mean[1], np.where(mean[0] > 0.5, mean[0], 0))
    assert np.abs(found.probability.transpose(2, 1, 0) / 255 - sure).max() <= 0.5 / 255 + 1e-6


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    """Return the root of a dataset and a trainer that has just trained regions on it, by labels preprocessed once."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("regions")
        for key, value in tiny.folders(root).items():
            patch.setenv(key, value)
        tiny.make_dataset(root)
        name = tiny.lever_plans(root, targets=TARGETS)
        trainer = tiny.make_trainer(
            patch, root, plans=name, EPOCHS=6, ITERATIONS=8, OPTIMIZER="adamw", LEARNING_RATE=0.02
        )
        trainer.run_training()
        yield root, trainer


def test_regions_are_trained_by_a_sigmoid_each_and_told_in_the_progress(trained: tuple[Path, Any]) -> None:
    root, trainer = trained
    assert type(trainer.loss.loss).__name__ == "DC_and_BCE_loss"
    folder = Path(trainer.output_folder_base)
    assert read_json(folder / "dataset.json")["labels"] == {"background": 0, "XY": [1, 2], "Y": 2}
    assert list(read_json(folder / "dataset.json")["labels"]) == ["background", "XY", "Y"]
    rows = (folder / "fold_0/progress.jsonl").read_text().splitlines()
    assert '"regions": ["XY", "Y"]' in rows[-1]
    assert read_json(root / "preprocessed" / tiny.DATASET / "dataset.json")["labels"] == {
        "background": 0,
        "X": 1,
        "Y": 2,
    }


def test_regions_come_back_as_labels_out_of_fold_and_by_nnunet_alike(trained: tuple[Path, Any], tmp_path: Path) -> None:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    root, trainer = trained
    validate_held_out(trainer, mirroring=False)
    fold = Path(trainer.output_folder)
    ensemble, _ = load_ensemble([fold / FINAL], "cpu", False)
    theirs = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    theirs.initialize_from_trained_model_folder(str(fold.parent), (0,), FINAL)
    summary = read_json(fold / "validation/summary.json")
    assert set(summary["mean"]) == {"(1, 2)", "2"}
    seen = set()
    for case in tiny.SPLITS[0]["val"]:
        names = [root / "images/images" / image_name(case, channel) for channel in range(4)]
        ours = ensemble.segment([read_volume(name) for name in names])
        kept = {name: read_volume(path).data for name, path in kept_files(fold, case).items()}
        assert np.array_equal(kept["label_map"], ours)
        assert kept["probability"][ours > 0].min() >= 127
        theirs.predict_from_files_sequential([list(map(str, names))], [str(tmp_path / case)], False, True, None)
        assert np.mean(read_volume(tmp_path / f"{case}.nii.gz").data == ours) >= 0.9999
        reference = read_volume(root / "images/labels" / f"{case}.nii.gz").data
        for held in ((1, 2), (2,)):
            one, other = np.isin(ours, held), np.isin(reference, held)
            assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.5
        seen |= set(np.unique(ours).tolist())
    assert seen == {0, 1, 2}

"""A preprocessed nnU-Net dataset of six small cases, made in one process, and the environment to train on it."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posttx.cases import MODALITIES
from posttx.files import read_json, write_json
from posttx.networks.checkpoints import FINAL, write_checkpoint
from posttx.networks.nnunet import customize_plan, dataset_json, image_name, preprocessed_digest
from posttx.nifti import read_volume, write_volume

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[2]
DATASET = "Dataset901_Tiny"
PLANS = "nnUNetPlans_tiny"
CONFIGURATION = "3d_fullres"
CASES = [f"BraTS-GLI-{patient:05d}-{scan}" for patient in range(1, 4) for scan in (100, 101)]
SPLITS = [{"train": CASES[2:], "val": CASES[:2]}, {"train": CASES[:4], "val": CASES[4:]}]
SETTINGS = {"EPOCHS": 4, "ITERATIONS": 4, "VALIDATION_ITERATIONS": 2, "FOREGROUND": 0.5, "THREADS": 1}


def make_dataset(root: Path) -> None:
    """Write raw images, plan, folds and preprocessed data below ``root``: two labels, 4 channels, 24 x 28 x 20."""
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner

    images = root / "images"
    for number, case in enumerate(CASES):
        _write_case(images, case, number)
    raw, preprocessed = root / "raw" / DATASET, root / "preprocessed" / DATASET
    content = dataset_json(dict.fromkeys(CASES, images), MODALITIES, {"X": 1, "Y": 2}, raw)
    write_json(raw / "dataset.json", content)
    bounds = {"max": 1, "mean": 0, "median": 0, "min": 0, "percentile_00_5": 0, "percentile_99_5": 1, "std": 1}
    write_json(
        preprocessed / "dataset_fingerprint.json",
        {
            "spacings": [[1.0, 1.0, 1.0]] * len(CASES),
            "shapes_after_crop": [[20, 28, 24]] * len(CASES),
            "foreground_intensity_properties_per_channel": {str(channel): bounds for channel in range(4)},
            "median_relative_size_after_cropping": 1.0,
        },
    )
    write_json(preprocessed / "splits_final.json", SPLITS)
    # The planner takes this many threads, and 0 is refused.
    os.environ.update(folders(root) | {"nnUNet_n_proc_DA": "1"})
    ExperimentPlanner(901, plans_name=PLANS).plan_experiment()
    overrides = {"patch_size": [16, 16, 16], "batch_size": 2, "features": [4, 8, 8]}
    path = preprocessed / f"{PLANS}.json"
    plans = customize_plan(read_json(path), CONFIGURATION, overrides)
    write_json(path, plans)
    _preprocess(raw, preprocessed)


def folders(root: Path) -> dict[str, str]:
    """Return the environment that names nnU-Net's folders below ``root``, and how many processes it may start."""
    names = {f"nnUNet_{name}": str(root / name) for name in ("raw", "preprocessed", "results")}
    trainers = str(ROOT / "workflow" / "trainers")
    return {**names, "nnUNet_extTrainer": trainers, "nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1"}


def environment(root: Path, **changed: object) -> dict[str, str]:
    """Return the whole environment of a training below ``root``."""
    settings = {f"POSTTX_{key}": str(value) for key, value in {**SETTINGS, **changed}.items()}
    scripts = str(ROOT / "workflow" / "scripts")
    return {**os.environ, **folders(root), **settings, "OMP_NUM_THREADS": "1", "PYTHONPATH": scripts}


def lever_plans(root: Path, **levers: Any) -> str:
    """Write a copy of the plan with these levers of training below ``root``, as the workflow does; return its name."""
    from copy_plan import copy_plan
    from posttx.networks.trainings import levers_suffix

    name = PLANS + levers_suffix(levers)
    preprocessed = root / "preprocessed" / DATASET
    copy_plan(preprocessed / f"{PLANS}.json", preprocessed / f"{name}.json", levers, CONFIGURATION)
    return name


def training_command(fold: int = 0, device: str = "cpu", last: str = "--c", plans: str = PLANS) -> list[str]:
    """Return the call of ``nnUNetv2_train`` of a fold, as the rules make it."""
    beside = Path(sys.executable).parent
    program = (
        shutil.which("nnUNetv2_train", path=f"{beside}{os.pathsep}{os.environ['PATH']}") or beside / "nnUNetv2_train"
    )
    names = ["-tr", "PostTxTrainer", "-p", plans, "-device", device, last]
    return [str(program), DATASET, CONFIGURATION, str(fold), *names]


def start_training(
    root: Path, fold: int = 0, *, workers: int = 0, plans: str = PLANS, **changed: object
) -> subprocess.Popen[str]:
    """Start to train a fold with ``workers`` loader processes, in a process group of its own."""
    return subprocess.Popen(
        training_command(fold, plans=plans),
        env=environment(root, STAGE="train", **changed) | {"nnUNet_n_proc_DA": str(workers)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_training(root: Path, *, device: str = "cpu", **changed: object) -> subprocess.CompletedProcess[str]:
    """Run a training or, with ``STAGE="validate"``, a validation of fold 0 to its end; stderr is part of stdout."""
    last = "--val" if changed.get("STAGE") == "validate" else "--c"
    return subprocess.run(
        training_command(0, device, last),
        env=environment(root, **changed),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )


def make_trainer(
    monkeypatch: "pytest.MonkeyPatch",
    root: Path,
    fold: int = 0,
    device: str = "cpu",
    plans: str = PLANS,
    **changed: object,
) -> Any:
    """Return the trainer as ``nnUNetv2_train`` makes it, in this process."""
    import torch

    monkeypatch.syspath_prepend(str(ROOT / "workflow" / "trainers"))
    for key, value in environment(root, **{"STAGE": "train", **changed}).items():
        monkeypatch.setenv(key, value)
    module = importlib.import_module("posttx_trainer")
    monkeypatch.setattr(module, "configure_logging", lambda: None)
    preprocessed = root / "preprocessed" / DATASET
    content = read_json(preprocessed / f"{plans}.json") | {"continue_training": True}
    dataset = read_json(preprocessed / "dataset.json")
    return module.PostTxTrainer(content, CONFIGURATION, fold, dataset, torch.device(device))


def model_folder(root: Path, plans: str = PLANS) -> Path:
    """Return nnU-Net's folder of the trained model."""
    return root / "results" / DATASET / f"PostTxTrainer__{plans}__{CONFIGURATION}"


def trained_model(
    root: Path, folds: int, *, channels: int = 4, changes: dict[str, Any] | None = None, first_seed: int = 0
) -> list[Path]:
    """Train networks for a few steps on the dataset below ``root``; return their checkpoints, as of a model's folds.

    ``channels``: the first ones of the dataset's four. ``changes`` of the plan are those of ``customize_plan``.
    """
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from posttx.networks.predictor import Ensemble

    preprocessed, folder = root / "preprocessed" / DATASET, model_folder(root)
    plans, dataset = read_json(preprocessed / f"{PLANS}.json"), read_json(preprocessed / "dataset.json")
    plans = customize_plan(plans, CONFIGURATION, changes or {})
    dataset["channel_names"] = dict(list(dataset["channel_names"].items())[:channels])
    write_json(folder / "plans.json", plans)
    write_json(folder / "dataset.json", dataset)
    manager = PlansManager(plans)
    configuration = manager.get_configuration(CONFIGURATION)
    for fold in range(folds):
        torch.manual_seed(first_seed + fold)
        network = nnUNetTrainer.build_network_architecture(manager, configuration, channels, 3, False)
        _fit(network, Ensemble([network], manager, configuration, dataset, torch.device("cpu")), root)
        checkpoint = {
            "network_weights": network.state_dict(),
            "init_args": {"configuration": CONFIGURATION},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (0, 1, 2),
        }
        path = folder / f"fold_{fold}" / FINAL
        write_checkpoint(path, lambda beside, content=checkpoint: torch.save(content, beside))
    return [folder / f"fold_{fold}" / FINAL for fold in range(folds)]


def _fit(network: Any, ensemble: Any, root: Path) -> None:
    """Train for a few steps: an untrained network is undecided everywhere, where rounding decides."""
    import torch

    images, labels = [], []
    channels = range(len(ensemble.dataset["channel_names"]))
    for case in CASES[:3]:
        data, properties = ensemble.prepare(
            [read_volume(root / "images" / "images" / image_name(case, channel)) for channel in channels]
        )
        label = read_volume(root / "images" / "labels" / f"{case}.nii.gz").data.transpose(2, 1, 0)
        inside = tuple(slice(*bounds) for bounds in properties["bbox_used_for_cropping"])
        # The stride of the network divides 16, not every crop.
        images.append(data[:, :16, :16, :16])
        labels.append(torch.from_numpy(label[inside][:16, :16, :16].astype(np.int64)))
    optimizer = torch.optim.AdamW(network.parameters(), 0.02)
    weight = torch.tensor([0.2, 1.0, 4.0])
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(torch.stack(images)), torch.stack(labels), weight).backward()
        optimizer.step()


def _write_case(folder: Path, case: str, number: int) -> None:
    draw = np.random.default_rng(number)
    labels = np.zeros((24, 28, 20), np.uint8)
    i, j, k = draw.integers(6, 14, 3)
    labels[i - 4 : i + 4, j - 4 : j + 4, k - 4 : k + 4] = 1
    labels[i - 2 : i + 2, j - 2 : j + 2, k - 2 : k + 2] = 2
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    write_volume(folder / "labels" / f"{case}.nii.gz", np.asfortranarray(labels), affine)
    for channel in range(4):
        image = 5 + draw.normal(0, 0.3, labels.shape) + (channel + 1) * (labels == 1) - (3 - channel) * (labels == 2)
        # An empty border, so that nnU-Net crops.
        image[:2], image[:, :1] = 0, 0
        write_volume(folder / "images" / image_name(case, channel), np.asfortranarray(image.astype(np.float32)), affine)


def _preprocess(raw: Path, preprocessed: Path) -> None:
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
    from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

    plans = PlansManager(read_json(preprocessed / f"{PLANS}.json"))
    configuration = plans.get_configuration(CONFIGURATION)
    dataset = read_json(raw / "dataset.json")
    data = preprocessed / configuration.data_identifier
    data.mkdir()
    (preprocessed / "gt_segmentations").mkdir()
    for case, files in get_filenames_of_train_images_and_targets(str(raw), dataset).items():
        DefaultPreprocessor(verbose=False).run_case_save(
            str(data / case), files["images"], files["label"], plans, configuration, dataset
        )
        label = Path(files["label"])
        (preprocessed / "gt_segmentations" / label.name).write_bytes(label.read_bytes())
    write_json(preprocessed / "markers" / f"{data.name}.json", preprocessed_digest(data))

"""What nnU-Net is told: the dataset, changes of its plan, and whether a plan is the published one."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posttx.errors import PostTxError
from posttx.files import digest_of, read_json
from posttx.networks.architectures import gated_network

FILE_ENDING = ".nii.gz"
READER = "NibabelIO"
PUBLISHED_ARCHITECTURE = {
    "n_stages": 6,
    "features_per_stage": [32, 64, 128, 256, 320, 320],
    "kernel_sizes": [[3, 3, 3]] * 6,
    "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 1]],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "nonlin": "torch.nn.LeakyReLU",
}
PUBLISHED_PLAN = {
    "patch_size": [128, 160, 112],
    "batch_size": 2,
    "network": "PlainConvUNet",
    "spacing": [1.0, 1.0, 1.0],
}
# What a plan holds of ours, of which nnU-Net knows nothing.
OURS = "posttx"
PLAN_VALUES = ("patch_size", "batch_size", "batch_dice")


def dataset_json(
    folders: Mapping[str, str | Path],
    channels: Sequence[str],
    labels: Mapping[str, int],
    raw_folder: str | Path,
) -> dict[str, Any]:
    """Return nnU-Net's ``dataset.json`` that names every file explicitly, so that nothing is copied.

    ``folders`` maps case -> its ``standardized/{cohort}/{shard}`` folder. Paths inside are relative to ``raw_folder``,
    as nnU-Net resolves them, so that a results folder can move. ``labels`` maps name -> integer without background.
    No cases: an error, as nnU-Net could not plan.
    """
    if not folders:
        raise PostTxError("there are no training cases", remedy="Give the cohort with `use: train` some cases")
    relative = {case: os.path.relpath(folder, raw_folder) for case, folder in folders.items()}
    return {
        "name": Path(raw_folder).name,
        "channel_names": {str(index): name for index, name in enumerate(channels)},
        "labels": {"background": 0, **labels},
        "file_ending": FILE_ENDING,
        "overwrite_image_reader_writer": READER,
        "numTraining": len(folders),
        "dataset": {
            case: {
                "images": [f"{folder}/images/{image_name(case, index)}" for index in range(len(channels))],
                "label": f"{folder}/labels/{case}{FILE_ENDING}",
            }
            for case, folder in sorted(relative.items())
        },
    }


def image_name(case: str, channel: int) -> str:
    """Return nnU-Net's file name of one channel of a case."""
    return f"{case}_{channel:04d}{FILE_ENDING}"


def customize_plan(plans: Mapping[str, Any], configuration: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of nnU-Net's plans with the config's changes to one configuration.

    ``overrides`` may hold ``patch_size`` (three integers), ``batch_size``, ``batch_dice`` and ``features`` (channels
    per stage, from the finest; the number of stages follows, each but the first halves every axis). The preprocessed
    data get a folder of their own per plans file: ResEnc plans would otherwise share that of the plain ones, and two
    jobs would write it. Fewer than three stages are an error: nnU-Net's deep supervision would weigh its one output 0.
    A patch whose axes the strides do not divide is an error.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(plans))
    settings = changed["configurations"][configuration]
    settings["data_identifier"] = f"{changed['plans_name']}_{configuration}"
    settings.update({key: overrides[key] for key in PLAN_VALUES if key in overrides})
    if "features" in overrides:
        if len(overrides["features"]) < 3:
            raise PostTxError(
                "a network of fewer than three stages has no loss", remedy="Give three plan.features or more"
            )
        _resize_network(settings["architecture"]["arch_kwargs"], overrides["features"])
    strides = settings["architecture"]["arch_kwargs"]["strides"]
    for axis, edge in enumerate(settings["patch_size"]):
        factor = 1
        for stride in strides:
            factor *= stride[axis]
        if edge % factor:
            raise PostTxError(
                f"a patch of {settings['patch_size']} voxels cannot be halved as often as the network does: "
                f"{edge} is no multiple of {factor}",
                remedy="Change plan.patch_size or the number of plan.features",
            )
    return changed


def _resize_network(architecture: dict[str, Any], features: Sequence[int]) -> None:
    stages = len(features)
    architecture["n_stages"] = stages
    architecture["features_per_stage"] = list(features)
    architecture["kernel_sizes"] = [[3, 3, 3]] * stages
    architecture["strides"] = [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1)
    for key, count in (
        ("n_conv_per_stage", stages),
        ("n_blocks_per_stage", stages),
        ("n_conv_per_stage_decoder", stages - 1),
    ):
        if isinstance(architecture.get(key), list):
            architecture[key] = [architecture[key][0]] * count


def with_levers(plans: Mapping[str, Any], configuration: str, levers: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a plan that holds ``levers`` (``trainings.levers``) and the network that they ask for.

    The trainer reads them from there: the stamp of a fold is made of the plan, and nnU-Net's own commands know no other
    settings. A network that a lever cannot change is an error.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(plans))
    changed[OURS] = {"levers": dict(levers)}
    if levers.get("attention", "none") != "none":
        architecture = changed["configurations"][configuration]["architecture"]
        architecture["network_class_name"] = gated_network(architecture["network_class_name"])
    return changed


def compare_plan(plans: Mapping[str, Any], configuration: str = "3d_fullres") -> list[dict[str, Any]]:
    """Compare a plan with the published one: one row per property, ``property, published, planned, equal``."""
    settings = plans["configurations"][configuration]
    architecture = settings["architecture"]
    planned: dict[str, Any] = {
        "network": str(architecture["network_class_name"]).rsplit(".", 1)[-1],
        "patch_size": [int(edge) for edge in settings["patch_size"]],
        "batch_size": int(settings["batch_size"]),
        "spacing": [float(edge) for edge in settings["spacing"]],
    }
    kwargs = architecture["arch_kwargs"]
    planned |= {key: kwargs.get(key) for key in PUBLISHED_ARCHITECTURE}
    published: dict[str, Any] = {**PUBLISHED_PLAN, **PUBLISHED_ARCHITECTURE}
    return [
        {"property": key, "published": value, "planned": planned[key], "equal": planned[key] == value}
        for key, value in published.items()
    ]


def preprocessed_digest(folder: str | Path) -> dict[str, Any]:
    """Return a marker of nnU-Net's preprocessed data: number of cases, and a digest that changes with their content.

    Reading every voxel of a large cohort again would take minutes: the compressed sizes, which follow the voxels, and
    the case properties with their sampled label positions stand for the content.
    """
    digest, cases = hashlib.sha256(), 0
    for path in sorted(Path(folder).iterdir()):
        if path.suffix == ".b2nd":
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        elif path.suffix == ".pkl":
            digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
            cases += 1
    return {"cases": cases, "digest": digest.hexdigest()}


def preprocessed_marker(folder: str | Path) -> dict[str, Any]:
    """Return the marker of nnU-Net's preprocessed data (``preprocessed_digest``); empty where none was written."""
    data = Path(folder)
    marker = data.parent / "markers" / f"{data.name}.json"
    return read_json(marker) if marker.is_file() else {}


def training_stamp(
    plans: Mapping[str, Any],
    dataset: Mapping[str, Any],
    split: Mapping[str, Any],
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> dict[str, str]:
    """Return what a checkpoint of a fold rests on, as digests by name: only where all agree may training go on.

    Paths in ``dataset`` are left out: moving a results folder changes no weight.
    """
    told = {key: dataset[key] for key in ("channel_names", "labels", "numTraining") if key in dataset}
    return {
        "plans": digest_of(plans),
        "dataset": digest_of(told),
        "split": digest_of(split),
        "data": digest_of(data),
        "settings": digest_of(settings),
    }

"""Networks of the cohort's plan: milliseconds a batch in every way, one case by ours and by nnU-Net's predictor."""

import copy
import functools
from pathlib import Path

import cohort
import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from scene import Report, Scene, agreement, child, timed

from posttx.files import read_json, write_json
from posttx.networks.checkpoints import FINAL, write_checkpoint
from posttx.networks.nnunet import image_name
from posttx.networks.predictor import GPU_BATCH, on_device
from posttx.nifti import read_volume

FOLDS, FITTED_STEPS, BATCHES = 5, 120, 8
FASTER = 2.0


def model(scene: Scene) -> list[Path]:
    """Return the checkpoints of five folds, made once: one network fitted for a few steps, and it with a little noise.

    A network of random weights is undecided everywhere, where rounding decides.
    """
    folder = scene.scratch / "model"
    paths = [folder / f"fold_{fold}" / FINAL for fold in range(FOLDS)]
    if all(path.exists() for path in paths):
        return paths
    plans, dataset = (
        cohort.plan_of(scene),
        read_json(scene.scratch / "cohort" / "raw" / cohort.DATASET / "dataset.json"),
    )
    write_json(folder / "plans.json", plans)
    write_json(folder / "dataset.json", dataset)
    manager = PlansManager(plans)
    configuration = manager.get_configuration(cohort.CONFIGURATION)
    heads = manager.get_label_manager(dataset).num_segmentation_heads
    torch.manual_seed(1)
    network = nnUNetTrainer.build_network_architecture(
        manager, configuration, len(dataset["channel_names"]), heads, False
    )
    ensemble = on_device([network], manager, configuration, dataset, torch.device(scene.device), ())
    fit(scene, ensemble)
    for path in paths:
        noisy = {
            name: value + 0.002 * value.std() * torch.randn_like(value) if value.numel() > 1 else value
            for name, value in network.cpu().state_dict().items()
        }
        content = {
            "network_weights": noisy,
            "init_args": {"configuration": cohort.CONFIGURATION},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (0, 1, 2),
        }
        write_checkpoint(path, lambda beside, content=content: torch.save(content, beside))
    return paths


def volumes(scene: Scene) -> list:
    """Return the channels of the first case."""
    case = cohort.cases(scene)[0]
    return [read_volume(cohort.images(scene) / image_name(case, channel)) for channel in range(4)]


def fit(scene: Scene, ensemble) -> None:
    """Train a network for some steps on patches around the lesions of the first case."""
    data, properties = ensemble.prepare(volumes(scene))
    case = cohort.cases(scene)[0]
    label = read_volume(scene.scratch / "cohort" / "standardized" / "labels" / f"{case}.nii.gz").data.transpose(2, 1, 0)
    label = label[tuple(slice(*bounds) for bounds in properties["bbox_used_for_cropping"])]
    patch = ensemble.configuration.patch_size
    centre = np.argwhere(label > 0).mean(0)
    corner = [int(max(0, min(c - p / 2, s - p))) for c, p, s in zip(centre, patch, label.shape, strict=True)]
    inside = tuple(slice(first, first + edge) for first, edge in zip(corner, patch, strict=True))
    images = data[(slice(None), *inside)][None].to(scene.device)
    wanted = torch.from_numpy(label[inside].astype(np.int64))[None].to(scene.device)
    network = ensemble.networks[0].train()
    optimizer = torch.optim.AdamW(network.parameters(), 0.003)
    for _ in range(FITTED_STEPS):
        optimizer.zero_grad()
        with torch.autocast(scene.device, torch.bfloat16, enabled=scene.on_gpu):
            loss = torch.nn.functional.cross_entropy(network(images).float(), wanted)
        loss.backward()
        optimizer.step()
    network.eval()


def run(scene: Scene, report: Report) -> None:
    """Time batches, then a case by both."""
    checkpoints = model(scene)
    batches(scene, report)
    for mirroring in (False, True):
        environment = scene.environment()
        files = {side: scene.scratch / f"{side}_{mirroring}.npy" for side in ("ours", "nnunet")}
        took = {
            side: child(
                "predict_case.py",
                scene.device,
                scene.size,
                scene.scratch,
                side,
                mirroring,
                file,
                environment=environment,
            )
            for side, file in files.items()
        }
        name = "mirrored" if mirroring else "plain"
        for side, figures in took.items():
            report.note(f"{name}_{side}", figures)
        ratio = took["nnunet"]["case_s"] / took["ours"]["case_s"]
        report.check(f"{name}_times_as_fast", ratio >= FASTER or not scene.on_gpu, ratio)
        equal, dice = agreement(np.load(files["ours"]), np.load(files["nnunet"]))
        passed = equal >= 0.9999 and dice >= 0.999
        report.check(f"{name}_agreement", passed, f"equal voxels {equal:.6f}, lowest Dice {dice:.5f}")
    assert len(checkpoints) == FOLDS


def batches(scene: Scene, report: Report) -> None:
    """Time one network on batches, in both layouts, compiled or not, with cuDNN's search or without."""
    plans, dataset = PlansManager(cohort.plan_of(scene)), read_json(scene.scratch / "model" / "dataset.json")
    configuration = plans.get_configuration(cohort.CONFIGURATION)
    heads = plans.get_label_manager(dataset).num_segmentation_heads
    built = nnUNetTrainer.build_network_architecture(plans, configuration, 4, heads, False)
    size = GPU_BATCH if scene.on_gpu else 2
    images = torch.randn(size, 4, *configuration.patch_size)
    backend = "inductor" if scene.on_gpu else "eager"
    make = functools.partial(torch.compile, dynamic=False, backend=backend)
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        for compiling in (False, True):
            for search in (False, True):
                torch._dynamo.reset()
                torch.backends.cudnn.benchmark = search
                network = copy.deepcopy(built).eval().to(scene.device).to(memory_format=layout)
                network = make(network) if compiling else network
                given = images.to(scene.device).contiguous(memory_format=layout)
                if scene.on_gpu:
                    torch.cuda.reset_peak_memory_stats()
                with torch.inference_mode(), torch.autocast(scene.device, enabled=scene.on_gpu):
                    first, _ = timed(lambda network=network, given=given: network(given))
                    taken, _ = timed(lambda network=network, given=given: [network(given) for _ in range(BATCHES)])
                peak = torch.cuda.max_memory_allocated() / 2**30 if scene.on_gpu else 0.0
                name = "channels_last" if layout is torch.channels_last_3d else "contiguous"
                name += "_compiled" * compiling + "_search" * search
                report.note(
                    name, f"{1000 * taken / BATCHES:.1f} ms a batch of {size}, first {first:.1f} s, peak {peak:.2f} GiB"
                )

"""A tiny ensemble: uncompiled, compiled and nnU-Net's own predictor agree; the folds share one compiled program."""

import functools

import fold
import numpy as np
import tiny_nnunet as tiny
import torch
from scene import Report, Scene, agreement, timed

from posttx.geometry.grids import grid_of
from posttx.geometry.transforms import grid_columns
from posttx.networks import predictor
from posttx.networks.nnunet import image_name
from posttx.networks.predictions import Target
from posttx.nifti import read_volume
from predict_shard import predict_rows

FOLDS = 2


def run(scene: Scene, report: Report) -> None:
    """Predict one case in three ways, and one as predict_shard does, with mirroring."""
    if not scene.on_gpu:
        # The compiler that makes nothing: what is tried here is how often it is asked.
        torch.compile = functools.partial(torch.compile, backend="eager")
    root = fold.dataset(scene)
    checkpoints = tiny.trained_model(root, FOLDS)
    images = root / "images" / "images"
    case = tiny.CASES[0]
    volumes = [read_volume(images / image_name(case, channel)) for channel in range(4)]
    ensemble, _ = predictor.load_ensemble(checkpoints, scene.device, True)
    data, properties = ensemble.prepare(volumes)
    eager = ensemble.logits(data)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    seconds, compiled = timed(lambda: predictor.compiled(ensemble))
    report.check("compiles", compiled is not ensemble, f"{seconds:.1f} s")
    logits = compiled.logits(data)
    # A case whose last batch is not full, and the networks one by one.
    compiled.logits(data[:, :17])
    compiled.finish_with_votes(data, properties)
    programs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    report.check("programs", programs == 1, programs)
    report.check("finite", bool(torch.isfinite(logits).all()), "all logits")
    report.note("logit_difference", float((logits - eager).abs().max()))
    ours = compiled.segmentation(logits, properties).label_map
    _compare(report, "eager", ours, ensemble.segmentation(eager, properties).label_map)
    _compare(report, "nnunet", ours, theirs(scene, checkpoints, volumes))

    target = Target(scene.scratch / "predicted")
    grid = grid_of(volumes[0])
    row = {"case": case, "cohort": "a", "shard": "000", "form_code": 1, "labels": "1,2", **grid_columns(grid, grid)}
    predict_rows([row], images, checkpoints, target, scene.device, True)
    _compare(report, "predict_shard", read_volume(target.folder / f"{case}.nii.gz").data, ours)


def theirs(scene: Scene, checkpoints: list, volumes: list) -> np.ndarray:
    """Return nnU-Net's own label map of a case by the same folds, mirrored."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    peer = nnUNetPredictor(use_mirroring=True, device=torch.device(scene.device), allow_tqdm=False)
    peer.initialize_from_trained_model_folder(str(checkpoints[0].parent.parent), tuple(range(len(checkpoints))))
    data = np.stack([volume.data.transpose(2, 1, 0) for volume in volumes]).astype(np.float32)
    spacing = {"spacing": [float(edge) for edge in reversed(volumes[0].spacing)]}
    return peer.predict_single_npy_array(data, spacing, None, None, False).transpose(2, 1, 0)


def _compare(report: Report, name: str, ours: np.ndarray, other: np.ndarray) -> None:
    voxels, dice = agreement(ours, other)
    report.check(f"as_{name}", voxels >= 0.9999 and dice >= 0.999, f"equal voxels {voxels:.6f}, lowest Dice {dice:.5f}")

"""Predict one case twice, by ours or by nnU-Net's predictor, and print seconds and memory: `published.py` calls it."""

import json
import resource
import sys
from pathlib import Path

import numpy as np
import published
import torch
from scene import Scene, timed

from posttx.networks.predictor import load_ensemble, ready


def main(device: str, size: str, scratch: str, side: str, mirroring: str, file: str) -> None:
    """Write the label map to ``file``; ``case_s`` is the second prediction, when all is compiled and found."""
    scene = Scene(device, size, Path(scratch))
    checkpoints, volumes, mirrored = published.model(scene), published.volumes(scene), mirroring == "True"
    begun, predict = timed(
        lambda: ours(scene, checkpoints, mirrored) if side == "ours" else theirs(scene, checkpoints, mirrored)
    )
    first, _ = timed(lambda: predict(volumes))
    second, label_map = timed(lambda: predict(volumes))
    np.save(file, label_map)
    peak = torch.cuda.max_memory_allocated() / 2**30 if scene.on_gpu else 0.0
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    figures = {"load_s": begun, "first_s": first, "case_s": second, "gpu_gib": peak, "gib": resident}
    sys.stdout.write("\n" + json.dumps({name: round(value, 3) for name, value in figures.items()}) + "\n")


def ours(scene: Scene, checkpoints: list, mirrored: bool):
    """Return the prediction of this project, compiled where the device wants it."""
    ensemble, _ = load_ensemble(checkpoints, scene.device, mirrored)
    return ready(ensemble).segment


def theirs(scene: Scene, checkpoints: list, mirrored: bool):
    """Return the prediction behind `nnUNetv2_predict -f 0 1 2 3 4`."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    peer = nnUNetPredictor(use_mirroring=mirrored, device=torch.device(scene.device), allow_tqdm=False)
    peer.initialize_from_trained_model_folder(str(checkpoints[0].parent.parent), tuple(range(len(checkpoints))))

    def predict(volumes: list) -> np.ndarray:
        data = np.stack([volume.data.transpose(2, 1, 0) for volume in volumes]).astype(np.float32)
        spacing = {"spacing": [float(edge) for edge in reversed(volumes[0].spacing)]}
        return peer.predict_single_npy_array(data, spacing, None, None, False).transpose(2, 1, 0)

    return predict


if __name__ == "__main__":
    main(*sys.argv[1:])

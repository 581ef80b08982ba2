"""A GPU that is too small: batches are halved, then sums go to main memory, and the result is the same."""

import torch
from published import model, volumes
from scene import Report, Scene, agreement, timed

from posttx.networks.predictor import GPU_BATCH, Ensemble, load_ensemble

SHARES = (0.75, 0.5)


def run(scene: Scene, report: Report) -> None:
    """Predict with all the memory, then with shares of what that took."""
    ensemble, _ = load_ensemble(model(scene)[:1], scene.device, False)
    ensemble.batch = GPU_BATCH
    case = volumes(scene)
    expected = ensemble.segment(case)
    if scene.on_gpu:
        needed = torch.cuda.max_memory_reserved()
        total = torch.cuda.get_device_properties(0).total_memory
    for share in SHARES:
        ensemble.batch = GPU_BATCH
        if scene.on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction(share * needed / total)
        else:
            _pretend(int(GPU_BATCH * share / 1.5))
        seconds, label_map = timed(lambda: ensemble.segment(case))
        voxels, _ = agreement(label_map, expected)
        fitted = ensemble.batch
        report.check(f"share_{share}", fitted < GPU_BATCH, f"batches of {fitted}, {seconds:.1f} s")
        report.check(f"share_{share}_same", voxels >= 0.9999, voxels)


mean = Ensemble._mean


def _pretend(fitting: int) -> None:
    """Stand in for a small GPU: more than some tiles at a time do not fit."""

    def small(self: Ensemble, networks: object, images: torch.Tensor) -> torch.Tensor:
        if len(images) > fitting:
            raise torch.cuda.OutOfMemoryError
        return mean(self, networks, images)

    Ensemble._mean = small

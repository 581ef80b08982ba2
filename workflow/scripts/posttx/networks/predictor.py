"""Sliding-window segmentation by one network or by the mean of several, in one pass over each case.

The arithmetic is nnU-Net's (Gaussian-weighted tiles at half a patch's step, the mean of the folds' logits, its own
resampling and cropping), the order is ours: the weights of all folds stay on the device, neighbouring tiles and their
mirrored copies go through the networks in one batch, and one sum of logits is kept instead of one per fold.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from acvl_utils.cropping_and_padding.bounding_boxes import insert_crop_into_image
from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

from posttx.errors import PostTxError
from posttx.files import read_json
from posttx.networks.architectures import refuse_foreign_network
from posttx.networks.checkpoints import read_checkpoint
from posttx.networks.confidence import Segmentation, Votes, decided
from posttx.networks.devices import (
    claim_compiler_cache,
    is_out_of_memory,
    memory_format,
    refuse_unusable,
    wants_compiling,
    warn_of_no_compiler,
)
from posttx.networks.trust import refuse_foreign
from posttx.nifti import Volume

logger = logging.getLogger(__name__)
TILE_STEP = 0.5
GPU_BATCH = 8
# Voxels of a batch on a CPU: caches end somewhere.
CPU_BATCH_VOXELS = 2**19
# torch takes its slow convolution for one small patch alone, and the deep stages of any network are small.
CPU_LEAST_BATCH = 2
Slices = tuple[slice, ...]
Axes = tuple[int, ...]


@dataclass
class Ensemble:
    """Networks of the folds on one device, and what nnU-Net needs to prepare a case for them.

    ``mirror_axes`` are spatial axes (0, 1, 2) whose flipped copies are averaged; empty for none. ``whole_batches``
    fills a last batch up with zeros: a compiled network would be compiled again for another shape.
    """

    networks: Sequence[nn.Module]
    plans: PlansManager
    configuration: ConfigurationManager
    dataset: dict[str, Any]
    device: torch.device
    mirror_axes: Axes = ()
    batch: int = field(default=1)
    whole_batches: bool = False

    def logits(self, data: torch.Tensor, networks: Sequence[nn.Module] | None = None) -> torch.Tensor:
        """Return the mean logits (classes, x, y, z) of a prepared image (channels, x, y, z), on the CPU, float32.

        ``networks`` are those to take the mean of: all unless told otherwise.
        """
        chosen = self.networks if networks is None else networks
        patch = tuple(int(edge) for edge in self.configuration.patch_size)
        padded, inside = _padded(data, patch)
        # Half precision on CUDA, as nnU-Net has it; it ends at 65,504.
        for mixed in (True, False) if self.device.type == "cuda" else (False,):
            logits = self._fitting(chosen, padded, patch, mixed)
            if all(bool(torch.isfinite(channel).all()) for channel in logits):
                return logits[(slice(None), *inside)].cpu()
            if mixed:
                logger.warning("half precision is exceeded: this case once more in single precision")
        raise PostTxError(
            "the networks return numbers that are not finite (infinite or NaN), which cannot be segmented",
            remedy="Look at the case's images for such values, and at the curves of the folds (`make progress`)",
        )

    def _fitting(
        self, networks: Sequence[nn.Module], data: torch.Tensor, patch: tuple[int, ...], mixed: bool
    ) -> torch.Tensor:
        """Return what ``_summed`` does: where memory runs out with fewer tiles at a time, then with sums on the CPU."""
        home = self.device
        while True:
            try:
                return self._summed(networks, data, patch, home, mixed)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Out here, because in the handler the error keeps alive what fills the memory.
            torch.cuda.empty_cache()
            if self.batch > 1:
                self.batch //= 2
            elif home.type == "cuda":
                home = torch.device("cpu")
            else:
                raise PostTxError(
                    "the memory of the device is too small for one tile",
                    remedy="Give a larger GPU that nothing else uses, or set models.<name>.train.device to cpu",
                )
            logger.warning("out of memory: trying %d tiles at a time, sums on %s", self.batch, home)

    @torch.inference_mode()
    def _summed(
        self, networks: Sequence[nn.Module], data: torch.Tensor, patch: tuple[int, ...], home: torch.device, mixed: bool
    ) -> torch.Tensor:
        """Return the mean logits of a padded image over networks, mirrored copies and tiles, on ``home``, float32.

        ``mixed``: the networks compute in half precision where torch finds it safe.
        """
        gaussian = compute_gaussian(patch, sigma_scale=1 / 8, value_scaling_factor=10, device=torch.device("cpu"))
        gaussian = gaussian.to(home, torch.float32)
        classes = self.plans.get_label_manager(self.dataset).num_segmentation_heads
        total = torch.zeros((classes, *data.shape[1:]), device=home)
        weight = torch.zeros(data.shape[1:], device=home)
        data = data.to(home)
        mirrored = mirrored_copies(self.mirror_axes)
        copies = [(tile, axes) for tile in _tiles(data.shape[1:], patch) for axes in mirrored]
        with torch.autocast(self.device.type) if mixed else nullcontext():
            for some in _batches(copies, self.batch):
                images = torch.stack([torch.flip(data[(slice(None), *tile)], axes) for tile, axes in some])
                means = self._mean(networks, images.to(self.device)).to(home)
                for (tile, axes), mean in zip(some, means, strict=True):
                    total[(slice(None), *tile)] += torch.flip(mean, axes).mul_(gaussian)
                    weight[tile] += gaussian
        return total.div_(weight)

    def _mean(self, networks: Sequence[nn.Module], images: torch.Tensor) -> torch.Tensor:
        """Return the mean logits of a batch of tiles over networks, float32."""
        count = len(images)
        if self.whole_batches and count < self.batch:
            images = torch.cat([images, images.new_zeros(self.batch - count, *images.shape[1:])])
        images = images.contiguous(memory_format=memory_format(self.device))
        total = networks[0](images).float()
        for network in networks[1:]:
            total += network(images)
        return total[:count].div_(len(networks))

    def segment(self, volumes: Sequence[Volume]) -> np.ndarray:
        """Return the label map of a case on the grid of its channel ``volumes``, in their array order (uint8)."""
        return self.finish(*self.prepare(volumes)).label_map

    def prepare(self, volumes: Sequence[Volume]) -> tuple[torch.Tensor, dict[str, Any]]:
        """Crop, normalise and resample a case as nnU-Net does; return its data and what undoes that."""
        # nnU-Net counts axes from the slowest in the file, NIfTI from the fastest.
        data = np.stack([volume.data.transpose(2, 1, 0) for volume in volumes]).astype(np.float32, copy=False)
        properties = {"spacing": [float(edge) for edge in reversed(volumes[0].spacing)]}
        preprocessor = self.configuration.preprocessor_class(verbose=False)
        data, _, properties = preprocessor.run_case_npy(
            data, None, properties, self.plans, self.configuration, self.dataset
        )
        return torch.from_numpy(data), properties

    def finish(self, data: torch.Tensor, properties: dict[str, Any]) -> Segmentation:
        """Return the segmentation of a prepared case on the grid of its files, in NIfTI array order."""
        return self.segmentation(self.logits(data), properties)

    @torch.inference_mode()
    def finish_with_votes(self, data: torch.Tensor, properties: dict[str, Any]) -> Segmentation:
        """Return the segmentation of a prepared case with the votes of the folds.

        One fold after the other, so that the sums of two of them are in memory and no more.
        """
        total: torch.Tensor | None = None
        alone = []
        for network in self.networks:
            logits = self.logits(data, [network])
            alone.append(self.segmentation(logits, properties).label_map)
            total = logits if total is None else total.add_(logits)
        assert total is not None
        # A probability is that of the mean, not of the sum.
        together = self.segmentation(total.div_(len(alone)), properties)
        dissent = np.zeros(together.label_map.shape, np.uint8, order="F")
        for other in alone:
            dissent += other != together.label_map
        return replace(together, votes=Votes(dissent, len(alone)))

    def segmentation(self, logits: torch.Tensor, properties: dict[str, Any]) -> Segmentation:
        """Return logits as a segmentation on the grid of the case's files, in NIfTI array order."""
        labels = self.plans.get_label_manager(self.dataset)
        return decided(self.on_case_grid(logits, properties), labels).mapped(partial(self.uncropped, properties))

    def on_case_grid(self, logits: torch.Tensor, properties: dict[str, Any]) -> np.ndarray:
        """Return logits on the case's own grid, cropped, as nnU-Net resamples them; those that lie there come back."""
        shape = properties["shape_after_cropping_and_before_resampling"]
        if tuple(logits.shape[1:]) == tuple(shape):
            return logits.numpy()
        spacing = [properties["spacing"][axis] for axis in self.plans.transpose_forward]
        # A plan of slices says nothing of the distance between them.
        planned = [*spacing[: len(shape) - len(self.configuration.spacing)], *self.configuration.spacing]
        return np.asarray(self.configuration.resampling_fn_probabilities(logits, shape, planned, spacing))

    def uncropped(self, properties: dict[str, Any], cropped: np.ndarray) -> np.ndarray:
        """Return uint8 values of a case's cropped grid on the grid of its files, in NIfTI array order; 0 around."""
        whole = np.zeros(properties["shape_before_cropping"], np.uint8)
        whole = insert_crop_into_image(whole, cropped, properties["bbox_used_for_cropping"])
        return np.asfortranarray(whole.transpose(self.plans.transpose_backward).transpose(2, 1, 0))


def mirrored_copies(axes: Axes) -> list[Axes]:
    """Return the combinations of spatial axes to flip, as axes of (channels, x, y, z); the first flips none."""
    return [
        tuple(axis + 1 for axis in chosen)
        for count in range(len(axes) + 1)
        for chosen in itertools.combinations(axes, count)
    ]


def batch_size(configuration: ConfigurationManager, device: torch.device) -> int:
    """Return how many tiles go through a network together."""
    if device.type == "cuda":
        return GPU_BATCH
    return max(CPU_LEAST_BATCH, min(GPU_BATCH, CPU_BATCH_VOXELS // math.prod(configuration.patch_size)))


def load_ensemble(checkpoints: Sequence[str | Path], device: str, mirroring: bool) -> tuple[Ensemble, list[str]]:
    """Load the checkpoints of a model's folds once; return the ensemble and the checkpoints' SHA-256.

    ``plans.json`` and ``dataset.json`` are those that nnU-Net keeps beside the fold folders; one that is absent or torn
    is an error. A checkpoint without its recorded digest is refused before it is read; a device that is not there is an
    error. Nothing is compiled yet.
    """
    place = torch.device(device)
    refuse_unusable(place)
    model = Path(checkpoints[0]).parent.parent
    refuse_foreign(model / "plans.json", model / "dataset.json")
    plans, dataset = PlansManager(_description(model / "plans.json")), _description(model / "dataset.json")
    networks: list[nn.Module] = []
    digests = []
    for path in checkpoints:
        content, digest = read_checkpoint(path)
        digests.append(digest)
        configuration = plans.get_configuration(content["init_args"]["configuration"])
        refuse_foreign_network(configuration)
        networks.append(_network(content, plans, configuration, dataset))
    axes = tuple(content["inference_allowed_mirroring_axes"] or ()) if mirroring else ()
    return on_device(networks, plans, configuration, dataset, place, axes), digests


def _description(path: Path) -> dict[str, Any]:
    """Read a file that describes a model to nnU-Net."""
    try:
        content: dict[str, Any] = read_json(path)
        return content
    except (OSError, ValueError) as error:
        raise PostTxError(
            f"the model's folder has no {path.name} that can be read, without which its checkpoints are no networks",
            remedy="Copy the file from where the model was trained; where that is lost, delete the fold folders beside "
            "it and train again",
            file=path,
        ) from error


def on_device(
    networks: Sequence[nn.Module],
    plans: PlansManager,
    configuration: ConfigurationManager,
    dataset: dict[str, Any],
    device: torch.device,
    mirror_axes: Axes,
) -> Ensemble:
    """Return an ensemble of networks, moved to a device in the layout and with the batch that suit it, uncompiled."""
    if device.type == "cuda":
        # All tiles have one shape: trying which convolution is fastest pays at once.
        torch.backends.cudnn.benchmark = True
    placed = [network.eval().to(device).to(memory_format=memory_format(device)) for network in networks]
    return Ensemble(placed, plans, configuration, dataset, device, mirror_axes, batch_size(configuration, device))


def ready(ensemble: Ensemble) -> Ensemble:
    """Return an ensemble as fast as its device allows: compiled on CUDA, where that works and is not switched off."""
    return compiled(ensemble) if wants_compiling(ensemble.device, os.environ) else ensemble


def compiled(ensemble: Ensemble) -> Ensemble:
    """Return an ensemble with compiled networks, or the same one where compiling fails, as without a C compiler.

    Folds are alike but for their weights, so that the first one's program serves all; it is made here, on zeros.
    """
    claim_compiler_cache()
    networks: list[Any] = [torch.compile(network, dynamic=False) for network in ensemble.networks]
    trial = replace(ensemble, networks=networks, whole_batches=True)
    channels = determine_num_input_channels(ensemble.plans, ensemble.configuration, ensemble.dataset)
    try:
        trial.logits(torch.zeros(channels, *ensemble.configuration.patch_size))
    except Exception as error:
        warn_of_no_compiler(error)
        return ensemble
    return trial


def _network(
    checkpoint: dict[str, Any], plans: PlansManager, configuration: ConfigurationManager, dataset: dict[str, Any]
) -> nn.Module:
    trainer = recursive_find_trainer_class_by_name(checkpoint["trainer_name"])
    network = trainer.build_network_architecture(
        plans,
        configuration,
        determine_num_input_channels(plans, configuration, dataset),
        plans.get_label_manager(dataset).num_segmentation_heads,
        enable_deep_supervision=False,
    )
    network.load_state_dict(checkpoint["network_weights"])
    return network


def _padded(data: torch.Tensor, patch: tuple[int, ...]) -> tuple[torch.Tensor, Slices]:
    """Pad an image with 0 to at least one patch, evenly; return it and where the image lies in it."""
    pads, inside = [], []
    for length, edge in zip(data.shape[1:], patch, strict=True):
        missing = max(0, edge - length)
        before = missing // 2
        pads.append((before, missing - before))
        inside.append(slice(before, before + length))
    flat = [width for pair in reversed(pads) for width in pair]
    return torch.nn.functional.pad(data, flat), tuple(inside)


def _tiles(shape: Sequence[int], patch: tuple[int, ...]) -> list[Slices]:
    steps = compute_steps_for_sliding_window(tuple(shape), patch, TILE_STEP)
    return [
        tuple(slice(start, start + edge) for start, edge in zip(corner, patch, strict=True))
        for corner in itertools.product(*steps)
    ]


def _batches(copies: list[tuple[Slices, Axes]], size: int) -> Iterator[list[tuple[Slices, Axes]]]:
    for first in range(0, len(copies), size):
        yield copies[first : first + size]

"""Out-of-fold predictions of a trained fold and nnU-Net's summary of them, in one process."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from nnunetv2.evaluation.evaluate_predictions import compute_metrics, save_summary_json
from nnunetv2.utilities.json_export import recursive_fix_for_json_export

from posttx.files import replacing
from posttx.networks.confidence import kept_files, kept_folders
from posttx.networks.nnunet import FILE_ENDING
from posttx.networks.predictor import on_device, ready

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

logger = logging.getLogger(__name__)


def validate_held_out(trainer: nnUNetTrainer, mirroring: bool) -> None:
    """Predict the held-out cases of a trainer's fold into ``validation/`` and write ``summary.json`` as nnU-Net does.

    Probability and entropy of each voxel go beside it, into ``confidence/``.

    The network goes the way that ``predict_shard`` sends an ensemble: the same batches, layout and compiling.

    Label maps lie on the standard grid (nnU-Net's raw data). Predictions of cases that the fold no longer holds out are
    removed. nnU-Net's own way does the same with two pools of processes, each of which costs seconds to start.
    """
    fold = Path(trainer.output_folder)
    folder = fold / "validation"
    trainer.set_deep_supervision_enabled(False)
    axes = tuple(trainer.inference_allowed_mirroring_axes or ()) if mirroring else ()
    plans, configuration, dataset_json = trainer.plans_manager, trainer.configuration_manager, trainer.dataset_json
    ensemble = ready(on_device([trainer.network], plans, configuration, dataset_json, trainer.device, axes))
    _, held_out = trainer.do_split()
    for kept in kept_folders(fold).values():
        kept.mkdir(parents=True, exist_ok=True)
        for path in kept.glob(f"*{FILE_ENDING}"):
            if path.name.removesuffix(FILE_ENDING) not in held_out:
                path.unlink()
    dataset = trainer.dataset_class(trainer.preprocessed_dataset_folder, held_out)
    writer = trainer.plans_manager.image_reader_writer_class()
    for number, case in enumerate(held_out, 1):
        data, _, _, properties = dataset.load_case(case)
        found = ensemble.finish(torch.from_numpy(np.asarray(data[:], np.float32)), properties)
        for name, path in kept_files(fold, case).items():
            with replacing(path) as beside:
                writer.write_seg(getattr(found, name).transpose(2, 1, 0), str(beside), properties)
        trainer.print_to_log_file(f"predicted {case}, {number} of {len(held_out)}")
    references = Path(trainer.preprocessed_dataset_folder_base) / "gt_segmentations"
    summary = _summary(held_out, references, folder, writer, trainer.label_manager)
    with replacing(folder / "summary.json") as beside:
        save_summary_json(summary, str(beside))
    trainer.print_to_log_file(f"mean Dice of the held-out cases: {summary['foreground_mean']['Dice']:.4f}")


def _summary(cases: list[str], references: Path, folder: Path, reader: Any, labels: Any) -> dict[str, Any]:
    regions = labels.foreground_regions if labels.has_regions else labels.foreground_labels
    results = [
        compute_metrics(
            str(references / f"{case}{FILE_ENDING}"),
            str(folder / f"{case}{FILE_ENDING}"),
            reader,
            regions,
            labels.ignore_label,
        )
        for case in cases
    ]
    names = list(results[0]["metrics"][regions[0]])
    means = {
        region: {name: _mean([result["metrics"][region][name] for result in results]) for name in names}
        for region in regions
    }
    foreground = {name: _mean([means[region][name] for region in regions]) for name in names}
    summary = {"metric_per_case": results, "mean": means, "foreground_mean": foreground}
    for part in (*results, means, foreground):
        recursive_fix_for_json_export(part)
    return summary


def _mean(values: list[float]) -> float:
    """Return the mean of what is defined, NaN where nothing is."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")

"""The published plan, made by nnU-Net's own planner from a fingerprint like that of BraTS 2024."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from posttx.files import read_json, write_json

LABELS = {"NETC": 1, "SNFH": 2, "ET": 3, "RC": 4}
CHANNELS = ["t1n", "t1c", "t2w", "t2f"]


def plans(tmp_path: Path, shape: tuple[int, int, int], planner: str = "ExperimentPlanner") -> dict[str, Any]:
    """Let nnU-Net plan for 1,350 cases with this median crop at 1 mm."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import plan_experiments

    with measured_cohort(tmp_path, shape) as preprocessed:
        identifier = plan_experiments([501], planner, overwrite_plans_name="nnUNetPlans")
        return read_json(preprocessed / f"{identifier}.json")


@contextmanager
def measured_cohort(tmp_path: Path, shape: tuple[int, int, int]) -> Iterator[Path]:
    """Write dataset 501 as far as its fingerprint; name nnU-Net's folders to it and yield the preprocessed one."""
    name = "Dataset501_BraTSPostTx"
    write_json(
        tmp_path / "raw" / name / "dataset.json",
        {
            "channel_names": dict(enumerate(CHANNELS)),
            "labels": {"background": 0, **LABELS},
            "numTraining": 1350,
            "file_ending": ".nii.gz",
            "overwrite_image_reader_writer": "NibabelIO",
            "dataset": {"a": {"images": ["a.nii.gz"], "label": "b.nii.gz"}},
        },
    )
    intensities = {"max": 1, "mean": 0, "median": 0, "min": 0, "percentile_00_5": 0, "percentile_99_5": 1, "std": 1}
    write_json(
        tmp_path / "preprocessed" / name / "dataset_fingerprint.json",
        {
            "spacings": [[1.0, 1.0, 1.0]] * 3,
            "shapes_after_crop": [list(shape)] * 3,
            "foreground_intensity_properties_per_channel": {str(index): intensities for index in range(4)},
            "median_relative_size_after_cropping": 0.47,
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        for key in ("raw", "preprocessed", "results"):
            patch.setenv(f"nnUNet_{key}", str(tmp_path / key))
        yield tmp_path / "preprocessed" / name

"""The real pairs of ../shared/data/real as label arrays: two cases, two models."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posttx.label_maps import REFERENCE, label_array
from posttx.nifti import read_volume

CASES = ("BraTS-SSA-00002-000", "BraTS-SSA-00230-000")
MODELS = ("nnunet", "segresnet")
PAIRS = [(model, case) for model in MODELS for case in CASES]
# The integers of that repository (1 ET, 2 NETC, 3 SNFH) under the official names: any fixed naming tests the code.
REGIONS = {"NETC": [1], "SNFH": [2], "ET": [3], "RC": [4], "TC": [1, 3], "WT": [1, 2, 3]}


def reference_path(shared: Path, case: str) -> Path:
    return shared / f"data/real/cases/{case}/{case}-seg.nii.gz"


def prediction_path(shared: Path, model: str, case: str) -> Path:
    return shared / f"data/real/predictions/{model}/{case}.nii.gz"


def real_pair(shared: Path, model: str, case: str) -> tuple[np.ndarray, np.ndarray]:
    paths = reference_path(shared, case), prediction_path(shared, model, case)
    reference, prediction = (label_array(read_volume(path), [1, 2, 3, 4], REFERENCE, case)[0] for path in paths)
    return reference, prediction

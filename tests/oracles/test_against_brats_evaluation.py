"""brats-evaluation (the 2026 challenge's program), run as a program of its own environment: `make oracles`."""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from real_pairs import CASES, MODELS, REGIONS, prediction_path, real_pair, reference_path
from scipy import ndimage

from posttx.nifti import write_volume
from posttx.scoring.evaluation import Scoring, score_pair

PROGRAM = os.environ.get("POSTTX_BRATS_EVALUATE", "")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="brats-evaluation needs an environment of its own: make oracles")
# Their name -> ours. At 1 mm, 0.5 is the tolerance of the whole region and 1.0 that of the lesions.
COLUMNS = {
    "n_ref_instances": "lesions_ref",
    "n_pred_instances": "lesions_pred",
    "tp": "lesions_tp",
    "fp": "lesions_fp",
    "fn": "lesions_fn",
    "sq_dsc": "lesion_dice",
    "sq_hd95": "lesion_hd95_mm",
    "sq_nsd": "lesion_nsd_1.0",
    "global_bin_dsc": "dice",
    "global_bin_hd95": "hd95_mm",
    "global_bin_nsd": "nsd_0.5",
}


def official(folder: Path) -> dict[str, dict]:
    command = [PROGRAM, "--ref_path", folder / "ref", "--pred_path", folder / "pred", "--config", "gli"]
    command += ["--summary_json", folder / "summary.json"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=600)
    summary = json.loads((folder / "summary.json").read_text())
    assert not summary["missings"]
    return {entry["subject_name"].removesuffix(".nii.gz"): entry for entry in summary["metrics"]}


def compare(ours, theirs, case):
    for row in ours:
        expected = theirs[row["region"].lower()]
        for name, column in COLUMNS.items():
            value = row.get(column, math.nan)
            # Without a common voxel the program gives 0 and inf; ours is the distance itself, NaN where undefined.
            if name.startswith("global") and row["tp"] == 0:
                continue
            assert value == pytest.approx(expected[name], abs=1e-12, nan_ok=True), (case, row["region"], column)


def test_real_pairs_of_both_models(tmp_path, shared):
    for model in MODELS:
        folder = tmp_path / model
        for case in CASES:
            for name, path in (("ref", reference_path(shared, case)), ("pred", prediction_path(shared, model, case))):
                (folder / name).mkdir(parents=True, exist_ok=True)
                (folder / name / f"{case}.nii.gz").symlink_to(path)
        theirs = official(folder)
        for case in CASES:
            ours = score_pair(*real_pair(shared, model, case), (1.0, 1.0, 1.0), Scoring(REGIONS, "brats2026"))
            compare(ours["metrics"], theirs[case], case)


def test_random_volumes_with_specks_empty_classes_and_touching_labels(tmp_path):
    pairs = {}
    for number in range(60):
        rng = np.random.default_rng(number)
        shape = tuple(rng.integers(6, 26, 3))
        fields = ndimage.gaussian_filter(rng.standard_normal((5, *shape)), (0, *[rng.uniform(0.3, 2.0)] * 3))
        fields /= fields.std(axis=(1, 2, 3), keepdims=True)
        fields[0] += rng.uniform(0.3, 2.2)
        reference = fields.argmax(axis=0).astype(np.uint8)
        prediction = np.roll(reference, rng.integers(0, 4), rng.integers(3))
        prediction[rng.random(shape) < 0.05] = rng.integers(0, 5)
        if number % 8 == 0:
            reference[reference == 3] = 0
        if number % 10 == 0:
            prediction[:] = 0
        case = f"BraTS-GLI-{number:05d}-100"
        pairs[case] = reference, prediction
        write_volume(tmp_path / f"ref/{case}.nii.gz", reference, np.eye(4))
        write_volume(tmp_path / f"pred/{case}.nii.gz", prediction, np.eye(4))
    theirs = official(tmp_path)
    for case, pair in pairs.items():
        compare(score_pair(*pair, (1.0, 1.0, 1.0), Scoring(REGIONS, "brats2026"))["metrics"], theirs[case], case)

"""Memory of a worker that scores a case of 182 x 218 x 182 with large, ragged lesions: below 400 MB."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from posttx.nifti import write_volume
from workflow_runs import PRINT_PEAK

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"
SHAPE = (182, 218, 182)
LIMIT_MB = 400
CASE = "BraTS-GLI-00001-100"
PROGRAM = f"""
import json, sys
from pathlib import Path
import score_shard
from posttx.memory import keep_freed_memory
from posttx.scoring.evaluation import CaseItem, Scoring, Target, score_case
folder, regions = Path(sys.argv[1]), json.loads(sys.argv[3])
item = CaseItem("{CASE}", "p", 100, {{"m": folder / "pred.nii.gz"}}, reference=folder / "ref.nii.gz")
keep_freed_memory()  # as in the workers of a shard
score_case(item, Scoring(regions, sys.argv[2]), Target(folder / sys.argv[2], "c", "000"))
"""
REGIONS = {"NETC": [1], "SNFH": [2], "ET": [3], "RC": [4], "TC": [1, 3], "WT": [1, 2, 3]}


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    """Write a reference (float64, as nnU-Net's rivals do) and a prediction with about 400,000 labelled voxels each."""
    folder, draw = tmp_path_factory.mktemp("pair"), np.random.default_rng(0)
    for name, dtype in (("ref", np.float64), ("pred", np.uint8)):
        labels = np.zeros(SHAPE, dtype)
        fields = ndimage.gaussian_filter(draw.standard_normal((4, 110, 110, 110)), (0, 5, 5, 5))
        order = np.indices((110, 110, 110)) - 55
        inside = (order**2).sum(axis=0) < 48**2
        labels[40:150, 50:160, 30:140] = np.where(inside, fields.argmax(axis=0) + 1, 0)
        write_volume(folder / f"{name}.nii.gz", labels, np.diag([-1.0, 1, 1, 1]))
    return folder


@pytest.mark.parametrize("scheme", ["voxel", "brats2023", "brats2024", "brats2026"])
def test_a_worker_stays_below_its_limit(pair, scheme):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + PRINT_PEAK, str(pair), scheme, json.dumps(REGIONS)],
        env={"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (pair / scheme / f"metrics/c/m/000/{CASE}.parquet").is_file()
    assert int(done.stdout) < LIMIT_MB

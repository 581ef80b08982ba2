"""Memory of a worker that scores a case of 182 x 218 x 182: large, ragged lesions, and the worst that fit into it."""

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
import json, sys, time
from pathlib import Path
import score_shard
from posttx.memory import keep_freed_memory
from posttx.scoring.evaluation import CaseItem, Scoring, Target, score_case
folder, regions = Path(sys.argv[1]), json.loads(sys.argv[3])
item = CaseItem("{CASE}", "p", 100, {{"m": folder / "pred.nii.gz"}}, reference=folder / "ref.nii.gz")
keep_freed_memory()  # as in the workers of a shard
score_case(item, Scoring(regions, sys.argv[2]), Target(folder / sys.argv[2], "c", "000"))
print(time.process_time())
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


def scored(folder: Path, scheme: str) -> tuple[float, int]:
    """Return CPU seconds and peak memory in MB of a worker that scores the pair in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + PRINT_PEAK, str(folder), scheme, json.dumps(REGIONS)],
        env={"PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / scheme / f"metrics/c/m/000/{CASE}.parquet").is_file()
    seconds, peak = done.stdout.split()
    return float(seconds), int(peak)


@pytest.mark.parametrize("scheme", ["voxel", "brats2023", "brats2024", "brats2026"])
def test_a_worker_stays_below_its_limit(pair, scheme):
    assert scored(pair, scheme)[1] < LIMIT_MB


# A reference and a prediction, as two label maps, that have as many lesions or as much surface as there can be.
WORST = {
    "35,000 specks": lambda place: [np.where((place % 6 == 0).all(axis=0), 3, 0)] * 2,
    "checkerboards": lambda place: [np.where((place.sum(axis=0) + turn) % 2 == 0, 1, 3) for turn in (0, 1)],
}


@pytest.mark.parametrize(("worst", "scheme"), [("35,000 specks", "brats2026"), ("checkerboards", "brats2024")])
def test_the_worst_pair_takes_2500_mb_and_a_minute_at_most(tmp_path, worst, scheme):
    for name, labels in zip(("ref", "pred"), WORST[worst](np.indices(SHAPE, np.int16)), strict=True):
        write_volume(tmp_path / f"{name}.nii.gz", labels.astype(np.uint8), np.diag([-1.0, 1, 1, 1]))
    seconds, peak = scored(tmp_path, scheme)
    assert seconds < 60
    assert peak < 2500

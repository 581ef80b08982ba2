"""Memory of a worker that audits and standardises a case of 182 x 218 x 182 float64: below 1.5 GB."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from posttx.cases import MODALITIES
from posttx.nifti import write_volume
from workflow_runs import PRINT_PEAK

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"
SHAPE = (182, 218, 182)
LIMIT_MB = 1500
AUDIT = """
from posttx.auditing.audit import AuditTask, audit_case
audit_case(AuditTask("c", "x", "p", "train", files, {1: "NETC", 2: "SNFH", 3: "ET", 4: "RC"}))
"""
STANDARDIZE = """
from posttx.standardization import Job, Settings, standardize_case
settings = Settings(spacing=%s, interpolation="cubic", extra_channels=("t1c-t1n",))
standardize_case(Job("x", files, None, Path(folder) / "out", settings, (1, 2, 3, 4)))
"""
PROGRAM = """
import sys
from pathlib import Path
from posttx.memory import keep_freed_memory
folder = sys.argv[1]
keep_freed_memory()  # as in the workers of a shard
files = {name: f"{folder}/x-{name}.nii.gz" for name in ("t1n", "t1c", "t2w", "t2f", "seg")}
%s
"""


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Path:
    """Write one case of float64 images, half of the volume head, and a float64 reference."""
    folder = tmp_path_factory.mktemp("memory")
    affine = np.diag([-1.0, 1, 1, 1])
    draw = np.random.default_rng(0)
    head = np.zeros(SHAPE, bool)
    head[20:-20, 20:-20, 20:-20] = True
    for name in MODALITIES:
        data = np.where(head, np.rint(draw.normal(500, 100, SHAPE)), 0)
        write_volume(folder / f"x-{name}.nii.gz", data, affine)
    labels = np.zeros(SHAPE)
    labels[60:100, 60:100, 60:100] = 2
    labels[70:80, 70:80, 70:80] = 3
    write_volume(folder / "x-seg.nii.gz", labels, affine)
    return folder


@pytest.mark.parametrize(
    "step", [AUDIT, STANDARDIZE % 1.0, STANDARDIZE % 0.8], ids=["audit", "standardize", "resample"]
)
def test_a_worker_stays_below_its_limit(case, step):
    program = PROGRAM % step + PRINT_PEAK
    done = subprocess.run(
        [sys.executable, "-c", program, str(case)], env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < LIMIT_MB

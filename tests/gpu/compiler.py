"""A machine without a C compiler: a fold trains and predicts uncompiled, and the log says so."""

import subprocess
import sys

import fold
import tiny_nnunet as tiny
from scene import Report, Scene

ASKED = "import sys; from posttx.networks.devices import can_compile; sys.exit(can_compile(sys.argv[1]))"
SAID = "cannot be compiled, which costs speed alone"


def run(scene: Scene, report: Report) -> None:
    """Ask whether anything can be compiled, train a fold, predict its held-out cases."""
    none = {"CC": "/nonexistent", "CXX": "/nonexistent"} | {
        name: str(scene.scratch / "no_compiler") for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
    }
    environment = scene.environment(**none)
    asked = subprocess.run(
        [sys.executable, "-c", ASKED, scene.device], env=environment, capture_output=True, text=True, check=False
    )
    report.check(
        "told", asked.returncode == 0 and SAID in asked.stderr, asked.stderr.strip()[-300:] or asked.returncode
    )
    root = fold.dataset(scene)
    settings = {"EPOCHS": 1, "ITERATIONS": 4, "SEED": 7}
    for name, last, stage in (("train", "--c", "train"), ("predict", "--val", "validate")):
        command, given = fold.job(scene, root, last, **settings, STAGE=stage)
        given |= none | {"nnUNet_results": str(scene.scratch / "no_compiler_results")}
        done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        passed = done.returncode == 0 and (SAID in said or not scene.on_gpu)
        report.check(name, passed, f"exit {done.returncode}" + ("" if passed else f": {said[-300:]}"))
    assert tiny.DATASET

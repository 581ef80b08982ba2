"""Two jobs and one GPU: the second waits, and gets it when the first is killed with its loaders left behind."""

import os
import signal
import subprocess
import time

import fold
from scene import Report, Scene, used_mib, wait_until


def run(scene: Scene, report: Report) -> None:
    """Start a training, queue a second job behind it, kill the first."""
    root, log = fold.dataset(scene), scene.scratch / "guard.log"
    free = used_mib(scene)
    aside = scene.scratch / "guard_results"
    command, environment = fold.job(scene, root, EPOCHS=1000, SEED=8)
    environment["nnUNet_results"] = str(aside)
    with open(log, "wb") as stream:
        first = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream, start_new_session=True)
    lines = "*/*/fold_0/progress.jsonl"
    training = wait_until(
        lambda: any(path.stat().st_size for path in aside.glob(lines)) or first.poll() is not None, 300
    )
    report.check("training", training and first.poll() is None, log.read_text(errors="replace")[-200:].strip())
    waiting = scene.scratch / "waiting.log"
    with open(waiting, "wb") as stream:
        command = scene.with_gpu(["true"], "--wait", "60")
        second = subprocess.Popen(command, env=scene.environment(), stdout=stream, stderr=stream)
    told = wait_until(lambda: "waiting for a GPU slot" in waiting.read_text() or second.poll() is not None, 60)
    report.check("second_waits", told and second.poll() is None, waiting.read_text()[-200:].strip())
    begun = time.monotonic()
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    status = second.wait()
    report.check("second_gets_it", status == 0, f"exit {status}, {time.monotonic() - begun:.1f} s after the kill")
    gone = wait_until(lambda: not fold.trainers_left(), 10)
    report.check("loaders_gone", gone, f"{len(fold.trainers_left())} processes left")
    wait_until(lambda: used_mib(scene) < free + 200, 10)
    report.check("memory_left", used_mib(scene) < free + 200, f"{used_mib(scene) - free:.0f} MiB")

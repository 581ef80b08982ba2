"""A tiny fold as the rules train it: stopped by a signal in an epoch, gone on from, validated mirrored and not."""

import math
import os
import signal
import subprocess
import time
from pathlib import Path

import tiny_nnunet as tiny
from scene import MARK, Report, Scene, used_mib, wait_until

from posttx.files import read_json
from posttx.networks.checkpoints import FINAL, LATEST, read_checkpoint
from posttx.networks.training import REQUEUE, read_progress_lines

EPOCHS, ITERATIONS = 4, 40


def job(scene: Scene, root: Path, last: str = "--c", **settings: object) -> tuple[list[str], dict[str, str]]:
    """Return command and environment of a training or validation of fold 0, as the rules make them."""
    settings = {"EPOCHS": EPOCHS, "ITERATIONS": ITERATIONS, "STAGE": "train", **settings}
    environment = scene.environment(**tiny.environment(root, **settings))
    environment |= {"nnUNet_n_proc_DA": str(scene.loaders), "TORCH_LOGS": "recompiles"}
    return scene.with_gpu(tiny.training_command(0, scene.device, last)), environment


def start(scene: Scene, root: Path, log: Path, **settings: object) -> subprocess.Popen:
    """Start to train a fold in a process group of its own, with all that it says in ``log``."""
    command, environment = job(scene, root, **settings)
    with open(log, "ab") as stream:
        return subprocess.Popen(command, env=environment, stdout=stream, stderr=stream, start_new_session=True)


def progress(root: Path) -> list[dict]:
    """Return the lines of progress of fold 0."""
    return read_progress_lines(tiny.model_folder(root) / "fold_0" / "progress.jsonl")


def trainers_left() -> list[int]:
    """Return the processes of this step that are still training."""
    wanted, found = f"{MARK}={os.environ.get(MARK, '')}".encode(), []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found += [int(folder.name)] if b"nnUNetv2_train" in (folder / "cmdline").read_bytes() else []
        except OSError:
            continue
    return found


def dataset(scene: Scene) -> Path:
    """Return the folder of the tiny dataset, made once for all steps."""
    root = scene.scratch / "tiny"
    if not (root / "preprocessed").is_dir():
        tiny.make_dataset(root)
    return root


def run(scene: Scene, report: Report) -> None:
    """Train, stop, go on, validate."""
    root, log = dataset(scene), scene.scratch / "fold.log"
    free = used_mib(scene)
    begun = time.monotonic()
    first = start(scene, root, log)
    wait_until(lambda: bool(progress(root)) or first.poll() is not None, 600)
    report.note("first_epoch_s", time.monotonic() - begun)
    stopped = time.monotonic()
    os.killpg(first.pid, signal.SIGTERM)
    status = first.wait()
    report.check("stop", status == REQUEUE, f"exit {status} after {time.monotonic() - stopped:.1f} s")
    report.check("orphans", wait_until(lambda: not trainers_left(), 10), f"{len(trainers_left())} processes left")
    wait_until(lambda: used_mib(scene) < free + 200, 10)
    report.check("memory_left", used_mib(scene) < free + 200, f"{used_mib(scene) - free:.0f} MiB")
    folder = tiny.model_folder(root) / "fold_0"
    content, _ = read_checkpoint(folder / LATEST)
    report.check("checkpoint", content["current_epoch"] == len(progress(root)), f"epoch {content['current_epoch']}")

    second = start(scene, root, log)
    status, text = second.wait(), log.read_text(errors="replace")
    epochs = [row["epoch"] for row in progress(root)]
    losses = [row["train_loss"] for row in progress(root)]
    report.check("resume", status == 0 and "Going on from" in text, f"exit {status}")
    report.check("one_line_per_epoch", epochs == list(range(EPOCHS)), epochs)
    report.check("losses_finite", all(loss is not None and math.isfinite(loss) for loss in losses), losses)
    report.note("compiled", "Using torch.compile" in text)
    report.note("recompiles", text.count("Recompiling function"))
    if scene.on_gpu:
        scaler = read_checkpoint(folder / FINAL)[0]["grad_scaler_state"]
        report.check("scaler", bool(scaler), scaler)
        report.check("compiles", "Using torch.compile" in text, "Using torch.compile" in text)
    for mirroring in (False, True):
        command, environment = job(scene, root, "--val", STAGE="validate", MIRRORING=mirroring)
        begun = time.monotonic()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        dice = (
            read_json(folder / "validation" / "summary.json")["foreground_mean"]["Dice"]
            if not done.returncode
            else None
        )
        name = "val_mirrored" if mirroring else "val"
        report.check(
            name, done.returncode == 0, f"exit {done.returncode}, {time.monotonic() - begun:.1f} s, Dice {dice}"
        )
        report.note(f"{name}_recompiles", (done.stdout + done.stderr).count("Recompiling function"))

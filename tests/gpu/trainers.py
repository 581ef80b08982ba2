"""nnU-Net's own trainer and ours on the cohort's plan: seconds a step, waiting, memory, loss; checkpoint and resume."""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cohort
import torch
from scene import PUBLISHED, Report, Scene, busy_percents, child

STEPS = {PUBLISHED: 30, "tiny": 4}
WARM_UP = {PUBLISHED: 6, "tiny": 1}
SLOWER, LOSS_NOISE = 1.02, 0.2
KINDS = ("nnUNetTrainer", "PostTxTrainer")


def run(scene: Scene, report: Report) -> None:
    """Train with both, each in a process of its own, and compare."""
    settings = {"POSTTX_STAGE": "train", "POSTTX_EPOCHS": 1000, "POSTTX_THREADS": 12 if scene.on_gpu else 1}
    variables = {**settings, **cohort.folders(scene), "nnUNet_n_proc_DA": scene.loaders, "nnUNet_def_n_proc": 1}
    took = {}
    for kind in KINDS:
        took[kind] = child("trainers.py", scene.device, scene.size, kind, environment=scene.environment(**variables))
        report.note(kind, took[kind])
    theirs, ours = (took[kind] for kind in KINDS)
    ratio = ours["step_s"] / theirs["step_s"]
    report.check("step_ratio", ratio <= SLOWER or not scene.on_gpu, ratio)
    report.note("hours_a_fold_of_250000_steps", ours["step_s"] * 250_000 / 3600)
    difference = abs(ours["loss"] - theirs["loss"])
    report.check("loss_difference", difference <= LOSS_NOISE or not scene.on_gpu, difference)
    report.check("adamw_resumes_with_steps_on_cpu", ours["adamw_steps_on"] == ["cpu"], ours["adamw_steps_on"])


def measure(scene: Scene, kind: str) -> dict:
    """Take steps with one trainer as ``nnUNetv2_train`` makes it; return its figures."""
    from nnunetv2.run.run_training import get_trainer_from_args

    def made():
        trainer = get_trainer_from_args(
            cohort.DATASET, cohort.CONFIGURATION, 0, kind, cohort.PLANS, True, torch.device(scene.device)
        )
        # Both begin with the same weights.
        torch.manual_seed(1)
        trainer.initialize()
        return trainer

    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = True
    trainer = made()
    begun = time.perf_counter()
    trainer.on_train_start()
    started = time.perf_counter() - begun
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    ours = kind == "PostTxTrainer"
    steps, waits, losses, batch = [], [], [], None
    busy: list[float] = []
    with ExitStack() as watched:
        for number in range(WARM_UP[scene.size] + STEPS[scene.size]):
            if number == WARM_UP[scene.size]:
                busy = watched.enter_context(busy_percents())
            begun = time.perf_counter()
            batch = trainer._next(trainer.dataloader_train) if ours else next(trainer.dataloader_train)
            waited = time.perf_counter()
            # The loss is read back, which waits for the GPU.
            losses.append(float((trainer._step if ours else trainer.train_step)(batch)["loss"]))
            if ours:
                trainer._iteration += 1
                trainer._pause()
            if number >= WARM_UP[scene.size]:
                steps.append(time.perf_counter() - begun)
                waits.append(waited - begun)
    figures = {
        "start_s": started,
        "step_s": statistics.median(steps),
        "mean_step_s": statistics.mean(steps),
        "waiting_share": sum(waits) / sum(steps),
        "busy_percent": statistics.mean(busy) if busy else None,
        "loss": statistics.mean(losses[-STEPS[scene.size] // 2 :]),
        "gpu_gib": torch.cuda.max_memory_allocated() / 2**30 if scene.on_gpu else 0.0,
        "compiled": isinstance(trainer.network, torch._dynamo.OptimizedModule),
    }
    path = str(Path(trainer.output_folder) / "checkpoint_latest.pth")
    begun = time.perf_counter()
    trainer.save_checkpoint(path)
    figures |= {"save_s": time.perf_counter() - begun, "checkpoint_mb": Path(path).stat().st_size / 1e6}
    for loader in (trainer.dataloader_train, trainer.dataloader_val):
        getattr(loader, "_finish", lambda: None)()
    return {**figures, "adamw_steps_on": _adamw(made, batch)} if ours else figures


def _adamw(made: Callable[[], Any], batch: dict[str, Any]) -> list[str]:
    """Return where a resumed AdamW counts its steps: on a GPU each of them would cost a wait."""
    os.environ.update(POSTTX_OPTIMIZER="adamw", nnUNet_compile="f")
    first = made()
    first.on_epoch_start()
    first._step(batch)
    first._iteration = 1
    path = str(Path(first.output_folder) / "checkpoint_latest.pth")
    first.save_checkpoint(path)
    second = made()
    second.load_checkpoint(path)
    second._step(batch)
    return sorted({state["step"].device.type for state in second.optimizer.state.values()})


if __name__ == "__main__":
    device, size, kind = sys.argv[1:]
    figures = measure(Scene(device, size, Path()), kind)
    sys.stdout.write("\n" + json.dumps(figures) + "\n")

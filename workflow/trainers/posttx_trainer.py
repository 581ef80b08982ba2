"""nnU-Net's trainer with configurable length, checkpoints that survive a kill, and one line of progress per epoch.

Found by nnU-Net through ``nnUNet_extTrainer``; ``posttx`` must be on ``PYTHONPATH``. Settings arrive as ``POSTTX_*``
environment variables (``posttx.networks.training.TrainingSettings``).
"""

from __future__ import annotations

import os
import random
import signal
from datetime import datetime
from pathlib import Path
from time import monotonic, time
from typing import Any, NoReturn

import numpy as np
import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from torch._dynamo import OptimizedModule

from posttx.errors import PostTxError
from posttx.files import write_json
from posttx.logs import configure_logging
from posttx.networks import levers
from posttx.networks.architectures import refuse_foreign_network
from posttx.networks.checkpoints import (
    FINAL,
    LATEST,
    keep_as_latest,
    prepare_fold,
    read_checkpoint,
    write_checkpoint,
)
from posttx.networks.devices import can_compile, memory_format, refuse_unusable
from posttx.networks.levers.hard_negatives import mine_round
from posttx.networks.levers.regions import learnt_names, with_regions
from posttx.networks.loaders import (
    NoBatchError,
    batch_bytes,
    finish_loaders,
    leave_at_once,
    refuse_small_shared_memory,
    time_limit,
    untimed,
)
from posttx.networks.nnunet import preprocessed_marker, training_stamp
from posttx.networks.randomness import random_state, set_random_state
from posttx.networks.splits import split_of_fold
from posttx.networks.training import MINED, PROGRESS, REQUEUE, TrainingSettings, append_progress, rewind_progress
from posttx.networks.trust import refuse_foreign, refuse_foreign_entries
from posttx.networks.validation import validate_held_out

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class PostTxTrainer(nnUNetTrainer):
    """Trains exactly as ``nnUNetTrainer`` does (loss, augmentation, schedule), but can be stopped at any iteration.

    What changes the training is in the plan (``posttx.networks.levers``), so that the stamp of the fold holds it.
    SIGTERM and SIGUSR1 write a checkpoint within the iteration and end the process with
    ``posttx.networks.training.REQUEUE``.
    The final validation is a stage of its own (``POSTTX_STAGE=validate``).
    """

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008 (nnU-Net's own signature, which it inspects)
    ) -> None:
        configure_logging()
        self.settings = TrainingSettings.from_environment(os.environ)
        refuse_unusable(device)
        super().__init__(plans, configuration, fold, with_regions(dataset_json, plans), device)
        settings = self.settings
        self.levers = levers.planned_levers(self.plans_manager.plans, configuration)
        self.num_epochs = levers.total_epochs(self.levers, settings.epochs)
        self.num_iterations_per_epoch = settings.iterations
        self.num_val_iterations_per_epoch = settings.validation_iterations
        self.initial_lr = settings.learning_rate
        self.oversample_foreground_percent = settings.foreground
        self.save_every = settings.checkpoint_epochs
        # nnU-Net draws a 30 x 54 inch picture after every epoch; the report draws the curves of all folds.
        self.logger.plot_progress_png = lambda folder: None
        self._iteration = self._round = 0
        self._mined: list[dict[str, Any]] = []
        self._losses: list[float] = []
        self._random: dict[str, Any] | None = None
        self._saved_at = self._epoch_began = monotonic()
        # nnU-Net counts an epoch after it has saved it.
        self._epoch_ended = False
        self._stop_signal = 0
        if device.type == "cpu":
            # nnUNetv2_train has just taken every core of the machine, whatever the job was given.
            torch.set_num_threads(settings.threads)
        base = Path(self.preprocessed_dataset_folder_base)
        refuse_foreign(*(base / name for name in (f"{self.plans_manager.plans_name}.json", "dataset.json")))
        # nnU-Net reads pickles from there.
        refuse_foreign_entries(Path(self.preprocessed_dataset_folder), ".pkl")
        refuse_foreign_network(self.configuration_manager)
        if settings.stage == "train":
            self.print_to_log_file(prepare_fold(self.output_folder, self._stamp()))
        seed = settings.seed + (fold if isinstance(fold, int) else 0)
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    def initialize(self) -> None:
        """Build network, optimiser and loss, the weights in the layout that suits the device."""
        super().initialize()
        self.network.to(memory_format=memory_format(self.device))

    def _do_i_compile(self) -> bool:
        """Return nnU-Net's answer, but no where compiling fails (as without a C compiler): training just goes slower.

        The validation compiles its network itself, as prediction does.
        """
        return self.settings.stage == "train" and super()._do_i_compile() and can_compile(self.device.type)

    def get_dataloaders(self) -> tuple[Any, Any]:
        """Start nnU-Net's loaders where their batches fit into shared memory, and do not wait for ever."""
        configuration = self.configuration_manager
        one = batch_bytes(configuration.patch_size, self.batch_size, self.num_input_channels)
        refuse_small_shared_memory(one, get_allowed_n_proc_DA(), pinned=self.device.type == "cuda")
        # counts voxels, which takes longer than a batch may
        as_levers_say = levers.sampling(self, self._mined)
        with time_limit(self.settings.batch_seconds), as_levers_say:
            return super().get_dataloaders()

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, PolyLRScheduler]:
        """Return nnU-Net's SGD, or AdamW under the same polynomial schedule."""
        optimizer, _ = super().configure_optimizers()
        if self.settings.optimizer == "adamw":
            optimizer = torch.optim.AdamW(self.network.parameters(), self.initial_lr, weight_decay=self.weight_decay)
        elif self.settings.optimizer != "sgd":
            raise PostTxError(f"there is no optimizer {self.settings.optimizer!r}", remedy="Use sgd or adamw")
        return optimizer, levers.schedule(self.levers, optimizer, self.initial_lr, self.settings.epochs)

    def _build_loss(self) -> torch.nn.Module:
        return levers.with_terms(super()._build_loss(), self.levers, self.dataset_json["labels"])

    def _stamp(self) -> dict[str, str]:
        return training_stamp(
            self.plans_manager.plans,
            self.dataset_json,
            self._split(),
            preprocessed_marker(self.preprocessed_dataset_folder),
            {"trainer": type(self).__name__, "configuration": self.configuration_name, **self.settings.stamped()},
        )

    def _split(self) -> dict[str, Any]:
        path = Path(self.preprocessed_dataset_folder_base) / "splits_final.json"
        return {} if self.fold == "all" else split_of_fold(path, self.fold)

    def do_split(self) -> tuple[list[str], list[str]]:
        """Return the cases of the fold to train on and to hold out; an unknown fold is an error, not a random split."""
        self._split()
        return super().do_split()

    @staticmethod
    def get_training_transforms(*args: Any, **kwargs: Any) -> Any:
        """Return nnU-Net's augmentation without its timing of two convolutions, which ends differently every time."""
        return untimed(nnUNetTrainer.get_training_transforms(*args, **kwargs))

    def run_training(self) -> None:
        """Train from where the checkpoint stands to the last epoch, or until a signal asks for the end."""
        self.on_train_start()
        if self._random is not None:
            # Starting the loaders drew a batch: what follows must not depend on it.
            set_random_state(self._random)
            self._random = None
        rewind_progress(self._progress_file(), self.current_epoch, self._logged_rows())
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_signal)
        self._saved_at = monotonic()
        while self.current_epoch < self.num_epochs:
            self._begin_round()
            self._run_epoch()
        self.on_train_end()

    def _begin_round(self) -> None:
        """Mine hard negatives where a round with them begins, and start loaders that draw from them."""
        number = levers.round_that_begins(self.levers, self.settings.epochs, self.current_epoch)
        if number <= self._round:
            return
        # Neither the mining nor the first batches of new loaders may change what follows.
        state = random_state(self.device)
        self.save_checkpoint(str(Path(self.output_folder) / LATEST))
        self._mined += mine_round(self, self._module(), number, self._leave_if_asked)
        self._round = number
        finish_loaders(self.dataloader_train, self.dataloader_val)
        self.dataloader_train, self.dataloader_val = self.get_dataloaders()
        set_random_state(state)
        self.save_checkpoint(str(Path(self.output_folder) / LATEST))

    def on_epoch_start(self) -> None:
        """Note when the epoch began: nnU-Net's own note is lost to a clock that is set back."""
        super().on_epoch_start()
        self._epoch_began = monotonic()

    def _run_epoch(self) -> None:
        if self._iteration == 0:
            self.on_epoch_start()
            self.on_train_epoch_start()
        else:
            self.network.train()
        while self._iteration < self.num_iterations_per_epoch:
            step = self._step(self._next(self.dataloader_train))
            self._losses.append(float(step["loss"]))
            self._iteration += 1
            self._pause()
        # What is saved from here on goes on with the validation from its beginning.
        self._random = random_state(self.device)
        self.on_train_epoch_end([{"loss": np.asarray(loss)} for loss in self._losses])
        with torch.no_grad():
            self.on_validation_epoch_start()
            outputs = []
            for _ in range(self.num_val_iterations_per_epoch):
                outputs.append(self.validation_step(self._next(self.dataloader_val)))
                self._leave_if_asked()
            self.on_validation_epoch_end(outputs)
        self._random = None
        self.on_epoch_end()

    def _next(self, loader: Any) -> dict[str, Any]:
        """Return the next batch; where none comes, what was trained is saved before the error goes on."""
        try:
            with time_limit(self.settings.batch_seconds):
                return next(loader)
        except (RuntimeError, NoBatchError):
            # The signal that asks us to stop is often sent to our loader processes too, which just die of it, at times
            # before it reaches us.
            if not self._stop_signal:
                self.save_checkpoint(str(Path(self.output_folder) / LATEST))
            self._leave_if_asked()
            raise

    def _step(self, batch: dict[str, Any]) -> dict[str, Any]:
        try:
            return self.train_step(levers.with_missing(batch, self.levers, self.dataset_json["channel_names"]))
        except Exception:
            # A compiler's processes die of that signal too.
            self._leave_if_asked()
            raise

    def _on_signal(self, number: int, frame: object) -> None:
        self._stop_signal = number

    def _leave_if_asked(self) -> None:
        if self._stop_signal:
            self._leave()

    def _pause(self) -> None:
        self._leave_if_asked()
        if monotonic() - self._saved_at > 60 * self.settings.checkpoint_minutes:
            self.save_checkpoint(str(Path(self.output_folder) / LATEST))

    def _leave(self) -> NoReturn:
        self.save_checkpoint(str(Path(self.output_folder) / LATEST))
        name = signal.Signals(self._stop_signal).name
        self.print_to_log_file(
            f"{name}: stopped in epoch {self.current_epoch} after iteration {self._iteration}; resume me"
        )
        leave_at_once(REQUEUE)

    def on_epoch_end(self) -> None:
        """Write the epoch's line of progress, then let nnU-Net log and keep its checkpoints."""
        self._iteration, self._losses = 0, []
        try:
            append_progress(self._progress_file(), self._progress_row())
        except OSError as error:
            # The checkpoints know losses and Dice too: the line is filled in at the end.
            self.print_to_log_file(f"WARNING: the epoch's line of progress cannot be written ({error})")
        self._epoch_ended = True
        super().on_epoch_end()
        self._epoch_ended = False
        if monotonic() - self._saved_at > 60 * self.settings.checkpoint_minutes:
            self.save_checkpoint(str(Path(self.output_folder) / LATEST))

    def on_train_end(self) -> None:
        """Write the final checkpoint, and keep the last one until the workflow has noted the fold as finished."""
        rewind_progress(self._progress_file(), self.current_epoch, self._logged_rows())
        if "hard_negatives" in self.levers:
            write_json(Path(self.output_folder) / MINED, self._mined)
        self._epoch_ended = True
        super().on_train_end()
        keep_as_latest(Path(self.output_folder) / FINAL)

    def _progress_file(self) -> Path:
        return Path(self.output_folder) / PROGRESS

    def _progress_row(self) -> dict[str, Any]:
        seconds = monotonic() - self._epoch_began
        on_gpu = self.device.type == "cuda"
        return {
            **self._logged_row(self.current_epoch),
            "epochs": self.num_epochs,
            "seconds": seconds,
            "eta_seconds": seconds * (self.num_epochs - self.current_epoch - 1),
            "gpu_memory_mb": torch.cuda.max_memory_allocated(self.device) / 2**20 if on_gpu else None,
            "finished": datetime.now().astimezone().isoformat(timespec="seconds"),
        }

    def _logged_row(self, epoch: int) -> dict[str, Any]:
        values = {key: self.logger.get_value(key, step=epoch) for key in ("train_losses", "val_losses", "lrs")}
        return {
            "epoch": epoch,
            "train_loss": values["train_losses"],
            "val_loss": values["val_losses"],
            "regions": learnt_names(self.dataset_json, self.label_manager),
            "pseudo_dice": list(self.logger.get_value("dice_per_class_or_region", step=epoch)),
            "lr": values["lrs"],
        }

    def _logged_rows(self) -> list[dict[str, Any]]:
        return [self._logged_row(epoch) for epoch in range(self.current_epoch)]

    def save_checkpoint(self, filename: str) -> None:
        """Write a checkpoint whole or not at all, with what is needed to go on as if nothing had happened.

        A failure costs a warning while training can go on, and is an error for the final checkpoint.
        """
        if self.local_rank != 0 or self.disable_checkpointing:
            return
        checkpoint = {
            "network_weights": self._module().state_dict(),
            "optimizer_state": self.optimizer.state_dict(),
            "grad_scaler_state": None if self.grad_scaler is None else self.grad_scaler.state_dict(),
            "logging": self.logger.get_checkpoint(),
            "_best_ema": self._best_ema,
            "current_epoch": self.current_epoch + self._epoch_ended,
            "init_args": self.my_init_kwargs,
            "trainer_name": type(self).__name__,
            "inference_allowed_mirroring_axes": self.inference_allowed_mirroring_axes,
            "posttx": {
                "iteration": self._iteration,
                "losses": self._losses,
                "random": self._random or random_state(self.device),
                "elapsed": monotonic() - self._epoch_began,
                "round": self._round,
                "mined": self._mined,
            },
        }
        try:
            write_checkpoint(filename, lambda beside: torch.save(checkpoint, beside))
            if Path(filename).name == LATEST:
                self._saved_at = monotonic()
        except PostTxError as error:
            if Path(filename).name == FINAL:
                raise
            self.print_to_log_file(f"WARNING: {error}")

    def _module(self) -> torch.nn.Module:
        """Return the network itself, without what compiling and training on several GPUs wrap around it."""
        module = self.network.module if self.is_ddp else self.network
        return module._orig_mod if isinstance(module, OptimizedModule) else module

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """Load a checkpoint whose digest is on record; anything else is refused before it is read.

        nnU-Net's own reads the file again, as a pickle that may hold anything (2.8 takes no dictionary, whatever its
        signature says).
        """
        content = filename_or_checkpoint
        if not isinstance(content, dict):
            content, _ = read_checkpoint(content)
        if not self.was_initialized:
            self.initialize()
        self._module().load_state_dict(content["network_weights"])
        self.optimizer.load_state_dict(content["optimizer_state"])
        if self.grad_scaler is not None and content["grad_scaler_state"] is not None:
            self.grad_scaler.load_state_dict(content["grad_scaler_state"])
        self.logger.load_checkpoint(content["logging"])
        self.my_init_kwargs = content["init_args"]
        self.current_epoch, self._best_ema = content["current_epoch"], content["_best_ema"]
        self.inference_allowed_mirroring_axes = content["inference_allowed_mirroring_axes"]
        state = content["posttx"]
        self._iteration, self._losses, self._random = state["iteration"], list(state["losses"]), state["random"]
        # Checkpoints of before there were rounds know none.
        self._round, self._mined = state.get("round", 0), list(state.get("mined", []))
        if self._iteration:
            # The waiting between two attempts is no part of the epoch's time.
            self._epoch_began = monotonic() - state["elapsed"]
            self.logger.local_logger.my_fantastic_logging["epoch_start_timestamps"][-1] = time() - state["elapsed"]

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Predict the held-out cases in the validation stage; after a training, do nothing."""
        if self.settings.stage == "validate":
            validate_held_out(self, self.settings.mirroring)

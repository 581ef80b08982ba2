"""Models trained here: their settings in the configuration, seeds, and the names that nnU-Net gives them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from posttx.errors import PostTxError
from posttx.files import digest_of

LONGEST_NAME = 64
# In the train settings of a model that ``expand_seeds`` made: the model that it repeats.
REPEATS = "repeats"
PLANNERS = {
    "plain": ("ExperimentPlanner", "nnUNetPlans"),
    "resenc_m": ("nnUNetPlannerResEncM", "nnUNetResEncUNetMPlans"),
    "resenc_l": ("nnUNetPlannerResEncL", "nnUNetResEncUNetLPlans"),
}
# Lever of training -> its value where it is off. A lever changes how a network is trained, not the data for it.
LEVERS: dict[str, Any] = {
    "targets": "labels",
    "attention": "none",
    "boundary": None,
    "hard_negatives": None,
    "channel_dropout": 0,
    "sampling": "foreground",
}
# Lever -> its key that names classes of the label scheme.
CLASSES_OF = {"boundary": "between", "hard_negatives": "classes"}


def trained_models(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return model name -> its ``train`` settings, for the models that are trained here."""
    return {name: model["train"] for name, model in config["models"].items() if "train" in model}


def plans_name(train: Mapping[str, Any]) -> str:
    """Return nnU-Net's plans identifier: that of the data, with a digest of the levers and the seed of a repeat.

    nnU-Net names the folder of a model after trainer, plans and configuration: levers and seeds have no place in it but
    this.
    """
    name = data_plans_name(train) + levers_suffix(levers(train))
    return f"{name}_seed{train['seed']}" if REPEATS in train else name


def data_plans_name(train: Mapping[str, Any]) -> str:
    """Return the plans that the preprocessed data are named after, which models that differ by levers or seed share.

    It is the planner's own name, with a digest of the overrides where there are any.
    """
    name = PLANNERS[train["planner"]][1]
    overrides = plan_overrides(train)
    return f"{name}_{digest_of(overrides)[:8]}" if overrides else name


def plan_overrides(train: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the config changes in nnU-Net's plan (``train.plan``), without the keys left empty."""
    return {key: value for key, value in train["plan"].items() if value is not None}


def levers(train: Mapping[str, Any]) -> dict[str, Any]:
    """Return the levers of training that are on, with their settings; none for plain nnU-Net."""
    return {name: train[name] for name, off in LEVERS.items() if train.get(name, off) != off}


def levers_suffix(chosen: Mapping[str, Any]) -> str:
    """Return what levers add to a plans identifier; nothing where there are none."""
    return f"_{digest_of(chosen)[:8]}" if chosen else ""


def trainer_class(train: Mapping[str, Any]) -> str:
    """Return the class that trains: ``nnUNetTrainer`` is run by its subclass ``PostTxTrainer``, which trains alike.

    nnU-Net's own always trains 1,000 epochs, validates inside training and loses up to 50 epochs to a kill.
    """
    return "PostTxTrainer" if train["trainer"] == "nnUNetTrainer" else train["trainer"]


def is_resumable(trainer: str) -> bool:
    """Say whether a trainer's checkpoints are stamped and digested: nnU-Net's default, or one of the PostTx family."""
    return trainer == "nnUNetTrainer" or "PostTx" in trainer


def model_folder(train: Mapping[str, Any]) -> str:
    """Return nnU-Net's folder of a trained model, ``<trainer>__<plans>__<configuration>``."""
    return f"{trainer_class(train)}__{plans_name(train)}__{train['configuration']}"


def expand_seeds(config: dict[str, Any]) -> None:
    """Write, in place, a model for every seed of a model's ``train.further_seeds``, after all that are configured.

    Its ``train`` is the same but for the seed, and has ``repeats``, the name of that model.
    """
    for name, model in list(config["models"].items()):
        for seed in model.get("train", {}).get("further_seeds", ()):
            config["models"][repeat_name(name, seed)] = {
                "train": {**copy.deepcopy(model["train"]), "seed": seed, "further_seeds": [], REPEATS: name}
            }


def repeat_name(model: str, seed: int) -> str:
    """Return the name of the model that repeats another one with a further seed."""
    return f"{model}_seed{seed}"


def repeated_models(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return model -> the models that differ from it by the seed of their training alone, for those that have any."""
    repeats: dict[str, list[str]] = {}
    for name, settings in trained_models(config).items():
        if REPEATS in settings:
            repeats.setdefault(settings[REPEATS], []).append(name)
    return repeats


def seed_problems(name: str, train: Mapping[str, Any], models: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the further seeds of a model."""
    for seed in train["further_seeds"]:
        where, repeat = f"models.{name}.train.further_seeds", repeat_name(name, seed)
        if seed == train["seed"]:
            yield f"{where}: {seed} is the model's own seed"
        if repeat.lower() in map(str.lower, models):
            yield f"{where}: there is a model {repeat} already"
        if len(repeat) > LONGEST_NAME:
            yield f"{where}: the model {repeat} would have over {LONGEST_NAME} characters: give {name} a shorter name"


def check_levers(config: Mapping[str, Any], classes: Iterable[str]) -> None:
    """Raise one error with everything in which levers of training contradict each other or the classes learnt."""
    known = list(classes)
    problems = [
        f"models.{name}.train.{problem}"
        for name, train in trained_models(config).items()
        for problem in lever_problems(levers(train), known)
    ]
    if problems:
        raise PostTxError("levers of training contradict each other or the label scheme", lines=problems)


def lever_problems(chosen: Mapping[str, Any], classes: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong between levers of one model; ``classes`` are the names that the label scheme learns."""
    for lever, key in CLASSES_OF.items():
        for name in chosen[lever][key] if lever in chosen else ():
            if name not in classes:
                yield f"{lever}.{key}: the label scheme has no class {name!r}, give of {', '.join(classes)}"
    if "boundary" in chosen and "targets" in chosen:
        yield "boundary: it reads single classes, and targets: regions learns classes that overlap; leave one out"

"""Post-processed models: for a model trained here whose predictions rules may change, a model of its own beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from posttx.labels import LabelScheme
from posttx.networks.trainings import REPEATS
from posttx.postprocess.rules import RuleSet, read_rules
from posttx.scoring.scoring_schemes import scoring_scheme

# No name that a user gives holds a plus.
SUFFIX = "+post"
NO_RULES, CHOSEN_RULES = "none", "auto"
SOURCE = "postprocessed"


def expand_postprocessed(config: dict[str, Any]) -> None:
    """Write, in place, a model ``<name>+post`` right after every model with ``train.postprocess``.

    Of a pair the earlier model is the baseline of comparisons. Models that ``expand_seeds`` made have none.
    """
    models: dict[str, Any] = {}
    for name, model in config["models"].items():
        models[name] = model
        train = model.get("train", {})
        if has_rules(train) and REPEATS not in train:
            models[name + SUFFIX] = {SOURCE: name}
    config["models"] = models


def has_rules(train: Mapping[str, Any]) -> bool:
    """Say whether the train settings of a model ask for rules of post-processing."""
    return train.get("postprocess", NO_RULES) != NO_RULES


def postprocessed_models(config: Mapping[str, Any]) -> dict[str, str]:
    """Return model -> its post-processed model, for those that have one."""
    return {model[SOURCE]: name for name, model in config["models"].items() if SOURCE in model}


def postprocess_problems(name: str, train: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong between a model's post-processing and the evaluation."""
    if not has_rules(train) or train["postprocess_for"] != "lesion_dice":
        return
    scheme = scoring_scheme(config["evaluation"]["scheme"])
    if scheme.matching != "touching":
        yield (
            f"models.{name}.train.postprocess_for: lesion_dice needs a scheme by which false and missed lesions count, "
            f"and evaluation.scheme {scheme.name} is none: give dice, or brats2023 or brats2024 as the scheme"
        )


def given_rules(config: Mapping[str, Any], scheme: LabelScheme) -> dict[str, RuleSet]:
    """Return model -> the rules of the user's own file, where ``train.postprocess`` names one; refuse a bad one."""
    return {
        name: read_rules(config["models"][name]["train"]["postprocess"], scheme, name)
        for name in postprocessed_models(config)
        if config["models"][name]["train"]["postprocess"] != CHOSEN_RULES
    }

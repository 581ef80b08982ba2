"""Models that average the probabilities of other models: their entries in the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from posttx.networks.trainings import LEVERS, repeat_name, trained_models

EQUAL = "equal"
OUT_OF_FOLD = "out_of_fold"


def ensembles(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return model name -> its members, for the models that are ensembles of models."""
    return {name: list(model["ensemble"]) for name, model in config["models"].items() if "ensemble" in model}


def weighting(model: Mapping[str, Any]) -> str:
    """Return how the members of an ensemble are weighted."""
    return str(model.get("weights", EQUAL))


def device_of(members: list[str], config: Mapping[str, Any]) -> str:
    """Return where an ensemble is computed: on CUDA where any of its members is."""
    trained = trained_models(config)
    return "cuda" if any(trained[member]["device"] == "cuda" for member in members) else "cpu"


def ensemble_problems(name: str, models: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the members of a model that is an ensemble; nothing for any other model.

    Models of further seeds, which ``models`` does not hold yet, may be members.
    """
    members, where = models[name].get("ensemble", []), f"models.{name}.ensemble"
    seeds = {
        repeat_name(model, seed): source
        for model, source in models.items()
        for seed in source.get("train", {}).get("further_seeds", ())
    }
    sources = {**seeds, **models}
    for member in dict.fromkeys(members):
        if members.count(member) > 1:
            yield f"{where}: {member} stands there twice"
        if member not in sources:
            yield f"{where}: there is no model {member!r}"
        elif "ensemble" in sources[member]:
            yield f"{where}: {member} is an ensemble itself; name its members instead"
        elif "train" not in sources[member]:
            yield f"{where}: {member} is not trained here, and no probabilities of it are known"
    trained = [sources[member]["train"] for member in members if "train" in sources.get(member, {})]
    # Regions overlap: what a network says of them gives no probability of a single label.
    if len({train.get("targets", LEVERS["targets"]) for train in trained}) > 1:
        yield f"{where}: some members learn labels and some regions; name members with the same targets"

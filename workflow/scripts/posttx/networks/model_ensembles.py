"""Models that average the probabilities of other models: their entries in the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from posttx.networks.trainings import repeat_name


def ensemble_problems(name: str, models: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the members of a model that is an ensemble; nothing for any other model.

    Models of further seeds, which ``models`` does not hold yet, may be members.
    """
    members, where = models[name].get("ensemble", []), f"models.{name}.ensemble"
    seeds = {
        repeat_name(model, seed)
        for model, source in models.items()
        for seed in source.get("train", {}).get("further_seeds", ())
    }
    for member in dict.fromkeys(members):
        if members.count(member) > 1:
            yield f"{where}: {member} stands there twice"
        if member in seeds:
            continue
        if member not in models:
            yield f"{where}: there is no model {member!r}"
        elif "ensemble" in models[member]:
            yield f"{where}: {member} is an ensemble itself; name its members instead"
        elif "train" not in models[member]:
            yield f"{where}: {member} is not trained here, and no probabilities of it are known"
    if members:
        yield f"{where}: not there yet"

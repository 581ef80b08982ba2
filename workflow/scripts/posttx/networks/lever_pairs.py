"""Models of a configuration that differ from the plain one in a single lever: what an ablation compares.

Derived from the configuration alone; nothing here needs a table of the results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from posttx.networks.trainings import REPEATS, levers, repeated_models, trained_models

POSTPROCESS, ENSEMBLE = "postprocess", "ensemble"
# Settings of a training that change no network; folds are those of all models.
NO_LEVERS = (
    "folds", "leave_out", "device", "checkpoint_minutes", "further_seeds", "uncertainty", "postprocess",
    "postprocess_for", REPEATS,
)  # fmt: skip


@dataclass(frozen=True)
class LeverPair:
    """A model, and the plain one that it differs from in one lever alone.

    ``setting`` says how the lever is set, in words; ``seeds`` are the (baseline, model) of every seed of the training
    that both have, their own first. ``networks`` are the trained models that the model consists of.
    """

    lever: str
    setting: str
    model: str
    baseline: str
    seeds: tuple[tuple[str, str], ...]
    networks: tuple[str, ...]


def lever_pairs(config: Mapping[str, Any]) -> list[LeverPair]:
    """Return the pairs of a checked and expanded configuration, in the order of its models.

    A baseline is a model trained here without any lever (``trainings.levers``). A trained model is paired with the
    first one before it from which it differs in one setting that changes networks; a post-processed model with its own
    raw one; an ensemble with the first of its members that is a baseline. Models that differ in more have no pair.
    """
    return [pair for name in config["models"] for pair in _pairs_of(name, config)]


def _pairs_of(name: str, config: Mapping[str, Any]) -> Iterator[LeverPair]:
    model, trained = config["models"][name], trained_models(config)
    if "postprocessed" in model:
        raw = model["postprocessed"]
        setting = trained.get(raw, {}).get("postprocess", "")
        yield LeverPair(POSTPROCESS, _setting(setting), name, raw, ((raw, name),), (raw,) if raw in trained else ())
    elif "ensemble" in model:
        members = tuple(model["ensemble"])
        plain = next((member for member in members if member in trained and not levers(trained[member])), None)
        if plain:
            setting = f"{' + '.join(members)}, {str(model.get('weights', 'equal')).replace('_', ' ')} weights"
            yield LeverPair(ENSEMBLE, setting, name, plain, ((plain, name),), members)
    elif name in trained and REPEATS not in trained[name]:
        yield from _trained_pair(name, config)


def _trained_pair(name: str, config: Mapping[str, Any]) -> Iterator[LeverPair]:
    trained = {model: train for model, train in trained_models(config).items() if REPEATS not in train}
    for baseline in list(trained)[: list(trained).index(name)]:
        differing = _differing(trained[baseline], trained[name])
        if not levers(trained[baseline]) and len(differing) == 1 and differing != ["seed"]:
            (key,) = differing
            seeds = ((baseline, name), *_further(baseline, name, config))
            yield LeverPair(key, _setting(trained[name].get(key)), name, baseline, seeds, (name,))
            return


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    return [key for key in {**first, **second} if key not in NO_LEVERS and first.get(key) != second.get(key)]


def _further(baseline: str, model: str, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the (baseline, model) of every further seed that both are trained with."""
    repeats, trained = repeated_models(config), trained_models(config)
    seeds = [{trained[name]["seed"]: name for name in repeats.get(of, ())} for of in (baseline, model)]
    for seed, repeat in seeds[0].items():
        if seed in seeds[1]:
            yield repeat, seeds[1][seed]


def _setting(value: Any) -> str:
    """Return a setting in words: `between RC, ET; weight 0.5`; a path is told as a file."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key.replace('_', ' ')} {_setting(part)}" for key, part in value.items() if part is not None)
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting, value))
    text = str(value)
    return "a file" if "/" in text or text.endswith(".json") else text

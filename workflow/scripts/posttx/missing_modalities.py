"""Cases that lack a modality: which may be missing, how they are grouped, and what stands in its place.

A missing modality is a channel of zeros, in training (``train.channel_dropout``) and in the standardised files alike.
That is its flag: nnU-Net's z-score leaves zeros 0 and makes no image constant, so that a network tells the two apart.
A further channel that says so would change a network's input, and nnU-Net's own prediction takes the images alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from posttx.case_ids import MODALITIES
from posttx.facts import CATEGORICAL, MISSING, Fact
from posttx.networks.trainings import trained_models

NONE = "none"


def dropout_of(given: float | Mapping[str, float]) -> dict[str, float]:
    """Return modality -> the probability that a patch of a training lacks it; those that are always there left out.

    ``given`` is the config's ``train.channel_dropout``, one number or one by modality.
    """
    each = given if isinstance(given, Mapping) else dict.fromkeys(MODALITIES, given)
    return {name: float(each[name]) for name in MODALITIES if each.get(name)}


def optional_modalities(config: Mapping[str, Any], cohort: str) -> tuple[str, ...]:
    """Return the modalities that cases of a cohort may lack: those that every model trained here learnt to do without.

    All models made here segment every cohort. The train cohort is complete, and so is any without such a model.
    """
    trained = [dropout_of(train.get("channel_dropout", 0)) for train in trained_models(config).values()]
    if config["cohorts"][cohort]["use"] == "train" or not trained:
        return ()
    return tuple(name for name in MODALITIES if all(name in dropout for dropout in trained))


def missing_of(files: Collection[str]) -> list[str]:
    """Return which modalities a case with these files (modalities and ``seg``) lacks; a reference alone lacks none."""
    return [name for name in MODALITIES if name not in files] if set(files) & set(MODALITIES) else []


def missing_facts(rows: Iterable[Mapping[str, Any]]) -> list[Fact]:
    """Return which modalities each case lacks as a fact, none where all are complete; rows are ``schemas.COHORT``'s."""
    missing = {
        str(row["case"]): missing_of([name for name in (*MODALITIES, "seg") if isinstance(row[name], str)])
        for row in rows
    }
    if not any(missing.values()):
        return []
    values = {case: " and ".join(names) or NONE for case, names in missing.items()}
    return [Fact(MISSING, "case", CATEGORICAL, values)]

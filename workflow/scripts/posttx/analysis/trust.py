"""Can the scores be trusted: one typed answer per check, never silent. No sentences in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from posttx.analysis.interpretation_rules import RULES


class Verdict(StrEnum):
    """The answer of a check; the value is the word shown."""

    YES = "yes"
    NO = "no"
    ENOUGH = "enough"
    FEW = "few"
    UNKNOWN = "unknown"


GOOD = (Verdict.YES, Verdict.ENOUGH)


@dataclass(frozen=True)
class Grounds:
    """What the checks look at, of one model on one cohort.

    ``shared_patients``: patients of the cohort whom training had too (of a training cohort: scans held out of a fold
    beside another of their patient); None: the training's patients are not known. ``widest``: the widest interval of a
    class, NaN where there is none. ``scheme``: the label scheme's verdict by the audit. ``errors``: the errors that
    ``audit.fail_on`` let pass, and their cases. ``rare``: what the held-out scans have and training hardly has; None:
    there is nothing to compare with. ``silent``: facts that say nothing of some cases. None: no audit.
    """

    held_out: bool
    patients: int
    widest: float
    phantom: bool
    counts_only: bool
    shared_patients: int | None = None
    scheme: str | None = None
    errors: tuple[int, int] | None = None
    rare: Sequence[str] | None = None
    silent: int = 0
    to_rate: int = 0


@dataclass(frozen=True)
class Check:
    """A check, its answer and the facts that its line tells."""

    id: str
    verdict: Verdict
    facts: Mapping[str, Any] = field(default_factory=dict)


def checks(grounds: Grounds) -> list[Check]:
    """Return the answer of every check, in the order in which they are shown."""
    return [
        Check("phantom", Verdict.NO if grounds.phantom else Verdict.YES),
        _of_split(grounds),
        _of_patients(grounds),
        Check("scheme", _SCHEME.get(grounds.scheme or "", Verdict.UNKNOWN), {"audited": grounds.scheme is not None}),
        _of_errors(grounds),
        _of_shift(grounds),
        Check("images", Verdict.NO if grounds.counts_only else Verdict.YES),
        Check("rated", Verdict.UNKNOWN, {"of": grounds.to_rate}),
    ]


_SCHEME: Mapping[str, Verdict] = {"confirmed": Verdict.YES, "contradicted": Verdict.NO}


def _of_split(grounds: Grounds) -> Check:
    facts = {"held_out": grounds.held_out, "shared": grounds.shared_patients}
    if grounds.shared_patients is None:
        return Check("split", Verdict.UNKNOWN, facts)
    return Check("split", Verdict.NO if grounds.shared_patients else Verdict.YES, facts)


def _of_patients(grounds: Grounds) -> Check:
    limits = RULES["trust"].thresholds
    enough = grounds.patients >= limits["patients"] and grounds.widest <= limits["width"]
    facts = {"patients": grounds.patients, "widest": grounds.widest}
    return Check("patients", Verdict.ENOUGH if enough else Verdict.FEW, facts)


def _of_errors(grounds: Grounds) -> Check:
    if grounds.errors is None:
        return Check("errors", Verdict.UNKNOWN)
    errors, cases = grounds.errors
    return Check("errors", Verdict.NO if errors else Verdict.YES, {"errors": errors, "cases": cases})


def _of_shift(grounds: Grounds) -> Check:
    facts = {"rare": list(grounds.rare or ()), "silent": grounds.silent, "held_out": grounds.held_out}
    if grounds.rare is None:
        return Check("shift", Verdict.UNKNOWN, facts)
    return Check("shift", Verdict.NO if grounds.rare else Verdict.YES, facts)


# What speaks against trust, the gravest first.
GRAVEST = ("phantom", "split", "scheme", "errors", "shift", "patients")


def conclusion(found: Sequence[Check]) -> Check:
    """Return the check that the headline tells: the gravest that speaks against trust, else ``open`` with how many."""
    by_id = {check.id: check for check in found}
    for name in GRAVEST:
        if by_id[name].verdict in (Verdict.NO, Verdict.FEW):
            return by_id[name]
    unknown = [check.id for check in found if check.verdict is Verdict.UNKNOWN and check.id != "rated"]
    return Check("open", Verdict.UNKNOWN if unknown else Verdict.YES, {"unknown": len(unknown)})

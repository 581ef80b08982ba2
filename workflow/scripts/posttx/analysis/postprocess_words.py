"""The words about rules of post-processing: what each raises out of fold, or why a class has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from posttx.analysis.judgements import Outcome
from posttx.analysis.number_words import number

Facts = Mapping[str, Any]
# What post-processing raises, as sentences name it.
RAISED = {"lesion_dice": "lesion-wise Dice", "dice": "Dice (absent is one)"}


def _postprocess(opening: str, closing: str = "") -> Callable[[Facts], str]:
    def words(facts: Facts) -> str:
        gain = (
            f"{RAISED[facts['measure']]} {facts['before']:.3f} to {facts['after']:.3f}, by {number(facts['number'], 3)}"
        )
        return (
            f"{facts['region']}: {opening.format(**facts)}: {gain}, {facts['n_patients']} patients; removed components "
            f"{facts['removed_false']} false, {facts['removed_true']} true; missed lesions {facts['missed_before']} "
            f"before, {facts['missed_after']} after{closing}"
        )

    return words


def _no_rule(facts: Facts) -> str:
    if not any(facts[name] for name in ("removed_false", "removed_true")):
        return f"{facts['region']}: no rule, for none of the rules tried raises it on the other folds"
    return _postprocess("no rule, for those chosen on the other folds are not shown to raise it")(facts)


POSTPROCESS: Mapping[Outcome, str | Callable[[Facts], str]] = {
    Outcome.RULE_CHOSEN: _postprocess("{rule}; out of fold"),
    Outcome.RULE_GIVEN: _postprocess(
        "{rule} (given, not chosen here); out-of-fold predictions",
        ". Whether it was chosen on these cases is not known here",
    ),
    Outcome.NO_RULE_HELPS: _no_rule,
    Outcome.RULE_LOWERS_ANOTHER: _postprocess(
        "no rule, for those chosen on the other folds lower another class too much"
    ),
    Outcome.TOO_FEW_PATIENTS: "{region}: no rule, for {n_patients} patients are too few",
}

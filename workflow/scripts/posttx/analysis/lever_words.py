"""The words of what a lever changes, by the verdict of its row in the table of levers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from posttx.analysis.judgements import Number, Outcome
from posttx.analysis.number_words import number
from posttx.measures import measure_of

Facts = Mapping[str, Any]


def _lever(verdict: str) -> Callable[[Facts], str]:
    def words(facts: Facts) -> str:
        measure = measure_of(facts["metric"])
        difference = number(Number(facts["difference"], facts["ci_low"], facts["ci_high"]), 3)
        told = (
            f"{facts['lever'].replace('_', ' ')} ({facts['setting']}), model {facts['model']}: {verdict}; "
            f"{facts['region']} {measure.name} ({facts['convention']}) {difference} against {facts['baseline']}, "
            f"{facts['n_patients']} patients"
        )
        if facts["seeds"] > 1:
            ends = f"{facts['seeds_lowest']:+.3f} to {facts['seeds_highest']:+.3f}"
            told += f"; {facts['seeds']} seeds ({ends})"
        elif facts["lever"] not in ("postprocess", "ensemble"):
            told += "; one seed, so that chance of the training is not in the interval"
        times = facts["times"]
        return told + (f"; {times:.2g} times the training time" if times == times and times != 1 else "")

    return words


LEVER: Mapping[tuple[str, Outcome], Callable[[Facts], str]] = {
    ("lever", Outcome.BETTER): _lever("helps"),
    ("lever", Outcome.WORSE): _lever("harms"),
    ("lever", Outcome.EQUIVALENT): _lever("changes nothing that matters (equivalent within the margin)"),
    ("lever", Outcome.NOT_SHOWN): _lever("no effect is shown"),
    ("lever", Outcome.NOT_AFTER_HOLM): _lever("no effect is shown after Holm"),
    ("lever", Outcome.SEEDS_DISAGREE): _lever("no verdict, because the seeds contradict each other"),
    ("lever", Outcome.TOO_FEW_PATIENTS): _lever("too few patients for a verdict"),
    ("lever", Outcome.DIFFERENT_CASES): _lever("no verdict, because the cases that count depend on the predictions"),
    ("lever", Outcome.NOT_EXAMINED): _lever("no verdict, because no interval can be given"),
}

"""The words of the first screen: what ``answers``, ``failures`` and ``trust`` found, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from posttx.analysis.answers import ClassResult, Primary
from posttx.analysis.failures import LOW_DICE, SMALL_ML, Failed
from posttx.analysis.judgements import Judgement, Number, Outcome, Row
from posttx.analysis.number_words import listed
from posttx.analysis.trust import Check, Verdict
from posttx.conventions import ABSENT, HALLUCINATED, MISSED, PRESENT
from posttx.measures import measure_of

Facts = Mapping[str, Any]

VERDICT_WORDS: Mapping[Outcome, str] = {
    Outcome.BETTER: "better",
    Outcome.WORSE: "worse",
    Outcome.EQUIVALENT: "equivalent",
    Outcome.NOT_AFTER_HOLM: "hint",
    Outcome.NOT_SHOWN: "not shown",
    Outcome.TOO_FEW_PATIENTS: "too few",
    Outcome.NOT_EXAMINED: "not examined",
    Outcome.NO_REFERENCE_HAS_IT: "in no reference",
    Outcome.UNBANDED: "",
}
_OPENINGS: Mapping[Outcome, str] = {
    Outcome.BETTER: "better for",
    Outcome.WORSE: "worse for",
    Outcome.EQUIVALENT: "equivalent for",
    Outcome.NOT_AFTER_HOLM: "a hint for",
    Outcome.NOT_SHOWN: "not shown for",
    Outcome.TOO_FEW_PATIENTS: "too few scans of",
    Outcome.NOT_EXAMINED: "not examined for",
    Outcome.NO_REFERENCE_HAS_IT: "in no reference:",
}


def question(baseline: str | None) -> str:
    """Return what the first box answers."""
    return f"Is it better than {baseline}?" if baseline else "How good is it?"


def answer(found: Judgement) -> str:
    """Return the first line of the first box; with a baseline it names every class once."""
    facts = found.facts
    if found.outcome is Outcome.COMPARED:
        return _compared(facts["groups"])
    if found.outcome is Outcome.NOTHING_SCORED:
        return "Nothing was scored: no case has both a reference and a prediction."
    if found.outcome is Outcome.TOO_FEW_PATIENTS:
        return "Too few scans of every class to say."
    if found.outcome is Outcome.OVERALL:
        return f"Dice {facts['best'].dice.value:.2f} for {facts['best'].region}."
    best, weakest = facts["best"], facts["weakest"]
    return (
        f"Dice is highest for {best.region}, {best.dice.value:.2f}, and lowest for {weakest.region}, "
        f"{weakest.dice.value:.2f}."
    )


def _compared(groups: Mapping[Outcome, Sequence[str]]) -> str:
    sentences = [_sentence(f"{_OPENINGS[outcome]} {listed(list(names))}") for outcome, names in groups.items()]
    if Outcome.BETTER in groups and Outcome.WORSE not in groups:
        sentences[0] = f"Yes for {listed(list(groups[Outcome.BETTER]))}."
    if Outcome.WORSE in groups and Outcome.BETTER not in groups:
        sentences[0] = f"No: worse for {listed(list(groups[Outcome.WORSE]))}."
    return " ".join(sentences)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def interval(value: Number, digits: int = 2, signed: bool = False) -> str:
    """Return the interval of a number as "0.53 to 0.66", "" where there is none."""
    sign = "+" if signed else ""
    return f"{value.low:{sign}.{digits}f} to {value.high:{sign}.{digits}f}" if value.has_interval else ""


def with_interval(value: Number, digits: int = 2, signed: bool = False) -> str:
    """Return a number with its interval in parentheses, or that there is none."""
    if not value.known:
        return "undefined"
    shown = f"{value.value:{'+' if signed else ''}.{digits}f}"
    return f"{shown} ({interval(value, digits, signed) or 'no interval'})"


def primary_line(found: Primary) -> str:
    """Return the line of the primary endpoint: value, difference, verdict, and the scans that went up and down."""
    row, measure = found.row, measure_of(str(found.row["metric"]))
    what = f"Mean {measure.name}" if row["region"] == "mean" else f"{measure.name} of {row['region']}"
    verdict = VERDICT_WORDS[found.outcome]
    up, down = (row["wins"], row["losses"]) if measure.higher_is_better else (row["losses"], row["wins"])
    return (
        f"{what} {found.value.value:.{2 if measure.higher_is_better else 1}f}, "
        f"{with_interval(found.difference, 3, signed=True)}: {verdict}; up in {up} scans, down in {down}."
    )


def change_line(row: Row) -> str:
    """Return the convention, and how many more or fewer classes were missed and invented than by the baseline."""
    missed, invented = int(row["missed_change"]), int(row["hallucinated_change"])
    return f"By {row['convention']}. Classes missed {missed:+d}, invented {invented:+d} against the baseline."


def cases_line(found: Primary) -> str:
    """Return on which scans a comparison stands where the models have different ones; "" where they have the same."""
    if found.shared == found.known:
        return ""
    return f"Compared on {found.shared} of {found.known} scans, those that have both."


NO_BASELINE = (
    "No baseline was given: name an older model before this one under models:, or an earlier run by "
    "statistics.previous."
)


def difference_text(result: ClassResult) -> str:
    """Return the difference to the baseline with its interval, "" without one."""
    return with_interval(result.difference, 3, signed=True) if result.difference is not None else ""


_FAILED: Mapping[str, Callable[[Failed], str]] = {
    "invented": lambda one: f"It draws {one.region} that is not there: {_of(one)} scans without {one.region}.",
    "missed": lambda one: f"It misses {one.region} altogether: {_of(one)} scans with {one.region}.",
    "low": lambda one: f"It draws {one.region} poorly: Dice below {LOW_DICE:g} in {_of(one)} scans with {one.region}.",
    "small": lambda one: f"It misses small {one.region}, below {SMALL_ML:g} ml: in {_of(one)} scans that have such.",
}


def _of(one: Failed) -> str:
    return f"{one.affected} of {one.of}"


def failure_headline(found: Sequence[Failed], scored: bool) -> str:
    """Return the first line of the second box: the most frequent failure."""
    if not scored:
        return "Nothing was scored."
    return _FAILED[found[0].failure.id](found[0]) if found else "No scan fails a class in any of these ways."


def failure_name(one: Failed) -> str:
    """Return the name of a failure, as its link says it: ``ET invented``."""
    return f"{one.region} {one.failure.title}"


def failure_count(one: Failed, before: int | None = None) -> str:
    """Return how often: ``41 of 130 (32 %), before 46``."""
    told = f"{_of(one)} ({100 * one.share:.0f} %)"
    return told if before is None else f"{told}, before {before}"


def size_line(rows: Sequence[Row]) -> str:
    """Return for which classes small lesions are segmented worse; "" for none."""
    if not rows:
        return ""
    values = sorted(float(row["spearman_r"]) for row in rows)
    span = f"{values[0]:.2f}" if len(values) == 1 else f"{values[0]:.2f} to {values[-1]:.2f}"
    return f"Smaller is worse for {listed([str(row['region']) for row in rows])} (Spearman {span})."


def _split(verdict: Verdict, facts: Facts) -> str:
    if verdict is Verdict.UNKNOWN:
        return "Whether training had these patients: the model comes from elsewhere"
    if facts["held_out"]:
        told = "no patient on both sides" if verdict is Verdict.YES else f"{facts['shared']} patients on both sides"
        return f"Held out by patient: {told}"
    if verdict is Verdict.YES:
        return "Out of fold by patient: no held-out scan has another of its patient in training"
    return f"Out of fold by patient: {facts['shared']} held-out scans have another of their patient in training"


def _patients(verdict: Verdict, facts: Facts) -> str:
    counted = _plural(facts["patients"], "patient")
    widest = facts["widest"]
    told = f"the widest class interval is {widest:.2f}" if widest == widest else "no class has an interval"
    return f"{counted}: {told}"


def _scheme(verdict: Verdict, facts: Facts) -> str:
    if verdict is Verdict.YES:
        return "Label names fit the intensities"
    if verdict is Verdict.NO:
        return "Label names are contradicted by the intensities: classes may be mixed up"
    return "Label names: the intensities do not decide" if facts["audited"] else "Label names: no images to judge by"


def _errors(verdict: Verdict, facts: Facts) -> str:
    if verdict is Verdict.UNKNOWN:
        return "Audit of the data: no images"
    if verdict is Verdict.YES:
        return "Audit of the data: no error was accepted"
    return f"Audit of the data: {_plural(facts['errors'], 'error')} in {_plural(facts['cases'], 'case')} accepted"


def _shift(verdict: Verdict, facts: Facts) -> str:
    if not facts["held_out"]:
        return "Scans like those of training: they are the training cohort"
    silent = f"; {_plural(facts['silent'], 'fact')} not told of all cases" if facts["silent"] else ""
    if verdict is Verdict.UNKNOWN:
        return f"Scans like those of training: there is nothing to compare with{silent}"
    if verdict is Verdict.YES:
        return f"Scans like those of training: sites, intensities and volumes{silent}"
    rare = facts["rare"]
    more = f" and {len(rare) - 2} more" if len(rare) > 2 else ""
    return f"Scans like those of training: rare there are {', '.join(rare[:2])}{more}{silent}"


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


_CHECKS: Mapping[str, Callable[[Verdict, Facts], str]] = {
    "phantom": lambda verdict, facts: (
        "Patients: these are phantoms, simulated lesions in one head"
        if verdict is Verdict.NO
        else "Patients, no phantoms"
    ),
    "split": _split,
    "patients": _patients,
    "scheme": _scheme,
    "errors": _errors,
    "shift": _shift,
    "images": lambda verdict, facts: (
        "Images: counts alone are known, no picture, surface or lesion"
        if verdict is Verdict.NO
        else "Images and lesions"
    ),
    "rated": lambda verdict, facts: (
        f"Rated by a reader in this browser, of the {facts['of']} worst scans"
        if facts["of"]
        else "Rated by a reader: no scan has pictures here"
    ),
}


def check_text(check: Check) -> str:
    """Return the line of a check, without its answer."""
    return _CHECKS[check.id](check.verdict, check.facts)


_CONCLUDED: Mapping[str, str] = {
    "phantom": "Not at all: these are phantoms, which say nothing about patients.",
    "split": "No: training had scans of these patients.",
    "scheme": "Not class by class: the label names are contradicted.",
    "errors": "With care: errors of the audit were accepted.",
    "shift": "With care: these scans differ from those of training.",
    "patients": "With care: the patients are few or the intervals wide.",
}


def trust_headline(found: Check, held_out: bool) -> str:
    """Return the first line of the third box."""
    if found.id != "open":
        return _CONCLUDED[found.id]
    told = f"As far as {'the held-out' if held_out else 'these'} scans resemble yours"
    unknown = found.facts["unknown"]
    return f"{told}; {_plural(unknown, 'check')} without an answer." if unknown else f"{told}."


_STATES: Mapping[str, str] = {HALLUCINATED: "invented", MISSED: "missed", ABSENT: "absent"}


def case_sentence(row: Row) -> str:
    """Return a case's classes in words, what is wrong first: ``NETC missed, SNFH 0.86``; absent left out."""
    regions = [name.removeprefix("dice_") for name in row if name.startswith("dice_")]
    states = {region: row[f"state_{region}"] for region in regions}
    order = (MISSED, HALLUCINATED, PRESENT)
    shown = sorted((region for region in regions if states[region] in order), key=lambda one: order.index(states[one]))
    told = [
        f"{region} {row[f'dice_{region}']:.2f}" if states[region] == PRESENT else f"{region} {_STATES[states[region]]}"
        for region in shown
    ]
    return ", ".join(told)


NOTHING_SHARED = "No scan has both models: there is nothing to compare."


def is_baseline(models: Sequence[str]) -> str:
    """Return that a model is what others are set against."""
    return f"This model is the baseline of {listed(models)}."

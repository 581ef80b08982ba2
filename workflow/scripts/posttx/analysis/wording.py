"""The words of every judgement and conclusion; those of the report's first screen are in ``answer_words``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from posttx.analysis.comparison import VERDICTS
from posttx.analysis.interpretation_rules import LEVEL_TEXT
from posttx.analysis.judgements import Judgement, Number, Outcome, judged
from posttx.analysis.lever_words import LEVER
from posttx.analysis.number_words import listed, number
from posttx.analysis.postprocess_words import POSTPROCESS
from posttx.analysis.subgroups import MEAN
from posttx.analysis.tables import HEAVIEST
from posttx.measures import measure_of

Facts = Mapping[str, Any]
Words = str | Callable[[Facts], str]


@dataclass(frozen=True)
class Sentence:
    """A plain sentence, and the id of the rule (``interpretation_rules.RULES``) that produced it."""

    rule: str
    text: str


def worded(judgement: Judgement) -> Sentence:
    """Return the sentence of a judgement on one row."""
    return _sentence(judgement, _BY_RULE)


def concluded(judgement: Judgement) -> Sentence:
    """Return the sentence of a conclusion over several rows."""
    return _sentence(judgement, _CONCLUDED)


def sentences(tables: Mapping[str, pd.DataFrame]) -> dict[str, list[list[Sentence]]]:
    """Return table -> one list of sentences per row, in the order of the rows; tables without rules are left out."""
    return {name: [[worded(found) for found in row] for row in rows] for name, rows in judged(tables).items()}


def _sentence(judgement: Judgement, by_rule: Mapping[tuple[str, Outcome], Words]) -> Sentence:
    words = by_rule.get((judgement.rule, judgement.outcome)) or _ANYWHERE[judgement.outcome]
    text = words.format(**judgement.facts) if isinstance(words, str) else words(judgement.facts)
    return Sentence(judgement.rule, f"{text[0].upper()}{text[1:]}.")


def bands(found: Sequence[str]) -> str:
    """Return a band, or the two that an interval reaches from and to."""
    return " to ".join(found)


def _pair(facts: Facts, suffix: str = "") -> str:
    return f"Pearson {number(facts[f'r{suffix}'], 2)}, Spearman {number(facts[f'rho{suffix}'], 2)}"


def _band(facts: Facts) -> str:
    measure = facts["measure"]
    what = facts["what"] or _NAMES.get(measure.id, measure.long_name.lower())
    return f"{bands(facts['bands'])} {what}: {number(facts['number'], 3)}".strip()


_NAMES = {"dice": "overlap (Dice)", "iou": "overlap (IoU)"}


def _unbanded(facts: Facts) -> str:
    measure = facts["measure"]
    what = facts["what"] or _NAMES.get(measure.id, measure.long_name.lower())
    return f"{what} {number(facts['number'], 3)} of {_patients(facts)}, too few to call it high or low"


def _patients(facts: Facts) -> str:
    return "1 patient" if facts["patients"] == 1 else f"{facts['patients']} patients"


def _pooled_band(facts: Facts) -> str:
    told = f"{_band(facts)}, pooled over the voxels of all cases"
    each, present = (facts[name] for name in ("per_case", "per_case_present"))
    if not each.known:
        return told
    also = f", {present.value:.3f} where the class is present" if present.known else ""
    return f"{told}; the mean over cases is {each.value:.3f}{also}"


def _size(opening: str) -> Callable[[Facts], str]:
    def words(facts: Facts) -> str:
        curved = ". The relation is curved, so Pearson's r understates it" if facts.get("curved") else ""
        return f"{opening.format(**facts)}: {_pair(facts)}{curved}"

    return words


def _dependency(opening: str) -> Callable[[Facts], str]:
    return lambda facts: (
        f"{opening}: with all cases {_pair(facts)}; without hallucinated zeros {_pair(facts, '_present')}"
    )


def _frequency(often: str, word: str, of_what: str) -> Callable[[Facts], str]:
    return lambda facts: (
        f"{often} {word}: in {facts['count']} of {facts['total']} {of_what} "
        f"({100 * facts['number'].value:.0f} %{_percent_interval(facts['number'])})"
    )


def _too_few(word: str, of_what: str) -> Callable[[Facts], str]:
    return lambda facts: (
        f"{word} in {facts['count']} of {facts['total']} {of_what}: too few patients ({facts['patients']}) to say "
        "how often"
    )


def _percent_interval(value: Number) -> str:
    return f", {LEVEL_TEXT} {100 * value.low:.0f} to {100 * value.high:.0f}" if value.has_interval else ""


def _noise(facts: Facts) -> str:
    text = f"{bands(facts['bands'])} false-positive volume: {number(facts['number'], 1)} % of the reference"
    if facts["patients"] > HEAVIEST:
        text += f"; the {HEAVIEST} patients with most of it hold {facts['heaviest']:.0f} %"
    return text


def _conservative(opening: str) -> Callable[[Facts], str]:
    return lambda facts: f"{opening}: {_share(facts['share'])} of the wrong volume is added, the rest left out"


def _share(value: Number) -> str:
    interval = f" ({LEVEL_TEXT} {100 * value.low:.0f} to {100 * value.high:.0f})" if value.has_interval else ""
    return f"{100 * value.value:.0f} %{interval}"


def _case(facts: Facts) -> str:
    openings = (("hallucinated", "hallucinated:"), ("missed", "missed:"), ("poor", "overlap below {threshold:g}:"))
    parts = [f"{opening.format(**facts)} {', '.join(facts[name])}" for name, opening in openings if facts[name]]
    if facts["absent"]:
        parts.append(f"absent in both, counted as 1: {facts['absent']} of {facts['classes']} classes")
    return "; ".join(parts)


def _comparison(opening: str) -> Callable[[Facts], str]:
    def words(facts: Facts) -> str:
        measure = measure_of(facts["metric"])
        direction = "higher is better" if measure.higher_is_better else "lower is better"
        difference = number(Number(facts["difference"], facts["ci_low"], facts["ci_high"]), 3)
        signed = difference if difference.startswith(("-", "u")) else f"+{difference}"
        margin = f", margin {facts['margin']:g}" if facts["margin"] == facts["margin"] else ""
        counts = f"better in {facts['wins']}, equal in {facts['ties']}, worse in {facts['losses']} cases"
        return f"{opening}: {signed}, {direction}{margin}; {counts}; {facts['n_patients']} patients"

    return words


def _no_verdict(outcome: Outcome) -> Callable[[Facts], str]:
    def words(facts: Facts) -> str:
        missed, invented = facts["missed_change"], facts["hallucinated_change"]
        return f"No verdict: {VERDICTS[outcome]}; missed {missed:+d}, hallucinated {invented:+d} cases"

    return words


def _gap(facts: Facts) -> str:
    of_what = "mean Dice" if facts["region"] == MEAN else f"Dice of {facts['region']}"
    return (
        f"{of_what} by {facts['fact']}: {facts['group']} {facts['value']:.3f} "
        f"({facts['n_patients']} patients) against {facts['other']} {facts['rest_value']:.3f} "
        f"({facts['rest_n_patients']} patients)"
    )


def _no_gap(opening: str) -> Callable[[Facts], str]:
    return lambda facts: f"{opening}. {_gap(facts)}"


def _of_seeds(facts: Facts) -> str:
    measure = measure_of(facts["measure"]).name
    return f"{measure} of {facts['region']}" if facts["region"] != MEAN else f"mean {measure}"


def _seeds(facts: Facts) -> str:
    return (
        f"{_of_seeds(facts)} over {facts['seeds']} seeds {facts['seeds_mean']:.3f}, SD {facts['seeds_sd']:.3f} "
        f"({facts['seeds_lowest']:.3f} to {facts['seeds_highest']:.3f}): in 95 % of the cases two trainings that "
        f"differ by their seed alone lie less than {facts['seeds_difference']:.3f} apart, and a smaller difference "
        "between two models may be chance of the training. The interval by patient of one seed, "
        f"{number(facts['one'], 3)}, does not hold that chance"
    )


def _few_seeds(facts: Facts) -> str:
    told = f"{facts['seeds_lowest']:.3f} to {facts['seeds_highest']:.3f}" if facts["seeds"] > 1 else "none to compare"
    return f"{_of_seeds(facts)}: {facts['seeds']} seeds ({told}) are too few to say how far seeds spread"


def _left_out(verdict: str) -> Callable[[Facts], str]:
    def words(facts: Facts) -> str:
        measure, values = measure_of(facts["metric"]), (facts["model_value"], facts["baseline_value"])
        apart, mixed = ("undefined" if value != value else f"{value:.3f}" for value in values)
        difference = number(Number(facts["difference"], facts["ci_low"], facts["ci_high"]), 3)
        also = f"; the trainings also differ in {facts['differs']}" if facts["differs"] else ""
        return (
            f"{facts['left_out']} ({facts['fact']}): {facts['region']} {measure.name} {apart} where no scan of it was "
            f"trained on, {mixed} by the mixed folds of the earlier run; {verdict}, difference {difference}, "
            f"{facts['n_patients']} patients{also}"
        )

    return words


_ANYWHERE: Mapping[Outcome, Words] = {
    Outcome.NOTHING_SCORED: "nothing was scored: no case has both a reference and a prediction",
    Outcome.NO_REFERENCE_HAS_IT: "no reference has {region}: how well it is segmented cannot be said",
    Outcome.FEW_PATIENTS: "few patients: {patients} have it, in {present} of {cases} cases",
    Outcome.TOO_FEW_PATIENTS: "too few patients ({patients}): nothing is examined",
    Outcome.NO_VARIATION: "not examined: the values do not vary",
    Outcome.NOT_EXAMINED: "not examined: no interval can be given",
    Outcome.BAND: _band,
    Outcome.POOLED_BAND: _pooled_band,
    Outcome.UNBANDED: _unbanded,
}
_BY_RULE: Mapping[tuple[str, Outcome], Words] = {
    ("convention", Outcome.DEPENDS_ON_CONVENTION): (
        "the value depends on the convention: {dice.value:.3f} ({convention}), {dice_present.value:.3f} where present, "
        "{dice_absent_is_one.value:.3f} with absent as 1"
    ),
    ("hallucination", Outcome.OFTEN): _frequency("often", "hallucinated", "cases without it"),
    ("hallucination", Outcome.MAYBE_OFTEN): _frequency("sometimes, perhaps often", "hallucinated", "cases without it"),
    ("hallucination", Outcome.SOMETIMES): _frequency("sometimes", "hallucinated", "cases without it"),
    ("hallucination", Outcome.TOO_FEW_TO_SAY_HOW_OFTEN): _too_few("hallucinated", "cases without it"),
    ("missing", Outcome.OFTEN): _frequency("often", "missed", "cases with it"),
    ("missing", Outcome.MAYBE_OFTEN): _frequency("sometimes, perhaps often", "missed", "cases with it"),
    ("missing", Outcome.SOMETIMES): _frequency("sometimes", "missed", "cases with it"),
    ("missing", Outcome.TOO_FEW_TO_SAY_HOW_OFTEN): _too_few("missed", "cases with it"),
    ("size", Outcome.SMALLER_WORSE): _size("{strength} size bias, smaller ones are segmented worse"),
    ("size", Outcome.LARGER_WORSE): _size("{strength} size bias, larger ones are segmented worse"),
    ("size", Outcome.SIZE_INDEPENDENT): _size("size-independent"),
    ("size", Outcome.NOT_SHOWN): _size("no dependence on size is shown, nor its absence"),
    ("size", Outcome.NOT_AFTER_HOLM): _size("a dependence on size is not shown after Holm"),
    ("dependency", Outcome.ITSELF): "the class itself: see its size bias",
    ("dependency", Outcome.SUPPORT): _dependency("rises with it (support, an association)"),
    ("dependency", Outcome.INTERFERENCE): _dependency("falls with it (interference, an association)"),
    ("dependency", Outcome.HALLUCINATED_ZEROS): _dependency("rests on hallucinated zeros"),
    ("dependency", Outcome.NOT_WITHOUT_ZEROS): _dependency("not shown without hallucinated zeros"),
    ("dependency", Outcome.NOT_WITHOUT_ZEROS_AFTER_HOLM): _dependency(
        "shown with hallucinated zeros; without them not shown after Holm"
    ),
    ("dependency", Outcome.ONLY_WHERE_PRESENT): _dependency("shown only where both are in the reference"),
    ("dependency", Outcome.CONTRADICTORY): _dependency("the coefficients with and without zeros contradict each other"),
    ("dependency", Outcome.NOT_SHOWN): _dependency("no dependency is shown"),
    ("dependency", Outcome.NOT_AFTER_HOLM): _dependency("not shown after Holm"),
    ("noise", Outcome.NO_REFERENCE_HAS_IT): "no reference has the class",
    ("noise", Outcome.NEVER_PREDICTED): "no reference has the class, and it is never predicted",
    ("noise", Outcome.FREE): "free of false positives: not one voxel in {patients} patients",
    ("noise", Outcome.BAND): _noise,
    ("noise", Outcome.UNBANDED): lambda facts: (
        f"false-positive volume {number(facts['number'], 1)} % of the reference, of {_patients(facts)}, "
        "too few to call it high or low"
    ),
    ("conservative", Outcome.CONSERVATIVE): _conservative("conservative"),
    ("conservative", Outcome.GENEROUS): _conservative("generous"),
    ("conservative", Outcome.NOT_SHOWN): _conservative("neither conservative nor generous is shown"),
    ("conservative", Outcome.NOT_AFTER_HOLM): _conservative("neither conservative nor generous is shown after Holm"),
    ("conservative", Outcome.TOO_FEW_PATIENTS): "too few patients ({patients}) to call it conservative or generous",
    ("case", Outcome.CASE_ERRORS): _case,
    ("subgroup", Outcome.GROUP_ABOVE): _gap,
    ("subgroup", Outcome.GROUP_BELOW): _gap,
    ("subgroup", Outcome.NOT_SHOWN): _no_gap("no gap is shown"),
    ("subgroup", Outcome.NOT_AFTER_HOLM): _no_gap("a gap is not shown after Holm"),
    ("subgroup", Outcome.TOO_FEW_PATIENTS): _no_gap("too few patients to compare"),
    ("subgroup", Outcome.NOT_EXAMINED): _no_gap("not compared"),
    ("seeds", Outcome.SPREAD_OF_SEEDS): _seeds,
    ("seeds", Outcome.TOO_FEW_SEEDS): _few_seeds,
    **{("postprocess", outcome): words for outcome, words in POSTPROCESS.items()},
    ("left out", Outcome.NO_MIXED_FOLDS): (
        "what a {fact} loses by never having been trained on is not known: `statistics.previous` names no run of the "
        "same model with mixed folds. A gap between them may be that, or harder scans"
    ),
    ("left out", Outcome.BETTER): _left_out("better when left out"),
    ("left out", Outcome.WORSE): _left_out("worse when left out"),
    ("left out", Outcome.EQUIVALENT): _left_out("equivalent within the margin"),
    ("left out", Outcome.NOT_SHOWN): _left_out("no difference is shown"),
    ("left out", Outcome.NOT_AFTER_HOLM): _left_out("no difference is shown after Holm"),
    ("left out", Outcome.TOO_FEW_PATIENTS): _left_out("too few patients for a verdict"),
    ("left out", Outcome.NOT_EXAMINED): _left_out("no verdict, because no interval can be given"),
    **LEVER,
    ("comparison", Outcome.BETTER): _comparison("better"),
    ("comparison", Outcome.WORSE): _comparison("worse"),
    ("comparison", Outcome.EQUIVALENT): _comparison("equivalent within the margin"),
    ("comparison", Outcome.NOT_SHOWN): _comparison("no difference is shown"),
    ("comparison", Outcome.NOT_AFTER_HOLM): _comparison("no difference is shown after Holm"),
    ("comparison", Outcome.TOO_FEW_PATIENTS): "no verdict: too few patients ({n_patients})",
    ("comparison", Outcome.DIFFERENT_CASES): _no_verdict(Outcome.DIFFERENT_CASES),
    ("comparison", Outcome.NOT_EXAMINED): "no verdict: no interval can be given",
    ("comparison", Outcome.SEED_ALONE): _comparison("no verdict: the two differ by their seed alone"),
}


def _overall(facts: Facts) -> str:
    words = _unbanded if facts["outcome"] is Outcome.UNBANDED else _band
    return f"over all classes ({facts['convention']}): {words(facts)}"


def _compared(facts: Facts) -> str:
    measure = measure_of(facts["metric"])
    scans = f"{facts['shared']} of {facts['known']} scans ({facts['n_patients']} patients)"
    opening = f"model {facts['model']} against {facts['baseline']} on {scans}, {facts['region']} {measure.name}"
    outcome: Outcome = facts["outcome"]
    difference = number(Number(facts["difference"], facts["ci_low"], facts["ci_high"]), 3)
    verdict = _VERDICTS[outcome].format(**facts)
    told = f"{opening} ({facts['convention']}): {verdict}"
    told += f", difference {difference}" if outcome in _MEASURED else ""
    if outcome in (Outcome.NOT_SHOWN, Outcome.NOT_AFTER_HOLM):
        told += f"; {facts['detectable']:.3f} would have been shown with a power of 80 %"
    for word in ("better", "worse"):
        told += f"; {word} too in {listed(facts[word])}" if facts[word] else ""
    return told


_MEASURED = (
    Outcome.BETTER, Outcome.WORSE, Outcome.EQUIVALENT, Outcome.NOT_SHOWN, Outcome.NOT_AFTER_HOLM, Outcome.SEED_ALONE,
)  # fmt: skip
_VERDICTS: Mapping[Outcome, str] = {
    Outcome.BETTER: "better",
    Outcome.WORSE: "worse",
    Outcome.EQUIVALENT: "equivalent within {margin:g}",
    Outcome.NOT_SHOWN: "no difference is shown",
    Outcome.NOT_AFTER_HOLM: "no difference is shown after Holm",
    Outcome.TOO_FEW_PATIENTS: "too few patients for a verdict",
    Outcome.DIFFERENT_CASES: "no verdict, because the cases that count depend on the predictions",
    Outcome.NOT_EXAMINED: "no verdict, because no interval can be given",
    Outcome.SEED_ALONE: "no verdict, because the two differ by the seed of their training alone",
}
_CONCLUDED: Mapping[tuple[str, Outcome], Words] = {
    ("overlap", Outcome.OVERALL): _overall,
    ("rank", Outcome.STRONGEST): "{region} is the strongest class (Dice {dice:.3f})",
    ("rank", Outcome.WEAKEST): "{region} is the weakest class (Dice {dice:.3f})",
    ("rank", Outcome.HIGHEST): "{region} has the highest Dice ({dice:.3f}), but not every paired difference is shown",
    ("rank", Outcome.LOWEST): "{region} has the lowest Dice ({dice:.3f}), but not every paired difference is shown",
    ("convention", Outcome.DEPENDS_ON_CONVENTION): "the Dice of {regions} depends on the convention",
    ("hallucination", Outcome.OFTEN): "often hallucinated where absent: {regions}",
    ("hallucination", Outcome.MAYBE_OFTEN): "perhaps often hallucinated where absent (the interval says): {regions}",
    ("hallucination", Outcome.TOO_FEW_TO_SAY_HOW_OFTEN): (
        "hallucinated, in too few patients without the class to say how often: {regions}"
    ),
    ("missing", Outcome.OFTEN): "often missed completely: {regions}",
    ("missing", Outcome.MAYBE_OFTEN): "perhaps often missed completely (the interval says): {regions}",
    ("missing", Outcome.TOO_FEW_TO_SAY_HOW_OFTEN): (
        "missed completely, in too few patients with the class to say how often: {regions}"
    ),
    ("size", Outcome.SMALLER_WORSE): "larger is segmented better: {regions}",
    ("size", Outcome.LARGER_WORSE): "larger is segmented worse: {regions}",
    ("size", Outcome.SIZE_INDEPENDENT): "size-independent: {regions}",
    ("size", Outcome.NOT_SHOWN): "no dependence on size is shown, nor its absence: {regions}",
    ("size", Outcome.NOT_AFTER_HOLM): "a dependence on size is not shown after Holm: {regions}",
    ("size", Outcome.TOO_FEW_PATIENTS): "too few patients to examine the dependence on size: {regions}",
    ("dependency", Outcome.SUPPORT): "the Dice rises with the volume of another class (an association): {regions}",
    ("dependency", Outcome.INTERFERENCE): "the Dice falls with the volume of another class (an association): {regions}",
    ("dependency", Outcome.HALLUCINATED_ZEROS): (
        "correlations that rest on hallucinated zeros and carry no conclusion: {regions}"
    ),
    ("dependency", Outcome.NOT_WITHOUT_ZEROS_AFTER_HOLM): (
        "shown with hallucinated zeros, without them not after Holm: {regions}"
    ),
    ("dependency", Outcome.NOT_SHOWN): "no dependency between classes is shown ({examined} pairs examined)",
    ("dependency", Outcome.NOT_EXAMINED): "no dependency between classes was examined: too few patients",
    ("noise", Outcome.HIGH): "high false-positive volume: {regions}",
    ("noise", Outcome.MAYBE_HIGH): "false-positive volume that may be high (its interval says): {regions}",
    ("noise", Outcome.FREE): "free of false positives: {regions}",
    ("conservative", Outcome.CONSERVATIVE): "conservative (leaves out more than it adds) for {regions}",
    ("conservative", Outcome.GENEROUS): "generous (adds more than it leaves out) for {regions}",
    ("subgroup", Outcome.GROUP_ABOVE): _gap,
    ("subgroup", Outcome.GROUP_BELOW): _gap,
    ("comparison", Outcome.COMPARED): _compared,
    ("data", Outcome.NO_INTERVALS): "only {patients} {noun}: no interval, and nothing that generalises",
    ("data", Outcome.NO_TESTS): "only {patients} patients: too few for any test, and all intervals are rough",
    ("data", Outcome.ROUGH): "only {patients} patients: all intervals are rough",
}

"""The rules by which numbers become sentences, as data: the report prints them with their thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LEVEL_TEXT = "95 % interval"


@dataclass(frozen=True)
class Rule:
    """A rule of interpretation; ``text`` names its thresholds in braces, ``described`` puts their values in."""

    id: str
    title: str
    text: str
    thresholds: Mapping[str, float]

    @property
    def described(self) -> str:
        """Return the rule in words with its thresholds."""
        return self.text.format(**{name: f"{value:g}" for name, value in self.thresholds.items()})


RULES: Mapping[str, Rule] = {
    rule.id: rule
    for rule in (
        Rule(
            "data",
            "What the data allow",
            "Nothing is said of a value without cases. A value from one patient has no interval. Fewer than {few} "
            "cases behind a value are called few, and no claim is made of a correlation from fewer than {few}. "
            "Intervals from fewer than {few} patients are called rough.",
            {"few": 10},
        ),
        Rule(
            "overlap",
            "Overlap",
            "A Dice is high from {high}, good from {good}, moderate from {moderate}, low below; an IoU is judged by "
            "the same bands after conversion to Dice. Where the interval reaches over a bound, both bands are named.",
            {"high": 0.85, "good": 0.70, "moderate": 0.50},
        ),
        Rule(
            "reliability",
            "Precision and recall",
            "A precision or recall is high from {high}, good from {good}, moderate from {moderate}, low below.",
            {"high": 0.90, "good": 0.80, "moderate": 0.60},
        ),
        Rule(
            "rank",
            "Weakest and strongest class",
            "A class is called the weakest (strongest) when its Dice is the lowest (highest) and its interval lies "
            "wholly below (above) the interval of every other class; otherwise only the order of the estimates is "
            "told.",
            {},
        ),
        Rule(
            "convention",
            "Dependence on the convention",
            "A class depends on the convention when its Dice as published, where present, and with absent counted as "
            "1 lie {gap} or more apart.",
            {"gap": 0.05},
        ),
        Rule(
            "hallucination",
            "Hallucination",
            "A class is often hallucinated when it is predicted in {often} or more of the cases whose reference lacks "
            "it, sometimes from {sometimes} on.",
            {"often": 0.25, "sometimes": 0.05},
        ),
        Rule(
            "missing",
            "Missed classes",
            "A class is often missed when {often} or more of the cases that have it get not one voxel, sometimes from "
            "{sometimes} on.",
            {"often": 0.10, "sometimes": 0.02},
        ),
        Rule(
            "size",
            "Size bias",
            "A correlation of volume and Dice is shown when the interval of Pearson's r or of Spearman's rho excludes "
            "0; it is weak below {moderate}, moderate from there, strong from {strong}, by the larger of those shown. "
            "It is called curved when rho is {curved} or more beyond r. A class is called size-independent only when "
            "both intervals lie within {null} of 0; when neither excludes 0, nothing is shown either way.",
            {"moderate": 0.30, "strong": 0.50, "curved": 0.15, "null": 0.10},
        ),
        Rule(
            "dependency",
            "Dependency between classes",
            "An association of the volume of one class with the Dice of another is shown when a coefficient's interval "
            "excludes 0 and its Holm-adjusted p by patient is below {alpha}. It counts only when it is shown, with the "
            "same sign, also without the cases where the second class is hallucinated. Where it is not, and the "
            "largest coefficient loses {loss} or more of itself, it rests on those zeros. An association is not a "
            "cause.",
            {"alpha": 0.05, "loss": 0.33},
        ),
        Rule(
            "noise",
            "False-positive volume",
            "The false-positive volume of a class is high from {high} % of its reference volume, moderate from "
            "{moderate} %, low below. Only a class without one false-positive voxel is called free of false positives.",
            {"high": 15.0, "moderate": 5.0},
        ),
        Rule(
            "conservative",
            "Conservative or not",
            "A model is conservative for a class when the interval of false-positive / false-negative volume lies "
            "below 1 (it leaves out more than it adds), generous when it lies above 1, undecided when it holds 1.",
            {},
        ),
        Rule(
            "case",
            "Single cases",
            "Of each listed case the classes hallucinated, missed, and overlapping by less than {poor} are named, and "
            "how many classes absent in both count as 1.",
            {"poor": 0.20},
        ),
        Rule(
            "comparison",
            "Comparison of models",
            "A model is called improved (worse) for a region only when the interval of the paired difference, patients "
            "resampled, lies wholly on the better (worse) side of 0.",
            {},
        ),
    )
}

"""The rules by which numbers become sentences, as data: the report prints them with their thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from posttx.analysis.evidence import ALPHA
from posttx.analysis.statistics import FEWEST_FOR_INTERVAL, FEWEST_FOR_P

LEVEL_TEXT = "95 % interval"
# A rule of post-processing may lower the mean of no other class by more than this.
MOST_HARM = 0.002
POOR = 0.20


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
            "Patients are counted, not scans. A value from fewer than {interval} patients has no interval, and none "
            "from fewer than {test} has a p-value, a band or a verdict: too few patients. From fewer than {few} "
            "patients intervals are called rough and a class rare. A difference, a dependency or a bias is claimed "
            "only when its 95 % interval excludes the value of no effect and its p-value, by flipping the signs of "
            "patients and adjusted by Holm, is below {alpha}; an interval that excludes it alone is called not shown "
            "after Holm.",
            {"interval": FEWEST_FOR_INTERVAL, "test": FEWEST_FOR_P, "few": 10, "alpha": ALPHA},
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
            "A precision or recall is high from {high}, good from {good}, moderate from {moderate}, low below. Beside "
            "a value pooled over voxels stands the mean over cases, which says what a case may expect.",
            {"high": 0.90, "good": 0.80, "moderate": 0.60},
        ),
        Rule(
            "rank",
            "Weakest and strongest class",
            "A class is called the weakest (strongest) when its Dice is the lowest (highest) and its difference to "
            "every other class, paired over the cases that have both, is shown with Holm over all pairs of classes; "
            "otherwise only the order of the estimates is told.",
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
            "it and the whole interval by patient says so, perhaps often when the share alone does, sometimes from "
            "{sometimes} on. With too few patients who lack it only the cases are counted.",
            {"often": 0.25, "sometimes": 0.05},
        ),
        Rule(
            "missing",
            "Missed classes",
            "A class is often missed when {often} or more of the cases that have it get not one voxel and the whole "
            "interval by patient says so, perhaps often when the share alone does, sometimes from {sometimes} on. With "
            "too few patients who have it only the cases are counted.",
            {"often": 0.10, "sometimes": 0.02},
        ),
        Rule(
            "size",
            "Size bias",
            "A correlation of volume and Dice is judged by Spearman's rho, with Holm over the classes; Pearson's r "
            "describes it. It is weak below {moderate}, moderate from there, strong from {strong}, and called curved "
            "when rho is {curved} or more beyond r. A class is called size-independent only when both intervals lie "
            "within {null} of 0.",
            {"moderate": 0.30, "strong": 0.50, "curved": 0.15, "null": 0.10},
        ),
        Rule(
            "dependency",
            "Dependency between classes",
            "An association of the volume of one class with the Dice of another is judged by Spearman's rho, with Holm "
            "over all pairs. It counts only when it is shown, with the same sign, also without the cases where the "
            "second class is hallucinated. Where it is not shown without them and the coefficient loses {loss} or more "
            "of itself, it rests on those zeros; where only the adjusted p is lost, that is said. An association is "
            "not a cause.",
            {"loss": 0.33},
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
            "A model is conservative for a class when false positives are shown to be less than half of the wrong "
            "volume (it leaves out more than it adds), generous when they are shown to be more, with Holm over the "
            "classes.",
            {},
        ),
        Rule(
            "case",
            "Single cases",
            "Of each listed case the classes hallucinated, missed, and overlapping by less than {poor} are named, and "
            "how many classes absent in both count as 1.",
            {"poor": POOR},
        ),
        Rule(
            "failure",
            "Failures",
            "A scan fails a class in one of four ways: it is invented (predicted where the reference lacks it), missed "
            "(not one voxel predicted where the reference has it), overlaps by a Dice below {poor} though present in "
            "both, or a lesion below {small} ml is missed. Each is counted among the scans that it can befall; the "
            "most frequent stand first.",
            {"poor": POOR, "small": 1.0},
        ),
        Rule(
            "subgroup",
            "Subgroups",
            "The Dice of a group of cases (site, visit, lesion volume, cohort, or any fact given) is called lower or "
            "higher than that of the other groups when the interval of the gap excludes 0 and the test of all groups "
            "of that fact, with Holm over all facts, classes and measures, is below {alpha}. A group, or the rest, of "
            "fewer than {test} patients is too few for it.",
            {"alpha": ALPHA, "test": FEWEST_FOR_P},
        ),
        Rule(
            "comparison",
            "Comparison of models",
            "Models are compared on the cases that both have. One endpoint, named in the configuration, is primary; "
            "all other rows of all pairs and cohorts are adjusted by Holm together, at half its level. A model is "
            "called better (worse) when the paired difference is shown, equivalent when the interval lies within the "
            "margin; else no difference is shown, which is not equality. Where it depends on the predictions which "
            "cases count, or where two models differ by the seed of their training alone, there is no verdict.",
            {},
        ),
        Rule(
            "seeds",
            "Spread over seeds",
            "Models that differ by the seed of their training alone show what chance of the training does. From {few} "
            "seeds on, what two of them differ by in 95 % of the cases is told, by Student's t.",
            {"few": 3},
        ),
        Rule(
            "left out",
            "Folds that leave out",
            "The scans of each value left out (a site, say) are compared with the same scans by the mixed folds of the "
            "earlier run that is named, on the primary endpoint, paired by case and tested by patient, with Holm over "
            "all values; settings in which the two trainings also differ are named. Without such a run the cost of "
            "never having seen a value is called not known.",
            {},
        ),
        Rule(
            "lever",
            "Levers",
            "A lever (a setting in which two models differ, and in nothing else) is said to help or to harm by the "
            "verdict of the comparison with the model without any lever, on the primary endpoint, paired by case and "
            "tested by patient, with Holm over all levers and cohorts. Where both are trained with several seeds, "
            "values are averaged over them case by case, and a verdict that one seed contradicts is withdrawn. From "
            "one seed the chance of the training is not in the interval, which is said.",
            {},
        ),
        Rule(
            "postprocess",
            "Rules of post-processing",
            "For each fold the rule of a class is chosen on the other folds: of a grid of rules with one or two "
            "conditions the best by the mean over cases, then, of those within one standard error of it, the one with "
            "fewest conditions; none where the interval of its gain there holds 0. The gain that is told is that of "
            "every case under the rules of its fold. A class keeps a rule when the interval of that gain lies above 0, "
            "{test} patients or more are behind it, and the rule lowers no other class by more than {harm}. The rule "
            "for other cohorts is chosen in the same way on all folds.",
            {"test": FEWEST_FOR_P, "harm": MOST_HARM},
        ),
        Rule(
            "answer",
            "The answer at the top",
            "Each class gets the verdict of the comparison with the baseline, by Dice where the class is present. A "
            "hint is an interval off 0 whose p does not hold after Holm. A class in fewer than {few} scans gets the "
            "words too few, and no correlation is told of it. Without a baseline the classes of highest and lowest "
            "Dice are named.",
            {"few": 10},
        ),
        Rule(
            "trust",
            "The checks of trust",
            "Each check is answered, with unknown where the data do not say. Patients are enough from {patients} on "
            "when no interval of a class is wider than {width}. The held-out scans resemble the training scans when no "
            "site or other fact, intensity or volume of theirs is rare in training by the rule of FCT001.",
            {"patients": 30, "width": 0.25},
        ),
    )
}

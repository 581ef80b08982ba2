"""The items of CLAIM 2024 and Metrics Reloaded, in our words: what each asks, and what a run answers of it.

Sources: Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 update, Radiology:
Artificial Intelligence 2024;6(4):e240300 (its numbers of items); Maier-Hein et al., Metrics Reloaded, Nature Methods
2024 (its recommendations have no numbers: R1 to R9 are ours). What only the authors of a study know is never taken for
answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

CLAIM, METRICS = "CLAIM 2024", "Metrics Reloaded"
AGE, SEX = ("age",), ("sex", "gender")


class Status(StrEnum):
    """How a report stands to an item."""

    ANSWERED = "answered"
    OPEN = "not answered"
    NONE = "not applicable"


@dataclass(frozen=True)
class Answer:
    """``told``: where an answer stands, what to supply, or why there is none; ``anchor``: the id in the page, or ""."""

    status: Status
    told: str
    anchor: str = ""


@dataclass(frozen=True)
class Run:
    """What a run has of what the items ask for."""

    cohorts: tuple[str, ...]
    phantoms: tuple[str, ...]
    test: tuple[str, ...]
    trained: tuple[str, ...]
    # models that were trained by others
    elsewhere: tuple[str, ...]
    # patients in more than one of: training and held-out cohorts; training and held-out part of a fold
    shared_patients: int
    scored: bool
    scored_out_of_fold: bool
    has_intervals: bool
    # cohorts with scores and their facts, names in lower case
    facts: dict[str, frozenset[str]]
    # held-out cohorts with scans of a site of which training has none
    other_sites: tuple[str, ...]
    has_distances: bool
    several_models: bool
    several_seeds: bool
    ranked: bool
    has_versions: bool
    missing: str

    @property
    def simulated(self) -> bool:
        """Return whether every cohort is simulated."""
        return bool(self.cohorts) and self.cohorts == self.phantoms

    def has_fact(self, names: tuple[str, ...]) -> bool:
        """Return whether every scored cohort has a fact of one of these names."""
        return bool(self.facts) and all(known & set(names) for known in self.facts.values())


@dataclass(frozen=True)
class Item:
    """One item: its source and number there, its topic, what it asks, and what a run answers."""

    source: str
    number: str
    topic: str
    asks: str
    answer: Callable[[Run], Answer]


def answered(anchor: str, where: str) -> Answer:
    """Return that the page answers an item at ``anchor``."""
    return Answer(Status.ANSWERED, where, anchor)


def supply(what: str) -> Answer:
    """Return that the authors have to supply ``what``."""
    return Answer(Status.OPEN, f"Supply {what}")


def _authors(what: str) -> Callable[[Run], Answer]:
    """Return the answer of every run: no configuration tells it."""
    return lambda run: supply(what)


def _of_patients(what: str) -> Callable[[Run], Answer]:
    """Return the answer of every run with scans of patients; simulated scans have none."""

    def answer(run: Run) -> Answer:
        return Answer(Status.NONE, "All scans are simulated") if run.simulated else supply(what)

    return answer


def _of_training(anchor: str, where: str, what: str) -> Callable[[Run], Answer]:
    """Return an answer that stands in the page where all models were trained here."""

    def answer(run: Run) -> Answer:
        if run.elsewhere:
            return supply(f"{what} (for {', '.join(run.elsewhere)}, not trained here)")
        return answered(anchor, where) if run.trained else Answer(Status.NONE, "There is no model")

    return answer


def _of_scores(anchor: str, where: str) -> Callable[[Run], Answer]:
    def answer(run: Run) -> Answer:
        return answered(anchor, where) if run.scored else supply("cases with a reference and predictions of them")

    return answer


def _reference(run: Run) -> Answer:
    if run.simulated:
        return answered("answer", "Simulated data: lesions and references are simulated")
    return supply("how the reference segmentations were made, and by which definition of each label")


def _assignment(run: Run) -> Answer:
    if run.elsewhere or not run.trained:
        return supply("how cases were chosen for training and for testing")
    if run.test:
        return supply(f"how {', '.join(run.test)} came to be held out (the folds stand under “Folds by patient”)")
    return answered("folds", "Folds by patient")


def _disjoint(run: Run) -> Answer:
    if run.elsewhere or not run.trained:
        return supply("whether patients who were scored had scans in the training of the models")
    if run.shared_patients:
        return supply(
            f"why {run.shared_patients} patients stand in more than one part; without a reason, take them out of one"
        )
    return answered("folds", "Folds by patient; no patient's id stands in a training and a held-out cohort")


def _software(run: Run) -> Answer:
    if run.elsewhere:
        return supply(f"software and versions that trained and ran {', '.join(run.elsewhere)}")
    return (
        answered("hardware", "Hardware, software and configuration")
        if run.has_versions
        else supply("software and its versions")
    )


def _robustness(run: Run) -> Answer:
    seeds = "; the spread over seeds of training" if run.several_seeds else ""
    if run.facts and all(run.facts.values()):
        return answered("subgroups", f"Subgroups: scores by each fact, visit and lesion volume{seeds}")
    return supply("facts about the cases of every scored cohort (`facts`: site, scanner ...); subgroups follow")


def _internal(run: Run) -> Answer:
    if run.scored_out_of_fold:
        return answered("global", "Global performance, out of fold")
    return supply("scores on data of the kind that the models were trained with, not seen in training")


def _external(run: Run) -> Answer:
    if not run.test:
        return supply("scores on a cohort of another hospital (`use: test`)")
    if run.elsewhere:
        return supply(f"from which hospitals the training cases of {', '.join(run.elsewhere)} came")
    if run.other_sites:
        return answered("subgroups", f"Subgroups: {', '.join(run.other_sites)} by site; training has other sites")
    return supply(
        f"whether {', '.join(run.test)} is of hospitals that gave no training case (a fact `site` in both cohorts)"
    )


def _demographics(run: Run) -> Answer:
    if run.simulated:
        return Answer(Status.NONE, "All scans are simulated")
    lacking = [names[0] for names in (AGE, SEX) if not run.has_fact(names)]
    if lacking:
        return supply(f"{' and '.join(lacking)} of every cohort's patients, as facts or a table; tumour and treatment")
    return answered("subgroups", "Subgroups: patients of every cohort by age, sex and the other facts")


def _precision(run: Run) -> Answer:
    if run.has_intervals:
        return answered("per-class", "Performance by class, with intervals by patient")
    return supply("scores of more patients: too few for an interval")


def _distances(run: Run) -> Answer:
    if run.has_distances:
        return answered("methods", "Methods: overlap, surfaces and single lesions are measured")
    return supply("segmentations instead of counts, or why overlap alone suits the target's size and shape")


def _tolerance(run: Run) -> Answer:
    if run.has_distances:
        return answered("methods", "Methods: tolerances of the normalised surface Dice in mm")
    return Answer(Status.NONE, "No surface was measured")


def _tolerance_reason(run: Run) -> Answer:
    if run.has_distances:
        return supply("why these tolerances, such as the distance between outlines of two raters")
    return Answer(Status.NONE, "No surface was measured")


def _ranking(run: Run) -> Answer:
    if not run.several_models:
        return Answer(Status.NONE, "No cohort has two models to rank")
    if run.ranked:
        return answered("comparison", "Comparison of models: ranks with intervals")
    return supply("scans that two models have both segmented")


def _claim(number: int, topic: str, asks: str, answer: Callable[[Run], Answer]) -> Item:
    return Item(CLAIM, str(number), topic, asks, answer)


def _metrics(number: int, topic: str, asks: str, answer: Callable[[Run], Answer]) -> Item:
    return Item(METRICS, f"R{number}", topic, asks, answer)


ITEMS = (
    _claim(1, "Title", "The title tells that a learned model is studied, and of which kind", _authors("the title")),
    _claim(2, "Abstract", "An abstract with design, methods, results, conclusion", _authors("the abstract")),
    _claim(3, "Introduction", "Clinical background; who would use the model, and when", _authors("the background")),
    _claim(4, "Introduction", "Aims and hypotheses", _authors("aims and hypotheses, set before the results")),
    _claim(5, "Study design", "Prospective or retrospective", _authors("whether scans were collected for this study")),
    _claim(6, "Study design", "Goal of the study", _authors("the goal (a new model, feasibility or the like)")),
    _claim(7, "Data", "Where the data come from", _of_patients(
        "hospitals, dates, and whether cases are consecutive; “Dataset snapshot” counts them only")),
    _claim(8, "Data", "Who was eligible", _of_patients("criteria of inclusion and exclusion")),
    _claim(9, "Data", "Preprocessing", _of_training("methods", "Methods: preprocessing", "the preprocessing")),
    _claim(10, "Data", "Parts of the images that were used", _of_training(
        "methods", "Methods: cropping and patches", "which parts of the images enter the training")),
    _claim(11, "Data", "De-identification", _of_patients("how identifying data and faces were removed")),
    _claim(12, "Data", "Missing data", lambda run: supply(
        "what became of scans without a modality or a reference; predictions that are missing are treated as "
        f"`evaluation.missing: {run.missing}`")),
    _claim(13, "Data", "How images were acquired", _of_patients("scanners, field strengths and sequences")),
    _claim(14, "Reference standard", "How the reference was obtained", _reference),
    _claim(15, "Reference standard", "Why this reference", _of_patients("why this reference, and what could be wrong")),
    _claim(16, "Reference standard", "Who annotated", _of_patients("number and qualification of the readers")),
    _claim(17, "Reference standard", "How the test cases were annotated", _of_patients(
        "who annotated the test cases, and whether a model's output was shown to them")),
    _claim(18, "Reference standard", "Agreement of readers", _of_patients(
        "agreement within and between readers, and how they settled differences")),
    _claim(19, "Partitions", "How cases were assigned to parts", _assignment),
    _claim(20, "Partitions", "At which level parts are disjoint (patients)", _disjoint),
    _claim(21, "Testing data", "Intended sample size", _authors("how the number of test patients was chosen")),
    _claim(22, "Model", "The network, in full", _of_training("methods", "Methods: network", "the architecture")),
    _claim(23, "Model", "Software", _software),
    _claim(24, "Model", "Initial weights", _authors("how the weights were set before training")),
    _claim(25, "Training", "How the model was trained", _of_training("methods", "Methods: training", "the training")),
    _claim(26, "Training", "Which of the trained models is the final one", _of_training(
        "methods", "Methods: the network of the last epoch", "the choice of the final network")),
    _claim(27, "Training", "Ensembles", _of_training(
        "methods", "Methods: prediction", "whether the model is an ensemble, and how its members are combined")),
    _claim(28, "Evaluation", "Metrics", _of_scores("methods", "Methods: scores")),
    _claim(29, "Evaluation", "Tests and uncertainty", _of_scores("methods", "Methods: intervals and tests")),
    _claim(30, "Evaluation", "Robustness, subgroups", _robustness),
    _claim(31, "Evaluation", "Explanations of the model's decisions", _authors(
        "the method and its validation, or that none was used")),
    _claim(32, "Evaluation", "Test on data of the same sources", _internal),
    _claim(33, "Evaluation", "Test on data of other sources", _external),
    _claim(34, "Evaluation", "Registration of the trial", _authors(
        "the number of the registration, or that there is none")),
    _claim(35, "Results", "Cases included and left out", _authors(
        "how many patients and scans were left out, and why; “Dataset snapshot” has those included")),
    _claim(36, "Results", "Patients of each part and data set: demographic and clinical", _demographics),
    _claim(37, "Results", "Performance, with its uncertainty", _of_scores("global", "Global performance")),
    _claim(38, "Results", "Diagnostic performance, with the precision of its estimates", _precision),
    _claim(39, "Results", "Failures", _of_scores(
        "cases", "Worst and best cases; the review has their pictures where there are images")),
    _claim(40, "Discussion", "Limitations", _authors(
        "limitations of the study; “Conclusions” has those of the numbers")),
    _claim(41, "Discussion", "What follows for practice", _authors("intended use and consequences")),
    _claim(42, "Other", "Study protocol", _authors("where the full protocol can be read")),
    _claim(43, "Other", "Availability of code, model and data", _authors(
        "addresses of code, weights and data; “Hardware, software and configuration” has the code's commit if known")),
    _claim(44, "Other", "Funding", _authors("sources of funding and their role")),
    _metrics(1, "Choice of metrics", "Metrics fit the target's properties: size, shape, number", _distances),
    _metrics(2, "Choice of metrics", "Which clinical need each metric stands for", _authors(
        "what matters to the clinic (volume, border, a lesion found), and why the primary endpoint shows it")),
    _metrics(3, "Reporting", "Values of each class, not their mean alone", _of_scores(
        "per-class", "Performance by class")),
    _metrics(4, "Reporting", "What a case counts whose reference is empty", _of_scores(
        "by-class", "Every measure, every convention; hallucinated and absent cases stand in the results by class")),
    _metrics(5, "Aggregation", "Scans of a patient are not counted as independent", _of_scores(
        "methods", "Methods: intervals and tests by patient")),
    _metrics(6, "Aggregation", "Spread over cases beside the mean", _of_scores(
        "by-class", "Every measure, every convention: quartiles behind the means")),
    _metrics(7, "Comparison", "Uncertainty of ranks", _ranking),
    _metrics(8, "Boundaries", "Tolerance of boundary metrics is stated", _tolerance),
    _metrics(9, "Boundaries", "Tolerance of boundary metrics is justified", _tolerance_reason),
)  # fmt: skip

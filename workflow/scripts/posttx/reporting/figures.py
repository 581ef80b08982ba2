"""Every figure as data, in one place: what it shows, what it is drawn from and by, where it stands, how to read it.

Rules, drawing, page, captions of ``snakemake --report`` and tests loop over it. To add a figure:

1. write a function that draws it, ``draw_x(<inputs>, <parameters>, path)``, in one of the modules ``figures_*`` (a new
   one is found too: an edit of it draws anew);
2. add one entry to ``CATALOGUE``: its inputs and parameters are arguments of the function by name;
3. run ``python tests/figure_captions.py``, which writes the captions of ``snakemake --report``.

This module is imported when the workflow is parsed, so what draws is named here and imported by ``drawing``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
    """What figures are drawn once per, all of them by one job: path below results, category and labels of its rule."""

    path: str
    category: str
    labels: tuple[str, ...] = ()


DATA, TRAINING, SCORES, COMPARISON = "data", "training", "scores", "comparison"
KINDS = {
    DATA: Kind("figures/cohorts/{id}.svg", "1 Data"),
    TRAINING: Kind("figures/training/{model}/{id}.svg", "2 Training", ("model",)),
    SCORES: Kind("figures/{cohort}/{model}/{id}.svg", "3 Performance", ("cohort", "model")),
    COMPARISON: Kind("figures/comparison/{cohort}/{id}.svg", "5 Comparison", ("cohort",)),
}
# Parts of the pages that show figures, in their order; a template calls figures_of for each.
SECTIONS = (
    "intensities", "balance", "training", "per-class", "volumes", "inter-class", "false-positives", "lesions",
    "subgroups", "courses", "comparison",
)  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One figure.

    ``per`` is one of ``KINDS``. ``draw`` names the function, ``module:function``. ``inputs`` maps its arguments to
    paths below results (tables, or the checkpoints of all folds), ``parameters`` names further arguments: ``colors``
    (region -> colour), ``names`` (label -> class), ``convention``. ``caption`` and ``alt`` may use {model}, {cohort}
    where the kind has them, and {convention}. ``needs_images``: pages leave it out where only counts are known.
    """

    id: str
    title: str
    per: str
    section: str
    draw: str
    inputs: Mapping[str, str]
    caption: str
    alt: str
    reading: str
    parameters: tuple[str, ...] = field(default=())
    needs_images: bool = False

    def __post_init__(self) -> None:
        if self.per not in KINDS or self.section not in SECTIONS:
            raise ValueError(f"figure {self.id}: no kind {self.per}, or no section {self.section}")

    @property
    def path(self) -> str:
        """Return its path below results, with the wildcards of its kind."""
        return KINDS[self.per].path.replace("{id}", self.id)

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels of ``snakemake --report``."""
        return {name: f"{{{name}}}" for name in KINDS[self.per].labels} | {"figure": self.title}


METRICS = {"metrics": "metrics/{cohort}/{model}.parquet"}
LABELS = {"labels": "audit/labels.parquet"}

# The order is that within a section.
CATALOGUE: dict[str, Figure] = {
    figure.id: figure
    for figure in (
        Figure(
            id="intensities",
            title="intensities",
            per=DATA,
            section="intensities",
            draw="posttx.reporting.figures_cohort:draw_intensities",
            inputs={"intensity": "audit/intensity.parquet"},
            caption="99th percentile of the intensities of every case, over non-zero voxels, by modality and "
            "cohort, on a logarithmic axis.",
            alt="99th percentile of the intensities per modality and cohort, logarithmic axis",
            reading="One mark per case; box and line are quartiles and median. A spread of two decades is what "
            "normalisation has to remove; a cohort whose box lies off the others comes from other scanners.",
        ),
        Figure(
            id="class_shares",
            title="class shares",
            per=DATA,
            section="balance",
            draw="posttx.reporting.figures_cohort:draw_class_shares",
            inputs=LABELS,
            parameters=("colors",),
            caption="Share of each class in all labelled voxels of a cohort's references.",
            alt="Share of each class in the labelled voxels, per cohort",
            reading="One bar per cohort, in percent of its labelled voxels; cases with large lesions weigh most.",
        ),
        Figure(
            id="presence",
            title="classes present together",
            per=DATA,
            section="balance",
            draw="posttx.reporting.figures_cohort:draw_presence",
            inputs=LABELS,
            parameters=("colors",),
            caption="Which classes occur together in a reference: one row per combination, and its share of the "
            "cases of each cohort.",
            alt="Which classes occur together, and in which share of the cases",
            reading="A filled circle: the class is there. Bars to the right count the cases with exactly that "
            "combination; the most frequent stand on top.",
        ),
        Figure(
            id="curves",
            title="training curves",
            per=TRAINING,
            section="training",
            draw="posttx.reporting.figures_training:draw_curves",
            # of all folds; what a fold recorded stands beside its checkpoint
            inputs={"folds": "nnunet/models/*/*/fold_*/checkpoint_final.pth"},
            caption="Training and validation loss and nnU-Net's pseudo Dice of the folds of {model}; pseudo Dice is "
            "over random patches and not comparable with the scores of whole cases.",
            alt="Training curves of the folds of {model}",
            reading="Validation losses that rise while training losses fall say overfitting; folds far apart say "
            "that the cohort is small or uneven. Pseudo Dice is over random patches of the validation cases and is "
            "not comparable with the scores of whole cases.",
        ),
        Figure(
            id="dice",
            title="Dice",
            per=SCORES,
            section="per-class",
            draw="posttx.reporting.figures_model:draw_dice",
            inputs=METRICS,
            parameters=("colors",),
            caption="Dice of every case per region, {model} on {cohort}. Crosses are classes missed completely, "
            "triangles classes predicted where the reference has none; boxes and medians are over the cases whose "
            "reference has the class.",
            alt="Dice of every case per region, {model} on {cohort}",
            reading="One mark per case. A box high up with crosses at 0 means: outlines are good, but some lesions "
            "are missed altogether. Triangles are cases without the class in which the model drew some.",
        ),
        Figure(
            id="confusion",
            title="confusion",
            per=SCORES,
            section="per-class",
            draw="posttx.reporting.figures_model:draw_confusion",
            inputs={"confusion": "confusion/{cohort}/{model}.parquet"},
            parameters=("names",),
            caption="What the reference voxels of each class were predicted as, in % of the row, {model} on "
            "{cohort}. The background's row is in % of its errors.",
            alt="What the reference voxels of each class were predicted as, percent of each row, {model} on {cohort}",
            reading="Each row says what became of a class's reference voxels, in percent. Off the diagonal: the "
            "class it is taken for; the first column is what was missed as background.",
            needs_images=True,
        ),
        Figure(
            id="volume_dice",
            title="volume and Dice",
            per=SCORES,
            section="volumes",
            draw="posttx.reporting.figures_model:draw_volume_dice",
            inputs=METRICS,
            parameters=("colors",),
            caption="Dice against reference volume (log axis) per class, {model} on {cohort}, where the reference "
            "has the class. Line: Dice on log10 volume; band: 95 % interval from resampling patients.",
            alt="Dice against reference volume per class, {model} on {cohort}",
            reading="One mark per case, crosses where the class is missed. A line that rises says that small "
            "lesions are segmented worse; a band that holds a level line says that this is not shown.",
        ),
        Figure(
            id="volumes",
            title="volumes",
            per=SCORES,
            section="volumes",
            draw="posttx.reporting.figures_model:draw_volumes",
            inputs=METRICS,
            parameters=("colors",),
            caption="Ratio of predicted to reference volume against their geometric mean (Bland and Altman), "
            "{model} on {cohort}: mean ratio and 95 % limits of agreement.",
            alt="Ratio of predicted and reference volume against their mean, {model} on {cohort}",
            reading="Points above 1: the prediction is larger than the reference. Solid line: mean ratio; dashed: "
            "the range of 95 % of the scans if log ratios were normal, with the variance between and within "
            "patients. Scans that miss or invent the class have no ratio and are counted below the axis.",
        ),
        Figure(
            id="inter_class",
            title="inter-class dependency",
            per=SCORES,
            section="inter-class",
            draw="posttx.reporting.figures_model:draw_inter_class",
            inputs={"inter_class": "tables/{cohort}/{model}/inter_class.parquet"},
            parameters=("names",),
            caption="Pearson correlation of the reference volume of one class with the Dice of another, {model} on "
            "{cohort}; cases whose reference has the first class and where the Dice of the second is defined.",
            alt="Correlation of the volume of one class with the Dice of another, {model} on {cohort}",
            reading="Blue: the larger the class of the row, the worse the Dice of the class of the column; red: the "
            "better. The tables have intervals and p-values; a colour alone shows nothing; of fewer than 10 cases "
            "there is none.",
        ),
        Figure(
            id="false_positives",
            title="false positives",
            per=SCORES,
            section="false-positives",
            draw="posttx.reporting.figures_cases:draw_false_positives",
            inputs=METRICS | {"false_positives": "tables/{cohort}/{model}/false_positives.parquet"},
            parameters=("colors",),
            caption="Mean false-positive volume of {model} on {cohort} in % of the mean reference volume; hatched: "
            "in cases whose reference lacks the class.",
            alt="False-positive volume per class in percent of its reference volume, hallucinated part hatched, "
            "{model} on {cohort}",
            reading="Plain: outlines drawn too wide, or another class. Hatched: drawn where the reference has none "
            "of it.",
        ),
        Figure(
            id="detection",
            title="lesion detection",
            per=SCORES,
            section="lesions",
            draw="posttx.reporting.figures_cases:draw_detection",
            inputs={"lesions": "lesions/{cohort}/{model}.parquet"},
            parameters=("colors",),
            caption="Share of the reference lesions that {model} found on {cohort}, by volume, with 95 % intervals "
            "by patient; to the right the lesions predicted where there is none. Lesions as the evaluation scheme "
            "delimits them; those it ignores are left out.",
            alt="Share of the reference lesions that were found, by volume, and number of false-positive lesions, "
            "{model} on {cohort}",
            reading="Found means matched by the rules of the evaluation scheme; bars are 95 % intervals of each "
            "share by patient, none below 4 patients. A curve that rises late says that small lesions are "
            "overlooked. False-positive lesions are counted over all cases.",
            needs_images=True,
        ),
        Figure(
            id="subgroups",
            title="subgroups",
            per=SCORES,
            section="subgroups",
            draw="posttx.reporting.figures_subgroups:draw_subgroups",
            inputs={"subgroups": "tables/{cohort}/{model}/subgroups.parquet"},
            parameters=("colors", "convention"),
            caption="Mean Dice ({convention}) of {model} on {cohort} by subgroup, with 95 % intervals by patient: "
            "facts about the cases, visit, reference volume and cohort.",
            alt="Dice of each class by subgroup with 95 % intervals, {model} on {cohort}",
            reading="Filled marks: the gap to the other groups is shown; hollow ones: it is not, which is no proof "
            "of equality. To the right the number of patients; a group of too few has no interval.",
        ),
        Figure(
            id="trajectories",
            title="courses over time",
            per=SCORES,
            section="courses",
            draw="posttx.reporting.figures_cases:draw_trajectories",
            inputs=METRICS,
            parameters=("colors",),
            caption="Volume of each class over the scans of the patients with most of them, {model} on {cohort}: "
            "reference solid, prediction dashed.",
            alt="Volume of each class over the scans of the patients with most of them, {model} on {cohort}",
            reading="One panel per patient, the patients with most scans first. A dashed line (prediction) that "
            "leaves the solid one (reference) changes the course that a reader would report; lines at 0 are classes "
            "that are not there.",
        ),
        Figure(
            id="ranks",
            title="ranks of the models",
            per=COMPARISON,
            section="comparison",
            draw="posttx.reporting.figures_ranks:draw_ranks",
            inputs={"ranks": "ranks/{cohort}.parquet"},
            caption="Mean rank of each model of {cohort} over the scans that all of them have, with the 95 % "
            "interval of a bootstrap over patients.",
            alt="Mean rank of each model of {cohort} with its interval, over the scans that all of them have",
            reading="Rank 1 is the best model of a scan. Intervals that overlap leave the order open; to the right, "
            "how often a model is first among resampled patients.",
        ),
    )
}


def drawn_per(kind: str) -> list[Figure]:
    """Return the figures of a kind, in order."""
    return [figure for figure in CATALOGUE.values() if figure.per == kind]


def inputs_of(kind: str) -> dict[str, str]:
    """Return what the figures of a kind are drawn from: argument -> path below results."""
    return {name: path for figure in drawn_per(kind) for name, path in figure.inputs.items()}


def parameters_of(kind: str) -> list[str]:
    """Return the names of the parameters that the figures of a kind need, each once."""
    return list(dict.fromkeys(name for figure in drawn_per(kind) for name in figure.parameters))

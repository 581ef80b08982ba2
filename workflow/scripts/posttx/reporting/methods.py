"""The methods section, written from the configuration, nnU-Net's plans and the versions: what was done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from posttx.analysis.interpretation_rules import MOST_HARM
from posttx.analysis.postprocess_words import RAISED
from posttx.analysis.statistics import FEWEST_FOR_INTERVAL, FEWEST_FOR_P, FLIPS
from posttx.missing_modalities import dropout_of
from posttx.networks.training import OPTIMIZERS, POLYNOMIAL, REACH, ROUND, ROUND_RATE, WEIGHT_DECAY
from posttx.networks.trainings import levers, plan_overrides, trainer_class
from posttx.postprocess.models import CHOSEN_RULES, has_rules
from posttx.reporting.palettes import MODALITY_NAMES
from posttx.scoring.scoring_schemes import scoring_scheme

Paragraph = tuple[str, str]
# Lever of training -> its settings as a clause.
LEVER_CLAUSES: dict[str, Callable[[Any], str]] = {
    "targets": lambda targets: (
        f"the regions {', '.join(one['name'] for one in targets)} are learnt by a sigmoid each (Dice plus binary "
        "cross-entropy), and drawn over each other in this order where they exceed 0.5"
    ),
    "attention": lambda kind: (
        "additive attention gates (Oktay et al., Attention U-Net, 2018) weigh every skip connection of the decoder but "
        "the finest"
    ),
    "boundary": lambda lever: (
        f"{lever['weight']:g} times the mean cross-entropy of the voxels within {REACH} voxels of both "
        f"{' and '.join(lever['between'])} is added to the loss at the finest scale, where a voxel weighs the more the "
        "nearer it is to both"
    ),
    "channel_dropout": lambda lever: (
        "in every patch, after augmentation, modalities were set to 0 at random, never all four: "
        + ", ".join(f"{MODALITY_NAMES[name]} with probability {chance:g}" for name, chance in dropout_of(lever).items())
    ),
    "sampling": lambda kind: (
        "every patch is centred on a voxel of a class that is drawn with a probability inverse to its volume in the "
        "training part, in a scan drawn among those that have it"
    ),
    "hard_negatives": lambda lever: (
        f"after these epochs, {_rounds(lever['rounds'])} ({ROUND:.0%} as many epochs each, learning rate from "
        f"{ROUND_RATE:.0%} of the first to 0) in which a patch is centred, with a probability of "
        f"{lever['share']:g}, on a false-positive component (no voxel of the class in the reference) of "
        f"{' or '.join(lever['classes'])} that the fold's own network had predicted in the scans that it was trained on"
    ),
}


def _rounds(count: int) -> str:
    return "one further round" if count == 1 else f"{count} further rounds"


def preprocessing(config: Mapping[str, Any]) -> list[Paragraph]:
    """Return (heading, text) of what happens to every image before nnU-Net sees it."""
    standard = config["standardize"]
    low, high = standard["clip_percentiles"]
    edge = f"{standard['spacing']:g}"
    extra = standard.get("extra_channels") or []
    # As standardization makes them: each modality clipped, z-scored, subtracted.
    channels = f" Channels added: {', '.join(extra)}, differences of z-scored modalities." if extra else ""
    return [
        (
            "Reorientation",
            f"All volumes were brought to {standard['orientation']} axis order by flips and transpositions.",
        ),
        (
            "Resampling",
            f"Voxels are {edge} × {edge} × {edge} mm³; where a scan differed, images were resampled by "
            f"{standard['interpolation']} interpolation and references label by label (the label with the largest "
            "share of a voxel). A grid that fits was left as it is.",
        ),
        (
            "Intensities",
            f"Each modality was clipped to its percentiles {low:g} and {high:g} over the non-zero voxels of the scan "
            f"as it came; nnU-Net normalised it as its plan says (below).{channels}",
        ),
    ]


def network(plans: Mapping[str, Any], train: Mapping[str, Any]) -> list[Paragraph]:
    """Return (heading, text) of the planned network of a model; what the plan does not say is left out."""
    settings = planned_configuration(plans, train["configuration"])
    architecture = settings.get("architecture") or {}
    kwargs = architecture.get("arch_kwargs") or {}
    paragraphs = [
        (
            "Architecture",
            f"{_last(architecture.get('network_class_name', 'the planned network'))}, {kwargs.get('n_stages', '?')} "
            f"stages, features {_dashed(kwargs.get('features_per_stage'))}, patch "
            f"{_times(settings.get('patch_size', []))} voxels, batch {settings.get('batch_size', '?')}; "
            f"{_list(kwargs.get('n_conv_per_stage') or kwargs.get('n_blocks_per_stage'))} convolutions or blocks per "
            "stage; "
            f"kernels {_distinct(kwargs.get('kernel_sizes'))}; strides {_distinct(kwargs.get('strides'), every=True)}; "
            f"{_last(kwargs.get('norm_op', ''))}, {_last(kwargs.get('nonlin', ''))}.",
        ),
        (
            "Input",
            f"Spacing {_times(settings.get('spacing', []))} mm; normalisation "
            f"{', '.join(dict.fromkeys(map(str, settings.get('normalization_schemes', []))))}; "
            "images were cropped to their non-zero part, in the median "
            f"{_times(settings.get('median_image_size_in_voxels', []))} voxels.",
        ),
    ]
    changed = plan_overrides(train)
    if changed:
        told = ", ".join(f"{key} = {value}" for key, value in changed.items())
        paragraphs.append(("Changes to the plan", f"The configuration replaces what the planner chose: {told}."))
    return paragraphs


def planned_configuration(plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a configuration with what it inherits (nnU-Net's ``inherits_from``)."""
    settings = dict(plans["configurations"][name])
    parent = settings.get("inherits_from")
    return {**planned_configuration(plans, parent), **settings} if parent else settings


def training(train: Mapping[str, Any]) -> list[Paragraph]:
    """Return (heading, text) of how a model was trained and how it predicts."""
    folds, trainer = train["folds"], trainer_class(train)
    like = f"{trainer}, which trains as nnU-Net's {train['trainer']}" if trainer != train["trainer"] else trainer
    as_nnunet = "sampling" not in levers(train)
    centred = f"{train['foreground']:.0%} of the patches were centred on a label; " if as_nnunet else ""
    copies = "averaged over the eight mirrored copies of a patch" if train["mirroring"] else "without mirrored copies"
    return [
        ("Cross-validation", _folds(folds, train.get("leave_out"))),
        (
            "Training",
            f"{train['epochs']} epochs of {train['iterations']} iterations per fold on {train['device']} with {like}: "
            "nnU-Net's augmentation (mirroring among it); Dice plus cross-entropy loss with deep supervision; "
            f"{OPTIMIZERS[train['optimizer']]}, weight decay {WEIGHT_DECAY:g}, learning rate from "
            f"{train['learning_rate']:g} by a polynomial of power {POLYNOMIAL:g} to 0; {centred}"
            f"seed {train['seed']} plus the number of the fold. The network after the last epoch is the one that "
            "predicts.",
        ),
        *changed_training(train),
        *postprocessing(train),
        (
            "Prediction",
            f"Cases of the training cohort were predicted by the one fold that had not seen them (out of fold); all "
            f"others by the ensemble of the {folds} folds (the mean of their logits). Predictions were {copies}, put "
            "back onto the original grid of the scan and scored there.",
        ),
    ]


def _folds(folds: int, left_out: str | None) -> str:
    siblings = "all scans of a patient are in one fold, so that no validation case has a sibling in its training set."
    if not left_out:
        return f"{folds} folds grouped by patient: {siblings}"
    return (
        f"{folds} folds, each of which leaves out all scans of one value of {left_out}: no validation case has a scan "
        f"of the same {left_out} in its training set. Folds are grouped by patient, too: {siblings}"
    )


def changed_training(train: Mapping[str, Any]) -> list[Paragraph]:
    """Return (heading, text) of what levers change in nnU-Net's training; nothing where none is on."""
    clauses = [LEVER_CLAUSES[name](setting) for name, setting in levers(train).items()]
    return [("Changes to the training", f"What differs from nnU-Net's: {'; '.join(clauses)}.")] if clauses else []


def postprocessing(train: Mapping[str, Any]) -> list[Paragraph]:
    """Return (heading, text) of how the rules of post-processing came about; nothing where there are none."""
    if not has_rules(train):
        return []
    if train["postprocess"] == CHOSEN_RULES:
        how = (
            f"Rules that drop predicted components were chosen per class to raise {RAISED[train['postprocess_for']]}: "
            "for the cases that a fold held out on the cases of the other folds, for all other cohorts on all folds. A "
            "class has no rule unless the 95 % interval, by patient, of the gain of cases under the rules of their own "
            f"fold lies above 0 and no other class falls by more than {MOST_HARM:g}."
        )
    else:
        how = "Rules that drop predicted components were given, not chosen here."
    return [("Post-processing", f"{how} Post-processed predictions are scored as a model of their own.")]


def evaluation(config: Mapping[str, Any]) -> list[Paragraph]:
    """Return (heading, text) of how segmentations were scored."""
    tolerances = " and ".join(f"{value:g}" for value in config["evaluation"]["surface_tolerance_mm"])
    scheme = scoring_scheme(config["evaluation"]["scheme"], config["evaluation"]["snfh_dilation"])
    if _counts_alone(config):
        beyond_counts = "there are no distances and no lesions, for only counts were given."
    elif scheme.matching == "none":
        beyond_counts = f"the scheme {scheme.name} measures no distances and no lesions."
    else:
        beyond_counts = (
            "surface distances are taken in mm (95th percentile of the Hausdorff distance; normalised surface Dice at "
            f"{tolerances} mm); lesion-wise scores follow the scheme {scheme.name} ({scheme.description})."
        )
    return [
        (
            "Scores",
            "Voxel counts per class and case give Dice, intersection over union, precision and recall; "
            f"{beyond_counts}",
        ),
        (
            "Intervals",
            f"95 % intervals are those of a jackknife over patients, because scans of one patient are not independent, "
            "with Student's t: of shares on the logit scale, of correlations on Fisher's z. Fewer than "
            f"{FEWEST_FOR_INTERVAL} patients with a value have none.",
        ),
        (
            "Tests",
            f"p-values are two-sided and flip the signs of patients ({FLIPS:,} patterns, all of them where there are "
            f"fewer), and are adjusted by Holm; fewer than {FEWEST_FOR_P} patients have none.",
        ),
    ]


def has_distances(config: Mapping[str, Any]) -> bool:
    """Return whether surfaces and lesions are measured: for segmentations, unless the scheme measures none."""
    scheme = scoring_scheme(config["evaluation"]["scheme"], config["evaluation"]["snfh_dilation"])
    return not _counts_alone(config) and scheme.matching != "none"


def software(provenance: Mapping[str, Any]) -> str:
    """Return one sentence with the versions that shape the numbers."""
    packages = provenance.get("packages") or {}
    named = ["snakemake", "nnunetv2", "torch", "numpy", "scipy", "nibabel"]
    told = ", ".join(f"{name} {packages[name]}" for name in named if packages.get(name))
    return f"Software: Python {provenance.get('python', '?')}, {told}." if told else ""


def markdown(
    config: Mapping[str, Any],
    trained: Mapping[str, Mapping[str, Any]],
    plans: Mapping[str, Mapping[str, Any]],
    provenance: Mapping[str, Any],
    ensembles: Sequence[Mapping[str, Any]],
) -> str:
    """Return the whole section as Markdown with citations as pandoc writes them, to be pasted into a paper.

    ``ensembles`` have ``name`` and ``paragraphs`` (heading, text) each.
    """
    parts = ["## Methods", ""]
    paragraphs = preprocessing(config) if trained else []
    for name, model in trained.items():
        train = model["train"]
        paragraphs += [(f"{heading} ({name})", text) for heading, text in network(plans[name], train) + training(train)]
    for made in ensembles:
        paragraphs += [(f"{heading} ({made['name']})", text) for heading, text in made["paragraphs"]]
    paragraphs += evaluation(config)
    for heading, text in paragraphs:
        parts += [f"**{heading}.** {text}", ""]
    parts += [
        f"{software(provenance)} The workflow runs in Snakemake [@snakemake]; networks are nnU-Net's [@nnunet].",
        "",
    ]
    return "\n".join(parts)


def bibliography(assets: str | Path, config: Mapping[str, Any]) -> str:
    """Return the BibTeX entries of what a run cites; that of the phantom's anatomy only where there is a phantom."""
    entries = (Path(assets) / "references.bib").read_text(encoding="utf-8").strip().split("\n\n")
    phantom = any("phantom" in cohort for cohort in config["cohorts"].values())
    return "\n\n".join(entry for entry in entries if phantom or "{mni152," not in entry) + "\n"


def _counts_alone(config: Mapping[str, Any]) -> bool:
    return all("counts" in model for model in config["models"].values())


def _last(name: Any) -> str:
    return str(name).rsplit(".", 1)[-1]


def _list(values: Any) -> str:
    return f"[{', '.join(map(str, values))}]" if isinstance(values, Sequence) and not isinstance(values, str) else "?"


def _dashed(values: Any) -> str:
    return "-".join(map(str, values)) if isinstance(values, Sequence) and not isinstance(values, str) else "?"


def _times(values: Sequence[Any]) -> str:
    return " × ".join(f"{value:g}" for value in values) or "?"


def _distinct(values: Any, every: bool = False) -> str:
    if not isinstance(values, Sequence) or isinstance(values, str):
        return "?"
    told = ["×".join(map(str, value)) if isinstance(value, Sequence) else str(value) for value in values]
    return ", ".join(told if every else dict.fromkeys(told))

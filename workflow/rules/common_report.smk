"""What figures and report share: looks, and which of them a configuration has. No rules in here."""

from dataclasses import asdict

from posttx.networks.lever_pairs import lever_pairs
from posttx.reporting import figures
from posttx.reporting.palettes import described_regions, region_colors

# Looks are parameters of figures and report alone, so that a new colour re-runs nothing else.
REGION_COLORS = region_colors(SCHEME, config["report"]["palette"])
LABEL_COLORS = {region.label: REGION_COLORS[region.name] for region in SCHEME.regions if region.label is not None}
LABEL_NAMES = SCHEME.names

# Cohorts with models to compare: two of this run, or one of it and one of an earlier run.
COMPARED_COHORTS = [cohort for cohort in CASES if len(models_of(cohort)) + len(previous_metrics(cohort)) > 1]


def compared_metrics(wildcards):
    """Return the metrics of every model of the cohorts whose models are compared."""
    return [f"<results>/metrics/{cohort}/{model}.parquet" for cohort in COMPARED_COHORTS for model in models_of(cohort)]


def compared_with(wildcards):
    """Return the metrics of an earlier run that those are compared with."""
    return [path for cohort in COMPARED_COHORTS for path in previous_metrics(cohort)]


def mixed_run(model):
    """Return metrics, folds and provenance of a model's training cohort in an earlier run; none where one is absent."""
    previous = Path(config["statistics"]["previous"] or "")
    paths = [previous / f"metrics/{TRAIN_COHORT}/{model}.parquet", previous / "tables/splits.parquet"]
    paths.append(previous / "provenance.json")
    return list(map(str, paths)) if config["statistics"]["previous"] and all(map(Path.is_file, paths)) else []


# Models whose folds leave something out, and that an earlier run may have trained with mixed folds.
COMPARED_WITH_MIXED = [model for model in TRAINED if LEAVE_OUT and mixed_run(model)]


def mixed_run_of(wildcards):
    """Return the same of the model that wildcards name."""
    return mixed_run(wildcards.model)


# What the table of levers compares: models that differ from the plain one in a single lever.
LEVER_PAIRS = lever_pairs(config)


def lever_metrics(wildcards):
    """Return the metrics of the models that the table of levers compares, of all cohorts that they are scored on."""
    names = dict.fromkeys(name for pair in LEVER_PAIRS for both in pair.seeds for name in both)
    return [
        f"<results>/metrics/{cohort}/{model}.parquet"
        for cohort in CASES
        for model in names
        if model in models_of(cohort)
    ]


def lever_networks():
    """Return trained model -> its nnU-Net folder, for the models whose cost the table of levers tells."""
    names = dict.fromkeys(name for pair in LEVER_PAIRS for name in (pair.baseline, *pair.networks) if name in TRAINED)
    return {name: f"results/nnunet/models/{DATASET}/{model_folder(name)}" for name in names}


def geometries_of(wildcards):
    """Return the audit's readings of all shards of a cohort."""
    folder = f"<results>/audit/shards/{wildcards.cohort}"
    return [f"{folder}/{shard}/geometry.parquet" for shard in shards_of(wildcards.cohort)]


def extremes_of(kind):
    """Return a function of wildcards: the tables of the worst or the best cases of a cohort's segmentations, by model."""
    return lambda wildcards: [
        f"<results>/tables/{wildcards.cohort}/{model}/{kind}_cases.parquet" for model in scored_models(wildcards.cohort)
    ]


def drawing_of(wildcards):
    """Return how cases of a cohort are drawn: looks, and what decided how they were scored."""
    return {
        "models": scored_models(wildcards.cohort),
        "colors": LABEL_COLORS,
        "names": LABEL_NAMES,
        "scheme": config["evaluation"]["scheme"],
        "snfh_dilation": config["evaluation"]["snfh_dilation"],
        "references": config["cohorts"][wildcards.cohort]["use"] != "predict",
    }


# Shards whose small pictures are one job: it takes a second a case, and a plan of 1,621 cases has 400 jobs at most.
SHARDS_A_BATCH = 4


def batch_of(shard):
    """Return the batch that a shard belongs to, whichever other shards there are."""
    return f"{int(shard) // SHARDS_A_BATCH:03d}"


def of_batch(pattern):
    """Return a function of wildcards: the files of a pattern of all shards of a batch."""
    return lambda wildcards: [
        pattern.format(cohort=wildcards.cohort, shard=shard)
        for shard in shards_of(wildcards.cohort)
        if batch_of(shard) == wildcards.batch
    ]


def reviewed_files():
    """Return what the review page needs of every cohort with images and segmentations."""
    paths = []
    for cohort in filter(scored_models, IMAGE_COHORTS):
        paths.append(f"<results>/report/images/{cohort}")
        batches = sorted({batch_of(shard) for shard in shards_of(cohort)})
        paths += [f"<results>/report/thumbs/{cohort}/_drawn/{batch}.tsv" for batch in batches]
    return paths


def confusion_of(wildcards):
    """Return the confusion table of a model on a cohort; none where only counts are known."""
    known = wildcards.model in scored_models(wildcards.cohort)
    return [f"<results>/confusion/{wildcards.cohort}/{wildcards.model}.parquet"] if known else []


# What the figures' inputs are where the catalogue's pattern is not all: files of all folds, and what may not be known.
FIGURE_INPUTS = {"folds": fold_files("checkpoint_final.pth"), "confusion": confusion_of}
FIGURE_PARAMETERS = {"colors": REGION_COLORS, "names": LABEL_NAMES, "convention": config["report"]["convention"]}


def figure_inputs(kind):
    """Return what the figures of a kind are drawn from, by name."""
    return {name: FIGURE_INPUTS.get(name, f"<results>/{path}") for name, path in figures.inputs_of(kind).items()}


def figure_outputs(kind):
    """Return the figures of a kind, by id, as results of `snakemake --report`."""
    category = figures.KINDS[kind].category
    return {
        figure.id: report(
            f"<results>/{figure.path}",
            caption=f"../report/captions/{figure.id}.rst",
            category=category,
            labels=figure.labels,
        )
        for figure in figures.drawn_per(kind)
    }


def figure_parameters(kind):
    """Return the parameters that the figures of a kind need, by name."""
    return {name: FIGURE_PARAMETERS[name] for name in figures.parameters_of(kind)}


def figure_paths(kind, **names):
    """Return the figures of a kind of one cohort, model or both."""
    return [f"<results>/{figure.path.format(**names)}" for figure in figures.drawn_per(kind)]


def report_inputs(wildcards):
    """Return every table and figure that the report shows."""
    scored = [(cohort, model) for cohort in CASES for model in models_of(cohort)]
    paths = [f"<results>/cohorts/{cohort}.parquet" for cohort in IMAGE_COHORTS]
    if IMAGE_COHORTS:
        paths += [f"<results>/audit/{name}.parquet" for name in ("intensity", "labels", "findings", "shift")]
        paths += figure_paths(figures.DATA)
        paths += ["<results>/audit/scheme.json", "<results>/audit/gate.json", "<results>/report/audit.html"]
    for cohort, model in scored:
        paths.append(f"<results>/tables/{cohort}/{model}/summary.parquet")
        paths += figure_paths(figures.SCORES, cohort=cohort, model=model)
    paths += reviewed_files()
    paths += ["<results>/tables/folds.parquet", "<results>/tables/splits.csv"] if TRAINED else []
    for model in TRAINED:
        paths += figure_paths(figures.TRAINING, model=model)
        paths.append(f"<results>/nnunet/preprocessed/{DATASET}/{plans_name(model)}.json")
        paths += [f"<results>/tables/mined/{model}.parquet"] if TRAINED[model]["hard_negatives"] else []
    paths += [f"<results>/tables/{TRAIN_COHORT}/{model}/weights.parquet" for model in WEIGHED]
    paths += [f"<results>/tables/{cohort}/{model}/seeds.parquet" for cohort, model in scored if model in REPEATED]
    paths += [f"<results>/tables/{TRAIN_COHORT}/{model}/left_out.parquet" for model in COMPARED_WITH_MIXED]
    paths += ["<results>/tables/levers.parquet"] if LEVER_PAIRS else []
    paths += [f"<results>/tables/{TRAIN_COHORT}/{model}/postprocess.parquet" for model in POSTPROCESSED]
    for cohort in COMPARED_COHORTS:
        paths += [f"<results>/{kind}/{cohort}.parquet" for kind in ("comparisons", "ranks")]
        paths += figure_paths(figures.COMPARISON, cohort=cohort)
    return [*paths, "<results>/provenance.json"]


def audit_settings():
    """Return what the audit's page must know beside its tables: the gate's settings, uses, names and colours."""
    return {
        "cohorts": {cohort: config["cohorts"][cohort]["use"] for cohort in IMAGE_COHORTS},
        "fail_on": config["audit"]["fail_on"],
        "geometry": config["audit"]["geometry"],
        "labels": LABEL_NAMES,
        "colors": REGION_COLORS,
    }


def report_settings():
    """Return what the report must know beside its tables: the configuration, what exists, names and colours."""
    folder = f"nnunet/models/{DATASET}"
    preprocessed = f"nnunet/preprocessed/{DATASET}"
    return {
        "config": config,
        "scheme": SCHEME.description,
        "cohorts": {cohort: cohort in IMAGE_COHORTS for cohort in CASES},
        "models": {cohort: models_of(cohort) for cohort in CASES},
        "seeds": REPEATED,
        "made_here": MADE_HERE,
        "levers": bool(LEVER_PAIRS),
        "postprocessed": POSTPROCESSED,
        "trained": {
            model: {
                "folder": f"{folder}/{model_folder(model)}",
                "plans": f"{preprocessed}/{plans_name(model)}.json",
                "train": settings,
            }
            for model, settings in TRAINED.items()
        },
        "regions": described_regions(SCHEME, config["report"]["palette"]),
    }

"""What the evaluation rules share: whose segmentations are scored, where they lie, and by which rules. No rules in here."""

from functools import cache

from posttx.dates import size_and_date
from posttx.planning import check_before
from posttx.scoring.predictions import check_predictions, find_predictions

SEGMENTED_MODELS = one_of(model for model, source in config["models"].items() if "counts" not in source)
COUNTED_MODELS = one_of(model for model, source in config["models"].items() if "counts" in source)


@cache
def foreign_predictions(cohort, model):
    """Return what a folder of somebody else's predictions holds for a cohort; refused where nothing fits, or two files do."""
    folder = config["models"][model]["predictions"][cohort]
    cases = [case.case for case in CASES[cohort]]
    try:
        found = find_predictions(folder, cases)
        check_predictions(found, folder, cases)
        check_path_names((case, str(path)) for case, path in found.files.items())
        return found
    except PostTxError as error:
        raise WorkflowError(f"models.{model}.predictions.{cohort}: {told(error)}")


def all_foreign_predictions():
    """Look at every folder of somebody else's predictions, and refuse what cannot be scored."""
    for model, source in config["models"].items():
        for cohort in source.get("predictions", ()):
            foreign_predictions(cohort, model)


# What an input function raises is swallowed where the outputs exist already. The audit asks for no predictions.
check_before("gather_metrics", all_foreign_predictions)


def predictions_of(wildcards):
    """Return the predictions of one shard by all scored models: lists of our own, files of others."""
    cohort, shard = wildcards.cohort, wildcards.shard
    paths = []
    for model in scored_models(cohort):
        if model in MADE_HERE:
            paths.append(f"<results>/predictions/{cohort}/{model}/{shard}/_cases.tsv")
            continue
        try:
            found = foreign_predictions(cohort, model)
        except WorkflowError:
            # The check above says it without the trace that Snakemake adds here; a job's own process has no such check.
            if workflow.is_main_process:
                continue
            raise
        for case in CASES[cohort]:
            if case.shard == shard:
                paths += map(str, [found.files[case.case]] if case.case in found.files else [])
    return paths


def prediction_dates(wildcards):
    """Return a digest of sizes and dates of others' predictions of a shard: older ones may have replaced them."""
    paths = [path for path in predictions_of(wildcards) if not path.startswith("<results>")]
    return digest_of([size_and_date(path) for path in paths])


def counts_date(wildcards):
    """Return size and date of a file of counts."""
    return size_and_date(config["models"][wildcards.model]["counts"][wildcards.cohort])


def prediction_folders(cohort, shard):
    """Return model -> folder of its predictions, for the scored models of a cohort."""
    return {
        model: (
            f"results/predictions/{cohort}/{model}/{shard}"
            if model in MADE_HERE
            else config["models"][model]["predictions"][cohort]
        )
        for model in scored_models(cohort)
    }


def foreign_folder_of(wildcards):
    """Return the folder of somebody else's predictions, None for a model made here."""
    return config["models"][wildcards.model].get("predictions", {}).get(wildcards.cohort)


def geometry_of(wildcards):
    """Return the audit's readings of the cases of a shard; none for a cohort of references alone."""
    images = any(set(case.files) - {"seg"} for case in CASES[wildcards.cohort])
    return "<results>/audit/shards/{cohort}/{shard}/geometry.parquet" if images else []


def cohort_table_of(wildcards):
    """Return the cohort's table; none for a cohort that is known by counts alone."""
    return "<results>/cohorts/{cohort}.parquet" if CASES[wildcards.cohort] else []


def gate_of(wildcards):
    """Return the audit's gate, for order alone; none for a cohort that is known by counts alone."""
    return ancient("<results>/audit/gate.json") if CASES[wildcards.cohort] else []


def scored_shards_of(wildcards):
    """Return the lists of scored cases of all shards of a cohort."""
    return [f"<results>/scored/{wildcards.cohort}/{shard}.tsv" for shard in shards_of(wildcards.cohort)]


def scoring_of(wildcards):
    """Return all that the scores of a shard depend on besides files; names and colours of labels are not among it."""
    return {
        "folders": prediction_folders(wildcards.cohort, wildcards.shard),
        "regions": SCHEME.scoring(),
        "scheme": config["evaluation"]["scheme"],
        "tolerances": config["evaluation"]["surface_tolerance_mm"],
        "missing": config["evaluation"]["missing"],
        "snfh_dilation": config["evaluation"]["snfh_dilation"],
        "references": config["cohorts"][wildcards.cohort]["use"] != "predict",
    }


def counts_settings():
    """Return all that the import of counts depends on besides files."""
    return {
        "regions": SCHEME.scoring(),
        "shards": config["shards"],
        "voxel_mm3": config["evaluation"]["counts_voxel_mm3"],
    }


def notes_on_people(wildcards):
    """Return what listing told of a cohort that has a sheet without files: no audit is there to tell it."""
    return [note for note in NOTES if note["cohort"] == wildcards.cohort and wildcards.cohort in PEOPLE]


def people_known(wildcards):
    """Return the people that a cohort's sheet without files names; None where there is no such sheet."""
    return PEOPLE.get(wildcards.cohort)


def metrics_of_cohorts(wildcards):
    """Return a model's metrics on all cohorts that have references, its own among them."""
    cohorts = [cohort for cohort in CASES if config["cohorts"][cohort]["use"] != "predict"]
    scored = [cohort for cohort in cohorts if wildcards.model in models_of(cohort)] or [wildcards.cohort]
    return [f"<results>/metrics/{cohort}/{wildcards.model}.parquet" for cohort in scored]


def metrics_of_seeds(wildcards):
    """Return the metrics of a model and of those that differ from it by the seed of their training alone."""
    models = [wildcards.model, *REPEATED[wildcards.model]]
    return [f"<results>/metrics/{wildcards.cohort}/{model}.parquet" for model in models]


def all_metrics():
    """Return the gathered scores of all models on all cohorts."""
    return [f"<results>/metrics/{cohort}/{model}.parquet" for cohort in CASES for model in models_of(cohort)]

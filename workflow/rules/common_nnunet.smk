"""What the nnU-Net rules share: folders, and settings of the model that a job's wildcards name. No rules in here."""

import json

FOLDS = next((settings["folds"] for settings in TRAINED.values()), 0)
# The fact that each fold leaves one value of out, "" where folds are mixed.
LEAVE_OUT = left_out.leave_out_of(config)
PLANS = {trainings.plans_name(settings): settings for settings in TRAINED.values()}
# What is planned and preprocessed, with a model that is trained on it; the plans of levers and further seeds are copies.
DATA_PLANS = {trainings.data_plans_name(settings): settings for settings in TRAINED.values()}
COPIED_PLANS = [plans for plans in PLANS if plans not in DATA_PLANS]
LEVERED_PLANS = [plans for plans in COPIED_PLANS if trainings.levers(PLANS[plans])]
PREDICTED_COHORTS = [cohort for cohort in IMAGE_COHORTS if cohort != TRAIN_COHORT]
# Post-processed model -> the one whose predictions it is made of.
UNPROCESSED = {processed: model for model, processed in POSTPROCESSED.items()}


pathvars:
    raw=f"<results>/nnunet/raw/{DATASET}",
    preprocessed=f"<results>/nnunet/preprocessed/{DATASET}",
    trained=f"<results>/nnunet/models/{DATASET}",


def plans_name(model):
    """Return nnU-Net's plans identifier of a model trained here."""
    return trainings.plans_name(TRAINED[model])


def model_folder(model):
    """Return nnU-Net's folder of a model trained here."""
    return trainings.model_folder(TRAINED[model])


def trained_as(wildcards):
    """Return the train settings that wildcards name, by model or by nnU-Net's folder (trainer, plans, configuration)."""
    if hasattr(wildcards, "model"):
        return TRAINED[wildcards.model]
    folder = f"{wildcards.trainer}__{wildcards.plans}__{wildcards.configuration}"
    return next(settings for settings in TRAINED.values() if trainings.model_folder(settings) == folder)


def train_setting(key):
    """Return a function of wildcards: one train setting of the model they name."""

    def setting(wildcards):
        return trained_as(wildcards)[key]

    return setting


def uses_gpu(wildcards):
    """Return how many GPUs a job of the model that wildcards name needs."""
    return int(trained_as(wildcards)["device"] == "cuda")


def train_device(wildcards):
    """Return where to compute; a resource and not a param, because another device is no reason to train again."""
    return trained_as(wildcards)["device"]


def checkpoint_minutes(wildcards):
    """Return how often to write checkpoints, as text (a number would be rounded); a resource for the same reason."""
    return str(trained_as(wildcards)["checkpoint_minutes"])


def uncertainty_folder(wildcards):
    """Return where the disagreement of a model's folds on a shard goes; nothing where it is not asked for."""
    wanted = wildcards.model in TRAINED and TRAINED[wildcards.model]["uncertainty"]
    # Out of fold there is one network per case, and nobody to disagree with.
    if not wanted or wildcards.cohort not in PREDICTED_COHORTS:
        return ""
    folder = f"results/uncertainty/{wildcards.cohort}/{wildcards.model}"
    return f"{folder}/{wildcards.shard}" if hasattr(wildcards, "shard") else folder


def planner_of(wildcards):
    """Return the class name of the planner behind a plans identifier."""
    return trainings.PLANNERS[DATA_PLANS[wildcards.plans]["planner"]][0]


def overrides_of(wildcards):
    """Return what the config changes in the plan behind a plans identifier, as JSON."""
    return json.dumps(trainings.plan_overrides(DATA_PLANS[wildcards.plans]), sort_keys=True)


def plan_of_data(wildcards):
    """Return the plan of the data that a plans identifier of levers or of a further seed is a copy of."""
    return f"<preprocessed>/{trainings.data_plans_name(PLANS[wildcards.plans])}.json"


def levers_of(wildcards):
    """Return the levers of training behind a plans identifier, with their settings."""
    return trainings.levers(PLANS[wildcards.plans])


def preprocessed_marker(wildcards):
    """Return the marker of the preprocessed data that a plans identifier trains on; levers and seeds share them."""
    return f"<preprocessed>/markers/{trainings.data_plans_name(PLANS[wildcards.plans])}_{wildcards.configuration}.json"


def division():
    """Return the number of folds; where each leaves a value of a fact out, that fact and a digest of who has which.

    The table of facts is an ancient input of the folds: another column of it is no reason to train again.
    """
    if not LEAVE_OUT:
        return FOLDS
    return {"leave_out": LEAVE_OUT, "values": digest_of(VALUES_LEFT_OUT)}


def facts_left_out(wildcards):
    """Return the tables with the fact that the folds leave out; none where folds are mixed."""
    return list(fact_sources(config["cohorts"][TRAIN_COHORT]).values()) if LEAVE_OUT else []


def train_transforms(wildcards):
    """Return the tables of transforms of all shards of the train cohort."""
    return collect(
        "<results>/standardized/{cohort}/{shard}/transforms.parquet",
        cohort=TRAIN_COHORT,
        shard=shards_of(TRAIN_COHORT),
    )


def fold_files(name):
    """Return a function of wildcards: the file of that name of every fold of the model they name."""

    def files(wildcards):
        folder = f"<trained>/{model_folder(wildcards.model)}"
        return [f"{folder}/fold_{fold}/{name}" for fold in range(FOLDS)]

    return files


def unprocessed(path):
    """Return a function of wildcards: a path of the model whose predictions a post-processed one is made of."""

    def path_of(wildcards):
        return path.format(cohort=wildcards.cohort, shard=wildcards.shard, model=UNPROCESSED[wildcards.model])

    return path_of


def splits_of_train_cohort(wildcards):
    """Return the folds where the cohort was trained on: the rules for a case are those of the fold that held it out."""
    return "<results>/tables/splits.parquet" if wildcards.cohort == TRAIN_COHORT else []


def all_checkpoints():
    """Return the final checkpoints of all folds of all models trained here."""
    return [
        f"<trained>/{model_folder(model)}/fold_{fold}/checkpoint_final.pth"
        for model in TRAINED
        for fold in range(FOLDS)
    ]


def all_plan_checks():
    """Return the comparisons of all plans with the published one; seeds of one model have one plan."""
    return [f"<results>/tables/plans/{plans}.parquet" for plans in DATA_PLANS]


def all_predictions():
    """Return the lists of segmented cases of all shards of all cohorts by all models made here."""
    return [
        f"<results>/predictions/{cohort}/{model}/{shard}/_cases.tsv"
        for cohort in IMAGE_COHORTS
        for model in MADE_HERE
        for shard in shards_of(cohort)
    ]


def shard_tables_of_training(ending):
    """Return a function of wildcards: the tables of a model's components of all shards of the train cohort, by ending."""

    def tables(wildcards):
        folder = f"<results>/components/{TRAIN_COHORT}/{wildcards.model}"
        return [f"{folder}/{shard}{ending}.parquet" for shard in shards_of(TRAIN_COHORT)]

    return tables


def rules_given_to(wildcards):
    """Return the content of the user's own file of rules for a model; None where they are chosen."""
    given = RULES_GIVEN.get(wildcards.model)
    return given.content() if given else None

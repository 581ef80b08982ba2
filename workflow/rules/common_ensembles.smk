"""What the rules of ensembles of models share: members, their files, and where they are computed. No rules in here."""

from posttx.networks import model_ensembles

ENSEMBLES = model_ensembles.ensembles(config)
WEIGHED = [model for model in ENSEMBLES if model_ensembles.weighting(config["models"][model]) != model_ensembles.EQUAL]


def members_of(wildcards):
    """Return the members of an ensemble, in the order of the configuration."""
    return ENSEMBLES[wildcards.model]


def member_checkpoints(wildcards):
    """Return the final checkpoints of all folds of one member of an ensemble after the other."""
    return [
        f"<trained>/{model_folder(member)}/fold_{fold}/checkpoint_final.pth"
        for member in members_of(wildcards)
        for fold in range(FOLDS)
    ]


def member_mirroring(wildcards):
    """Return whether each member averages over mirrored copies, with commas between."""
    return ",".join(str(TRAINED[member]["mirroring"]) for member in members_of(wildcards))


def ensemble_device(wildcards):
    """Return where an ensemble is computed; a resource and not a param, as for a model trained here."""
    return model_ensembles.device_of(members_of(wildcards), config)


def ensemble_uses_gpu(wildcards):
    """Return how many GPUs a job of an ensemble needs."""
    return int(ensemble_device(wildcards) == "cuda")


def splits_of(wildcards):
    """Return the table of folds, by which the train cohort is predicted; none for any other cohort."""
    return "<results>/tables/splits.parquet" if wildcards.cohort == TRAIN_COHORT else []


def weights_of(wildcards):
    """Return the file of the weights that were chosen for an ensemble; none where they are equal."""
    return f"<results>/ensembles/{wildcards.model}/weights.json" if wildcards.model in WEIGHED else []


def weight_counts(wildcards):
    """Return the counts of an ensemble's candidates of weights on all shards of the train cohort."""
    return [f"<results>/ensembles/{wildcards.model}/{shard}.parquet" for shard in shards_of(TRAIN_COHORT)]

"""What the rules of cohorts share: their shards, the cases of each, and the files that these are made of. No rules in here."""

from functools import cache

from posttx.dates import newest_file
from posttx.facts import fact_sources


def shards_of(cohort):
    """Return the names of the shards that hold cases of a cohort."""
    return sorted({case.shard for case in CASES[cohort]})


def cases_of(wildcards):
    """Return the cases of one shard."""
    return [case for case in CASES[wildcards.cohort] if case.shard == wildcards.shard]


@cache
def newest_of(cohort, shard):
    """Return date and path of the newest file of a shard, as they were when it was first asked for."""
    return newest_file(path for case in CASES[cohort] if case.shard == shard for path in case.files.values())


def is_made(cohort):
    """Return whether the files of a cohort are made by a rule, and may not be there yet."""
    return "phantom" in config["cohorts"][cohort]


def files_of(wildcards):
    """Return the newest file of a shard, which stands for all (see ingest.smk); all of them where a rule makes them."""
    if is_made(wildcards.cohort):
        return [path for case in cases_of(wildcards) for path in case.files.values()]
    return newest_of(wildcards.cohort, wildcards.shard)[1]


def newest_date(wildcards):
    """Return the date of the newest file of a shard in whole seconds, which every copy keeps; none where a rule makes it."""
    return None if is_made(wildcards.cohort) else int(newest_of(wildcards.cohort, wildcards.shard)[0])


def scanned_shards_of(wildcards):
    """Return the tables of all shards of a cohort."""
    shards = shards_of(wildcards.cohort)
    return [f"<results>/cohorts/shards/{wildcards.cohort}/{shard}.parquet" for shard in shards]


def audits_of_shards(table):
    """Return one table of the audit of every shard of every cohort with images."""
    return [
        f"<results>/audit/shards/{cohort}/{shard}/{table}.parquet"
        for cohort in IMAGE_COHORTS
        for shard in shards_of(cohort)
    ]


def gates():
    """Return the audit's gate; none where no cohort has images or references."""
    return ["<results>/audit/gate.json"] if IMAGE_COHORTS else []


def facts_of(wildcards):
    """Return the tables of facts about the cases of a cohort."""
    return list(fact_sources(config["cohorts"][wildcards.cohort]).values())


def facts_of_cohorts(wildcards):
    """Return the tables of facts of all cohorts with images."""
    return [path for cohort in IMAGE_COHORTS for path in fact_sources(config["cohorts"][cohort]).values()]


def phantom_settings(wildcards):
    """Return seed and voxel edge of a phantom cohort, and what makes it harder than the plain one, if anything does."""
    phantom = config["cohorts"][wildcards.cohort]["phantom"]
    harder = {
        "pitfalls": {name: number for name, number in phantom["pitfalls"].items() if number},
        "sites": phantom["sites"] if phantom["sites"] > 1 else 0,
        "rims": phantom["rims"],
    }
    return {"seed": phantom["seed"], "spacing": phantom["spacing"]} | {
        key: value for key, value in harder.items() if value
    }

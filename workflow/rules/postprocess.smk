"""Rules of post-processing: chosen on the out-of-fold predictions of the train cohort, or given and scored on them."""


rule measure_overlaps:
    """Measure what the predicted components of a shard share with the references."""
    input:
        cohort="<results>/cohorts/shards/{cohort}/{shard}.parquet",
        geometry="<results>/audit/shards/{cohort}/{shard}/geometry.parquet",
        gate=ancient("<results>/audit/gate.json"),
        predictions="<results>/predictions/{cohort}/{model}/{shard}/_cases.tsv",
        components="<results>/components/{cohort}/{model}/{shard}.parquet",
    output:
        overlaps="<results>/components/{cohort}/{model}/{shard}_overlaps.parquet",
    log:
        "<logs>/measure_overlaps/{cohort}/{model}/{shard}.log",
    benchmark:
        "<benchmarks>/measure_overlaps/{cohort}/{model}/{shard}.tsv"
    wildcard_constraints:
        cohort=one_of([TRAIN_COHORT] if TRAIN_COHORT else []),
        model=one_of(POSTPROCESSED),
    conda:
        "../../envs/base.yaml"
    threads: 2
    resources:
        mem_mb=1_500,
        runtime="1h",
    params:
        folder=lambda wildcards: f"results/predictions/{wildcards.cohort}/{wildcards.model}/{wildcards.shard}",
        classes={label.name: label.value for label in SCHEME.labels},
        scheme=lookup("evaluation/scheme", within=config),
        snfh_dilation=lookup("evaluation/snfh_dilation", within=config),
        code=code_of("measure_overlaps.py"),
    message:
        "Measuring the components of {wildcards.model} in shard {wildcards.shard} of {wildcards.cohort}."
    script:
        "../scripts/measure_overlaps.py"


rule choose_rules:
    """Choose the rules of post-processing of a model out of fold by patient, or score those that the user gives."""
    input:
        overlaps=shard_tables_of_training("_overlaps"),
        components=shard_tables_of_training(""),
        splits="<results>/tables/splits.parquet",
    output:
        rules="<results>/postprocess/{model}.json",
        parquet=f"<results>/tables/{TRAIN_COHORT}/{{model}}/postprocess.parquet",
        csv=f"<results>/tables/{TRAIN_COHORT}/{{model}}/postprocess.csv",
    log:
        "<logs>/choose_rules/{model}.log",
    benchmark:
        "<benchmarks>/choose_rules/{model}.tsv"
    wildcard_constraints:
        model=one_of(POSTPROCESSED),
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=4_000,
        runtime="30m",
    params:
        given=rules_given_to,
        names={label.value: label.name for label in SCHEME.labels},
        measure=train_setting("postprocess_for"),
        scheme=lookup("evaluation/scheme", within=config),
        snfh_dilation=lookup("evaluation/snfh_dilation", within=config),
        code=code_of("choose_rules.py"),
    message:
        "Choosing the rules of post-processing of {wildcards.model}."
    script:
        "../scripts/choose_rules.py"

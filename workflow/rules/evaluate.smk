"""Scores of every case, gathered by model."""


rule score_shard:
    """Score all models on the cases of one shard, each reference read once; one Parquet per case and model."""
    input:
        cohort="<results>/cohorts/shards/{cohort}/{shard}.parquet",
        geometry=geometry_of,
        gate=ancient("<results>/audit/gate.json"),
        predictions=predictions_of,
    output:
        scored="<results>/scored/{cohort}/{shard}.tsv",
    log:
        "<logs>/score_shard/{cohort}/{shard}.log",
    benchmark:
        "<benchmarks>/score_shard/{cohort}/{shard}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 2
    resources:
        mem_mb=1_500,
        runtime="2h",
    params:
        settings=scoring_of,
        dates=prediction_dates,
        code=code_of("score_shard.py"),
    message:
        "Scoring shard {wildcards.shard} of {wildcards.cohort}."
    script:
        "../scripts/score_shard.py"


rule gather_metrics:
    """Gather one model's scores of all cases of a cohort; cases x regions are asserted."""
    input:
        cohort="<results>/cohorts/{cohort}.parquet",
        scored=scored_shards_of,
    output:
        metrics="<results>/metrics/{cohort}/{model}.parquet",
        lesions="<results>/lesions/{cohort}/{model}.parquet",
        confusion="<results>/confusion/{cohort}/{model}.parquet",
        findings="<results>/scored/{cohort}/{model}_findings.parquet",
    log:
        "<logs>/gather_metrics/{cohort}/{model}.log",
    benchmark:
        "<benchmarks>/gather_metrics/{cohort}/{model}.tsv"
    wildcard_constraints:
        model=SEGMENTED_MODELS,
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2_000,
        runtime="30m",
    params:
        regions=SCHEME.scoring(),
        folder=foreign_folder_of,
        uncertainty=uncertainty_folder,
        code=code_of("gather_metrics.py"),
    message:
        "Gathering the scores of {wildcards.model} on {wildcards.cohort}."
    script:
        "../scripts/gather_metrics.py"


rule import_counts:
    """Turn an nnU-Net summary.json into the tables of a scored model; no image, no reference, no GPU."""
    input:
        counts=lookup("models/{model}/counts/{cohort}", within=config),
        cohort=cohort_table_of,
        gate=gate_of,
    output:
        metrics="<results>/metrics/{cohort}/{model}.parquet",
        lesions="<results>/lesions/{cohort}/{model}.parquet",
        confusion="<results>/confusion/{cohort}/{model}.parquet",
        findings="<results>/scored/{cohort}/{model}_findings.parquet",
    log:
        "<logs>/import_counts/{cohort}/{model}.log",
    benchmark:
        "<benchmarks>/import_counts/{cohort}/{model}.tsv"
    wildcard_constraints:
        model=COUNTED_MODELS,
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1_000,
        runtime="10m",
    params:
        settings=counts_settings(),
        date=counts_date,
        people=people_known,
        notes=notes_on_people,
        code=code_of("import_counts.py"),
    message:
        "Importing the counts of {wildcards.model} on {wildcards.cohort}."
    script:
        "../scripts/import_counts.py"

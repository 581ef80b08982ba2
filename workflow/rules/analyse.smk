"""Tables of a model on a cohort, and models compared."""


rule make_tables:
    """Make the report's tables of one model on one cohort, with bootstrap intervals over patients."""
    input:
        metrics="<results>/metrics/{cohort}/{model}.parquet",
    output:
        multiext("<results>/tables/{cohort}/{model}/summary", ".parquet", ".csv"),
        multiext("<results>/tables/{cohort}/{model}/per_class", ".parquet", ".csv"),
        multiext("<results>/tables/{cohort}/{model}/volume_bias", ".parquet", ".csv"),
        multiext("<results>/tables/{cohort}/{model}/inter_class", ".parquet", ".csv"),
        multiext("<results>/tables/{cohort}/{model}/false_positives", ".parquet", ".csv"),
        multiext("<results>/tables/{cohort}/{model}/worst_cases", ".parquet", ".csv"),
        multiext("<results>/tables/{cohort}/{model}/best_cases", ".parquet", ".csv"),
        multiext("<results>/tables/{cohort}/{model}/per_region", ".parquet", ".csv"),
    log:
        "<logs>/make_tables/{cohort}/{model}.log",
    benchmark:
        "<benchmarks>/make_tables/{cohort}/{model}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2_000,
        runtime="30m",
    params:
        folder=subpath(output[0], parent=True),
        regions=SCHEME.scoring(),
        convention=lookup("report/convention", within=config),
        extreme_cases=lookup("report/extreme_cases", within=config),
        resamples=lookup("statistics/bootstrap", within=config),
        seed=lookup("statistics/seed", within=config),
        code=code_of("make_tables.py"),
    message:
        "Making the tables of {wildcards.model} on {wildcards.cohort}."
    script:
        "../scripts/make_tables.py"


rule compare_models:
    """Compare the models of one cohort by pairs of cases, with intervals and permutation tests by patient."""
    input:
        metrics=metrics_of_models,
        previous=previous_metrics,
    output:
        parquet="<results>/comparisons/{cohort}.parquet",
        csv="<results>/comparisons/{cohort}.csv",
    log:
        "<logs>/compare_models/{cohort}.log",
    benchmark:
        "<benchmarks>/compare_models/{cohort}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2_000,
        runtime="30m",
    params:
        regions=SCHEME.scoring(),
        resamples=lookup("statistics/bootstrap", within=config),
        seed=lookup("statistics/seed", within=config),
        code=code_of("compare_models.py"),
    message:
        "Comparing the models of {wildcards.cohort}."
    script:
        "../scripts/compare_models.py"

"""Tables of a model on a cohort, and models compared."""


rule make_tables:
    """Make the report's tables of one model on one cohort, with intervals by patient."""
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
        multiext("<results>/tables/{cohort}/{model}/class_differences", ".parquet", ".csv"),
        multiext("<results>/tables/{cohort}/{model}/volume_agreement", ".parquet", ".csv"),
        multiext("<results>/tables/{cohort}/{model}/change", ".parquet", ".csv"),
        multiext("<results>/tables/{cohort}/{model}/presence", ".parquet", ".csv"),
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
        seed=lookup("statistics/seed", within=config),
        code=code_of("make_tables.py"),
    message:
        "Making the tables of {wildcards.model} on {wildcards.cohort}."
    script:
        "../scripts/make_tables.py"


rule make_subgroups:
    """Make the table of one model on one cohort by subgroup: site and other facts, visit, volume, cohort."""
    input:
        metrics="<results>/metrics/{cohort}/{model}.parquet",
        everywhere=metrics_of_cohorts,
        facts=facts_of,
        cases=cohort_table_of,
    output:
        parquet="<results>/tables/{cohort}/{model}/subgroups.parquet",
        csv="<results>/tables/{cohort}/{model}/subgroups.csv",
    log:
        "<logs>/make_subgroups/{cohort}/{model}.log",
    benchmark:
        "<benchmarks>/make_subgroups/{cohort}/{model}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2_000,
        runtime="30m",
    params:
        regions=SCHEME.scoring(),
        convention=lookup("report/convention", within=config),
        code=code_of("make_subgroups.py"),
    message:
        "Making the subgroups of {wildcards.model} on {wildcards.cohort}."
    script:
        "../scripts/make_subgroups.py"


rule make_seeds:
    """Make the table of the spread over seeds of a model that is trained with several, on one cohort."""
    input:
        metrics=metrics_of_seeds,
    output:
        parquet="<results>/tables/{cohort}/{model}/seeds.parquet",
        csv="<results>/tables/{cohort}/{model}/seeds.csv",
    log:
        "<logs>/make_seeds/{cohort}/{model}.log",
    benchmark:
        "<benchmarks>/make_seeds/{cohort}/{model}.tsv"
    wildcard_constraints:
        model=one_of(REPEATED),
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2_000,
        runtime="30m",
    params:
        regions=SCHEME.scoring(),
        convention=lookup("report/convention", within=config),
        code=code_of("make_seeds.py"),
    message:
        "Making the spread over seeds of {wildcards.model} on {wildcards.cohort}."
    script:
        "../scripts/make_seeds.py"


rule make_left_out:
    """Make the table of what a model loses where folds left out what an earlier run's mixed folds had trained on."""
    input:
        metrics="<results>/metrics/{cohort}/{model}.parquet",
        splits="<results>/tables/splits.parquet",
        earlier=mixed_run_of,
    output:
        parquet="<results>/tables/{cohort}/{model}/left_out.parquet",
        csv="<results>/tables/{cohort}/{model}/left_out.csv",
    log:
        "<logs>/make_left_out/{cohort}/{model}.log",
    benchmark:
        "<benchmarks>/make_left_out/{cohort}/{model}.tsv"
    wildcard_constraints:
        cohort=one_of([TRAIN_COHORT] if TRAIN_COHORT else []),
        model=one_of(COMPARED_WITH_MIXED),
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2_000,
        runtime="30m",
    params:
        fact=LEAVE_OUT,
        regions=SCHEME.scoring(),
        primary=lookup("statistics/primary", within=config),
        margins=lookup("statistics/margins", within=config),
        seed=lookup("statistics/seed", within=config),
        code=code_of("make_left_out.py"),
    message:
        "Comparing {wildcards.model} with the mixed folds of the earlier run."
    script:
        "../scripts/make_left_out.py"


rule make_levers:
    """Make the table of levers: each model that differs in one setting alone, against the one without any."""
    input:
        metrics=lever_metrics,
    output:
        parquet="<results>/tables/levers.parquet",
        csv="<results>/tables/levers.csv",
    log:
        "<logs>/make_levers.log",
    benchmark:
        "<benchmarks>/make_levers.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=4_000,
        runtime="30m",
    params:
        pairs=list(map(asdict, LEVER_PAIRS)),
        folders=lever_networks(),
        regions=SCHEME.scoring(),
        statistics={key: config["statistics"][key] for key in ("primary", "margins", "seed")},
        code=code_of("make_levers.py"),
    message:
        "Comparing the models that differ in one lever alone."
    script:
        "../scripts/make_levers.py"


rule compare_models:
    """Compare the models of all cohorts by pairs of cases, with intervals and tests by patient and one adjustment for all."""
    input:
        metrics=compared_metrics,
        previous=compared_with,
    output:
        parquet=collect("<results>/comparisons/{cohort}.parquet", cohort=COMPARED_COHORTS),
        csv=collect("<results>/comparisons/{cohort}.csv", cohort=COMPARED_COHORTS),
        ranks=collect("<results>/ranks/{cohort}.parquet", cohort=COMPARED_COHORTS),
        ranks_csv=collect("<results>/ranks/{cohort}.csv", cohort=COMPARED_COHORTS),
    log:
        "<logs>/compare_models.log",
    benchmark:
        "<benchmarks>/compare_models.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2_000,
        runtime="30m",
    params:
        folder="results/comparisons",
        ranks="results/ranks",
        resamples=lookup("statistics/bootstrap", within=config),
        regions=SCHEME.scoring(),
        primary=lookup("statistics/primary", within=config),
        margins=lookup("statistics/margins", within=config),
        seed=lookup("statistics/seed", within=config),
        seeds=REPEATED,
        # Of a pair the earlier is the baseline, and the input does not say which is.
        models={cohort: models_of(cohort) for cohort in COMPARED_COHORTS},
        code=code_of("compare_models.py"),
    message:
        "Comparing the models."
    script:
        "../scripts/compare_models.py"

"""Figures of the data, the training and single cases."""


rule draw_ranks:
    """Draw the ranks of the models of a cohort."""
    input:
        ranks="<results>/ranks/{cohort}.parquet",
    output:
        report(
            "<results>/figures/ranks/{cohort}.svg",
            caption="../report/ranks.rst",
            category="3 Comparison",
            labels={"cohort": "{cohort}", "figure": "ranks of the models"},
        ),
    log:
        "<logs>/draw_ranks/{cohort}.log",
    benchmark:
        "<benchmarks>/draw_ranks/{cohort}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1_500,
        runtime="15m",
    params:
        code=code_of("draw_ranks.py"),
    message:
        "Drawing the ranks of the models of {wildcards.cohort}."
    script:
        "../scripts/draw_ranks.py"


rule draw_cohorts:
    """Draw intensities, class shares and presence of all cohorts with images."""
    input:
        intensity="<results>/audit/intensity.parquet",
        labels="<results>/audit/labels.parquet",
    output:
        intensities=report(
            "<results>/figures/cohorts/intensities.svg",
            caption="../report/intensities.rst",
            category="1 Data",
            labels={"figure": "intensities"},
        ),
        class_shares=report(
            "<results>/figures/cohorts/class_shares.svg",
            caption="../report/class_shares.rst",
            category="1 Data",
            labels={"figure": "class shares"},
        ),
        presence=report(
            "<results>/figures/cohorts/presence.svg",
            caption="../report/presence.rst",
            category="1 Data",
            labels={"figure": "classes present together"},
        ),
    log:
        "<logs>/draw_cohorts.log",
    benchmark:
        "<benchmarks>/draw_cohorts.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1_500,
        runtime="15m",
    params:
        colors=REGION_COLORS,
        code=code_of("draw_cohorts.py"),
    message:
        "Drawing the figures of the data."
    script:
        "../scripts/draw_cohorts.py"


rule draw_training:
    """Draw the training curves of a model's folds and the planned network."""
    input:
        checkpoints=fold_files("checkpoint_final.pth"),
        plans=plans_of,
    output:
        curves=report(
            "<results>/figures/training/{model}/curves.svg",
            caption="../report/curves.rst",
            category="2 Training",
            labels={"model": "{model}", "figure": "training curves"},
        ),
        network=report(
            "<results>/figures/training/{model}/network.svg",
            caption="../report/network.rst",
            category="2 Training",
            labels={"model": "{model}", "figure": "network"},
        ),
    log:
        "<logs>/draw_training/{model}.log",
    benchmark:
        "<benchmarks>/draw_training/{model}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1_000,
        runtime="15m",
    params:
        configuration=configuration_of,
        code=code_of("draw_training.py"),
    message:
        "Drawing the training of {wildcards.model}."
    script:
        "../scripts/draw_training.py"


rule draw_cases:
    """Draw the worst and the best cases, and those asked for, with the contours of reference and prediction."""
    input:
        cohort=ancient("<results>/cohorts/{cohort}.parquet"),
        worst="<results>/tables/{cohort}/{model}/worst_cases.parquet",
        best="<results>/tables/{cohort}/{model}/best_cases.parquet",
        lesions="<results>/lesions/{cohort}/{model}.parquet",
        geometry=geometries_of,
        predictions=prediction_lists,
    output:
        cases=directory("<results>/figures/{cohort}/{model}/cases"),
        viewer=directory("<results>/report/viewer/{cohort}/{model}"),
        worst=report(
            "<results>/figures/{cohort}/{model}/worst.png",
            caption="../report/worst.rst",
            category="4 Cases",
            labels={"cohort": "{cohort}", "model": "{model}", "figure": "worst cases"},
        ),
        best=report(
            "<results>/figures/{cohort}/{model}/best.png",
            caption="../report/best.rst",
            category="4 Cases",
            labels={"cohort": "{cohort}", "model": "{model}", "figure": "best cases"},
        ),
    log:
        "<logs>/draw_cases/{cohort}/{model}.log",
    benchmark:
        "<benchmarks>/draw_cases/{cohort}/{model}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 2
    resources:
        mem_mb=4_000,
        runtime="1h",
    # no folder of predictions: the archive of `snakemake --report` tells the parameters of a figure
    params:
        colors=LABEL_COLORS,
        names=LABEL_NAMES,
        cases=lookup("report/extreme_cases", within=config),
        further=lookup("report/cases", within=config),
        code=code_of("draw_cases.py"),
    message:
        "Drawing the worst and best cases of {wildcards.model} on {wildcards.cohort}."
    script:
        "../scripts/draw_cases.py"

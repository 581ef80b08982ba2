"""Figures of the data, the training, models on cohorts and their comparison: those of the catalogue."""


rule draw_cohorts:
    """Draw the figures of all cohorts with images."""
    input:
        **figure_inputs(figures.DATA),
    output:
        **figure_outputs(figures.DATA),
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
        **figure_parameters(figures.DATA),
        code=code_of("draw_figures.py"),
    message:
        "Drawing the figures of the data."
    script:
        "../scripts/draw_figures.py"


rule draw_training:
    """Draw the figures of a model's training."""
    input:
        **figure_inputs(figures.TRAINING),
    output:
        **figure_outputs(figures.TRAINING),
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
        **figure_parameters(figures.TRAINING),
        code=code_of("draw_figures.py"),
    message:
        "Drawing the training of {wildcards.model}."
    script:
        "../scripts/draw_figures.py"


rule draw_model:
    """Draw the figures of one model on one cohort."""
    input:
        **figure_inputs(figures.SCORES),
    output:
        **figure_outputs(figures.SCORES),
    log:
        "<logs>/draw_model/{cohort}/{model}.log",
    benchmark:
        "<benchmarks>/draw_model/{cohort}/{model}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2_000,
        runtime="15m",
    params:
        **figure_parameters(figures.SCORES),
        code=code_of("draw_figures.py"),
    message:
        "Drawing {wildcards.model} on {wildcards.cohort}."
    script:
        "../scripts/draw_figures.py"


rule draw_comparison:
    """Draw the figures that compare the models of a cohort."""
    input:
        **figure_inputs(figures.COMPARISON),
    output:
        **figure_outputs(figures.COMPARISON),
    log:
        "<logs>/draw_comparison/{cohort}.log",
    benchmark:
        "<benchmarks>/draw_comparison/{cohort}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1_500,
        runtime="15m",
    params:
        **figure_parameters(figures.COMPARISON),
        code=code_of("draw_figures.py"),
    message:
        "Drawing the comparison of the models of {wildcards.cohort}."
    script:
        "../scripts/draw_figures.py"

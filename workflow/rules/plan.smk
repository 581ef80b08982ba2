"""nnU-Net's plan with the config's changes, and how plan and folds differ from the published and the default ones."""


rule plan_experiment:
    """Let nnU-Net plan patch, batch and network, and write the plan with the config's changes in it."""
    input:
        dataset="<raw>/dataset.json",
        fingerprint="<preprocessed>/dataset_fingerprint.json",
    output:
        plans="<preprocessed>/{plans}.json",
    log:
        "<logs>/plan_experiment/{plans}.log",
    benchmark:
        "<benchmarks>/plan_experiment/{plans}.tsv"
    wildcard_constraints:
        plans=one_of(DATA_PLANS),
    conda:
        "../../envs/nnunet.yaml"
    resources:
        mem_mb=4_000,
        runtime="1h",
    params:
        raw=subpath(input.dataset, ancestor=2),
        preprocessed=subpath(output.plans, ancestor=2),
        dataset=lookup("dataset/id", within=config),
        planner=planner_of,
        overrides=overrides_of,
        configuration="3d_fullres",
    message:
        "Planning {wildcards.plans} with {params.planner}."
    shell:
        """
        exec >{log} 2>&1
        export nnUNet_raw={params.raw:q} nnUNet_preprocessed={params.preprocessed:q} nnUNet_results={params.raw:q}
        export OMP_NUM_THREADS={threads} nnUNet_n_proc_DA={threads} nnUNet_def_n_proc={threads}
        exec python "$POSTTX_WORKFLOW/scripts/plan_experiment.py" {params.dataset} {params.planner} {output.plans:q} \
            {params.configuration} {params.overrides:q}
        """


rule copy_plan:
    """Copy a plan under the name of a further seed; both are trained on the same preprocessed data."""
    input:
        plans=plan_of_data,
    output:
        plans="<preprocessed>/{plans}.json",
    log:
        "<logs>/copy_plan/{plans}.log",
    benchmark:
        "<benchmarks>/copy_plan/{plans}.tsv"
    wildcard_constraints:
        plans=one_of(plans for plans in COPIED_PLANS if plans not in LEVERED_PLANS),
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=1_000,
        runtime=10,
    message:
        "Copying the plan for {wildcards.plans}."
    script:
        "../scripts/copy_plan.py"


use rule copy_plan as pull_levers with:
    wildcard_constraints:
        plans=one_of(LEVERED_PLANS),
    params:
        levers=levers_of,
        configuration="3d_fullres",
    message:
        "Writing the levers of training into a copy of the plan, {wildcards.plans}."


rule check_plan:
    """Compare the plan with the published one; differences are reported."""
    input:
        plans="<preprocessed>/{plans}.json",
    output:
        table="<results>/tables/plans/{plans}.parquet",
    log:
        "<logs>/check_plan/{plans}.log",
    benchmark:
        "<benchmarks>/check_plan/{plans}.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=1_000,
        runtime=10,
    params:
        configuration="3d_fullres",
    message:
        "Comparing {wildcards.plans} with the published plan."
    script:
        "../scripts/check_plan.py"


rule describe_splits:
    """Tell what every fold separates and holds out, and what nnU-Net's default split would have leaked."""
    input:
        table="<results>/tables/splits.parquet",
        splits="<preprocessed>/splits_final.json",
    output:
        multiext("<results>/tables/folds", ".parquet", ".csv"),
        "<results>/tables/splits.csv",
    log:
        "<logs>/describe_splits.log",
    benchmark:
        "<benchmarks>/describe_splits.tsv"
    conda:
        "../../envs/nnunet.yaml"
    resources:
        mem_mb=1_000,
        runtime=10,
    params:
        folder=subpath(output[0], parent=True),
        code=code_of("describe_splits.py"),
    message:
        "Comparing the folds with nnU-Net's default split."
    script:
        "../scripts/describe_splits.py"

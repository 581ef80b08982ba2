"""Segment cases on their original grid: the train cohort out of fold, others by the mean of all folds; post-process."""


rule restore_shard:
    """Put the out-of-fold predictions of a shard back on the original grid of its cases."""
    input:
        transforms="<results>/standardized/{cohort}/{shard}/transforms.parquet",
        splits="<results>/tables/splits.parquet",
        summaries=fold_files("validation/summary.json"),
    output:
        cases="<results>/predictions/{cohort}/{model}/{shard}/_cases.tsv",
        components="<results>/components/{cohort}/{model}/{shard}.parquet",
    log:
        "<logs>/restore_shard/{cohort}/{model}/{shard}.log",
    benchmark:
        "<benchmarks>/restore_shard/{cohort}/{model}/{shard}.tsv"
    wildcard_constraints:
        cohort=one_of([TRAIN_COHORT] if TRAIN_COHORT else []),
        model=one_of(TRAINED),
    conda:
        "../../envs/base.yaml"
    threads: 2
    resources:
        mem_mb=4_000,
        runtime=30,
    params:
        names=SCHEME.names,
        version=versions.PREDICT,
    message:
        "Restoring out-of-fold predictions of shard {wildcards.shard} of {wildcards.cohort}."
    script:
        "../scripts/restore_shard.py"


rule predict_shard:
    """Segment a shard by the mean of all folds; cases that stand already under the same stamp are kept."""
    input:
        transforms="<results>/standardized/{cohort}/{shard}/transforms.parquet",
        checkpoints=fold_files("checkpoint_final.pth"),
    output:
        cases="<results>/predictions/{cohort}/{model}/{shard}/_cases.tsv",
        components="<results>/components/{cohort}/{model}/{shard}.parquet",
    log:
        "<logs>/predict_shard/{cohort}/{model}/{shard}.log",
    benchmark:
        "<benchmarks>/predict_shard/{cohort}/{model}/{shard}.tsv"
    wildcard_constraints:
        cohort=one_of(PREDICTED_COHORTS),
        model=one_of(TRAINED),
    conda:
        "../../envs/nnunet.yaml"
    threads: 4
    resources:
        gpu=uses_gpu,
        mem_mb=16_000,
        runtime="4h",
        device=train_device,
    params:
        mirroring=train_setting("mirroring"),
        uncertainty=uncertainty_folder,
        names=json.dumps(SCHEME.names),
        version=versions.PREDICT,
    message:
        "Predicting shard {wildcards.shard} of {wildcards.cohort} with {wildcards.model}."
    shell:
        """
        exec >{log} 2>&1
        export OMP_NUM_THREADS={threads} nnUNet_def_n_proc={threads} nnUNet_n_proc_DA={threads}
        export nnUNet_extTrainer="$POSTTX_WORKFLOW/trainers" TORCHINDUCTOR_COMPILE_THREADS={threads}
        exec python "$POSTTX_WORKFLOW/scripts/with_gpu.py" --device {resources.device} --gpus {resources.gpu} -- \
            python "$POSTTX_WORKFLOW/scripts/predict_shard.py" --transforms {input.transforms:q} \
            --cases {output.cases:q} --components {output.components:q} --names {params.names:q} \
            --device {resources.device} --threads {threads} \
            --mirroring {params.mirroring} --uncertainty={params.uncertainty:q} --checkpoints {input.checkpoints:q}
        """


rule postprocess_shard:
    """Leave out of the predictions of a shard what a model's rules drop; cases that lose nothing are linked."""
    input:
        predictions=unprocessed("<results>/predictions/{cohort}/{model}/{shard}/_cases.tsv"),
        components=unprocessed("<results>/components/{cohort}/{model}/{shard}.parquet"),
        rules=unprocessed("<results>/postprocess/{model}.json"),
        splits=splits_of_train_cohort,
    output:
        cases="<results>/predictions/{cohort}/{model}/{shard}/_cases.tsv",
    log:
        "<logs>/postprocess_shard/{cohort}/{model}/{shard}.log",
    benchmark:
        "<benchmarks>/postprocess_shard/{cohort}/{model}/{shard}.tsv"
    wildcard_constraints:
        cohort=one_of(IMAGE_COHORTS),
        model=one_of(UNPROCESSED),
    conda:
        "../../envs/base.yaml"
    threads: 2
    resources:
        mem_mb=2_000,
        runtime=30,
    params:
        rules_of=unprocessed("{model}"),
        names=SCHEME.names,
        scheme=SCHEME.name,
        code=code_of("postprocess_shard.py"),
    message:
        "Post-processing shard {wildcards.shard} of {wildcards.cohort} for {wildcards.model}."
    script:
        "../scripts/postprocess_shard.py"

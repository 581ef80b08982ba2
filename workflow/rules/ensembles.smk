"""Ensembles of models: their probabilities averaged, with equal weights or with weights chosen out of fold."""


rule weigh_shard:
    """Count what every candidate of an ensemble's weights gets right on a shard of the train cohort, out of fold."""
    input:
        transforms=f"<results>/standardized/{TRAIN_COHORT}/{{shard}}/transforms.parquet",
        splits="<results>/tables/splits.parquet",
        checkpoints=member_checkpoints,
    output:
        counts="<results>/ensembles/{model}/{shard}.parquet",
    log:
        "<logs>/weigh_shard/{model}/{shard}.log",
    benchmark:
        "<benchmarks>/weigh_shard/{model}/{shard}.tsv"
    wildcard_constraints:
        model=one_of(WEIGHED),
    conda:
        "../../envs/nnunet.yaml"
    threads: 4
    resources:
        gpu=ensemble_uses_gpu,
        mem_mb=16_000,
        runtime="8h",
        device=ensemble_device,
    params:
        mirroring=member_mirroring,
        version=versions.PREDICT,
    message:
        "Weighing the members of {wildcards.model} on shard {wildcards.shard}."
    shell:
        """
        exec >{log} 2>&1
        export OMP_NUM_THREADS={threads} nnUNet_def_n_proc={threads} nnUNet_n_proc_DA={threads}
        export nnUNet_extTrainer="$POSTTX_WORKFLOW/trainers" TORCHINDUCTOR_COMPILE_THREADS={threads}
        exec python "$POSTTX_WORKFLOW/scripts/with_gpu.py" --device {resources.device} --gpus {resources.gpu} -- \
            python "$POSTTX_WORKFLOW/scripts/weigh_shard.py" --transforms {input.transforms:q} \
            --splits {input.splits:q} --output {output.counts:q} --device {resources.device} --threads {threads} \
            --mirroring {params.mirroring} --checkpoints {input.checkpoints:q}
        """


rule choose_weights:
    """Choose the weights of an ensemble by mean Dice out of fold, those for the cases of a fold on the other folds."""
    input:
        counts=weight_counts,
        cohort=ancient(f"<results>/cohorts/{TRAIN_COHORT}.parquet"),
    output:
        weights="<results>/ensembles/{model}/weights.json",
        parquet=f"<results>/tables/{TRAIN_COHORT}/{{model}}/weights.parquet",
        csv=f"<results>/tables/{TRAIN_COHORT}/{{model}}/weights.csv",
    log:
        "<logs>/choose_weights/{model}.log",
    benchmark:
        "<benchmarks>/choose_weights/{model}.tsv"
    wildcard_constraints:
        model=one_of(WEIGHED),
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2_000,
        runtime="30m",
    params:
        members=members_of,
        code=code_of("choose_weights.py"),
    message:
        "Choosing the weights of {wildcards.model}."
    script:
        "../scripts/choose_weights.py"


rule predict_ensemble:
    """Segment a shard by the mean probabilities of several models; the train cohort by the folds that have not seen it."""
    input:
        transforms="<results>/standardized/{cohort}/{shard}/transforms.parquet",
        checkpoints=member_checkpoints,
        splits=splits_of,
        weights=weights_of,
    output:
        cases="<results>/predictions/{cohort}/{model}/{shard}/_cases.tsv",
        components="<results>/components/{cohort}/{model}/{shard}.parquet",
    log:
        "<logs>/predict_ensemble/{cohort}/{model}/{shard}.log",
    benchmark:
        "<benchmarks>/predict_ensemble/{cohort}/{model}/{shard}.tsv"
    wildcard_constraints:
        cohort=one_of(IMAGE_COHORTS),
        model=one_of(ENSEMBLES),
    conda:
        "../../envs/nnunet.yaml"
    threads: 4
    resources:
        gpu=ensemble_uses_gpu,
        mem_mb=16_000,
        runtime="8h",
        device=ensemble_device,
    params:
        mirroring=member_mirroring,
        names=json.dumps(SCHEME.names),
        version=versions.PREDICT,
    message:
        "Predicting shard {wildcards.shard} of {wildcards.cohort} with the models of {wildcards.model}."
    shell:
        """
        exec >{log} 2>&1
        export OMP_NUM_THREADS={threads} nnUNet_def_n_proc={threads} nnUNet_n_proc_DA={threads}
        export nnUNet_extTrainer="$POSTTX_WORKFLOW/trainers" TORCHINDUCTOR_COMPILE_THREADS={threads}
        exec python "$POSTTX_WORKFLOW/scripts/with_gpu.py" --device {resources.device} --gpus {resources.gpu} -- \
            python "$POSTTX_WORKFLOW/scripts/predict_ensemble.py" --transforms {input.transforms:q} \
            --cases {output.cases:q} --components {output.components:q} --names {params.names:q} \
            --device {resources.device} --threads {threads} \
            --mirroring {params.mirroring} --splits={input.splits:q} --weights={input.weights:q} \
            --checkpoints {input.checkpoints:q}
        """

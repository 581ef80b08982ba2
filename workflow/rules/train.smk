"""Train the folds, one per job and GPU, and predict what each of them has not seen."""


rule train_fold:
    """Train one fold; an interrupted one goes on from its newest whole checkpoint whose stamp agrees."""
    input:
        plans="<preprocessed>/{plans}.json",
        splits="<preprocessed>/splits_final.json",
        fingerprint="<preprocessed>/dataset_fingerprint.json",
        marker=preprocessed_marker,
    output:
        checkpoint=ensure(
            "<trained>/{trainer}__{plans}__{configuration}/fold_{fold}/checkpoint_final.pth",
            non_empty=True,
        ),
    log:
        "<logs>/train_fold/{trainer}__{plans}__{configuration}/{fold}.log",
    benchmark:
        "<benchmarks>/train_fold/{trainer}__{plans}__{configuration}/{fold}.tsv"
    conda:
        "../../envs/nnunet.yaml"
    threads: 12
    resources:
        gpu=uses_gpu,
        mem_mb=64_000,
        runtime="3d",
        device=train_device,
        checkpoint_minutes=checkpoint_minutes,
    params:
        preprocessed=subpath(input.plans, ancestor=2),
        trained=subpath(output.checkpoint, ancestor=4),
        dataset=DATASET,
        epochs=train_setting("epochs"),
        iterations=train_setting("iterations"),
        validation_iterations=train_setting("validation_iterations"),
        learning_rate=train_setting("learning_rate"),
        foreground=train_setting("foreground"),
        optimizer=train_setting("optimizer"),
        seed=train_setting("seed"),
    message:
        "Training fold {wildcards.fold} of {wildcards.plans} on {resources.device}."
    shell:
        """
        exec >{log} 2>&1
        export nnUNet_raw={params.preprocessed:q} nnUNet_preprocessed={params.preprocessed:q}
        export nnUNet_results={params.trained:q} nnUNet_extTrainer="$POSTTX_WORKFLOW/trainers"
        export OMP_NUM_THREADS={threads} nnUNet_def_n_proc={threads} PYTHONPATH="$POSTTX_WORKFLOW/scripts"
        export nnUNet_n_proc_DA=$(({threads} < 3 ? 0 : {threads} - 1)) TORCHINDUCTOR_COMPILE_THREADS={threads}
        export POSTTX_STAGE=train POSTTX_THREADS={threads} POSTTX_EPOCHS={params.epochs}
        export POSTTX_ITERATIONS={params.iterations} POSTTX_VALIDATION_ITERATIONS={params.validation_iterations}
        export POSTTX_LEARNING_RATE={params.learning_rate} POSTTX_FOREGROUND={params.foreground}
        export POSTTX_OPTIMIZER={params.optimizer} POSTTX_SEED={params.seed}
        export POSTTX_CHECKPOINT_MINUTES={resources.checkpoint_minutes}
        exec python "$POSTTX_WORKFLOW/scripts/with_gpu.py" --device {resources.device} --gpus {resources.gpu} -- \
            nnUNetv2_train {params.dataset} {wildcards.configuration} {wildcards.fold} -tr {wildcards.trainer} \
            -p {wildcards.plans} -device {resources.device} --c
        """


rule validate_fold:
    """Predict the cases that a fold has not seen; an out-of-memory in here costs no training."""
    input:
        checkpoint="<trained>/{trainer}__{plans}__{configuration}/fold_{fold}/checkpoint_final.pth",
        plans=ancient("<preprocessed>/{plans}.json"),
    output:
        summary="<trained>/{trainer}__{plans}__{configuration}/fold_{fold}/validation/summary.json",
    log:
        "<logs>/validate_fold/{trainer}__{plans}__{configuration}/{fold}.log",
    benchmark:
        "<benchmarks>/validate_fold/{trainer}__{plans}__{configuration}/{fold}.tsv"
    conda:
        "../../envs/nnunet.yaml"
    threads: 4
    resources:
        gpu=uses_gpu,
        mem_mb=32_000,
        runtime="12h",
        device=train_device,
    params:
        preprocessed=subpath(input.plans, ancestor=2),
        trained=subpath(input.checkpoint, ancestor=4),
        dataset=DATASET,
        mirroring=train_setting("mirroring"),
        version=versions.VALIDATE,
    message:
        "Predicting the cases held out of fold {wildcards.fold} of {wildcards.plans}."
    shell:
        """
        exec >{log} 2>&1
        export nnUNet_raw={params.preprocessed:q} nnUNet_preprocessed={params.preprocessed:q}
        export nnUNet_results={params.trained:q} nnUNet_extTrainer="$POSTTX_WORKFLOW/trainers"
        export OMP_NUM_THREADS={threads} nnUNet_def_n_proc={threads} nnUNet_n_proc_DA={threads}
        export PYTHONPATH="$POSTTX_WORKFLOW/scripts" TORCHINDUCTOR_COMPILE_THREADS={threads}
        export POSTTX_STAGE=validate POSTTX_THREADS={threads} POSTTX_MIRRORING={params.mirroring}
        exec python "$POSTTX_WORKFLOW/scripts/with_gpu.py" --device {resources.device} --gpus {resources.gpu} -- \
            nnUNetv2_train {params.dataset} {wildcards.configuration} {wildcards.fold} -tr {wildcards.trainer} \
            -p {wildcards.plans} -device {resources.device} --val
        """


rule gather_mined:
    """Gather what all folds of a model mined: hard negatives of the cases that each was trained on."""
    input:
        checkpoints=fold_files("checkpoint_final.pth"),
        splits=ancient("<preprocessed>/splits_final.json"),
    output:
        parquet="<results>/tables/mined/{model}.parquet",
        csv="<results>/tables/mined/{model}.csv",
    log:
        "<logs>/gather_mined/{model}.log",
    benchmark:
        "<benchmarks>/gather_mined/{model}.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=1_000,
        runtime=10,
    params:
        code=code_of("gather_mined.py"),
    message:
        "Gathering the hard negatives of {wildcards.model}."
    script:
        "../scripts/gather_mined.py"

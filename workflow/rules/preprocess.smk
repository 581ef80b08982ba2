"""From standardized cases to what nnU-Net trains on: dataset, folds, fingerprint, preprocessed data."""


rule write_dataset:
    """Describe the train cohort to nnU-Net by paths, without a copy of it."""
    input:
        transforms=train_transforms,
    output:
        dataset="<raw>/dataset.json",
    log:
        "<logs>/write_dataset.log",
    benchmark:
        "<benchmarks>/write_dataset.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=1_000,
        runtime=10,
    params:
        labels=SCHEME.learnt(),
        extra_channels=lookup("standardize/extra_channels", within=config),
        version=versions.DATASET,
    message:
        "Describing the train cohort to nnU-Net."
    script:
        "../scripts/write_dataset.py"


rule write_splits:
    """Divide the train cohort into folds by patient, once and before any fold: five folds would race for it."""
    input:
        dataset="<raw>/dataset.json",
        cohort=ancient(f"<results>/cohorts/{TRAIN_COHORT}.parquet"),
        labels=ancient("<results>/audit/labels.parquet"),
        facts=ancient(facts_left_out),
    output:
        splits="<preprocessed>/splits_final.json",
        table="<results>/tables/splits.parquet",
    log:
        "<logs>/write_splits.log",
    benchmark:
        "<benchmarks>/write_splits.tsv"
    conda:
        # nnU-Net's default split, which ours is compared with
        "../../envs/nnunet.yaml"
    resources:
        mem_mb=1_000,
        runtime=10,
    params:
        folds=division(),
        seed=lookup("statistics/seed", within=config),
        version=versions.SPLITS,
    message:
        "Dividing the train cohort into folds by patient."
    script:
        "../scripts/write_splits.py"


rule extract_fingerprint:
    """Let nnU-Net measure shapes, spacings and intensities of the train cohort."""
    input:
        dataset="<raw>/dataset.json",
    output:
        fingerprint="<preprocessed>/dataset_fingerprint.json",
    log:
        "<logs>/extract_fingerprint.log",
    benchmark:
        "<benchmarks>/extract_fingerprint.tsv"
    conda:
        "../../envs/nnunet.yaml"
    threads: 8
    resources:
        mem_mb=16_000,
        runtime="2h",
    params:
        raw=subpath(input.dataset, ancestor=2),
        preprocessed=subpath(output.fingerprint, ancestor=2),
        dataset=lookup("dataset/id", within=config),
    message:
        "Measuring the train cohort."
    shell:
        """
        exec >{log} 2>&1
        export nnUNet_raw={params.raw:q} nnUNet_preprocessed={params.preprocessed:q} nnUNet_results={params.raw:q}
        export OMP_NUM_THREADS=1 nnUNet_n_proc_DA={threads} nnUNet_def_n_proc={threads}
        exec python "$POSTTX_WORKFLOW/scripts/extract_fingerprint.py" {params.dataset} {threads}
        """


rule preprocess_dataset:
    """Let nnU-Net crop, normalise and resample the train cohort."""
    input:
        dataset="<raw>/dataset.json",
        plans="<preprocessed>/{plans}.json",
    output:
        marker="<preprocessed>/markers/{plans}_{configuration}.json",
    log:
        "<logs>/preprocess_dataset/{plans}_{configuration}.log",
    benchmark:
        "<benchmarks>/preprocess_dataset/{plans}_{configuration}.tsv"
    conda:
        "../../envs/nnunet.yaml"
    threads: 8
    resources:
        mem_mb=32_000,
        runtime="6h",
    params:
        raw=subpath(input.dataset, ancestor=2),
        preprocessed=subpath(input.plans, ancestor=2),
        dataset=lookup("dataset/id", within=config),
    message:
        "Preprocessing the train cohort for {wildcards.plans}, {wildcards.configuration}."
    shell:
        """
        exec >{log} 2>&1
        export nnUNet_raw={params.raw:q} nnUNet_preprocessed={params.preprocessed:q} nnUNet_results={params.raw:q}
        export OMP_NUM_THREADS=1 nnUNet_n_proc_DA={threads} nnUNet_def_n_proc={threads}
        exec python "$POSTTX_WORKFLOW/scripts/preprocess_dataset.py" {params.dataset} {input.plans:q} \
            {wildcards.configuration} {threads} {input.dataset:q} {output.marker:q}
        """

"""One orientation, voxel size and intensity range."""


rule state_standard:
    """State what all cases are standardised to."""
    output:
        standard="<results>/standardized/standard.json",
    log:
        "<logs>/state_standard.log",
    benchmark:
        "<benchmarks>/state_standard.tsv"
    localrule: True
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime="10m",
    params:
        settings=lookup("standardize", within=config),
        # The shards' tables of the audit are ancient: what can change its decision must stand here.
        geometry=lookup("audit/geometry", within=config),
        labels=SCHEME.values,
        version=versions.STANDARDIZE,
    message:
        "Stating what all cases are standardised to."
    script:
        "../scripts/state_standard.py"


rule standardize_shard:
    """Bring the cases of a shard to one orientation, voxel size and intensity range; images and labels are undeclared, so that none is deleted before it is replaced."""
    input:
        cohort="<results>/cohorts/shards/{cohort}/{shard}.parquet",
        # What changes all shards comes through this file, not as a parameter: see common.smk.
        standard="<results>/standardized/standard.json",
        gate=ancient("<results>/audit/gate.json"),
        geometry=ancient("<results>/audit/shards/{cohort}/{shard}/geometry.parquet"),
    output:
        transforms="<results>/standardized/{cohort}/{shard}/transforms.parquet",
    log:
        "<logs>/standardize_shard/{cohort}/{shard}.log",
    benchmark:
        "<benchmarks>/standardize_shard/{cohort}/{shard}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 4
    resources:
        mem_mb=6_000,
        runtime="2h",
    params:
        settings=lookup("standardize", within=config),
        labels=SCHEME.values,
    message:
        "Standardising shard {wildcards.shard} of cohort {wildcards.cohort}."
    script:
        "../scripts/standardize_shard.py"

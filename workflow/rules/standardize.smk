"""One orientation, voxel size and intensity range."""


rule standardize_shard:
    """Bring the cases of a shard to one orientation, voxel size and intensity range; images and labels are undeclared, so that none is deleted before it is replaced."""
    input:
        files=files_of,
        cohort=ancient("<results>/cohorts/{cohort}.parquet"),
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
        # The audit's table is ancient: what can change its decision must stand here.
        geometry=lookup("audit/geometry", within=config),
        version=versions.STANDARDIZE,
    message:
        "Standardising shard {wildcards.shard} of cohort {wildcards.cohort}."
    script:
        "../scripts/standardize_shard.py"

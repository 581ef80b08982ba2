"""What the review page shows of single cases: images, labels and small pictures."""


rule draw_review:
    """Write images, labels and pictures of the worst and best cases of a cohort's models, and of those asked for."""
    input:
        cohort=ancient("<results>/cohorts/{cohort}.parquet"),
        worst=extremes_of("worst"),
        best=extremes_of("best"),
        scored=scored_shards_of,
        geometry=geometries_of,
    output:
        images=directory("<results>/report/images/{cohort}"),
        labels=directory("<results>/report/labels/{cohort}"),
        pictures=directory("<results>/figures/cases/{cohort}"),
    log:
        "<logs>/draw_review/{cohort}.log",
    benchmark:
        "<benchmarks>/draw_review/{cohort}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 2
    resources:
        mem_mb=4_000,
        runtime="2h",
    params:
        settings=drawing_of,
        cases=lookup("report/extreme_cases", within=config),
        further=lookup("report/cases", within=config),
        code=code_of("draw_review.py"),
    message:
        "Drawing the worst and best cases of {wildcards.cohort}."
    script:
        "../scripts/draw_review.py"


rule draw_thumbs:
    """Draw a small picture of every case of a few shards, for each model, at what is worst in it."""
    input:
        cohort=of_batch("<results>/cohorts/shards/{cohort}/{shard}.parquet"),
        scored=of_batch("<results>/scored/{cohort}/{shard}.tsv"),
        geometry=of_batch("<results>/audit/shards/{cohort}/{shard}/geometry.parquet"),
    output:
        drawn="<results>/report/thumbs/{cohort}/_drawn/{batch}.tsv",
    log:
        "<logs>/draw_thumbs/{cohort}/{batch}.log",
    benchmark:
        "<benchmarks>/draw_thumbs/{cohort}/{batch}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 2
    resources:
        mem_mb=2_000,
        runtime="1h",
    params:
        settings=drawing_of,
        code=code_of("draw_thumbs.py"),
    message:
        "Drawing small pictures of {wildcards.cohort}, batch {wildcards.batch}."
    script:
        "../scripts/draw_thumbs.py"

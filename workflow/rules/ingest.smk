"""From files to the table of a cohort.

Only here do the files of cases trigger jobs: whatever reads them further down depends on the table of their shard. A job
that also had them as inputs would not notice them change while one that it waits for is to run again (see common.smk).

One file stands for all of its shard, the newest: it is newer than the shard's table when any is, and Snakemake would spend
a second of every plan on the 8,105 of the whole cohort. Its date is a parameter, too: a small file that was copied anew
with the content that Snakemake noted counts as unchanged, and could hide a changed one that is older by a second.
"""


rule scan_shard:
    """Read the headers of a shard into its table; a file that cannot be read keeps its row, without header columns."""
    input:
        files=files_of,
    output:
        table="<results>/cohorts/shards/{cohort}/{shard}.parquet",
    log:
        "<logs>/scan_shard/{cohort}/{shard}.log",
    benchmark:
        "<benchmarks>/scan_shard/{cohort}/{shard}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 2
    resources:
        mem_mb=1_000,
        runtime="30m",
    params:
        cases=cases_of,
        newest=newest_date,
        version=versions.SCAN,
    message:
        "Scanning the headers of shard {wildcards.shard} of cohort {wildcards.cohort}."
    script:
        "../scripts/scan_shard.py"


rule gather_cohort:
    """Put the shards of a cohort together in its table."""
    input:
        shards=scanned_shards_of,
    output:
        table="<results>/cohorts/{cohort}.parquet",
    log:
        "<logs>/gather_cohort/{cohort}.log",
    benchmark:
        "<benchmarks>/gather_cohort/{cohort}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1_000,
        runtime="10m",
    message:
        "Gathering the table of cohort {wildcards.cohort}."
    script:
        "../scripts/gather_cohort.py"

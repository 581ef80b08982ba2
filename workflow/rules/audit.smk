"""What is wrong with the data, told before a GPU is spent on it."""


rule audit_shard:
    """Audit the cases of one shard, each file read once; bad data becomes findings, never a failed job."""
    input:
        files=files_of,
        cohort=ancient("<results>/cohorts/{cohort}.parquet"),
    output:
        intensity="<results>/audit/shards/{cohort}/{shard}/intensity.parquet",
        labels="<results>/audit/shards/{cohort}/{shard}/labels.parquet",
        findings="<results>/audit/shards/{cohort}/{shard}/findings.parquet",
        geometry="<results>/audit/shards/{cohort}/{shard}/geometry.parquet",
        evidence="<results>/audit/shards/{cohort}/{shard}/evidence.parquet",
    log:
        "<logs>/audit_shard/{cohort}/{shard}.log",
    benchmark:
        "<benchmarks>/audit_shard/{cohort}/{shard}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 4
    resources:
        mem_mb=6_000,
        runtime="1h",
    params:
        use=lookup("cohorts/{cohort}/use", within=config),
        names={label.value: label.name for label in SCHEME.labels},
        geometry=lookup("audit/geometry", within=config),
        version=versions.AUDIT,
    message:
        "Auditing shard {wildcards.shard} of cohort {wildcards.cohort}."
    script:
        "../scripts/audit_shard.py"


rule gather_audit:
    """Put the shards' audits together; find duplicates, shared patients and outliers, and test the label scheme."""
    input:
        cohorts=collect("<results>/cohorts/{cohort}.parquet", cohort=IMAGE_COHORTS),
        intensity=[
            f"<results>/audit/shards/{cohort}/{shard}/intensity.parquet"
            for cohort in IMAGE_COHORTS
            for shard in shards_of(cohort)
        ],
        labels=[
            f"<results>/audit/shards/{cohort}/{shard}/labels.parquet"
            for cohort in IMAGE_COHORTS
            for shard in shards_of(cohort)
        ],
        findings=[
            f"<results>/audit/shards/{cohort}/{shard}/findings.parquet"
            for cohort in IMAGE_COHORTS
            for shard in shards_of(cohort)
        ],
        evidence=[
            f"<results>/audit/shards/{cohort}/{shard}/evidence.parquet"
            for cohort in IMAGE_COHORTS
            for shard in shards_of(cohort)
        ],
    output:
        intensity="<results>/audit/intensity.parquet",
        labels="<results>/audit/labels.parquet",
        findings="<results>/audit/findings.parquet",
        cohort_table="<results>/audit/cohort_table.parquet",
        scheme="<results>/audit/scheme.json",
    log:
        "<logs>/gather_audit.log",
    benchmark:
        "<benchmarks>/gather_audit.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2_000,
        runtime="30m",
    params:
        uses={cohort: config["cohorts"][cohort]["use"] for cohort in IMAGE_COHORTS},
        names={label.value: label.name for label in SCHEME.labels},
        version=versions.AUDIT,
    message:
        "Gathering the audit of all cohorts."
    script:
        "../scripts/gather_audit.py"


rule check_audit:
    """Stop the run where the audit found what `audit.fail_on` does not accept; all findings are reported at once."""
    input:
        findings="<results>/audit/findings.parquet",
    output:
        gate="<results>/audit/gate.json",
    log:
        "<logs>/check_audit.log",
    benchmark:
        "<benchmarks>/check_audit.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1_000,
        runtime="10m",
    params:
        fail_on=lookup("audit/fail_on", within=config),
        version=versions.AUDIT,
    message:
        "Checking the findings of the audit."
    script:
        "../scripts/check_audit.py"

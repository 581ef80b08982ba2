"""What is wrong with the data, told before a GPU is spent on it."""


rule audit_shard:
    """Audit the cases of one shard, each file read once; bad data becomes findings, never a failed job."""
    input:
        cohort="<results>/cohorts/shards/{cohort}/{shard}.parquet",
    output:
        intensity="<results>/audit/shards/{cohort}/{shard}/intensity.parquet",
        labels="<results>/audit/shards/{cohort}/{shard}/labels.parquet",
        findings="<results>/audit/shards/{cohort}/{shard}/findings.parquet",
        geometry="<results>/audit/shards/{cohort}/{shard}/geometry.parquet",
        evidence="<results>/audit/shards/{cohort}/{shard}/evidence.parquet",
        thumbnails="<results>/audit/shards/{cohort}/{shard}/thumbnails.parquet",
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
        names=SCHEME.names,
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
        intensity=audits_of_shards("intensity"),
        labels=audits_of_shards("labels"),
        findings=audits_of_shards("findings"),
        evidence=audits_of_shards("evidence"),
        # Not called here: the archive of `snakemake --report` tells a rule's files, and these may lie anywhere.
        facts=facts_of_cohorts,
    output:
        intensity="<results>/audit/intensity.parquet",
        labels="<results>/audit/labels.parquet",
        findings="<results>/audit/findings.parquet",
        cohort_table="<results>/audit/cohort_table.parquet",
        scheme="<results>/audit/scheme.json",
        groups="<results>/audit/groups.parquet",
        shift="<results>/audit/shift.parquet",
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
        # Which table is whose, which the input does not say; a digest, for the archive tells parameters too.
        facts=digest_of({cohort: fact_sources(config["cohorts"][cohort]) for cohort in IMAGE_COHORTS}),
        notes=NOTES,
        names=SCHEME.names,
        version=versions.AUDIT,
    message:
        "Gathering the audit of all cohorts."
    script:
        "../scripts/gather_audit.py"


rule write_audit_page:
    """Write the audit's page: verdict, findings, intensities, class balance, scheme test, and a picture of every case."""
    input:
        cohorts=collect("<results>/cohorts/{cohort}.parquet", cohort=IMAGE_COHORTS),
        findings="<results>/audit/findings.parquet",
        intensity="<results>/audit/intensity.parquet",
        labels="<results>/audit/labels.parquet",
        scheme="<results>/audit/scheme.json",
        groups="<results>/audit/groups.parquet",
        shift="<results>/audit/shift.parquet",
        thumbnails=audits_of_shards("thumbnails"),
        figures=figure_paths(figures.DATA),
    output:
        page="<results>/report/audit.html",
        pictures=directory("<results>/report/audit"),
    log:
        "<logs>/write_audit_page.log",
    benchmark:
        "<benchmarks>/write_audit_page.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 2
    resources:
        mem_mb=2_000,
        runtime="30m",
    params:
        results=subpath(output.page, ancestor=2),
        settings=audit_settings(),
        code=page_code_of("write_audit_page.py"),
    message:
        "Writing the audit's page."
    script:
        "../scripts/write_audit_page.py"


rule check_audit:
    """Stop the run where the audit found what `audit.fail_on` does not accept; the page with all findings is there first."""
    input:
        findings="<results>/audit/findings.parquet",
        # Ancient: another look of the page is no reason to open the gate again.
        page=ancient("<results>/report/audit.html"),
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

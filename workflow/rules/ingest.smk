"""From files to the table of a cohort."""


rule scan_cohort:
    """Read the headers of a cohort into its table; a file that cannot be read keeps its row, without header columns."""
    input:
        files=cohort_files,
    output:
        table="<results>/cohorts/{cohort}.parquet",
    log:
        "<logs>/scan_cohort/{cohort}.log",
    benchmark:
        "<benchmarks>/scan_cohort/{cohort}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 4
    resources:
        mem_mb=1_000,
        runtime="30m",
    params:
        cases=lookup("{cohort}", within=CASES),
        version=versions.SCAN,
    message:
        "Scanning the headers of cohort {wildcards.cohort}."
    script:
        "../scripts/scan_cohort.py"

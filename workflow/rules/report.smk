"""The page, the review beside it, and both with all they link to in one folder."""


rule write_report:
    """Write the report: one page with every table and figure, which opens from disk with no network."""
    input:
        shown=report_inputs,
    output:
        page="<results>/report/index.html",
        review="<results>/report/review.html",
        niivue="<results>/report/niivue.js",
        cases="<results>/report/data/cases.js",
        checklist=multiext("<results>/tables/checklist", ".csv", ".parquet"),
    log:
        "<logs>/write_report.log",
    benchmark:
        "<benchmarks>/write_report.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2_000,
        runtime="15m",
    params:
        results=subpath(output.page, ancestor=2),
        settings=report_settings(),
        code=page_code_of("write_report.py"),
    message:
        "Writing the report."
    script:
        "../scripts/write_report.py"


rule bundle_report:
    """Gather the pages and every file they show or link to in one folder: what `snakemake --report report.zip` packs."""
    input:
        page=rules.write_report.output.page,
        review=rules.write_report.output.review,
        cases=rules.write_report.output.cases,
        # its pictures are those of today too
        audit="<results>/report/audit.html" if IMAGE_COHORTS else [],
    output:
        # Snakemake calls the page in the zip after its folder: index.html, as the way back from the review expects
        report(
            directory("<results>/bundle/index"),
            htmlindex="index.html",
            caption="../report/page.rst",
            category="0 Report",
            labels={"page": "report"},
        ),
    log:
        "<logs>/bundle_report.log",
    benchmark:
        "<benchmarks>/bundle_report.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1_000,
        runtime="15m",
    params:
        results=subpath(input.page, ancestor=2),
        code=code_of("bundle_report.py"),
    message:
        "Gathering the report and what it links to."
    script:
        "../scripts/bundle_report.py"

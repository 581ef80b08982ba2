"""The page, the viewer beside it, and both with all they link to in one folder."""


rule write_report:
    """Write the report: one page with every table and figure, which opens from disk with no network."""
    input:
        shown=report_inputs,
        code=code_of(
            "write_report.py",
            "posttx/reporting/report.py",
            "posttx/reporting/report_cases.py",
            "posttx/reporting/report_data.py",
            "posttx/reporting/report_parts.py",
            "posttx/reporting/report_splits.py",
            "posttx/reporting/report_tables.py",
            "posttx/analysis/comparison.py",
            "posttx/analysis/conclusions.py",
            "posttx/analysis/interpretation.py",
            "posttx/analysis/interpretation_rules.py",
            "posttx/analysis/tables.py",
            "posttx/conventions.py",
            "posttx/reporting/figures_training.py",
            "posttx/reporting/methods.py",
            "posttx/reporting/pages.py",
            "posttx/reporting/palettes.py",
            "posttx/reporting/style.py",
            "posttx/scoring/scores.py",
            "../report/index.html.j2",
            "../report/macros.html.j2",
            "../report/splits.html.j2",
            "../report/page.js",
            "../report/style.css",
            "../report/references.bib",
            "../report/texts.yaml",
            "../report/vendor/datatables/dataTables.dataTables.min.css",
            "../report/vendor/datatables/dataTables.min.js",
            "../report/vendor/niivue/niivue.umd.js",
            "../report/viewer.css",
            "../report/viewer.html.j2",
            "../report/viewer.js",
            "posttx/reporting/viewer.py",
        ),
    output:
        page="<results>/report/index.html",
        viewer="<results>/report/viewer/index.html",
        library="<results>/report/viewer/niivue.js",
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
    message:
        "Writing the report."
    script:
        "../scripts/write_report.py"


rule bundle_report:
    """Gather page, viewer and every file they link to in one folder: what `snakemake --report report.zip` packs."""
    input:
        page=rules.write_report.output.page,
        viewer=rules.write_report.output.viewer,
        code=code_of("bundle_report.py", "posttx/reporting/bundle.py"),
    output:
        # Snakemake calls the page in the zip after its folder: index.html, as the viewer's way back expects
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
    message:
        "Gathering the report and what it links to."
    script:
        "../scripts/bundle_report.py"

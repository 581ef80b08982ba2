"""What made the results."""


onstart:
    begin()


rule write_provenance:
    """Record versions, code, configuration, hardware and seeds of the run that made the scores."""
    input:
        metrics=all_metrics(),
    output:
        record="<results>/provenance.json",
    log:
        "<logs>/write_provenance.log",
    benchmark:
        "<benchmarks>/write_provenance.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=1_000,
        runtime=10,
    params:
        # What is recorded of the configuration must be today's, also where no score changes.
        config=digest_of(recorded(config)),
        code=code_of("write_provenance.py"),
    message:
        "Recording what made the results."
    script:
        "../scripts/write_provenance.py"

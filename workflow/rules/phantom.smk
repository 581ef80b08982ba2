"""Phantom cohorts: scans made from a seed, where a cohort of the configuration says `phantom`."""


rule make_phantom_case:
    """Make one phantom scan with its reference, files and folders as in BraTS, and the map of planted pitfalls."""
    output:
        t1n="<results>/phantom/{cohort}/{case}/{case}-t1n.nii.gz",
        t1c="<results>/phantom/{cohort}/{case}/{case}-t1c.nii.gz",
        t2w="<results>/phantom/{cohort}/{case}/{case}-t2w.nii.gz",
        t2f="<results>/phantom/{cohort}/{case}/{case}-t2f.nii.gz",
        seg="<results>/phantom/{cohort}/{case}/{case}-seg.nii.gz",
        cause="<results>/phantom/{cohort}/{case}/{case}-cause.nii.gz",
    log:
        "<logs>/make_phantom_case/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/make_phantom_case/{cohort}/{case}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1_500,
        runtime="10m",
    params:
        phantom=phantom_settings,
        version=versions.PHANTOM,
    message:
        "Making phantom scan {wildcards.case} of cohort {wildcards.cohort}."
    script:
        "../scripts/make_phantom_case.py"

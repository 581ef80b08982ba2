# PostTx: post-treatment glioma segmentation, from NIfTI folders to a report. Results go to results/ of the working directory.
from snakemake.utils import min_version

min_version("9.25")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/common_cohorts.smk"
include: "workflow/rules/common_nnunet.smk"
include: "workflow/rules/common_ensembles.smk"
include: "workflow/rules/common_evaluate.smk"
include: "workflow/rules/common_report.smk"
include: "workflow/rules/phantom.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/audit.smk"
include: "workflow/rules/standardize.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/preprocess.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/ensembles.smk"
include: "workflow/rules/postprocess.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/cases.smk"
include: "workflow/rules/provenance.smk"
include: "workflow/rules/report.smk"


rule all:
    """Make the report and everything it rests on."""
    default_target: True
    input:
        models_needed,
        rules.write_report.output,
        rules.bundle_report.output,
        all_plan_checks(),
        gates(),


rule audit:
    """Go as far as the audit of all cohorts."""
    input:
        rules.check_audit.output,


rule train:
    """Go as far as the trained folds of all models."""
    input:
        models_needed,
        all_checkpoints(),
        gates(),


rule predict:
    """Go as far as the segmentations of all cohorts by all models made here."""
    input:
        models_needed,
        all_predictions(),
        gates(),


rule evaluate:
    """Go as far as the scores of all models on all cohorts."""
    input:
        models_needed,
        all_metrics(),
        gates(),


rule report:
    """Make the report."""
    input:
        models_needed,
        rules.write_report.output,
        rules.bundle_report.output,
        gates(),

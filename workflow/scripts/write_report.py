"""Write the report's page, and beside it that of the review with its table of all cases."""

from pathlib import Path
from typing import TYPE_CHECKING

from posttx.logs import configure_logging
from posttx.reporting.case_data import write_cases
from posttx.reporting.report import run_of, write_report
from posttx.reporting.review import write_review
from posttx.reporting.review_facts import facts
from posttx.reporting.stale import remove_stale

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    settings = snakemake.params.settings
    assets = Path(snakemake.scriptdir).parent / "report"
    results = snakemake.params.results
    write_review(assets, snakemake.output.review, snakemake.output.niivue, settings, facts(results, settings))
    write_cases(results, snakemake.output.cases, settings, run_of(results, settings))
    remove_stale(Path(snakemake.output.page).parent, settings)
    write_report(results, assets, snakemake.output.page, settings)

"""Stop the run where the audit found something of a severity that the config does not accept."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from posttx.auditing.findings import count_by_code, fatal_severities, summary_text
from posttx.errors import PostTxError
from posttx.files import write_json
from posttx.logs import configure_logging
from posttx.schemas import FINDINGS, read_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def check_audit(findings: str | Path, page: str | Path, gate: str | Path, fail_on: Sequence[str]) -> None:
    """Write how many findings there are per severity and code, or raise when one is of a severity in ``fail_on``.

    The error gives the count per code, the first findings with their remedies, and the paths of the whole table and of
    the audit's page.
    """
    table = read_table(findings, FINDINGS)
    counts = count_by_code(table)
    fatal = fatal_severities(counts, fail_on)
    if fatal:
        rows = table[table["severity"].isin(fatal)]
        lines = [
            f"{row.code} {row.cohort}{f' {row.case}' if isinstance(row.case, str) else ''}"
            f"{f' {row.modality}' if isinstance(row.modality, str) else ''}: {row.message}. {row.remedy}."
            for row in rows.itertuples()
        ]
        raise PostTxError(
            f"the audit found {len(rows)} problems that stop the run\n{summary_text(counts, fatal)}\nsuch as",
            lines=lines,
            remedy="Correct them, leave cases out by `exclude`, or accept them by `audit.fail_on`; all findings stand "
            f"in this table, and with a picture of every case on the page {page}",
            file=findings,
        )
    logger.info("the audit found nothing that stops the run")
    for line in summary_text(counts, counts).splitlines():
        logger.info("%s", line)
    write_json(
        gate, {"fail_on": sorted(fail_on), "findings": counts, "cases_with_findings": int(table["case"].nunique())}
    )


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    check_audit(snakemake.input.findings, snakemake.input.page, snakemake.output.gate, snakemake.params.fail_on)

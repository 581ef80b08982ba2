"""Audit the cases of one shard: intensities, labels, geometry, findings, and the evidence for cohort-level tests."""

import logging
from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from posttx.auditing.audit import AuditTask, CaseAudit, audit_case
from posttx.auditing.findings import findings_table, from_error
from posttx.cases import IMAGE_COLUMNS
from posttx.errors import PostTxError
from posttx.logs import configure_logging
from posttx.parallel import map_cases
from posttx.schemas import (
    COHORT,
    EVIDENCE,
    FINDINGS,
    GEOMETRY,
    INTENSITY,
    LABEL_VOLUMES,
    THUMBNAILS,
    read_table,
    write_table,
)

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def tasks_of(
    cohort: pd.DataFrame, shard: str, use: str, names: Mapping[int, str], geometry: str
) -> dict[str, AuditTask]:
    """Return case id -> audit task of the cases of one shard of a cohort table."""
    tasks = {}
    for row in cohort[cohort["shard"] == shard].to_dict("records"):
        files = {name: row[name] for name in IMAGE_COLUMNS if isinstance(row[name], str)}
        tasks[row["case"]] = AuditTask(row["cohort"], row["case"], row["patient"], use, files, names, geometry)
    return tasks


def audit_shard(tasks: Mapping[str, AuditTask], outputs: Mapping[str, str | Path], threads: int = 1) -> None:
    """Audit every task and write the tables named by ``outputs``.

    These are intensity, labels, findings, geometry, evidence and thumbnails.
    """
    instead = partial(_unaudited, tasks)
    audits = list(map_cases(audit_case, tasks, threads, verb="audited", instead=instead).values())
    for name, schema in (
        ("intensity", INTENSITY), ("labels", LABEL_VOLUMES), ("geometry", GEOMETRY), ("evidence", EVIDENCE),
        ("thumbnails", THUMBNAILS),
    ):  # fmt: skip
        rows = list(chain.from_iterable(getattr(audit, name) for audit in audits))
        write_table(pd.DataFrame(rows, columns=list(schema.columns)), schema, outputs[name])
    findings = findings_table(chain.from_iterable(audit.findings for audit in audits))
    write_table(findings, FINDINGS, outputs["findings"])
    logger.info("%d findings in %d cases", len(findings), len(audits))


def _unaudited(tasks: Mapping[str, AuditTask], case: str, error: PostTxError) -> CaseAudit:
    """Return the audit of a case that ended in an unexpected error: that alone."""
    return CaseAudit(findings=[from_error(error, tasks[case].cohort, case)])


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    cohort = read_table(snakemake.input.cohort, COHORT)
    names = {int(value): name for value, name in snakemake.params.names.items()}
    tasks = tasks_of(cohort, snakemake.wildcards.shard, snakemake.params.use, names, snakemake.params.geometry)
    audit_shard(tasks, snakemake.output, snakemake.threads)

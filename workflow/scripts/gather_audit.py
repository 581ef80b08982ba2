"""Put the audits of all shards together and test what only a whole cohort can show."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from posttx.auditing.cohort_audit import cohort_findings, cohort_table
from posttx.auditing.findings import Finding, findings_table, sort_findings
from posttx.auditing.scheme_test import scheme_findings, scheme_tests
from posttx.auditing.shift import fact_findings, groups_table, shift_findings, shift_table
from posttx.facts import cohort_facts
from posttx.files import write_json, write_parquet
from posttx.logs import configure_logging
from posttx.schemas import (
    COHORT,
    COHORT_AUDIT,
    EVIDENCE,
    FINDINGS,
    INTENSITY,
    LABEL_VOLUMES,
    Schema,
    read_table,
    write_table,
)  # fmt: skip

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def gathered(paths: Sequence[str | Path], schema: Schema) -> pd.DataFrame:
    """Return the rows of several tables of one schema; none: an empty, typed table."""
    tables = [read_table(path, schema) for path in paths]
    filled = [table for table in tables if len(table)]
    if not filled:
        return schema.validate(pd.DataFrame(columns=list(schema.columns)))
    return pd.concat(filled, ignore_index=True)


def gather_audit(
    inputs: Mapping[str, Sequence[str | Path]],
    outputs: Mapping[str, str | Path],
    uses: Mapping[str, str],
    names: Mapping[int, str],
    notes: Sequence[Mapping[str, str]] = (),
    facts: Mapping[str, Mapping[str, str | Path]] | None = None,
) -> None:
    """Write the tables of all cohorts, the scheme test, and the findings of shards and cohorts together.

    ``inputs``: paths of the cohort tables (``cohorts``) and of the shards' intensity, labels, findings and evidence.
    ``uses``: cohort -> train, test or predict; ``notes``: keywords of findings that planning already knew;
    ``facts``: cohort -> its entry of the config, which says where facts about its cases come from.
    """
    cohorts = gathered(inputs["cohorts"], COHORT)
    intensity, labels = gathered(inputs["intensity"], INTENSITY), gathered(inputs["labels"], LABEL_VOLUMES)
    evidence = gathered(inputs["evidence"], EVIDENCE)
    patients = evidence.merge(cohorts[["cohort", "case", "patient"]], on=["cohort", "case"], validate="many_to_one")
    scheme: dict[str, Any] = scheme_tests(patients, names)
    more = cohort_findings(cohorts, intensity, labels, evidence, uses) + scheme_findings(scheme)
    more += [Finding(**note) for note in notes]
    known = {cohort: cohort_facts(settings) for cohort, settings in (facts or {}).items()}
    shift = shift_table(cohorts, intensity, labels, known, uses)
    more += [*fact_findings(cohorts, known), *shift_findings(shift)]
    findings = pd.concat([gathered(inputs["findings"], FINDINGS), findings_table(more)], ignore_index=True)
    write_table(intensity, INTENSITY, outputs["intensity"])
    write_table(labels, LABEL_VOLUMES, outputs["labels"])
    write_table(sort_findings(findings), FINDINGS, outputs["findings"])
    write_table(cohort_table(intensity, labels), COHORT_AUDIT, outputs["cohort_table"])
    write_json(outputs["scheme"], scheme)
    write_parquet(groups_table(cohorts, intensity, labels, known), outputs["groups"])
    write_parquet(shift, outputs["shift"])
    logger.info("%d findings in %d cases of %d cohorts", len(findings), len(cohorts), cohorts["cohort"].nunique())


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    names = {int(value): name for value, name in snakemake.params.names.items()}
    # Not a parameter: the archive of `snakemake --report` tells those, and a sheet has a path.
    facts = {cohort: snakemake.config["cohorts"][cohort] for cohort in snakemake.params.uses}
    gather_audit(snakemake.input, snakemake.output, snakemake.params.uses, names, snakemake.params.notes, facts)

"""Turn an nnU-Net ``summary.json`` into the tables that a scored model has."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from posttx.auditing.findings import Finding, findings_table
from posttx.case_ids import BRATS_ID, patients_unknown
from posttx.errors import CasesFailedError
from posttx.files import digest_of, flush, sha256_of
from posttx.logs import configure_logging
from posttx.rows import write_rows
from posttx.schemas import CASE_METRICS, COHORT, CONFUSION, FINDINGS, LESIONS, read_table, write_table
from posttx.scoring.counts import rows_from_counts
from posttx.shards import shard_of

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def people_in(cohort_table: str | Path | None) -> dict[str, tuple[str, int]] | None:
    """Return case -> (patient, timepoint) of a cohort that has cases of its own, else None."""
    if not cohort_table:
        return None
    table = read_table(cohort_table, COHORT)
    return {row["case"]: (row["patient"], int(row["timepoint"])) for row in table.to_dict("records")}


def import_counts(
    counts: str | Path,
    cohort_table: str | Path | None,
    outputs: Mapping[str, str | Path],
    cohort: str,
    model: str,
    regions: Mapping[str, Sequence[int]],
    shards: int,
    voxel_mm3: float = 1.0,
    people: Mapping[str, tuple[str, int]] | None = None,
    notes: Sequence[Mapping[str, str]] = (),
) -> None:
    """Write metrics (all cases, and one file per case beside it), and lesions and confusion with no rows.

    ``people`` are those of a cohort's sheet without files: case -> (patient, timepoint), ``notes`` what is told of that
    sheet, as keywords of findings. Counts know no lesions and no confusions: those tables are there so that what
    follows need not ask. Where entries of the file are refused, the other cases get their files, and one error names
    all that were refused.
    """
    people = people or people_in(cohort_table)
    by_case, failures = rows_from_counts(counts, regions, voxel_mm3, people)
    who = {"cohort": cohort, "model": model}
    metadata = {
        "scheme": "counts",
        "scheme_digest": digest_of(["counts", regions, voxel_mm3]),
        # not its name: metrics are handed on
        "counts_sha256": sha256_of(counts),
        "voxel_mm3": str(voxel_mm3),
    }
    folder = Path(outputs["metrics"]).with_suffix("")
    written = set()
    for case, rows in by_case.items():
        path = folder / shard_of(rows[0]["patient"], shards) / f"{case}.parquet"
        write_rows([{**who, **row} for row in rows], CASE_METRICS, path, metadata)
        written.add(path)
    for path in set(folder.glob("*/*.parquet")) - written:
        path.unlink()
    if failures:
        raise CasesFailedError(failures, len(by_case) + len(failures))
    flush(written)
    table = pd.DataFrame([{**who, **row} for case in sorted(by_case) for row in by_case[case]])
    write_table(table.reindex(columns=list(CASE_METRICS.columns)), CASE_METRICS, outputs["metrics"], **metadata)
    alone = [case for case in sorted(by_case) if people is None and not BRATS_ID.fullmatch(case)]
    told = [patients_unknown(alone)] if alone else []
    found = [Finding(code, cohort, f"model {model}: {text}") for code, text in told]
    found += [Finding(**note) for note in notes]
    write_table(findings_table(found), FINDINGS, outputs["findings"], **metadata)
    for name, schema in (("lesions", LESIONS), ("confusion", CONFUSION)):
        write_table(pd.DataFrame(columns=list(schema.columns)), schema, outputs[name], **metadata)
    logger.info("%d cases, %d rows from %s", len(by_case), len(table), counts)


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    import_counts(
        snakemake.input.counts,
        snakemake.input.get("cohort"),
        snakemake.output,
        snakemake.wildcards.cohort,
        snakemake.wildcards.model,
        **snakemake.params.settings,
        people=snakemake.params.people,
        notes=snakemake.params.notes,
    )

"""Gather the scores of all cases of a cohort by one model, and assert that none is missing."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from posttx.auditing.findings import Finding, findings_table
from posttx.errors import PostTxError
from posttx.files import torn_table
from posttx.logs import configure_logging
from posttx.schemas import COHORT, FINDINGS, read_table, write_table
from posttx.scoring import plausibility
from posttx.scoring.evaluation import REMARKS, SCHEMAS
from posttx.scoring.prediction_findings import matching_findings
from posttx.scoring.predictions import find_predictions
from posttx.shard_files import DISAGREEMENT

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)
T = TypeVar("T")


def read_cases(files: Sequence[Path]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read one table from the files of single cases; return it with the metadata that all files have in common."""
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise PostTxError(
            f"{len(missing)} of {len(files)} cases have no scores",
            remedy="Delete the cohort's folder in results/scored and run again",
            file=missing[0],
            code="EVA008",
        )
    schemas = [_torn_told(path, pq.read_schema) for path in files]
    common: dict[str, str] | None = None
    for schema in schemas:
        entries = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        common = entries if common is None else {key: v for key, v in common.items() if entries.get(key) == v}
    try:
        table = ds.dataset([str(path) for path in files], schema=pa.unify_schemas(schemas), format="parquet").to_table()
    except (OSError, pa.ArrowException):
        # Reading all at once does not say which.
        for path in files:
            _torn_told(path, pq.read_table)
        raise
    return table.to_pandas(), {key: value for key, value in (common or {}).items() if key != "pandas"}


def _torn_told(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
    except (OSError, pa.ArrowException) as error:
        remedy = "Delete the cohort's folder in results/scored and run again"
        raise torn_table(path, error, remedy, path.name.removesuffix(".parquet")) from error


def check_rows(table: pd.DataFrame, cases: Sequence[str], regions: Sequence[str]) -> None:
    """Raise an error unless the table has exactly one row per case and region."""
    expected = pd.MultiIndex.from_product([cases, regions])
    found = pd.MultiIndex.from_frame(table[["case", "region"]])
    if len(found) == len(expected) and not len(expected.difference(found)):
        return
    odd = expected.symmetric_difference(found)
    raise PostTxError(
        f"{len(found)} rows where {len(cases)} cases x {len(regions)} regions are expected; "
        f"first difference: {tuple(odd[0]) if len(odd) else 'a row twice'}",
        remedy="Delete the cohort's folder in results/scored and run again",
        code="EVA008",
    )


def prediction_findings(folder: str | Path, cohort: str, model: str, cases: Sequence[str]) -> list[Finding]:
    """Return what is told of a model's folder of predictions; every file that is passed over is named in the log."""
    found = find_predictions(folder, set(cases))
    for path in (*found.unknown, *found.images, *found.hidden):
        logger.warning("model %s: %s is not scored: it is the prediction of no case", model, path)
    return matching_findings(found, folder, cohort, model, cases)


def remarks_on_predictions(files: Mapping[str, Path], cohort: str, model: str) -> list[Finding]:
    """Return what the scores of each case (case -> its file of metrics) note about its prediction, as findings."""
    found = []
    for case, path in files.items():
        noted = (pq.read_schema(path).metadata or {}).get(REMARKS.encode(), b"[]")
        found += [Finding(code, cohort, f"model {model}: {text}", case) for code, text in json.loads(noted)]
    return found


def with_pooled_labels(found: list[Finding], confusion: pd.DataFrame, cohort: str, model: str) -> list[Finding]:
    """Return findings with one on labels that look exchanged in all cases together, not in each case."""
    pooled = confusion.groupby(["label_ref", "label_pred"], as_index=False)["voxels"].sum()
    counts = plausibility.counts_of(pooled.astype("int64").to_dict("records"))
    message = plausibility.exchanged_labels(counts)
    if not message:
        return found
    single = {finding.case for finding in found if finding.code == "EVA016"}
    told = f"model {model}: {message} ({len(single)} cases by themselves)"
    return [Finding("EVA016", cohort, told), *(finding for finding in found if finding.code != "EVA016")]


def with_disagreement(metrics: pd.DataFrame, people: pd.DataFrame, uncertainty: str | Path) -> pd.DataFrame:
    """Return metrics with the column ``disagreement`` of the folds, the same in all rows of a case.

    It is read from the tables of the shards below ``uncertainty``; a case that is in none is an error.
    """
    files = [Path(uncertainty) / shard / DISAGREEMENT for shard in sorted(people["shard"].unique())]
    known = pd.concat([pd.read_csv(path, sep="\t", dtype={"case": str}) for path in files])
    shares = known.set_index("case")["disagreement"].astype("float64")
    if absent := sorted(set(metrics["case"]) - set(shares.index)):
        raise PostTxError(
            "the disagreement of the folds on a case is not known", remedy="Predict again", case=absent[0],
            file=uncertainty,
        )  # fmt: skip
    return metrics.assign(disagreement=metrics["case"].map(shares))


def gather_metrics(
    cohort_table: str | Path,
    outputs: Mapping[str, str | Path],
    cohort: str,
    model: str,
    regions: Mapping[str, Sequence[int]],
    folder: str | Path | None = None,
    uncertainty: str | Path = "",
) -> None:
    """Write metrics, lesions, confusion (all cases) and findings.

    Findings say what of ``folder`` was matched how or passed over, and what is odd about the predictions.

    Where the folds' disagreement was written (``uncertainty``), it becomes a column of the metrics.
    """
    people = read_table(cohort_table, COHORT).sort_values("case")
    cases: list[Any] = people["case"].tolist()
    tables: dict[str, pd.DataFrame] = {}
    for name, schema in SCHEMAS.items():
        root = Path(outputs[name]).with_suffix("")
        files = [root / shard / f"{case}.parquet" for case, shard in zip(cases, people["shard"], strict=True)]
        table, metadata = read_cases(files)
        if name == "metrics":
            check_rows(table, cases, list(regions))
            table = with_disagreement(table, people, uncertainty) if uncertainty else table
        tables[name] = table
        write_table(table, schema, outputs[name], **metadata)
        logger.info("%s: %d rows of %d cases", name, len(table), len(cases))
    shards = zip(cases, people["shard"], strict=True)
    scored = {case: Path(outputs["metrics"]).with_suffix("") / shard / f"{case}.parquet" for case, shard in shards}
    found = prediction_findings(folder, cohort, model, cases) if folder else []
    found += remarks_on_predictions(scored, cohort, model)
    found = with_pooled_labels(found, tables["confusion"], cohort, model)
    write_table(findings_table(found), FINDINGS, outputs["findings"])


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    gather_metrics(
        snakemake.input.cohort,
        snakemake.output,
        snakemake.wildcards.cohort,
        snakemake.wildcards.model,
        snakemake.params.regions,
        snakemake.params.folder,
        snakemake.params.uncertainty,
    )

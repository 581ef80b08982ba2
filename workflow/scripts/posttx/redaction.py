"""What leaves the machine: the same records without paths, names of files and comments, which stay beside the results.

The report's pages, the bundle and the archive that `snakemake --report` packs are passed on; `results/` is not. Nothing
here looks for what might be a name: what is shown is chosen. Keys of the configuration that hold a path carry `x-path`
in the schema, and are shown as what stands there; a finding's message is shown where its code says that it is made of
ids, numbers and words of ours, else the code's title.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posttx.auditing.finding_codes import CODES
from posttx.case_ids import IMAGE_COLUMNS
from posttx.config_paths import PATH, WORDS
from posttx.configuration import read_yaml
from posttx.files import digest_of, read_json, read_parquet, replacing, write_json, write_parquet

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = Path(__file__).parents[3] / "config/schema/config.schema.yaml"
# Findings whose messages are made of ids, numbers and words of ours. Any other is shown by its code's title.
DESCRIBED = re.compile(
    r"FIL00[3-79]|COH00[5-7]|COH0(1[246]|21)|EVA005|EVA01[356789]|(DUP|FCT|GEO|INT|LAB|SCH|PRI)\d{3}"
)
# Should a path stand in such a message after all, it has one of these.
PATH_SIGNS = re.compile(r"[/\\]|\.nii|\.gz", re.IGNORECASE)
PROVENANCE = ("written", "python", "packages", "git_commit", "git_changed_files", "config_digest", "seeds", "hardware")
# Of the notes in Parquet files: none that names a file, or says something of a single one in words.
NOTES = (
    "pandas", "scheme", "scheme_digest", "regions", "versions", "convention", "seed", "voxel_mm3", "counts_sha256",
    "prediction_sha256", "reference_sha256", "default_split_leaks",
)  # fmt: skip
# Codes whose case need not be one of the cohort's table: it is known to be a case of the cohort all the same.
LEFT_OUT = ("COH009",)
EVERY_COHORT = "all"
UNKNOWN_COHORT = "unknown"


def public_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with every path replaced by what stands there: "a folder" or "a file"."""
    return _public(config, _schema(), _schema())


def public_digest(config: Mapping[str, Any]) -> str:
    """Return the digest of a configuration without its paths, which a digest would give away to whoever guesses them.

    ``report`` is left out: its changes alter no result.
    """
    return digest_of({key: value for key, value in public_config(config).items() if key != "report"})


def public_provenance(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a provenance record leaves: the configuration and its digest are the public ones."""
    public = {key: record[key] for key in PROVENANCE if key in record}
    if "config" in record:
        public |= {"config": public_config(record["config"]), "config_digest": public_digest(record["config"])}
    return public


def public_cohort(table: pd.DataFrame) -> pd.DataFrame:
    """Return a cohort's table without the paths of its files."""
    return table.drop(columns=list(IMAGE_COLUMNS))


def public_findings(findings: pd.DataFrame, cohorts: Mapping[str, pd.DataFrame | None]) -> pd.DataFrame:
    """Return findings with ids alone: no file, no folder, no comment, no name that is not a case of a cohort.

    ``cohorts``: cohort -> its table, None where only counts are known. The number of rows is kept.
    """
    import pandas as pd  # here, because planning imports this module for the configuration alone

    files = {
        (cohort, case, modality): path
        for cohort, table in cohorts.items()
        if table is not None
        for modality in IMAGE_COLUMNS
        for case, path in zip(table["case"].astype(str), table[modality], strict=True)
        if isinstance(path, str)
    }
    known = {(name, str(case)) for name, table in cohorts.items() if table is not None for case in table["case"]}
    records: list[dict[str, Any]] = findings.to_dict("records")  # type: ignore[assignment]
    rows = [_public_row(row, known, files, set(cohorts)) for row in records]
    return pd.DataFrame(rows, columns=list(findings.columns)).astype(findings.dtypes.to_dict())


def write_public(source: Path, name: str, target: Path) -> bool:
    """Write the public version of a file of the results to ``target``; False where the file may leave as it is.

    ``name`` is the file's path relative to the results.
    """
    written = PUBLIC.get(name) or PUBLIC.get(name.split("/")[0] + "/")
    if written:
        written(source, target)
    return bool(written) or (name.endswith(".parquet") and _write_noted(source, target))


def _write_noted(source: Path, target: Path) -> bool:
    """Write a table without the notes in its file that are not to leave; False where it has none of them."""
    import pyarrow.parquet as pq

    notes = pq.read_schema(source).metadata or {}
    public = {key: value for key, value in notes.items() if key.decode("utf-8", "replace") in NOTES}
    if public == notes:
        return False
    table = pq.read_table(source).replace_schema_metadata(public)
    with replacing(target) as beside:
        pq.write_table(table, beside)
    return True


def _write_provenance(source: Path, target: Path) -> None:
    write_json(target, public_provenance(read_json(source)))


def _write_cohort(source: Path, target: Path) -> None:
    write_parquet(public_cohort(read_parquet(source)), target)


def _write_findings(source: Path, target: Path) -> None:
    findings = read_parquet(source)
    folder = source.parents[1] / "cohorts"
    names = set(findings["cohort"].dropna())
    cohorts = {path.stem: read_parquet(path) for path in sorted(folder.glob("*.parquet")) if path.stem in names}
    write_parquet(public_findings(findings, cohorts), target)


PUBLIC: dict[str, Callable[[Path, Path], None]] = {
    "provenance.json": _write_provenance,
    "audit/findings.parquet": _write_findings,
    "cohorts/": _write_cohort,
}


@cache
def _schema() -> dict[str, Any]:
    return read_yaml(SCHEMA)


def _public(value: Any, level: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    if PATH in level:
        told = not isinstance(value, str) or not value or value in level.get(WORDS, ())
        return value if told else f"a {level[PATH]}"
    if "$ref" in level:
        level = schema["$defs"][level["$ref"].rsplit("/", 1)[1]]
    if isinstance(value, Mapping):
        known, further = level.get("properties", {}), level.get("additionalProperties")
        further = further if isinstance(further, Mapping) else {}
        return {key: _public(inner, known.get(key, further), schema) for key, inner in value.items()}
    if isinstance(value, list):
        return [_public(inner, level.get("items", {}), schema) for inner in value]
    return value


def _public_row(
    row: Mapping[str, Any], known: set[tuple[str, str]], files: Mapping[tuple[str, str, str], str], cohorts: set[str]
) -> dict[str, Any]:
    code, cohort, case = row["code"], row["cohort"], row["case"]
    file = files.get((cohort, case, row["modality"]), "")
    message = str(row["message"]).replace(f" ({file})", "") if file else str(row["message"])
    remedy = row.get("remedy") or ""
    told = bool(DESCRIBED.fullmatch(code)) and not PATH_SIGNS.search(message)
    ours = bool(DESCRIBED.fullmatch(code)) and not PATH_SIGNS.search(remedy)
    listed = (cohort, case) in known or code in LEFT_OUT
    return {
        **row,
        "cohort": cohort if cohort in cohorts or cohort == EVERY_COHORT else UNKNOWN_COHORT,
        "case": case if isinstance(case, str) and listed else None,
        "message": message if told else CODES[code].title,
        "remedy": remedy if ours or not remedy else CODES[code].remedy,
    }

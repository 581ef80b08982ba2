"""The tables of the contract as strict schemas: validated where a table is written and where it is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pyarrow as pa_arrow
import pyarrow.parquet as pq

from posttx.cases import IMAGE_COLUMNS, MODALITIES
from posttx.errors import PostTxError
from posttx.files import replacing, write_parquet

SURFACE_COLUMNS = ("hd95_mm", "nsd_0.5", "nsd_1.0")
LESION_COLUMNS = (
    "lesion_dice", "lesion_hd95_mm", "lesion_nsd_0.5", "lesion_nsd_1.0",
    "lesions_ref", "lesions_pred", "lesions_tp", "lesions_fp", "lesions_fn",
)  # fmt: skip


def _text(nullable: bool = False) -> pa.Column:
    return pa.Column(str, nullable=nullable)


def _float(nullable: bool = True, **checks: Any) -> pa.Column:
    return pa.Column("float64", nullable=nullable, **checks)


def _count(nullable: bool = False) -> pa.Column:
    return pa.Column("Int64", pa.Check.ge(0), nullable=nullable)


def _scored_case() -> dict[str, pa.Column]:
    """Return the columns that say whose scan was scored by which model: they begin every table of scores."""
    return {"cohort": _text(), "model": _text(), "case": _text(), "patient": _text(), "timepoint": _count()}


def _schema(columns: dict[str, pa.Column], **options: Any) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, strict=True, coerce=True, ordered=True, **options)


COHORT = _schema(
    {
        "case": _text(),
        "patient": _text(),
        "timepoint": _count(),
        "cohort": _text(),
        "shard": pa.Column(str, pa.Check.str_matches(r"^\d{3}$")),
        **{name: _text(nullable=True) for name in IMAGE_COLUMNS},
        **{
            f"{what}_{name}": _text(nullable=True)
            for name in IMAGE_COLUMNS
            for what in ("shape", "spacing", "orientation", "dtype")
        },
    },
    unique=["case"],
)

INTENSITY = _schema(
    {
        "cohort": _text(),
        "case": _text(),
        "modality": pa.Column(str, pa.Check.isin(MODALITIES)),
        "dtype": _text(),
        **{name: _float() for name in ("min", "p01", "p50", "p99", "max", "mean", "std")},
        "nonzero_fraction": _float(),
        "negative_fraction": _float(),
        "nan_count": _count(),
    },
    unique=["cohort", "case", "modality"],
)

LABEL_VOLUMES = _schema(
    {
        "cohort": _text(),
        "case": _text(),
        "label": _count(),
        "name": _text(),
        "voxels": _count(),
        "volume_mm3": _float(),
        **{f"mean_{name}": _float() for name in MODALITIES},
    },
    unique=["cohort", "case", "label"],
)

FINDINGS = _schema(
    {
        "severity": pa.Column(str, pa.Check.isin(["error", "warning", "info"])),
        "code": _text(),
        "cohort": _text(),
        "case": _text(nullable=True),
        "modality": _text(nullable=True),
        "message": _text(),
        "remedy": _text(),
    }
)

TRANSFORMS = _schema(
    {
        "case": _text(),
        "cohort": _text(),
        "shard": _text(),
        "original_shape": _text(),
        "original_affine": _text(),
        "original_orientation": _text(),
        "standard_shape": _text(),
        "standard_affine": _text(),
        "standard_orientation": _text(),
        "resampled": pa.Column(bool),
        "decision": _text(),
        "grid_of": _text(),
        "moved": _text(),
        "form_code": _count(),
        **{f"clip_{name}_{side}": _float() for name in MODALITIES for side in ("low", "high")},
        **{f"nonfinite_{name}": _count() for name in MODALITIES},
    },
    unique=["case"],
)

GEOMETRY = _schema(
    {
        "cohort": _text(),
        "case": _text(),
        "decision": pa.Column(str, pa.Check.isin(["agree", "trust_affine", "trust_voxels", "fail"])),
        "evidence": _text(),
        "grid_file": pa.Column(str, pa.Check.isin(IMAGE_COLUMNS)),
        **{name: _float() for name in ("score_voxels", "score_affine", "inside_voxels", "inside_affine")},
    },
    unique=["cohort", "case"],
)

EVIDENCE = _schema(
    {
        "cohort": _text(),
        "case": _text(),
        "modality": pa.Column(str, pa.Check.isin(IMAGE_COLUMNS)),
        "label": _count(),
        "voxels": _count(),
        "median": _float(),
        "spread": _float(),
        "content": _text(nullable=True),
    },
    unique=["cohort", "case", "modality", "label"],
)

# ``image`` and ``labels`` are PNG files of one slice.
THUMBNAILS = _schema(
    {
        "cohort": _text(),
        "case": _text(),
        "modality": _text(nullable=True),
        "image": pa.Column("object", nullable=True),
        "labels": pa.Column("object", nullable=True),
        "row_mm": _float(),
        "column_mm": _float(),
    },
    unique=["cohort", "case"],
)

COHORT_AUDIT = _schema(
    {
        "cohort": _text(),
        "kind": pa.Column(str, pa.Check.isin(["p99", "class"])),
        "name": _text(),
        "n": _count(),
        **{name: _float() for name in ("mean", "min", "max")},
        "voxels": _count(nullable=True),
        "share": _float(),
    },
    unique=["cohort", "kind", "name"],
)

CASE_METRICS = _schema(
    {
        **_scored_case(),
        "region": _text(),
        "label": _count(nullable=True),
        **{name: _count(nullable=True) for name in ("tp", "fp", "fn", "tn", "n_ref", "n_pred")},
        **{name: _float() for name in ("dice", "iou", "precision", "recall", "volume_ref_mm3", "volume_pred_mm3")},
        **{name: _float() for name in (*SURFACE_COLUMNS, *LESION_COLUMNS[:4])},
        **{name: _count(nullable=True) for name in LESION_COLUMNS[4:]},
    },
    unique=["cohort", "model", "case", "region"],
)

CONFUSION = _schema(
    {
        **_scored_case(),
        "label_ref": _count(),
        "label_pred": _count(),
        "voxels": _count(),
    },
    unique=["cohort", "model", "case", "label_ref", "label_pred"],
)

# One row per lesion of the reference and per predicted component, as the scoring scheme delimits them.
LESIONS = _schema(
    {
        **_scored_case(),
        "region": _text(),
        "source": pa.Column(str, pa.Check.isin(["reference", "prediction"])),
        "lesion": _count(),
        "voxels": _count(),
        "volume_mm3": _float(),
        **{f"centroid_{axis}_mm": _float() for axis in "xyz"},
        "state": pa.Column(str, pa.Check.isin(["matched", "missed", "false_positive", "ignored"])),
        "partners": _text(),
        "dice": _float(),
        "hd95_mm": _float(),
        "nsd_0.5": _float(),
        "nsd_1.0": _float(),
    },
    unique=["cohort", "model", "case", "region", "source", "lesion"],
)


# Distances at tolerances that the contract does not name, and the folds' disagreement, stand after its columns.
FURTHER_COLUMNS = re.compile(r"(lesion_)?nsd_\d+(\.\d+)?|disagreement")


def _further(names: Iterable[str], schema: pa.DataFrameSchema) -> list[str]:
    if "nsd_1.0" not in schema.columns:
        return []
    return [name for name in names if name not in schema.columns and FURTHER_COLUMNS.fullmatch(name)]


def checked(table: pd.DataFrame, schema: pa.DataFrameSchema, source: str | Path = "") -> pd.DataFrame:
    """Return ``table`` with the schema's types, or raise an error that names the columns and rows that break it."""
    further = _further(table.columns, schema)
    try:
        valid = schema.validate(table.drop(columns=further), lazy=True)
        return pd.concat([valid, table[further].astype("float64")], axis=1) if further else valid
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases[["column", "check", "failure_case"]].drop_duplicates().head(10)
        raise PostTxError(
            f"the table does not fit its schema:\n{cases.to_string(index=False)}\n",
            remedy="Delete the file and run again; if it comes back, report it",
            file=source,
        ) from error


def write_table(table: pd.DataFrame, schema: pa.DataFrameSchema, path: str | Path, **metadata: str) -> None:
    """Validate a table and write it as Parquet, whole or not at all."""
    write_parquet(checked(table, schema, path), path, metadata)


@cache
def _arrow_template(schema_name: str, further: tuple[str, ...]) -> pa_arrow.Schema:
    types = {name: str(column.dtype) for name, column in globals()[schema_name].columns.items()}
    types |= dict.fromkeys(further, "float64")
    empty = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})
    return pa_arrow.Schema.from_pandas(empty, preserve_index=False)


def write_rows(
    rows: Sequence[Mapping[str, Any]], schema_name: str, path: str | Path, metadata: Mapping[str, str]
) -> None:
    """Write rows as Parquet against the schema of that name in this module: names, types, missing values, counts >= 0.

    The same contract as ``write_table`` at a tenth of its time, for the thousands of small files of one row set per
    case; whatever gathers them validates in full. Columns that a row does not name are null.
    """
    schema = globals()[schema_name]
    names = list(dict.fromkeys(name for row in rows for name in row))
    further = _further(names, schema)
    if unknown := set(names) - set(schema.columns) - set(further):
        raise PostTxError(f"the rows have columns that the schema lacks: {sorted(unknown)}", file=path)
    template = _arrow_template(schema_name, tuple(further))
    arrays = []
    for field in template:
        values = [row.get(field.name) for row in rows]
        column = schema.columns.get(field.name)
        if column and not column.nullable and any(value is None for value in values):
            raise PostTxError(f"column {field.name} has missing values", file=path)
        if pa_arrow.types.is_integer(field.type) and any(value is not None and value < 0 for value in values):
            raise PostTxError(f"column {field.name} has negative counts", file=path)
        arrays.append(pa_arrow.array(values, field.type))
    extra = {key.encode(): value.encode() for key, value in metadata.items()}
    table = pa_arrow.Table.from_arrays(arrays, schema=template.with_metadata({**(template.metadata or {}), **extra}))
    with replacing(path) as beside:
        pq.write_table(table, beside)


def read_table(path: str | Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read a Parquet table and validate it."""
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, pa_arrow.ArrowException) as error:
        # The last ones come from pandas' own notes in the file, which it reads unchecked.
        raise PostTxError(
            f"not a Parquet table ({type(error).__name__}: {error})",
            remedy="Delete the file and run what writes it again",
            file=path,
        ) from error
    return checked(table, schema, path)

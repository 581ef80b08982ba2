"""The tables of the contract as strict schemas: validated where a table is written and where it is read.

The schemas themselves are plain data. pandera and pandas, which validate whole tables, are imported when the first one
is validated: they take as long to import as scoring fifty cases, and the jobs that score write their rows without them
(``rows``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from posttx.cases import IMAGE_COLUMNS, MODALITIES
from posttx.errors import PostTxError
from posttx.files import read_parquet, write_parquet
from posttx.measures import CONTRACT, LESION_WISE, WHERE_DEFINED, obeying

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameSchema

SURFACE_COLUMNS = tuple(measure.id for measure in obeying(WHERE_DEFINED))
LESION_VALUES = tuple(measure.columns[LESION_WISE] for measure in obeying(LESION_WISE))
LESION_COUNTS = ("lesions_ref", "lesions_pred", "lesions_tp", "lesions_fp", "lesions_fn")
LESION_COLUMNS = (*LESION_VALUES, *LESION_COUNTS)


@dataclass(frozen=True)
class Column:
    """One column: its pandas type, whether values may be missing, and which values are allowed (all where empty)."""

    kind: str
    nullable: bool = False
    allowed: tuple[str, ...] = ()
    pattern: str = ""

    @property
    def counts(self) -> bool:
        """Return whether the column holds counts, which are never negative."""
        return self.kind == "Int64"


@dataclass(frozen=True, eq=False)
class Schema:
    """A table: its columns in their order, no others, and the columns whose values together name a row."""

    columns: Mapping[str, Column]
    unique: tuple[str, ...] = ()

    def validate(self, table: pd.DataFrame, *, lazy: bool = False) -> pd.DataFrame:
        """Return ``table`` in the schema's types; pandera's errors where it does not fit, with ``lazy`` all at once."""
        return self._validator.validate(table, lazy=lazy)

    @cached_property
    def _validator(self) -> DataFrameSchema:
        from pandera.pandas import Check, DataFrameSchema
        from pandera.pandas import Column as Validated

        def validated(column: Column) -> Validated:
            checks = [Check.ge(0)] if column.counts else []
            checks += [Check.isin(column.allowed)] if column.allowed else []
            checks += [Check.str_matches(column.pattern)] if column.pattern else []
            return Validated(str if column.kind == "str" else column.kind, checks, nullable=column.nullable)

        columns = {name: validated(column) for name, column in self.columns.items()}
        return DataFrameSchema(columns, strict=True, coerce=True, ordered=True, unique=list(self.unique) or None)


def _text(*allowed: str, nullable: bool = False, pattern: str = "") -> Column:
    return Column("str", nullable, allowed, pattern)


def _float() -> Column:
    return Column("float64", nullable=True)


def _count(nullable: bool = False) -> Column:
    return Column("Int64", nullable)


def _scored_case() -> dict[str, Column]:
    """Return the columns that say whose scan was scored by which model: they begin every table of scores."""
    return {"cohort": _text(), "model": _text(), "case": _text(), "patient": _text(), "timepoint": _count()}


COHORT = Schema(
    {
        "case": _text(),
        "patient": _text(),
        "timepoint": _count(),
        "cohort": _text(),
        "shard": _text(pattern=r"^\d{3}$"),
        **{name: _text(nullable=True) for name in IMAGE_COLUMNS},
        **{
            f"{what}_{name}": _text(nullable=True)
            for name in IMAGE_COLUMNS
            for what in ("shape", "spacing", "orientation", "dtype")
        },
    },
    unique=("case",),
)

INTENSITY = Schema(
    {
        "cohort": _text(),
        "case": _text(),
        "modality": _text(*MODALITIES),
        "dtype": _text(),
        **{name: _float() for name in ("min", "p01", "p50", "p99", "max", "mean", "std")},
        "nonzero_fraction": _float(),
        "negative_fraction": _float(),
        "nan_count": _count(),
    },
    unique=("cohort", "case", "modality"),
)

LABEL_VOLUMES = Schema(
    {
        "cohort": _text(),
        "case": _text(),
        "label": _count(),
        "name": _text(),
        "voxels": _count(),
        "volume_mm3": _float(),
        **{f"mean_{name}": _float() for name in MODALITIES},
    },
    unique=("cohort", "case", "label"),
)

FINDINGS = Schema(
    {
        "severity": _text("error", "warning", "info"),
        "code": _text(),
        "cohort": _text(),
        "case": _text(nullable=True),
        "modality": _text(nullable=True),
        "message": _text(),
        "remedy": _text(),
    }
)

TRANSFORMS = Schema(
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
        "resampled": Column("bool"),
        "decision": _text(),
        "grid_of": _text(),
        "moved": _text(),
        "form_code": _count(),
        "labels": _text(),
        **{f"clip_{name}_{side}": _float() for name in MODALITIES for side in ("low", "high")},
        **{f"nonfinite_{name}": _count() for name in MODALITIES},
    },
    unique=("case",),
)

GEOMETRY = Schema(
    {
        "cohort": _text(),
        "case": _text(),
        "decision": _text("agree", "trust_affine", "trust_voxels", "fail"),
        "evidence": _text(),
        "grid_file": _text(*IMAGE_COLUMNS),
        "origin": _text("headers", "setting", "shapes"),
        "grid_shape": _text(),
        "grid_affine": _text(),
        **{name: _float() for name in ("score_voxels", "score_affine", "inside_voxels", "inside_affine")},
    },
    unique=("cohort", "case"),
)

EVIDENCE = Schema(
    {
        "cohort": _text(),
        "case": _text(),
        "modality": _text(*IMAGE_COLUMNS),
        "label": _count(),
        "voxels": _count(),
        "median": _float(),
        "spread": _float(),
        "content": _text(nullable=True),
    },
    unique=("cohort", "case", "modality", "label"),
)

# ``image`` and ``labels`` are PNG files of one slice.
THUMBNAILS = Schema(
    {
        "cohort": _text(),
        "case": _text(),
        "modality": _text(nullable=True),
        "image": Column("object", nullable=True),
        "labels": Column("object", nullable=True),
        "row_mm": _float(),
        "column_mm": _float(),
    },
    unique=("cohort", "case"),
)

COHORT_AUDIT = Schema(
    {
        "cohort": _text(),
        "kind": _text("p99", "class"),
        "name": _text(),
        "n": _count(),
        **{name: _float() for name in ("mean", "min", "max")},
        "voxels": _count(nullable=True),
        "share": _float(),
    },
    unique=("cohort", "kind", "name"),
)

CASE_METRICS = Schema(
    {
        **_scored_case(),
        "region": _text(),
        "label": _count(nullable=True),
        **{name: _count(nullable=True) for name in ("tp", "fp", "fn", "tn", "n_ref", "n_pred")},
        **{name: _float() for name in (*CONTRACT, "volume_ref_mm3", "volume_pred_mm3")},
        **{name: _float() for name in (*SURFACE_COLUMNS, *LESION_VALUES)},
        **{name: _count(nullable=True) for name in LESION_COUNTS},
    },
    unique=("cohort", "model", "case", "region"),
)

CONFUSION = Schema(
    {
        **_scored_case(),
        "label_ref": _count(),
        "label_pred": _count(),
        "voxels": _count(),
    },
    unique=("cohort", "model", "case", "label_ref", "label_pred"),
)

# One row per lesion of the reference and per predicted component, as the scoring scheme delimits them.
LESIONS = Schema(
    {
        **_scored_case(),
        "region": _text(),
        "source": _text("reference", "prediction"),
        "lesion": _count(),
        "voxels": _count(),
        "volume_mm3": _float(),
        **{f"centroid_{axis}_mm": _float() for axis in "xyz"},
        "state": _text("matched", "missed", "false_positive", "ignored"),
        "partners": _text(),
        **{name: _float() for name in ("dice", *SURFACE_COLUMNS)},
    },
    unique=("cohort", "model", "case", "region", "source", "lesion"),
)

# One row per 26-connected component of a single label of a prediction, on the grid of the prediction's file.
COMPONENTS = Schema(
    {
        "case": _text(),
        "label": _count(),
        "region": _text(),
        "component": _count(),
        "voxels": _count(),
        **{name: _float() for name in ("volume_mm3", "share", "p_mean", "p_max", "entropy", "dissent")},
        "touches": _text(),
        "surround": _count(),
        **{f"centre_{axis}": _float() for axis in "ijk"},
    },
    unique=("case", "label", "component"),
)

# What predicted components share with a reference; what the columns are in each kind: ``postprocess.overlaps.KINDS``.
OVERLAPS = Schema(
    {
        "case": _text(),
        "kind": _text("reference", "lesion", "component", "overlap", "place", "touch", "join", "contact"),
        **{name: _count() for name in ("label", "first", "second", "voxels")},
    }
)

# Distances at tolerances that the contract does not name, and the folds' disagreement, stand after its columns.
FURTHER_COLUMNS = re.compile(r"(lesion_)?nsd_\d+(\.\d+)?|disagreement")


def further_columns(names: Iterable[str], schema: Schema) -> list[str]:
    """Return which columns of a table of this schema may stand after the schema's own."""
    if "nsd_1.0" not in schema.columns:
        return []
    return [name for name in names if name not in schema.columns and FURTHER_COLUMNS.fullmatch(name)]


def checked(table: pd.DataFrame, schema: Schema, source: str | Path = "") -> pd.DataFrame:
    """Return ``table`` with the schema's types, or raise an error that names the columns and rows that break it."""
    import pandas as pd
    from pandera.errors import SchemaErrors

    further = further_columns(table.columns, schema)
    try:
        valid = schema.validate(table.drop(columns=further), lazy=True)
        return pd.concat([valid, table[further].astype("float64")], axis=1) if further else valid
    except SchemaErrors as error:
        cases = error.failure_cases[["column", "check", "failure_case"]].drop_duplicates().head(10)
        raise PostTxError(
            "the table does not fit its schema",
            lines=cases.to_string(index=False).splitlines(),
            remedy="Delete the file and run again; if it comes back, report it",
            file=source,
        ) from error


def write_table(table: pd.DataFrame, schema: Schema, path: str | Path, **metadata: str) -> None:
    """Validate a table and write it as Parquet, whole or not at all."""
    write_parquet(checked(table, schema, path), path, metadata)


def read_table(path: str | Path, schema: Schema) -> pd.DataFrame:
    """Read a Parquet table and validate it."""
    return checked(read_parquet(path), schema, path)

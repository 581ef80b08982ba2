"""Rows of small tables as Parquet, without pandas: jobs that are started by the dozen should not wait for it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from posttx.errors import PostTxError
from posttx.files import renaming, torn_table
from posttx.schemas import Schema, further_columns

# By pandas type: Arrow's type, pandas' name for it in an empty table, and how a number is packed.
KINDS = {
    "str": (pa.large_string(), "object", ""),
    "Int64": (pa.int64(), "int64", "q"),
    "float64": (pa.float64(), "float64", "d"),
}
# Of some rows, dictionaries, statistics and compression cost time and save no space.
PLAIN = {"use_dictionary": False, "write_statistics": False, "compression": "none"}


def write_rows(
    rows: Sequence[Mapping[str, Any]], schema: Schema, path: str | Path, metadata: Mapping[str, str]
) -> None:
    """Write rows as Parquet against a schema: names, types, missing values, counts >= 0.

    The same contract as ``write_table`` at a tenth of its time, for the thousands of small files of one row set per
    case; whatever gathers them validates in full. Columns that a row does not name are null. The files are not flushed
    to the disk: that is for whoever writes the list of them (``files.flush``).
    """
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    further = further_columns(names, schema)
    if unknown := set(names) - set(schema.columns) - set(further):
        raise PostTxError(f"the rows have columns that the schema lacks: {sorted(unknown)}", file=path)
    kinds, template = _template(schema, tuple(further))
    columns = {name: [row.get(name) for row in rows] for name in kinds}
    _check_values(columns, schema, path)
    arrays = [_array(values, kinds[name], name, path) for name, values in columns.items()]
    extra = {key.encode(): value.encode() for key, value in metadata.items()}
    table = pa.Table.from_arrays(arrays, schema=template.with_metadata({**template.metadata, **extra}))
    content = pa.BufferOutputStream()
    pq.write_table(table, content, **PLAIN)
    with renaming(path) as beside:
        # In one piece: Arrow writes a file column by column.
        beside.write_bytes(content.getvalue())
        # A file that takes another's place is flushed at once by ext4, one after another.
        Path(path).unlink(missing_ok=True)


def prepare_rows(schemas: Iterable[Schema]) -> None:
    """Do what the first ``write_rows`` of each schema would, so that workers forked later need not."""
    for schema in schemas:
        _template(schema, ())


def read_rows(path: str | Path, schema: Schema) -> list[dict[str, Any]]:
    """Read the rows of a table that ``write_table`` validated, with the checks of ``write_rows``; missing: None."""
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise torn_table(path, error) from error
    if table.column_names != list(schema.columns):
        raise PostTxError(
            f"the table has columns {table.column_names}, expected {list(schema.columns)}",
            remedy="Delete the file and run again; if it comes back, report it",
            file=path,
        )
    _check_values(table.to_pydict(), schema, path)
    return table.to_pylist()


@cache
def _template(schema: Schema, further: tuple[str, ...]) -> tuple[Mapping[str, str], pa.Schema]:
    """Return the columns' pandas types and the Arrow schema, with the notes that pandas itself would leave in it."""
    kinds = {name: column.kind for name, column in schema.columns.items()}
    kinds |= dict.fromkeys(further, "float64")
    notes = {
        "index_columns": [],
        "column_indexes": [],
        "columns": [
            {"name": name, "field_name": name, "pandas_type": KINDS[kind][1], "numpy_type": kind, "metadata": None}
            for name, kind in kinds.items()
        ],
        "attributes": {},
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": version("pandas"),
    }
    fields = [pa.field(name, KINDS[kind][0]) for name, kind in kinds.items()]
    return kinds, pa.schema(fields, {b"pandas": json.dumps(notes).encode()})


def _array(values: Sequence[Any], kind: str, name: str, path: str | Path) -> pa.Array:
    """Return a column as Arrow's; ``pa.array`` would import pandas."""
    arrow_type, _, code = KINDS[kind]
    if values.count(None) == len(values):
        return pa.nulls(len(values), arrow_type)
    missing = None in values
    valid = pa.py_buffer(_bits(value is not None for value in values)) if missing else None
    try:
        if code:
            filled = [0 if value is None else value for value in values] if missing else values
            buffers = [valid, pa.py_buffer(struct.pack(f"={len(values)}{code}", *filled))]
        else:
            texts = [("" if value is None else value).encode() for value in values]
            ends = struct.pack(f"={len(values) + 1}q", *accumulate(map(len, texts), initial=0))
            buffers = [valid, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
    except (struct.error, AttributeError) as error:
        raise PostTxError(f"column {name} has values that are no {kind}", file=path) from error
    return pa.Array.from_buffers(arrow_type, len(values), buffers)


def _bits(flags: Iterable[bool]) -> bytes:
    """Return flags as bits, the first one lowest."""
    text = "".join("01"[flag] for flag in flags)[::-1]
    return int(text or "0", 2).to_bytes(len(text) // 8 + 1, "little")


def _check_values(columns: Mapping[str, Sequence[Any]], schema: Schema, path: str | Path) -> None:
    """Raise where a column lacks values that it must have, or holds counts below 0."""
    for name, values in columns.items():
        column = schema.columns.get(name)
        if column and not column.nullable and None in values:
            raise PostTxError(f"column {name} has missing values", file=path)
        if column and column.counts and any(value < 0 for value in values if value is not None):
            raise PostTxError(f"column {name} has negative counts", file=path)

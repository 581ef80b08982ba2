from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import score_shard
from posttx.errors import PostTxError
from posttx.rows import read_rows, write_rows
from posttx.schemas import CASE_METRICS, COHORT, CONFUSION, LESIONS, read_table, write_table

WHO = {"cohort": "c", "model": "Müller", "case": "a-1", "patient": "a", "timepoint": 1}
ROWS = [
    {**WHO, "region": "ET", "label": 3, "tp": 0, "dice": math.nan, "hd95_mm": math.inf},
    {**WHO, "region": "WT", "label": None, "tp": 2**40, "dice": 0.1 + 0.2, "nsd_3.0": 0.25},
]


def as_pandas_would(rows, schema, further=()):
    kinds = {name: column.kind for name, column in schema.columns.items()} | dict.fromkeys(further, "float64")
    empty = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
    template = pa.Schema.from_pandas(empty, preserve_index=False)
    return pa.Table.from_pylist([{name: row.get(name) for name in template.names} for row in rows], template)


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1] * 9, []], ids=["two", "nine", "none"])
def test_rows_are_written_as_pandas_would(tmp_path, rows):
    path = tmp_path / "new/a.parquet"
    write_rows(rows, CASE_METRICS, path, {"scheme": "voxel"})
    expected = as_pandas_would(rows, CASE_METRICS, ["nsd_3.0"] if rows is ROWS else [])
    written = pq.read_table(path)
    assert written.replace_schema_metadata(None).to_pandas().equals(expected.replace_schema_metadata(None).to_pandas())
    assert [column.null_count for column in written] == [column.null_count for column in expected]
    assert written.schema.metadata == {**expected.schema.metadata, b"scheme": b"voxel"}
    assert written.schema.equals(expected.schema)
    assert [path.name for path in path.parent.iterdir()] == ["a.parquet"]


@pytest.mark.parametrize("schema", [CASE_METRICS, LESIONS, CONFUSION])
def test_empty_tables_have_the_schema(tmp_path, schema):
    write_rows([], schema, tmp_path / "a.parquet", {})
    assert pq.read_schema(tmp_path / "a.parquet").equals(as_pandas_would([], schema).schema, check_metadata=True)


def test_rows_take_the_place_of_others_and_are_read_back(tmp_path):
    path = tmp_path / "a.parquet"
    for voxels in (1, 2):
        write_rows([{**WHO, "label_ref": 0, "label_pred": 1, "voxels": voxels}], CONFUSION, path, {})
    assert read_rows(path, CONFUSION) == [{**WHO, "label_ref": 0, "label_pred": 1, "voxels": 2}]
    assert read_table(path, CONFUSION)["voxels"].tolist() == [2]


def test_a_table_written_by_pandas_is_read_as_rows(tmp_path):
    row = {"case": "a-1", "patient": "a", "timepoint": 1, "cohort": "c", "shard": "000", "t1c": "a.nii.gz"}
    write_table(pd.DataFrame([row]).reindex(columns=list(COHORT.columns)), COHORT, tmp_path / "a.parquet")
    assert read_rows(tmp_path / "a.parquet", COHORT) == [dict.fromkeys(COHORT.columns) | row]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"case": None}, "column case has missing values"),
        ({"voxels": None}, "column voxels has missing values"),
        ({"voxels": -1}, "column voxels has negative counts"),
        ({"voxels": 1.5}, "column voxels has values that are no Int64"),
        ({"case": 7}, "column case has values that are no str"),
        ({"volume": 1.0}, "columns that the schema lacks: ['volume']"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, change, problem):
    with pytest.raises(PostTxError) as error:
        write_rows([{**WHO, "label_ref": 0, "label_pred": 1, "voxels": 2, **change}], CONFUSION, tmp_path / "a", {})
    assert problem in str(error.value)
    assert not list(tmp_path.iterdir())


def test_the_start_of_scoring_waits_for_no_pandas(tmp_path):
    write_table(pd.DataFrame(columns=list(COHORT.columns)), COHORT, tmp_path / "cohort.parquet")
    program = f"""
import sys
from score_shard import score_shard
settings = {{"folders": {{}}, "regions": {{"ET": [1]}}, "scheme": "voxel", "tolerances": [], "missing": "error"}}
score_shard({str(tmp_path / "cohort.parquet")!r}, None, {str(tmp_path / "scored/c/000.tsv")!r}, "c", "000", settings)
from posttx.rows import write_rows
from posttx.schemas import CONFUSION
write_rows([], CONFUSION, {str(tmp_path / "a.parquet")!r}, {{}})
sys.exit(", ".join({{"pandas", "pandera", "scipy.ndimage", "scipy.spatial"}} & set(sys.modules)) or 0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(score_shard.__file__).parent)

"""How estimates become columns of a table: values, intervals, numbers of cases and patients, types."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from posttx.analysis.statistics import Estimate
from posttx.scoring.scores import Scores

Columns = dict[str, object]


def keys(scores: Scores) -> Columns:
    """Return the columns that name a region."""
    return {"label": pd.array(list(scores.labels), dtype="Int64"), "region": np.array(scores.regions, dtype=object)}


def values(estimates: Mapping[str, Estimate]) -> Columns:
    """Return one column per estimate."""
    return {name: estimate.value for name, estimate in estimates.items()}


def intervals(estimates: Mapping[str, Estimate]) -> Columns:
    """Return two columns per estimate, the ends of its interval."""
    columns: Columns = {}
    for name, estimate in estimates.items():
        columns |= {f"{name}_ci_low": estimate.low, f"{name}_ci_high": estimate.high}
    return columns


def frame(columns: Columns, rows: int | None = None) -> pd.DataFrame:
    """Make a table whose integers are Int64 and whose texts are strings, whatever the number of rows."""
    table = pd.DataFrame(columns, index=None if rows is None else range(rows))
    for name in table.columns:
        if pd.api.types.is_integer_dtype(table[name]):
            table[name] = table[name].astype("Int64")
        elif not pd.api.types.is_float_dtype(table[name]):
            table[name] = table[name].astype("str")
    return table

"""What levers are meant for, beside the primary endpoint: false-positive ET, its recall, and the wall of the cavity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from posttx.analysis.comparison import adjusted
from posttx.analysis.statistics import Patients, means
from posttx.networks.lever_pairs import LeverPair

FloatArray = npt.NDArray[np.float64]
# Column of the values by case -> (what it is, digits, better when higher).
AIMS: Mapping[str, tuple[str, int, bool]] = {
    "fp_mm3": ("False-positive ET volume, mm3", 1, False),
    "recall": ("Recall of ET, where present", 4, True),
    "nsd_et": ("NSD at 1 mm of ET within 5 mm of its interface with RC", 4, True),
    "nsd_rc": ("NSD at 1 mm of RC within 5 mm of its interface with ET", 4, True),
}
COLUMNS = ("lever", "setting", "model", "baseline", "aim", "baseline_value", "model_value", "difference", "ci_low",
           "ci_high", "p_value", "p_holm", "n", "n_patients")  # fmt: skip


def aims(pairs: Sequence[LeverPair], values: Mapping[str, pd.DataFrame], seed: int) -> pd.DataFrame:
    """Return one row per pair and aim, paired by case, with intervals by patient and p adjusted over the table.

    ``values``: model -> a row per case with ``case``, ``patient`` and the columns of ``AIMS``, NaN where undefined; a
    case counts where both models (all their seeds) have a value. Values are averaged over seeds case by case.
    """
    rows = [row for pair in pairs for row in _rows(pair, values, seed)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.assign(p_holm=adjusted(table["p_value"].to_numpy(np.float64)) if rows else [])


def _rows(pair: LeverPair, values: Mapping[str, pd.DataFrame], seed: int) -> list[dict[str, object]]:
    tables = [[values[both[place]].set_index("case").sort_index() for both in pair.seeds] for place in (0, 1)]
    cases = tables[0][0].index
    for table in (*tables[0], *tables[1]):
        cases = cases.intersection(table.index)
    before, after = (
        np.mean([table.loc[cases, list(AIMS)].to_numpy(np.float64) for table in seeds], axis=0) for seeds in tables
    )
    paired = ~np.isnan(before) & ~np.isnan(after)
    difference = np.where(paired, after - before, np.nan)
    patients = Patients.of(tuple(tables[0][0].loc[cases, "patient"]), seed)
    found, p = patients.estimate(means(difference), paired), patients.flip_p(difference)
    each = [patients.estimate(means(np.where(paired, one, np.nan)), paired).value for one in (before, after)]
    return [
        {
            "lever": pair.lever, "setting": pair.setting, "model": pair.model, "baseline": pair.baseline, "aim": aim,
            "baseline_value": each[0][k], "model_value": each[1][k], "difference": found.value[k],
            "ci_low": found.low[k], "ci_high": found.high[k], "p_value": p[k], "p_holm": np.nan,
            "n": found.n[k], "n_patients": found.n_patients[k],
        }
        for k, aim in enumerate(AIMS)
    ]  # fmt: skip

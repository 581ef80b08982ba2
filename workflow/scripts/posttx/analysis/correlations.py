"""Volume against Dice: of each class with itself, and of each with every other; Spearman decides, Pearson describes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from posttx.analysis.coefficients import pearson, products, rank_products, spearman
from posttx.analysis.frames import Columns, frame, intervals, keys, values
from posttx.analysis.statistics import CORRELATION, Patients, holm
from posttx.conventions import PRESENT_ONLY, PUBLISHED
from posttx.scoring.scores import Scores

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def volume_bias(scores: Scores, patients: Patients) -> pd.DataFrame:
    """Return per label the correlation of its reference volume with its Dice, over the cases that have it (missed: 0).

    ``p_value`` is that of Pearson's r, ``spearman_p_value`` that of Spearman's, both by flipping signs patient by
    patient; the columns with ``p_holm`` are adjusted for all labels.
    """
    used = (scores["n_ref"] > 0) & ~np.isnan(scores["dice"])
    columns = correlations(scores.reference_volume, scores["dice"], used, patients)
    return frame({**keys(scores), **columns, "convention": PRESENT_ONLY.name})


def inter_class(scores: Scores, patients: Patients) -> pd.DataFrame:
    """Return for all ordered pairs (X, Y) the correlation of the reference volume of X with the Dice of Y.

    Taken over the cases whose reference has X and where the Dice of Y is defined, as published: that includes the zeros
    of Y hallucinated. The columns ending in ``_present`` leave those out (the reference has X and Y). The columns with
    ``p_holm`` are adjusted for all pairs.
    """
    count = len(scores.regions)
    x, y = np.repeat(np.arange(count), count), np.tile(np.arange(count), count)
    volume, dice, reference = scores.reference_volume[:, x], scores["dice"][:, y], scores["n_ref"]
    used = (reference[:, x] > 0) & ~np.isnan(dice)
    labels, regions = np.array(scores.labels, dtype=object), np.array(scores.regions, dtype=object)
    columns: Columns = {
        "volume_label": pd.array(labels[x], dtype="Int64"),
        "dice_label": pd.array(labels[y], dtype="Int64"),
        **correlations(volume, dice, used, patients),
        "volume_region": regions[x],
        "dice_region": regions[y],
        "convention": PUBLISHED.name,
    }
    present = correlations(volume, dice, used & (reference[:, y] > 0), patients)
    return frame(columns | {_present(name): values for name, values in present.items()})


def correlations(x: FloatArray, y: FloatArray, used: BoolArray, patients: Patients) -> Columns:
    """Return both coefficients of each column of x with that of y, with intervals and p-values by patient."""
    estimates = {
        "pearson_r": patients.estimate(pearson(x, y, used), used, CORRELATION),
        "spearman_r": patients.estimate(spearman(x, y, used), used, CORRELATION),
    }
    linear, ranked = estimates.values()
    p = np.where(np.isnan(linear.value), np.nan, patients.flip_p(products(x, y, used)))
    rank_p = np.where(np.isnan(ranked.value), np.nan, patients.flip_p(rank_products(x, y, used)))
    return {
        **values(estimates),
        "p_value": p,
        "n": linear.n,
        **intervals(estimates),
        "n_patients": linear.n_patients,
        "p_holm": holm(p),
        "spearman_p_value": rank_p,
        "spearman_p_holm": holm(rank_p),
    }


def _present(name: str) -> str:
    for suffix in ("_ci_low", "_ci_high"):
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix)}_present{suffix}"
    return {"n": "n_both_present", "n_patients": "n_patients_both_present"}.get(name, f"{name}_present")

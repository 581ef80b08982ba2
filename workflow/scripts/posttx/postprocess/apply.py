"""Rules of post-processing, applied to a label map: dropped components become what surrounds them, or background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from posttx.errors import PostTxError
from posttx.postprocess.components import components_of
from posttx.postprocess.rules import BACKGROUND, Rule, Rules, dropped

if TYPE_CHECKING:
    import pandas as pd


def applied(label_map: np.ndarray, rows: pd.DataFrame, rules: Rules) -> np.ndarray:
    """Return a case's uint8 label map without the components that rules drop; the same array where they drop none.

    ``rows`` are those of ``schemas.COMPONENTS`` of this case and this very map; rows of another one are an error.
    """
    gone = rows[dropped(rows, rules)]
    if gone.empty:
        return label_map
    found = components_of(label_map, [int(label) for label in gone["label"].unique()])
    _check(found.labels, found.within, found.numbers, rows[rows["region"].isin(gone["region"])])
    number_of = {
        (label, within): number
        for number, (label, within) in enumerate(zip(found.labels.tolist(), found.within.tolist(), strict=True))
    }
    becomes = found.labels.astype(np.uint8)
    for label, component, region, surround in gone[["label", "component", "region", "surround"]].itertuples(
        index=False
    ):
        becomes[number_of[label, component]] = 0 if rules[region].then == BACKGROUND else surround
    result = label_map.copy(order="F")
    part = result[found.box]
    np.copyto(part, becomes[found.numbers], where=found.numbers > 0)
    return result


def _replacement(surround: int, rule: Rule) -> int:
    return 0 if rule.then == BACKGROUND else surround


def _check(labels: np.ndarray, within: np.ndarray, numbers: np.ndarray, rows: pd.DataFrame) -> None:
    """Raise unless rows have the numbers of voxels that the components of a map have."""
    voxels = np.bincount(numbers.ravel(order="K"), minlength=labels.size)
    in_map = sorted(zip(labels[1:].tolist(), within[1:].tolist(), voxels[1:].tolist(), strict=True))
    in_rows = sorted(rows[["label", "component", "voxels"]].astype(int).itertuples(index=False, name=None))
    if in_map != in_rows:
        raise PostTxError(
            "the rows of its components are those of another prediction",
            remedy="Delete the shard's table in results/components and run again",
            case=str(rows["case"].iloc[0]),
        )

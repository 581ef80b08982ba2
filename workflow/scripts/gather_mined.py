"""Gather the hard negatives that the folds of a model mined in their training parts."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from posttx.csv_text import write_csv
from posttx.errors import PostTxError
from posttx.files import read_json, write_parquet
from posttx.logs import configure_logging
from posttx.networks.training import MINED

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)
COLUMNS = {
    "fold": "int64", "round": "int64", "case": "str", "class": "str", "component": "int64", "voxels": "int64",
    "centre_i": "float64", "centre_j": "float64", "centre_k": "float64",
}  # fmt: skip


def gather_mined(
    checkpoints: Sequence[str | Path], splits: str | Path, output: Mapping[str, str | Path]
) -> pd.DataFrame:
    """Write the table as ``parquet`` and ``csv``, and return it: a row per mined component.

    ``checkpoints`` are those of the folds in their order; what was mined lies beside each. Centres are voxels (i, j, k)
    of the standardised image. A component of a case that its fold holds out is an error.
    """
    rows: list[dict[str, Any]] = []
    for fold, (checkpoint, split) in enumerate(zip(checkpoints, read_json(splits), strict=True)):
        for row in read_json(Path(checkpoint).with_name(MINED)):
            if row["case"] not in split["train"]:
                raise PostTxError(
                    f"fold {fold} mined hard negatives in {row['case']}, which it was not trained on",
                    remedy="Delete the fold's folder and train it again; if you did not write this, find out who did",
                    file=Path(checkpoint).with_name(MINED),
                )
            centre = dict(zip(("centre_i", "centre_j", "centre_k"), row["centre"], strict=True))
            rows.append({"fold": fold, **{key: row[key] for key in COLUMNS if key in row}, **centre})
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    logger.info("%d hard negatives in %d cases", len(table), table["case"].nunique())
    write_parquet(table, output["parquet"])
    write_csv(table, output["csv"])
    return table


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    gather_mined(snakemake.input.checkpoints, snakemake.input.splits, snakemake.output)

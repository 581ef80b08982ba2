"""Tell of every fold what it separates and holds out, beside what nnU-Net's default split would have done."""

from pathlib import Path
from typing import TYPE_CHECKING

from posttx.csv_text import write_csv
from posttx.files import read_json, read_parquet, write_parquet
from posttx.logs import configure_logging
from posttx.networks.splits import default_splits, fold_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def describe_splits(table: str | Path, splits: str | Path, folder: str | Path) -> None:
    """Write ``splits.csv`` (a row per case) and ``folds.parquet``, ``folds.csv`` (a row per split and fold).

    What is counted is what stands in ``splits``, nnU-Net's own file, not what it was made from.
    """
    folder = Path(folder)
    cases = read_parquet(table)
    ours = read_json(splits)
    compared = {"by patient": ours}
    # nnU-Net cannot make its default split of fewer cases than folds.
    if len(cases) >= len(ours):
        compared["nnU-Net default"] = default_splits(list(cases["case"]), len(ours))
    folds = fold_table(compared, cases)
    write_parquet(folds, folder / "folds.parquet")
    for name, content in (("folds", folds), ("splits", cases)):
        write_csv(content, folder / f"{name}.csv")


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    describe_splits(snakemake.input.table, snakemake.input.splits, snakemake.params.folder)

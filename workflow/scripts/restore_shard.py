"""Put the out-of-fold predictions of a shard back on the original grids of its cases."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posttx.errors import PostTxError
from posttx.files import read_parquet
from posttx.logs import configure_logging
from posttx.networks.confidence import Segmentation, kept_files, restored
from posttx.networks.nnunet import FILE_ENDING
from posttx.nifti import read_volume, write_volume
from posttx.parallel import map_cases
from posttx.postprocess.components import Columns, component_rows, components_table
from posttx.schemas import COMPONENTS, write_table
from posttx.shard_files import remove_others, write_case_list

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def restore_shard(
    transforms: str | Path,
    splits: str | Path,
    summaries: Sequence[str | Path],
    cases: str | Path,
    components: str | Path,
    names: Mapping[int, str],
    workers: int,
) -> None:
    """Write every case of the ``transforms`` table from the fold that held it out; ``summaries`` are in fold order.

    ``components`` is the table of what was predicted, component by component; ``names`` are those of the labels.
    """
    folder = Path(cases).parent
    rows = {row["case"]: row for row in read_parquet(transforms).to_dict("records")}
    table = read_parquet(splits, columns=["case", "fold"])
    folds = dict(zip(table["case"], table["fold"], strict=True))
    unknown = sorted(set(rows) - set(folds))
    if unknown:
        raise PostTxError("the case is in no fold", remedy="Run write_splits again", case=unknown[0], file=splits)
    folder.mkdir(parents=True, exist_ok=True)
    remove_others(folder, rows)
    items = {case: (row, Path(summaries[folds[case]])) for case, row in rows.items()}
    found = map_cases(partial(_restore, folder), items, workers, verb="restored")
    write_table(components_table(found, names), COMPONENTS, components)
    write_case_list(cases, rows)


def _restore(folder: Path, item: tuple[dict[str, Any], Path]) -> Columns:
    row, summary = item
    files = kept_files(summary.parents[1], row["case"])
    found = Segmentation(**{name: _kept(path, summary) for name, path in files.items()})
    original, affine = restored(found, row)
    write_volume(folder / f"{row['case']}{FILE_ENDING}", original.label_map, affine, int(row["form_code"]))
    return component_rows(original, affine)


def _kept(path: Path, summary: Path) -> np.ndarray:
    try:
        # A writer of nnU-Net's takes two bytes where a value is 255.
        return read_volume(path).data.astype(np.uint8)
    except PostTxError as error:
        # Its general remedy is for data of the user; this file was made here.
        remedy = f"Delete {summary} and run again: the fold predicts its cases anew"
        raise PostTxError(error.problem, remedy=remedy, file=error.file, code=error.code) from error


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    given, made = snakemake.input, snakemake.output
    restore_shard(
        given.transforms,
        given.splits,
        given.summaries,
        made.cases,
        made.components,
        snakemake.params.names,
        snakemake.threads,
    )

"""Put the out-of-fold predictions of a shard back on the original grids of its cases."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posttx.errors import PostTxError
from posttx.files import read_parquet
from posttx.geometry.transforms import restore_labels
from posttx.label_maps import of_scheme, scheme_of_row
from posttx.logs import configure_logging
from posttx.networks.nnunet import FILE_ENDING
from posttx.nifti import read_volume, write_volume
from posttx.parallel import map_cases
from posttx.shard_files import remove_others, write_case_list

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def restore_shard(
    transforms: str | Path, splits: str | Path, summaries: Sequence[str | Path], cases: str | Path, workers: int
) -> None:
    """Write every case of the ``transforms`` table from the fold that held it out; ``summaries`` are in fold order."""
    folder = Path(cases).parent
    rows = {row["case"]: row for row in read_parquet(transforms).to_dict("records")}
    table = read_parquet(splits, columns=["case", "fold"])
    folds = dict(zip(table["case"], table["fold"], strict=True))
    unknown = sorted(set(rows) - set(folds))
    if unknown:
        raise PostTxError("the case is in no fold", remedy="Run write_splits again", case=unknown[0], file=splits)
    sources = {case: Path(summaries[folds[case]]).parent / f"{case}{FILE_ENDING}" for case in rows}
    folder.mkdir(parents=True, exist_ok=True)
    remove_others(folder, rows)
    items = {case: (row, sources[case]) for case, row in rows.items()}
    map_cases(partial(_restore, folder), items, workers, verb="restored")
    write_case_list(cases, rows)


def _restore(folder: Path, item: tuple[dict[str, Any], Path]) -> None:
    row, source = item
    restored, affine = restore_labels(of_scheme(read_volume(source).data, scheme_of_row(row)), row)
    write_volume(folder / f"{row['case']}{FILE_ENDING}", restored, affine, int(row["form_code"]))


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    given = snakemake.input
    restore_shard(given.transforms, given.splits, given.summaries, snakemake.output.cases, snakemake.threads)

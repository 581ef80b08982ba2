"""Read every header of the cases of a shard and write their rows of the cohort table."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import pandas as pd
from nibabel.affines import voxel_sizes

from posttx.cases import IMAGE_COLUMNS, Case
from posttx.errors import PostTxError
from posttx.logs import configure_logging
from posttx.nifti import read_header
from posttx.schemas import COHORT, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def describe(path: str) -> dict[str, str | None]:
    """Return shape, spacing, orientation and dtype of a file as text; all None where its header cannot be read.

    The audit reads the file again and reports what is wrong with it: one bad file must not end the scan of the others.
    """
    nothing: dict[str, str | None] = dict.fromkeys(("shape", "spacing", "orientation", "dtype"))
    try:
        header = read_header(path)
        affine = header.get_best_affine()
        spacing = voxel_sizes(affine)
        codes = nib.aff2axcodes(affine)
    except Exception as error:
        logger.warning("%s", error, exc_info=not isinstance(error, PostTxError))
        return nothing
    return {
        "shape": "x".join(map(str, header.get_data_shape())),
        "spacing": "x".join(f"{edge:.6g}" for edge in spacing),
        "orientation": "".join(code or "?" for code in codes),
        "dtype": str(header.get_data_dtype()),
    }


def cohort_row(case: Case) -> dict[str, Any]:
    """Return the row of one case: who, which files, and what their headers say."""
    row = {name: value for name, value in asdict(case).items() if name != "files"}
    row |= {name: case.files.get(name) for name in IMAGE_COLUMNS}
    for name in IMAGE_COLUMNS:
        told = describe(case.files[name]) if name in case.files else {}
        row |= {f"{what}_{name}": told.get(what) for what in ("shape", "spacing", "orientation", "dtype")}
    return row


def scan_shard(cases: Sequence[Case], table: str | Path, threads: int = 1, newest: int | None = None) -> None:
    """Write the rows of the cohort table of ``cases``, in their order.

    ``newest``, the date of the newest file, is noted in the table: whatever follows knows the files by it alone.
    """
    with ThreadPoolExecutor(max(1, threads)) as pool:
        rows = list(pool.map(cohort_row, cases))
    write_table(pd.DataFrame(rows, columns=list(COHORT.columns)), COHORT, table, newest=str(newest))
    logger.info("scanned %d cases", len(rows))


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    scan_shard(snakemake.params.cases, snakemake.output.table, snakemake.threads, snakemake.params.newest)

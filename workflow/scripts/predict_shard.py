"""Segment the cases of a shard by the mean of all folds of a model, back on their original grids."""

import argparse
import logging
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from posttx import versions
from posttx.errors import CasesFailedError
from posttx.files import digest_of, read_json, sha256_of, write_json
from posttx.grid import restore_labels
from posttx.logs import configure_logging
from posttx.networks.nnunet import FILE_ENDING, image_name
from posttx.networks.predictor import Ensemble, load_ensemble
from posttx.nifti import Volume, read_volume, write_volume
from posttx.shard_files import remove_others, write_case_list

logger = logging.getLogger(__name__)
Row = dict[str, Any]


def predict_shard(
    transforms: str | Path, checkpoints: Sequence[str | Path], cases: str | Path, device: str, mirroring: bool
) -> None:
    """Predict every case of the ``transforms`` table into the folder of ``cases``, which is written last.

    A case whose file stands under an agreeing stamp (checkpoints, its images, its transform, mirroring) is kept. Every
    other one is tried; those that fail are named at the end. No case: only the empty list is written.
    """
    folder = Path(cases).parent
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = pd.read_parquet(transforms).to_dict("records")  # type: ignore[assignment]
    remove_others(folder, [row["case"] for row in rows])
    ensemble, digests = load_ensemble(checkpoints, device, mirroring)
    channels = len(ensemble.dataset["channel_names"])
    images = {
        row["case"]: [Path(transforms).parent / "images" / image_name(row["case"], index) for index in range(channels)]
        for row in rows
    }
    stamps = {row["case"]: _stamp(row, images[row["case"]], digests, mirroring) for row in rows}
    missing = [row for row in rows if not _stands(folder, row["case"], stamps[row["case"]])]
    logger.info("%d of %d cases are to be predicted", len(missing), len(rows))
    failures = _predict(ensemble, missing, images, stamps, folder)
    if failures:
        raise CasesFailedError(failures, len(rows))
    write_case_list(cases, [row["case"] for row in rows])


def _predict(
    ensemble: Ensemble,
    rows: list[Row],
    images: dict[str, list[Path]],
    stamps: dict[str, str],
    folder: Path,
) -> dict[str, BaseException]:
    """Predict one case while the next is read and the one before is written: never more than two images in memory."""
    failures: dict[str, BaseException] = {}
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        written: dict[str, Future[None]] = {}
        coming = reader.submit(_read, images[rows[0]["case"]]) if rows else None
        for number, row in enumerate(rows):
            case, current = row["case"], coming
            following = rows[number + 1]["case"] if number + 1 < len(rows) else None
            try:
                volumes = current.result() if current else []
                coming = reader.submit(_read, images[following]) if following else None
                label_map = ensemble.segment(volumes)
                written[case] = writer.submit(_write, folder, row, label_map, stamps[case])
                logger.info("predicted %s, %d of %d", case, number + 1, len(rows))
            except Exception as error:
                logger.exception("case %s failed", case)
                failures[case] = error
                if coming is current:
                    coming = reader.submit(_read, images[following]) if following else None
        for case, future in written.items():
            if future.exception() is not None:
                failures[case] = future.exception()  # type: ignore[assignment]
    return failures


def _read(paths: list[Path]) -> list[Volume]:
    return [read_volume(path) for path in paths]


def _write(folder: Path, row: Row, label_map: np.ndarray, stamp: str) -> None:
    restored, affine = restore_labels(label_map, row)
    write_volume(folder / f"{row['case']}{FILE_ENDING}", restored, affine, int(row["form_code"]))
    write_json(_stamp_file(folder, row["case"]), {"stamp": stamp})


def _stamp(row: Row, images: list[Path], digests: list[str], mirroring: bool) -> str:
    seen = [sha256_of(path) for path in images]
    return digest_of([versions.PREDICT, sorted(digests), mirroring, seen, sorted(row.items())])


def _stamp_file(folder: Path, case: str) -> Path:
    return folder / f".{case}.json"


def _stands(folder: Path, case: str, stamp: str) -> bool:
    path = _stamp_file(folder, case)
    return (folder / f"{case}{FILE_ENDING}").is_file() and path.is_file() and read_json(path)["stamp"] == stamp


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line of the rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transforms", required=True)
    parser.add_argument("--cases", required=True)
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mirroring", choices=["True", "False"], required=True)
    parser.add_argument("--checkpoints", nargs="+", required=True)
    return parser.parse_args(given)


if __name__ == "__main__":
    configure_logging()
    given = arguments(sys.argv[1:])
    torch.set_num_threads(given.threads)
    predict_shard(given.transforms, given.checkpoints, given.cases, given.device, given.mirroring == "True")

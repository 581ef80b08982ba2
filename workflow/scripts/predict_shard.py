"""Segment the cases of a shard by the mean of all folds of a model, back on their original grids."""

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch

from posttx import versions
from posttx.errors import CasesFailedError, PostTxError
from posttx.files import digest_of, read_parquet, sha256_of
from posttx.logs import configure_logging
from posttx.networks.confidence import Segmentation
from posttx.networks.nnunet import image_name
from posttx.networks.predictions import Target, read_standardized
from posttx.networks.predictor import Ensemble, load_ensemble, ready
from posttx.parallel import failure_of
from posttx.postprocess.components import components_table
from posttx.schemas import COMPONENTS, write_table
from posttx.shard_files import remove_others, write_case_list

logger = logging.getLogger(__name__)
Row = dict[str, Any]


def predict_shard(
    transforms: str | Path,
    checkpoints: Sequence[str | Path],
    cases: str | Path,
    components: str | Path,
    names: Mapping[int, str],
    device: str,
    mirroring: bool,
    uncertainty: str | Path | None = None,
) -> None:
    """Predict every case of the ``transforms`` table into the folder of ``cases``, which is written last.

    ``components`` is the table of what was predicted, component by component; ``names`` are those of the labels.

    A case whose file stands under an agreeing stamp (checkpoints, its images, its transform, mirroring) is kept. Every
    other one is tried; those that fail are named at the end. No case: only the empty list is written. A folder
    ``uncertainty`` gets per case a map of how many folds dissent, and ``_disagreement.tsv`` with one number per case.
    """
    rows: list[Row] = read_parquet(transforms).to_dict("records")  # type: ignore[assignment]
    target = Target(Path(cases).parent, Path(uncertainty) if uncertainty else None)
    predict_rows(rows, Path(transforms).parent / "images", checkpoints, target, device, mirroring)
    known = [row["case"] for row in rows]
    write_table(components_table(target.components(known), names), COMPONENTS, components)
    write_case_list(cases, known)


def predict_rows(
    rows: Sequence[Row],
    folder: Path,
    checkpoints: Sequence[str | Path],
    target: Target,
    device: str,
    mirroring: bool,
) -> None:
    """Predict the cases of rows of transforms, whose standardized images lie in ``folder``, into ``target``."""
    known = [row["case"] for row in rows]
    for written in filter(None, (target.folder, target.uncertainty)):
        written.mkdir(parents=True, exist_ok=True)
        remove_others(written, known)
    ensemble, digests = load_ensemble(checkpoints, device, mirroring)
    channels = len(ensemble.dataset["channel_names"])
    images = {case: [folder / image_name(case, index) for index in range(channels)] for case in known}
    stamps = {row["case"]: _stamp(row, images[row["case"]], digests, mirroring) for row in rows}
    missing = [row for row in rows if not target.stands(row["case"], stamps[row["case"]])]
    logger.info("%d of %d cases are to be predicted", len(missing), len(rows))
    # Compiling takes a minute, which a shard that is done already need not wait.
    failures = _predict(ready(ensemble), missing, images, stamps, target) if missing else {}
    if failures:
        raise CasesFailedError(failures, len(rows))
    if target.uncertainty is not None:
        target.write_disagreement(known)


def _predict(
    ensemble: Ensemble, rows: list[Row], images: dict[str, list[Path]], stamps: dict[str, str], target: Target
) -> dict[str, PostTxError]:
    """Predict one case while the next is read and prepared: never more than two of them in memory.

    A case is looked at and written while the next one is computed, and before that one is written.
    """
    failures: dict[str, PostTxError] = {}
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        writing: dict[str, Future[None]] = {}
        coming = [reader.submit(_prepared, ensemble, images[row["case"]]) for row in rows[:1]]
        for number, row in enumerate(rows, 1):
            case, current = row["case"], coming.pop()
            wait([current])
            coming += [reader.submit(_prepared, ensemble, images[then["case"]]) for then in rows[number : number + 1]]
            try:
                found = _segmented(ensemble, *current.result(), target.uncertainty is not None)
                wait(writing.values())
                writing[case] = writer.submit(target.write, row, found, stamps[case])
                logger.info("predicted %s, %d of %d", case, number, len(rows))
            except Exception as error:
                failures[case] = failure_of(case, error)
            # What a future returns lives as long as the future.
            del current
        wait(writing.values())
    unwritten = {case: error for case, future in writing.items() if (error := future.exception()) is not None}
    return failures | {case: failure_of(case, error) for case, error in unwritten.items()}


def _prepared(ensemble: Ensemble, paths: list[Path]) -> tuple[torch.Tensor, dict[str, Any]]:
    return ensemble.prepare([read_standardized(path) for path in paths])


def _segmented(ensemble: Ensemble, data: torch.Tensor, properties: dict[str, Any], votes: bool) -> Segmentation:
    return ensemble.finish_with_votes(data, properties) if votes else ensemble.finish(data, properties)


def _stamp(row: Row, images: list[Path], digests: list[str], mirroring: bool) -> str:
    seen = [sha256_of(path) for path in images]
    return digest_of([versions.PREDICT, sorted(digests), mirroring, seen, sorted(row.items())])


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line of the rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transforms", required=True)
    parser.add_argument("--cases", required=True)
    parser.add_argument("--components", required=True, help="table of the predicted components")
    parser.add_argument("--names", required=True, help="names of the scheme's labels, as JSON")
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mirroring", choices=["True", "False"], required=True)
    parser.add_argument("--uncertainty", default="", help="folder of the folds' disagreement; empty for none")
    parser.add_argument("--checkpoints", nargs="+", required=True)
    return parser.parse_args(given)


if __name__ == "__main__":
    configure_logging()
    given = arguments(sys.argv[1:])
    torch.set_num_threads(given.threads)
    predict_shard(
        given.transforms,
        given.checkpoints,
        given.cases,
        given.components,
        {int(label): name for label, name in json.loads(given.names).items()},
        given.device,
        given.mirroring == "True",
        given.uncertainty,
    )

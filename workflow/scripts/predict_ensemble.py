"""Segment the cases of a shard by the mean probabilities of several models, back on their original grids."""

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import torch

from posttx import versions
from posttx.errors import CasesFailedError, PostTxError
from posttx.files import digest_of, read_json, read_parquet, sha256_of
from posttx.logs import configure_logging
from posttx.networks.averaging import Average, Members, compiled_members, load_members
from posttx.networks.member_runs import Row, Said, Task, by_member, folds_of, images_of, run, tasks_of
from posttx.networks.predictions import Target
from posttx.networks.weighing import Weights, equal_weights, from_record
from posttx.parallel import failure_of
from posttx.postprocess.components import components_table
from posttx.schemas import COMPONENTS, write_table
from posttx.shard_files import remove_others, write_case_list

logger = logging.getLogger(__name__)
Writing = dict[str, Future[None]]


def predict_ensemble(
    transforms: str | Path,
    checkpoints: Sequence[Sequence[str | Path]],
    cases: str | Path,
    components: str | Path,
    names: Mapping[int, str],
    device: str,
    mirroring: Sequence[bool],
    weights: Weights | None = None,
    splits: str | Path | None = None,
) -> None:
    """Predict every case of the ``transforms`` table into the folder of ``cases``, which is written last.

    ``checkpoints`` and ``mirroring`` are by member, checkpoints in the order of folds. ``splits``: the table of the
    train cohort's folds, whose cases are predicted by the networks that have not seen them; None: a held-out cohort.
    ``weights`` None: equal ones. A case whose file stands under an agreeing stamp is kept. Every other one is tried;
    those that fail are named at the end. No case: only the empty lists are written. ``components`` is the table of what
    was predicted, component by component; ``names`` are those of the labels.
    """
    rows: list[Row] = read_parquet(transforms).to_dict("records")  # type: ignore[assignment]
    target, images = Target(Path(cases).parent), Path(transforms).parent / "images"
    target.folder.mkdir(parents=True, exist_ok=True)
    remove_others(target.folder, [row["case"] for row in rows])
    weights = weights or equal_weights([str(paths[0]) for paths in checkpoints], len(checkpoints[0]))
    tasks = tasks_of(rows, weights.of, folds_of(splits, rows) if splits else None)
    members = load_members(checkpoints, device, mirroring)
    stamps = {task.case: _stamp(members, mirroring, images, task) for task in tasks}
    missing = [task for task in tasks if not target.stands(task.case, stamps[task.case])]
    logger.info("%d of %d cases are to be predicted", len(missing), len(rows))
    failures = _predict(compiled_members(members), images, missing, stamps, target) if missing else {}
    if failures:
        raise CasesFailedError(failures, len(rows))
    known = [row["case"] for row in rows]
    write_table(components_table(target.components(known), names), COMPONENTS, components)
    write_case_list(cases, known)


def _predict(
    members: Members, images: Path, tasks: Sequence[Task], stamps: Mapping[str, str], target: Target
) -> dict[str, PostTxError]:
    """Predict one case after the other; a label map is written while the next case is computed, before that one's."""
    writing: Writing = {}
    with ThreadPoolExecutor(1) as writer:
        failures = run(members, images, tasks, partial(_average, members, stamps, target, writer, writing))
        wait(writing.values())
    unwritten = {case: error for case, future in writing.items() if (error := future.exception()) is not None}
    return failures | {case: failure_of(case, error) for case, error in unwritten.items()}


def _average(
    members: Members,
    stamps: Mapping[str, str],
    target: Target,
    writer: ThreadPoolExecutor,
    writing: Writing,
    task: Task,
    said: Iterator[Said],
) -> None:
    average = Average(members.manager)
    for one in said:
        average.add(one.parts, one.shape, task.weights[one.member])
    found = average.segmentation()
    wait(writing.values())
    writing[task.case] = writer.submit(target.write, task.row, found, stamps[task.case])


def _stamp(members: Members, mirroring: Sequence[bool], folder: Path, task: Task) -> str:
    seen = sorted({path for paths in images_of(members, folder, task.case) for path in paths})
    networks = [[sorted(digests), mirrored] for digests, mirrored in zip(members.digests, mirroring, strict=True)]
    rests_on = [networks, list(task.weights), task.fold, [sha256_of(path) for path in seen], sorted(task.row.items())]
    return digest_of([versions.PREDICT, *rests_on])


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line of the rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transforms", required=True)
    parser.add_argument("--cases", required=True)
    parser.add_argument("--components", required=True, help="table of the predicted components")
    parser.add_argument("--names", required=True, help="names of the scheme's labels, as JSON")
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mirroring", required=True, help="True or False by member, with commas between")
    parser.add_argument("--splits", default="", help="table of folds; empty for a held-out cohort")
    parser.add_argument("--weights", default="", help="chosen weights (JSON); empty for equal ones")
    parser.add_argument("--checkpoints", nargs="+", required=True, help="of all folds of one member after the other")
    return parser.parse_args(given)


if __name__ == "__main__":
    configure_logging()
    given = arguments(sys.argv[1:])
    torch.set_num_threads(given.threads)
    predict_ensemble(
        given.transforms,
        by_member(given.checkpoints),
        given.cases,
        given.components,
        {int(label): name for label, name in json.loads(given.names).items()},
        given.device,
        [text == "True" for text in given.mirroring.split(",")],
        from_record(read_json(given.weights)) if given.weights else None,
        given.splits or None,
    )

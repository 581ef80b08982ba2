"""Count what every candidate of an ensemble's weights gets right on a shard's out-of-fold predictions."""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from posttx.errors import CasesFailedError
from posttx.files import read_parquet, write_parquet
from posttx.logs import configure_logging
from posttx.networks.averaging import Members, compiled_members, expected_probabilities, load_members, opinion_of
from posttx.networks.member_runs import Row, Said, Task, by_member, folds_of, run, tasks_of
from posttx.networks.nnunet import FILE_ENDING
from posttx.networks.predictions import read_standardized
from posttx.networks.weighing import COLUMNS, candidate_counts, candidates, counts_table

logger = logging.getLogger(__name__)


def weigh_shard(
    transforms: str | Path,
    splits: str | Path,
    checkpoints: Sequence[Sequence[str | Path]],
    output: str | Path,
    device: str,
    mirroring: Sequence[bool],
) -> None:
    """Write a row per case, candidate and label with the voxels that are right, invented and missed.

    Every case is predicted by the networks that have not seen it. Cases that fail are named at the end, and nothing is
    written; no case gives a table without rows.
    """
    rows: list[Row] = read_parquet(transforms).to_dict("records")  # type: ignore[assignment]
    folder = Path(transforms).parent
    everyone = (1 / len(checkpoints),) * len(checkpoints)
    tasks = tasks_of(rows, lambda fold: everyone, folds_of(splits, rows))
    counted: list[pd.DataFrame] = []
    if tasks:
        members = compiled_members(load_members(checkpoints, device, mirroring))
        failures = run(members, folder / "images", tasks, partial(_count, members, folder / "labels", counted))
        if failures:
            raise CasesFailedError(failures, len(rows))
    write_parquet(pd.concat(counted) if counted else pd.DataFrame(columns=list(COLUMNS)), output)


def _count(members: Members, references: Path, counted: list[pd.DataFrame], task: Task, said: Iterator[Said]) -> None:
    expected = expected_probabilities(members.manager)
    opinions = [opinion_of(one.parts, one.shape, expected) for one in said]
    reference = read_standardized(references / f"{task.case}{FILE_ENDING}").data.transpose(2, 1, 0)
    weights, decide = candidates(len(opinions)), members.manager.convert_probabilities_to_segmentation
    assert task.fold is not None
    counted.append(counts_table(task.case, task.fold, candidate_counts(opinions, reference, weights, expected, decide)))


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line of the rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transforms", required=True)
    parser.add_argument("--splits", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mirroring", required=True, help="True or False by member, with commas between")
    parser.add_argument("--checkpoints", nargs="+", required=True, help="of all folds of one member after the other")
    return parser.parse_args(given)


if __name__ == "__main__":
    configure_logging()
    given = arguments(sys.argv[1:])
    torch.set_num_threads(given.threads)
    mirroring = [text == "True" for text in given.mirroring.split(",")]
    checkpoints = by_member(given.checkpoints)
    weigh_shard(given.transforms, given.splits, checkpoints, given.output, given.device, mirroring)

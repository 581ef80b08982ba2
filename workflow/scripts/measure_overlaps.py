"""Measure what the predicted components of a shard share with the references: what the choice of rules needs."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from posttx.geometry.reading import readings_of
from posttx.logs import configure_logging
from posttx.parallel import map_cases
from posttx.postprocess.components import components_of
from posttx.postprocess.overlaps import Component, Row, overlap_rows
from posttx.rows import read_rows
from posttx.schemas import COHORT, COMPONENTS, GEOMETRY, OVERLAPS, read_table, write_table
from posttx.scoring.evaluation import CaseItem, Scoring, read_pair
from score_shard import case_items

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

Surround = Mapping[tuple[int, int], int]


def measure_overlaps(
    cohort_table: str | Path,
    geometry: str | Path,
    components: str | Path,
    output: str | Path,
    shard: str,
    folder: str,
    classes: Mapping[str, int],
    scheme: str,
    snfh_dilation: str,
    workers: int = 1,
) -> None:
    """Write the rows of ``schemas.OVERLAPS`` of the cases of a shard that have a reference.

    ``components`` are the component rows of the predictions in ``folder``; ``classes`` maps name -> integer. A case
    that cannot be scored because its files contradict each other has no rows; any other failure names its case.
    """
    scoring = Scoring({name: [label] for name, label in classes.items()}, scheme, snfh_dilation=snfh_dilation)
    items = case_items(read_rows(cohort_table, COHORT), shard, {"": folder}, readings_of(read_rows(geometry, GEOMETRY)))
    around: dict[str, dict[tuple[int, int], int]] = {}
    rows = read_table(components, COMPONENTS)
    for case, label, number, surround in rows[["case", "label", "component", "surround"]].itertuples(index=False):
        around.setdefault(case, {})[int(label), int(number)] = int(surround)
    work = {case: (item, around.get(case, {})) for case, item in items.items()}
    measured = map_cases(partial(_measured, scoring=scoring, classes=classes), work, workers, verb="measured")
    table = pd.DataFrame([row for part in measured.values() for row in part], columns=list(OVERLAPS.columns))
    write_table(table, OVERLAPS, output)


def _measured(work: tuple[CaseItem, Surround], scoring: Scoring, classes: Mapping[str, int]) -> list[Row]:
    item, around = work
    pair = read_pair(item, item.predictions[""], scoring)
    if pair is None:
        return []
    reference, prediction, spacing = pair
    numbers, components = numbered(prediction, around)
    rows = overlap_rows(reference, numbers, components, classes, scoring.rules, float(np.prod(spacing)))
    return [{"case": item.case, **row} for row in rows]


def numbered(prediction: np.ndarray, around: Surround) -> tuple[np.ndarray, Sequence[Component]]:
    """Return the number of every voxel's component (0: background), and the components from number 1 on.

    ``around`` maps label and number within the label -> the label that leads around it; where it lacks a component, the
    rows are those of another prediction, which is told when rules are chosen.
    """
    found = components_of(prediction)
    numbers: Any = np.zeros(prediction.shape, np.int32, order="F")
    if found.box is not None:
        numbers[found.box] = found.numbers
    sizes = np.bincount(found.numbers.ravel(order="K"), minlength=found.labels.size)
    named = zip(found.labels.tolist(), found.within.tolist(), sizes.tolist(), strict=True)
    components = [Component(label, number, around.get((label, number), 0), voxels) for label, number, voxels in named]
    return numbers, components[1:]


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    settings = {key: value for key, value in snakemake.params.items() if key != "code"}
    measure_overlaps(
        snakemake.input.cohort,
        snakemake.input.geometry,
        snakemake.input.components,
        snakemake.output.overlaps,
        snakemake.wildcards.shard,
        workers=snakemake.threads,
        **settings,
    )

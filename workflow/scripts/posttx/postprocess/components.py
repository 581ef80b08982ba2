"""Predicted components as rows: how large and how sure each is, where it lies, and what surrounds it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cc3d
import numpy as np

from posttx.geometry.boxes import Box, bounding_box, widened

if TYPE_CHECKING:
    import pandas as pd

    from posttx.networks.confidence import Segmentation

STEPS = 255
OUTSIDE = -1
# Column -> array with an entry per component, or, as JSON has it, a list.
Columns = dict[str, Any]


@dataclass(frozen=True)
class Components:
    """The 26-connected components of single labels of a map.

    ``numbers`` holds 1..n in ``box`` of the map (the box of all labels, one voxel wider where the map goes on; None
    without any), 0 in background; Fortran-ordered. ``labels`` and ``within`` have an entry per number, 0 for number 0:
    the component's label, and its number among those of its label (1, 2, ... in the order of their first voxels in the
    file, which is how scoring numbers them).
    """

    box: Box | None
    numbers: np.ndarray
    labels: np.ndarray
    within: np.ndarray


def components_of(label_map: np.ndarray, chosen: Sequence[int] | None = None) -> Components:
    """Return the components of a uint8 label map of three axes, of chosen labels or (None) of all.

    A component has the same number within its label, whichever labels are chosen.
    """
    hull = bounding_box(label_map)
    if hull is None:
        nothing = np.zeros(1, np.int64)
        return Components(None, np.zeros((0, 0, 0), np.int32), nothing, nothing)
    box = widened(hull, (1,) * 3, label_map.shape)
    inside = np.asfortranarray(label_map[box])
    if chosen is not None:
        kept = np.zeros(STEPS + 1, np.uint8)
        kept[list(chosen)] = list(chosen)
        inside = kept[inside]
    numbers, count = cc3d.connected_components(inside, connectivity=26, return_N=True)
    labels = np.zeros(count + 1, np.int64)
    memory = numbers.ravel(order="K")
    place = np.flatnonzero(memory)
    labels[memory[place]] = inside.ravel(order="K")[place]
    within = np.zeros_like(labels)
    for label in np.unique(labels[1:]):
        own = np.flatnonzero(labels == label)
        within[own] = np.arange(1, own.size + 1)
    return Components(box, numbers, labels, within)


def component_rows(segmentation: Segmentation, affine: np.ndarray) -> Columns:
    """Return the columns of ``schemas.COMPONENTS`` that one case's prediction gives, in the order label, component.

    ``affine`` (4 x 4, mm) gives the volume of a voxel. ``touches`` holds the integers of other labels in the shell, by
    comma. The shell of a component is what of its 26-neighbourhood lies in the map; ``surround`` is what most of its
    voxels are, the smaller integer where two are as many. Without votes of the folds there is no column ``dissent``. An
    empty map gives columns without entries.
    """
    label_map, votes = segmentation.label_map, segmentation.votes
    found = components_of(label_map)
    corner = [0, 0, 0] if found.box is None else [side.start for side in found.box]
    count = found.labels.size - 1
    memory = found.numbers.ravel(order="K")
    place = np.flatnonzero(memory)
    numbers = memory[place].astype(np.int64) - 1
    voxels = np.bincount(numbers, minlength=count)

    def of_voxels(values: np.ndarray) -> np.ndarray:
        return np.asfortranarray(values[found.box]).ravel(order="K")[place] if count else np.zeros(0, np.uint8)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(numbers, values, count) / voxels

    labels = found.labels[1:]
    largest, surest = np.zeros(STEPS + 1, np.int64), np.zeros(count, np.uint8)
    np.maximum.at(largest, labels, voxels)
    probabilities = of_voxels(segmentation.probability)
    np.maximum.at(surest, numbers, probabilities)
    touches, surround = _surroundings(label_map, found)
    columns = {
        "label": labels,
        "component": found.within[1:],
        "voxels": voxels,
        "volume_mm3": voxels * abs(float(np.linalg.det(affine[:3, :3]))),
        "share": voxels / largest[labels],
        "p_mean": mean(probabilities) / STEPS,
        "p_max": surest / STEPS,
        "entropy": mean(of_voxels(segmentation.entropy)) / STEPS,
        "touches": touches,
        "surround": surround,
    }
    if votes is not None:
        columns["dissent"] = mean(of_voxels(votes.dissent)) / votes.folds
    for name, index, start in zip("ijk", np.unravel_index(place, found.numbers.shape, order="F"), corner, strict=True):
        columns[f"centre_{name}"] = mean(index) + start
    order = np.argsort(labels, kind="stable")
    return {name: values[order] for name, values in columns.items()}


def _surroundings(label_map: np.ndarray, found: Components) -> tuple[np.ndarray, np.ndarray]:
    """Return per component the other labels in its shell, as text, and the label that leads there."""
    counts, values = _shells(label_map, found)
    texts = [",".join(str(value) for value in values[1:][row[1:] > 0]) for row in counts]
    return np.array(texts, dtype=object), values[counts.argmax(axis=1)]


def _shells(label_map: np.ndarray, found: Components) -> tuple[np.ndarray, np.ndarray]:
    """Return the voxels of each label (columns) in the shell of each component (rows), and the labels: 0, ascending."""
    values = np.unique(found.labels)
    if found.box is None:
        return np.zeros((0, 1), np.int64), values
    # One voxel more, so that every neighbour has a place; beyond the map nothing counts.
    shape = [length + 2 for length in found.numbers.shape]
    numbers = np.zeros(shape, np.int32, order="F")
    labels = np.full(shape, OUTSIDE, np.int16, order="F")
    within = (slice(1, -1),) * 3
    numbers[within], labels[within] = found.numbers, label_map[found.box]
    flat_numbers, flat_labels = numbers.ravel(order="K"), labels.ravel(order="K")
    place = np.flatnonzero(flat_numbers)
    own = flat_numbers[place]
    pairs = []
    for step in itertools.product((-1, 0, 1), repeat=3):
        beside = place + (step[0] + shape[0] * (step[1] + shape[1] * step[2]))
        other = np.flatnonzero(flat_numbers[beside] != own)
        pairs.append(own[other].astype(np.int64) * numbers.size + beside[other])
    # A voxel that touches a component with several faces, edges and corners is one voxel of its shell.
    component, neighbour = np.divmod(np.unique(np.concatenate(pairs)), numbers.size)
    label = flat_labels[neighbour]
    known = label != OUTSIDE
    column = np.searchsorted(values, label[known])
    counts = np.bincount((component[known] - 1) * values.size + column, minlength=(found.labels.size - 1) * values.size)
    return counts.reshape(-1, values.size), values


def rows_as_json(columns: Columns) -> Columns:
    """Return columns as lists, which ``components_table`` takes, too."""
    return {name: list(values) if values.dtype == object else values.tolist() for name, values in columns.items()}


def components_table(cases: Mapping[str, Columns], names: Mapping[int, str]) -> pd.DataFrame:
    """Return the table ``schemas.COMPONENTS`` of some cases; ``names`` are those of the scheme's labels."""
    import pandas as pd  # here, because jobs that predict one case need no table

    from posttx.schemas import COMPONENTS

    def named(touches: str) -> str:
        return ",".join(names[int(label)] for label in filter(None, touches.split(",")))

    some = {case: columns for case, columns in sorted(cases.items()) if len(columns["label"])}
    tables = [pd.DataFrame({"case": case, **columns}) for case, columns in some.items()]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    table = table.reindex(columns=list(COMPONENTS.columns))
    return table.assign(region=table["label"].map(names), touches=table["touches"].map(named, na_action="ignore"))

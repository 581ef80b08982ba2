"""The metrics of one model on one cohort as dense arrays (cases x regions), checked for completeness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from posttx.conventions import states_of
from posttx.errors import PostTxError
from posttx.measures import Measure, from_counts
from posttx.schemas import CASE_METRICS, further_columns

FloatArray = npt.NDArray[np.float64]

KEYS = ("cohort", "model", "case", "patient", "timepoint", "region", "label")
VALUES = tuple(name for name in CASE_METRICS.columns if name not in KEYS)


@dataclass(frozen=True)
class Scores:
    """Cases (sorted by id) x regions (labels in their order, then composites); undefined values are NaN.

    ``labels`` holds the integer of each region, None for composites; ``states`` present, absent, hallucinated, missed,
    or None where there is no reference.
    """

    cases: tuple[str, ...]
    patients: tuple[str, ...]
    timepoints: tuple[int, ...]
    regions: tuple[str, ...]
    labels: tuple[int | None, ...]
    values: Mapping[str, FloatArray]
    states: npt.NDArray[np.object_]

    def __getitem__(self, column: str) -> FloatArray:
        """Return a metrics column as (cases, regions)."""
        return self.values[column]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of all columns."""
        return tuple(self.values)

    @property
    def per_label(self) -> Scores:
        """Return the same without the composite regions."""
        count = sum(label is not None for label in self.labels)
        return Scores(
            self.cases,
            self.patients,
            self.timepoints,
            self.regions[:count],
            self.labels[:count],
            {name: values[:, :count] for name, values in self.values.items()},
            self.states[:, :count],
        )

    def select(self, cases: Sequence[str]) -> Scores:
        """Return the same for the cases named, in the order of their ids."""
        rows = np.flatnonzero(np.isin(np.array(self.cases, dtype=object), list(cases)))
        return Scores(
            tuple(self.cases[row] for row in rows),
            tuple(self.patients[row] for row in rows),
            tuple(self.timepoints[row] for row in rows),
            self.regions,
            self.labels,
            {name: values[rows] for name, values in self.values.items()},
            self.states[rows],
        )

    def measured(self, column: str) -> bool:
        """Return whether any case has a finite value of this column."""
        return column in self.values and bool(np.isfinite(self.values[column]).any())

    @property
    def voxel_mm3(self) -> FloatArray:
        """Return the volume of one voxel per case, shape (cases,), from any of its regions; NaN where none says it."""
        with np.errstate(divide="ignore", invalid="ignore"):
            sizes = np.hstack(
                [self["volume_ref_mm3"] / self["n_ref"], self["volume_pred_mm3"] / self["n_pred"]],
            )
        sizes = np.where(np.isfinite(sizes) & (sizes > 0), sizes, -np.inf)
        largest = sizes.max(axis=1, initial=-np.inf)
        return np.where(np.isfinite(largest), largest, np.nan)

    @property
    def reference_volume(self) -> FloatArray:
        """Return the reference volumes in mm3, or in voxels for all where a case's voxel size is unknown."""
        volume, voxels = self["volume_ref_mm3"], self["n_ref"]
        return voxels if (np.isnan(volume) & ~np.isnan(voxels)).any() else volume


def scores_from(metrics: pd.DataFrame, regions: Mapping[str, Sequence[int]]) -> Scores:
    """Arrange a metrics table (``schemas.CASE_METRICS``, one model) as ``Scores``.

    ``regions`` maps region -> integers, in report order (``LabelScheme.scoring()``); a region with one integer is a
    label. A region that only some cases have is an error. One that no case has (a model known by its counts has no
    composites) is left out if it is composite, and all undefined if it is a label. An empty table
    gives zero cases and all labels.
    """
    models = metrics["model"].unique()
    if len(models) > 1:
        raise PostTxError(f"the metrics of several models stand in one table: {', '.join(sorted(models))}")
    seen = set(metrics["region"])
    labels = {name: (int(values[0]) if len(values) == 1 else None) for name, values in regions.items()}
    names = [name for name in labels if labels[name] is not None]
    names += [name for name in labels if labels[name] is None and name in seen]
    if unknown := seen - set(labels):
        raise PostTxError(
            f"the metrics know regions that the label scheme does not have: {', '.join(sorted(unknown))}",
            remedy="Score again with the configured label scheme",
        )
    people = metrics.drop_duplicates("case").set_index("case")[["patient", "timepoint"]].sort_index()
    index = pd.MultiIndex.from_product([people.index, names], names=["case", "region"])
    dense = metrics.set_index(["case", "region"])
    _refuse_gaps(index[index.get_level_values("region").isin(seen)], dense.index)
    dense = dense.reindex(index)
    values = {
        name: dense[name].to_numpy(dtype=np.float64, na_value=np.nan).reshape(len(people), len(names))
        for name in (*VALUES, *further_columns(dense.columns, CASE_METRICS))
        if name in dense.columns
    }
    values |= _computed({name: column for name, column in values.items() if name in ("tp", "fp", "fn")}, set(values))
    return Scores(
        tuple(str(case) for case in people.index),
        tuple(str(patient) for patient in people["patient"]),
        tuple(int(timepoint) for timepoint in people["timepoint"]),
        tuple(names),
        tuple(labels[name] for name in names),
        values,
        states_of(values["n_ref"], values["n_pred"]),
    )


def parts_of(measure: Measure, values: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return numerator and denominator of a measure of voxel counts; NaN where the counts are unknown."""
    if measure.parts is None:
        raise ValueError(f"{measure.id} does not follow from voxel counts")
    above, below = measure.parts(values["tp"], values["fp"], values["fn"])
    return above, below


def _computed(counts: Mapping[str, FloatArray], known: set[str]) -> dict[str, FloatArray]:
    """Return the measures of voxel counts that the metrics table has no column of."""
    computed = {}
    for measure in from_counts():
        if measure.id not in known:
            above, below = parts_of(measure, counts)
            with np.errstate(divide="ignore", invalid="ignore"):
                computed[measure.id] = np.where(below > 0, above / below, np.nan)
    return computed


def _refuse_gaps(expected: pd.Index, found: pd.Index) -> None:
    if found.has_duplicates:
        case, region = found[found.duplicated()][0]
        raise PostTxError(f"region {region} stands twice in the metrics", case=str(case), remedy="Score again")
    gaps = expected.difference(found)
    if len(gaps):
        case, region = gaps[0]
        raise PostTxError(
            f"the metrics have no row for region {region} ({len(gaps)} rows are missing in all)",
            case=str(case),
            remedy="Score the case again",
        )

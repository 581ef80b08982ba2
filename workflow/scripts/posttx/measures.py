"""Every measure of a segmentation as data, in one place: name, unit, direction, range, digits, conventions, source.

Schemas, tables, comparison, sentences, report and docs read it. To add a measure that follows from voxel counts, add
one entry with its formula: models known by counts alone get it too. A measure that needs surfaces or lesions names the
columns of the metrics table that hold it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Tolerances of the normalised surface distance whose columns every metrics table has.
CONTRACT_TOLERANCES = ("0.5", "1.0")
PUBLISHED, PRESENT_ONLY, ABSENT_IS_ONE = "published", "present-only", "absent-is-one"
LESION_WISE, WHERE_DEFINED = "lesion-wise", "where-defined"
_VOXEL_WISE = (PUBLISHED, PRESENT_ONLY, ABSENT_IS_ONE)
_NSD = re.compile(r"nsd_(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Measure:
    """One measure.

    ``columns`` maps each convention it obeys to the column of the metrics table (or the formula's id) it is read from.
    ``parts`` gives numerator and denominator from TP, FP and FN (numbers or arrays); None where counts do not say it.
    ``pooled`` says that the published convention sums both over all cases before it divides. ``best`` and ``worst`` are
    the ends of its range. ``bands`` is the rule of interpretation that judges it, "" where none does. ``compared`` says
    that models are compared by it under the voxel-wise conventions too; what follows from another measure is not.
    """

    id: str
    name: str
    long_name: str
    source: str
    columns: Mapping[str, str]
    parts: Callable[[Any, Any, Any], tuple[Any, Any]] | None = None
    unit: str = ""
    best: float = 1.0
    worst: float = 0.0
    digits: int = 4
    pooled: bool = False
    bands: str = ""
    compared: bool = True

    @property
    def higher_is_better(self) -> bool:
        """Return the direction."""
        return self.best > self.worst

    @property
    def bounded(self) -> bool:
        """Return whether both ends of the range are finite: a share."""
        return abs(self.best) < float("inf") and abs(self.worst) < float("inf")

    @property
    def title(self) -> str:
        """Return the name with its unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    def defined(self, tp: int, fp: int, fn: int) -> bool:
        """Return whether such counts have a value, which is to say a denominator."""
        return self.parts is None or self.parts(tp, fp, fn)[1] > 0


def _voxel_wise(column: str, **further: str) -> dict[str, str]:
    return dict.fromkeys(_VOXEL_WISE, column) | {name.replace("_", "-"): value for name, value in further.items()}


def normalised_surface_distance(tolerance: str) -> Measure:
    """Return the normalised surface distance at a tolerance in mm, as it stands in the name of its column."""
    column = f"nsd_{tolerance}"
    return Measure(
        column,
        f"NSD at {float(tolerance):g} mm",
        f"Normalised surface distance at {float(tolerance):g} mm",
        "Nikolov et al. 2021, doi:10.2196/26151",
        {LESION_WISE: f"lesion_{column}", WHERE_DEFINED: column},
    )


# The order is that of tables and columns.
CATALOGUE: dict[str, Measure] = {
    measure.id: measure
    for measure in (
        Measure(
            "dice",
            "Dice",
            "Dice similarity coefficient",
            "Dice 1945, doi:10.2307/1932409",
            _voxel_wise("dice", lesion_wise="lesion_dice"),
            lambda tp, fp, fn: (2 * tp, 2 * tp + fp + fn),
            bands="overlap",
        ),
        Measure(
            "iou",
            "IoU",
            "Intersection over union",
            "Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x",
            _voxel_wise("iou"),
            lambda tp, fp, fn: (tp, tp + fp + fn),
            bands="overlap",
            compared=False,
        ),
        Measure(
            "precision",
            "Precision",
            "Precision",
            "Maier-Hein et al. 2024, doi:10.1038/s41592-023-02151-z",
            _voxel_wise("precision"),
            lambda tp, fp, fn: (tp, tp + fp),
            pooled=True,
            bands="reliability",
            compared=False,
        ),
        Measure(
            "recall",
            "Recall",
            "Recall",
            "Maier-Hein et al. 2024, doi:10.1038/s41592-023-02151-z",
            _voxel_wise("recall"),
            lambda tp, fp, fn: (tp, tp + fn),
            pooled=True,
            bands="reliability",
            compared=False,
        ),
        Measure(
            "hd95_mm",
            "HD95",
            "Hausdorff distance, 95th percentile",
            "Huttenlocher et al. 1993, doi:10.1109/34.232073; percentile as the evaluation scheme's scorer takes it",
            {LESION_WISE: "lesion_hd95_mm", WHERE_DEFINED: "hd95_mm"},
            unit="mm",
            best=0.0,
            worst=float("inf"),
            digits=1,
        ),
        *(normalised_surface_distance(tolerance) for tolerance in CONTRACT_TOLERANCES),
    )
}
# The measures whose columns are fixed in the contract's tables.
CONTRACT = ("dice", "iou", "precision", "recall")


def measure_of(name: str) -> Measure:
    """Return the measure with this id; the normalised surface distance is known at any tolerance. Else KeyError."""
    found = _NSD.fullmatch(name)
    return normalised_surface_distance(found[1]) if found and name not in CATALOGUE else CATALOGUE[name]


def is_measure(name: str) -> bool:
    """Return whether there is a measure with this id."""
    return name in CATALOGUE or bool(_NSD.fullmatch(name))


def obeying(convention: str, columns: Iterable[str] = ()) -> list[Measure]:
    """Return the measures that obey a convention, in order; ``columns`` may name further tolerances."""
    further = sorted({name for name in columns if _NSD.fullmatch(name)} - set(CATALOGUE), key=lambda n: float(n[4:]))
    every = [*CATALOGUE.values(), *map(measure_of, further)]
    return [measure for measure in every if convention in measure.columns]


def from_counts() -> list[Measure]:
    """Return the measures that follow from voxel counts."""
    return [measure for measure in CATALOGUE.values() if measure.parts]


def described() -> str:
    """Return the catalogue as a Markdown table, for the docs."""
    rows = ["| measure | id | range, best first | conventions | source |", "|---|---|---|---|---|"]
    for measure in CATALOGUE.values():
        ends = f"{measure.best:g} to {'any distance' if not measure.bounded else f'{measure.worst:g}'}"
        unit = f" {measure.unit}" if measure.unit else ""
        conventions = ", ".join(measure.columns)
        rows.append(f"| {measure.long_name} | `{measure.id}` | {ends}{unit} | {conventions} | {measure.source} |")
    return "\n".join(rows) + "\n"

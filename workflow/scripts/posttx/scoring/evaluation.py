"""Score the segmentations of one case by all its models with one reading of the reference."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posttx.errors import PostTxError
from posttx.files import digest_of, sha256_of
from posttx.geometry.grids import Grid, difference_text, differs_by_rounding, grid_of
from posttx.geometry.reading import FAIL, Reading, reference_on_grid, unaudited
from posttx.label_maps import PREDICTION, REFERENCE, label_array
from posttx.nifti import read_volume
from posttx.parallel import failure_of
from posttx.rows import prepare_rows, write_rows
from posttx.schemas import CASE_METRICS, CONFUSION, LESIONS
from posttx.scoring import metrics, plausibility
from posttx.scoring.placement import prediction_on_grid
from posttx.scoring.scoring_schemes import ScoringScheme, scoring_scheme
from posttx.scoring.segmentation_files import read_segmentation

if TYPE_CHECKING:
    from posttx.scoring.shapes import PairShapes
    from posttx.scoring.surfaces import Spacing

logger = logging.getLogger(__name__)
PACKAGES = ("numpy", "scipy", "connected-components-3d", "surface-distance", "imagecodecs", "isal")
# Headers store voxel sizes as float32: this takes the noise off before distances are computed.
SPACING_DIGITS = 5
# In the metadata of a case's scores: what is odd about the prediction, as a list of finding code and message.
REMARKS = "remarks"
Remark = tuple[str, str]
UNSCORED = "no prediction can be laid on the reference, so that predicted voxels are counted alone"
NO_READING = f"files of the case contradict each other and no reading is chosen: {UNSCORED}"


@dataclass(frozen=True)
class CaseItem:
    """One case to score: ``predictions`` maps model to its file, None where it has none for this case.

    ``reading`` is the audit's; None for a case without images: it is read as the header of its reference says.
    ``image`` is the one whose grid is that of the case.
    """

    case: str
    patient: str
    timepoint: int
    predictions: Mapping[str, Path | None]
    repeated: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    reference: Path | None = None
    reading: Reading | None = None
    image: Path | None = None


@dataclass(frozen=True)
class Scoring:
    """What scoring depends on: regions as sets of labels, the scheme's name, tolerances in mm, missing predictions."""

    regions: Mapping[str, Sequence[int]]
    scheme: str = "brats2024"
    tolerances: Sequence[float] = (0.5, 1.0)
    missing: str = "error"
    snfh_dilation: str = "executed"

    @property
    def labels(self) -> tuple[int, ...]:
        """Return the integers of the label scheme."""
        return tuple(sorted({label for labels in self.regions.values() for label in labels}))

    @property
    def rules(self) -> ScoringScheme:
        """Return the scheme's rules."""
        return scoring_scheme(self.scheme, self.snfh_dilation)


@dataclass(frozen=True)
class Target:
    """Where the files of a shard go, and whose they are."""

    results: Path
    cohort: str
    shard: str

    def path(self, table: str, model: str, case: str) -> Path:
        """Return the file of one case: ``<results>/<table>/<cohort>/<model>/<shard>/<case>.parquet``."""
        return self.results / table / self.cohort / model / self.shard / f"{case}.parquet"


@dataclass(frozen=True)
class Reference:
    """A reference, read once for all models: labels as uint8 on the case's grid, and the grid in its own header."""

    data: np.ndarray
    own: Grid
    reading: Reading
    spacing: tuple[float, float, float]
    digest: str


def prepare(scoring: Scoring) -> None:
    """Import what the scheme measures with and look up versions, so that workers forked later need not each do it."""
    if scoring.rules.matching != "none":
        import posttx.scoring.shapes  # noqa: F401
    _versions()
    prepare_rows(SCHEMAS.values())


def score_case(item: CaseItem, scoring: Scoring, target: Target) -> dict[str, str]:
    """Score one case by every model, write its Parquet files and return model -> prediction file ('' where missing).

    Of a case whose files contradict each other with no reading chosen (``fail``), or whose reference lies beside its
    images by the one that is, predicted voxels and volumes alone are given, and a remark that says so.

    A model whose prediction cannot be scored does not keep the others from being scored; all problems are raised as one
    error at the end.
    """
    reference, unread = _reference_or_remark(item, scoring)
    scored, problems = {}, []
    for model, path in item.predictions.items():
        try:
            tables, remarks = _score_model(item, model, path, reference, scoring)
            described = _metadata(scoring, path, reference)
            if path and reference and described["prediction_sha256"] == reference.digest:
                remarks = [*remarks, ("EVA019", "the prediction is the file of the reference, byte for byte")]
            metadata = described | {REMARKS: json.dumps([*unread, *remarks])}
        except Exception as error:
            for table in SCHEMAS:
                target.path(table, model, item.case).unlink(missing_ok=True)
            problems.append((model, failure_of(item.case, error)))
            continue
        who = _who(item, model, target)
        # A disk that refuses is no fault of the prediction: what stood there before stays.
        for table, rows in tables.items():
            named = [{**who, **row} for row in rows]
            write_rows(named, SCHEMAS[table], target.path(table, model, item.case), metadata)
        scored[model] = str(path or "")
    if problems:
        codes = {error.code for _, error in problems}
        raise PostTxError(
            "; ".join(f"model {model}: {error}" for model, error in problems),
            case=item.case,
            code=codes.pop() if len(codes) == 1 else "",
        )
    return scored


def _reference_or_remark(item: CaseItem, scoring: Scoring) -> tuple[Reference | None, list[Remark]]:
    """Return the reference of a case, or None and why its geometry leaves none to score against."""
    if not item.reference:
        return None, []
    problem = NO_READING
    if not item.reading or item.reading.decision != FAIL:
        try:
            return _reference(item, scoring), []
        except PostTxError as error:
            if error.code not in ("GEO001", "GEO004"):
                raise
            problem = f"{error.problem}: {UNSCORED}"
    logger.warning("case %s: %s", item.case, problem)
    return None, [("EVA005", problem)]


def read_pair(
    item: CaseItem, path: Path | None, scoring: Scoring
) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]] | None:
    """Return reference and prediction on the case's grid as they are scored (uint8), and the voxel's edges in mm.

    None where the case has no reference, or no reading of its geometry by which one can be scored.
    """
    reference, _ = _reference_or_remark(item, scoring)
    if reference is None:
        return None
    prediction = _prediction(item, path, reference, scoring)[0] if path else _missing(item, "", reference, scoring)[0]
    return reference.data, prediction, reference.spacing


def _reference(item: CaseItem, scoring: Scoring) -> Reference:
    volume = read_volume(str(item.reference))
    own = grid_of(volume)
    reading = item.reading or unaudited(own)
    labels, _ = label_array(volume, scoring.labels, REFERENCE, item.case)  # the audit tells what was rounded
    return Reference(
        np.asfortranarray(reference_on_grid(labels, own, reading, reading.grid, volume.path)),
        own,
        reading,
        _spacing(reading.grid.spacing),
        sha256_of(str(item.reference)),
    )


def _spacing(edges: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    i, j, k = (round(float(edge), SPACING_DIGITS) for edge in edges)
    return i, j, k


def _score_model(
    item: CaseItem, model: str, path: Path | None, reference: Reference | None, scoring: Scoring
) -> tuple[dict[str, list[dict[str, Any]]], list[Remark]]:
    if model in item.repeated:
        raise PostTxError(
            f"there are {len(item.repeated[model])} predictions: {', '.join(map(str, item.repeated[model]))}",
            remedy="Leave one of them",
            case=item.case,
            file=item.repeated[model][0],
            code="EVA006",
        )
    remarks: list[Remark] = []
    if path is None:
        prediction, spacing = _missing(item, model, reference, scoring)
    else:
        prediction, spacing, remarks = _prediction(item, path, reference, scoring)
    for code, message in remarks:
        logger.warning("case %s, model %s: [%s] %s (%s)", item.case, model, code, message, path)
    if reference is None:
        return score_pair(None, prediction, spacing, scoring), remarks
    tables = score_pair(reference.data, prediction, spacing, scoring, reference.reading.grid.affine)
    return tables, [*remarks, *_implausible(item, reference.data, prediction, tables["confusion"])]


def _implausible(
    item: CaseItem, reference: np.ndarray, prediction: np.ndarray, confusion: Sequence[Mapping[str, Any]]
) -> list[Remark]:
    """Return what speaks against believing a prediction's scores; good ones cost a look at their confusions."""
    counts = plausibility.counts_of(confusion)
    told = [("EVA016", plausibility.exchanged_labels(counts))]
    dice = plausibility.overlap_of_all(counts)
    if dice is not None and dice < plausibility.SUSPICIOUS:
        told.append(("EVA017", plausibility.misplaced(reference, prediction, dice)))
        if item.image:
            told.append(("EVA018", plausibility.outside_head(prediction, read_volume(str(item.image)).data)))
    return [(code, message) for code, message in told if message]


def _who(item: CaseItem, model: str, target: Target) -> dict[str, Any]:
    return {
        "cohort": target.cohort,
        "model": model,
        "case": item.case,
        "patient": item.patient,
        "timepoint": item.timepoint,
    }


SCHEMAS = {"metrics": CASE_METRICS, "lesions": LESIONS, "confusion": CONFUSION}


def _missing(
    item: CaseItem, model: str, reference: Reference | None, scoring: Scoring
) -> tuple[np.ndarray, tuple[float, float, float]]:
    grid = reference.reading.grid if reference else item.reading.grid if item.reading and item.reference else None
    if scoring.missing != "penalise" or grid is None:
        raise PostTxError(
            f"model {model} has no prediction",
            remedy="Add it, or set `evaluation.missing: penalise` to score it as an empty segmentation",
            case=item.case,
            code="EVA007",
        )
    logger.warning("case %s: model %s has no prediction; scored as an empty segmentation", item.case, model)
    return np.zeros(grid.shape, np.uint8, order="F"), _spacing(grid.spacing)


def _prediction(
    item: CaseItem, path: Path, reference: Reference | None, scoring: Scoring
) -> tuple[np.ndarray, tuple[float, float, float], list[Remark]]:
    """Return a prediction on the case's grid (without a reference: on its own), its voxel edges in mm, and remarks."""
    volume = read_segmentation(path)
    data, rounded = label_array(volume, scoring.labels, PREDICTION, item.case)
    remarks = [*volume.remarks, *([(PREDICTION.rounded, rounded)] if rounded else [])]
    if reference is None:
        return data, _spacing(volume.spacing), remarks
    grid, own = reference.reading.grid, grid_of(volume)
    placed = prediction_on_grid(data, volume, reference.reading, reference.own, grid, item.case, reference.data)
    if differs_by_rounding(own, grid) and differs_by_rounding(own, reference.own):
        remarks.append(("EVA015", difference_text(own, grid)))
    return np.asfortranarray(placed), reference.spacing, remarks


def score_pair(
    reference: np.ndarray | None,
    prediction: np.ndarray,
    spacing: Spacing,
    scoring: Scoring,
    affine: np.ndarray | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the tables metrics, lesions and confusion of one pair of uint8 label arrays of one shape.

    ``spacing`` is in mm along the arrays' axes; ``affine`` places the lesions' centroids (mm, RAS+). Without a
    reference (None) only predicted voxels and volumes are given.
    """
    if reference is None:
        return {"metrics": _predicted_rows(prediction, spacing, scoring), "lesions": [], "confusion": []}
    classes = max(scoring.labels) + 1
    histogram = metrics.joint_histogram(reference, prediction, classes)
    shapes = _shapes(reference, prediction, spacing, scoring)
    rows, lesion_rows = [], []
    voxel = float(np.prod(spacing))
    # Without an affine the lesions' centroids are in mm along the axes.
    place = np.diag([*spacing, 1.0]) if affine is None else affine
    for region, counts in metrics.region_counts(histogram, scoring.regions).items():
        volumes = {f"volume_{side}_mm3": counts[f"n_{side}"] * voxel for side in ("ref", "pred")}
        row = _region(region, scoring) | counts | metrics.overlap(counts["tp"], counts["fp"], counts["fn"]) | volumes
        if shapes is not None:
            row |= shapes.surface_columns(region, counts["n_ref"] > 0 or counts["n_pred"] > 0)
            row |= shapes.lesions[region].columns
            lesion_rows += [
                _lesion_row(region, lesion, shapes.corner, spacing, place) for lesion in shapes.lesions[region].rows
            ]
        rows.append(row)
    confusion = [
        {"label_ref": i, "label_pred": j, "voxels": voxels}
        for i, row in enumerate(histogram.tolist())
        for j, voxels in enumerate(row)
        if {i, j} <= {0, *scoring.labels}
    ]
    return {"metrics": rows, "lesions": lesion_rows, "confusion": confusion}


def _region(region: str, scoring: Scoring) -> dict[str, Any]:
    labels = scoring.regions[region]
    return {"region": region, "label": labels[0] if len(labels) == 1 else None}


def _predicted_rows(prediction: np.ndarray, spacing: Spacing, scoring: Scoring) -> list[dict[str, Any]]:
    histogram = metrics.joint_histogram(prediction, prediction, max(scoring.labels) + 1)
    voxel = float(np.prod(spacing))
    return [
        _region(region, scoring) | {"n_pred": counts["n_pred"], "volume_pred_mm3": counts["n_pred"] * voxel}
        for region, counts in metrics.region_counts(histogram, scoring.regions).items()
    ]


def _shapes(reference: np.ndarray, prediction: np.ndarray, spacing: Spacing, scoring: Scoring) -> PairShapes | None:
    """Return surfaces and lesions of a pair; None where the scheme counts voxels only."""
    if scoring.rules.matching == "none":
        return None
    # Here, because importing scipy takes as long as counting the voxels of twenty pairs.
    from posttx.scoring.shapes import pair_shapes

    return pair_shapes(reference, prediction, spacing, scoring.regions, scoring.rules, scoring.tolerances)


def _lesion_row(
    region: str, row: Mapping[str, Any], corner: Sequence[int], spacing: Spacing, affine: np.ndarray
) -> dict[str, Any]:
    """Return a lesion's row with volume in mm³ and centroid in mm."""
    centroid = affine[:3, :3] @ (row["centroid"] + np.asarray(corner)) + affine[:3, 3]
    values = {name: value for name, value in row.items() if name != "centroid"}
    return {
        "region": region,
        **values,
        "volume_mm3": row["voxels"] * math.prod(spacing),
        **{f"centroid_{axis}_mm": float(value) for axis, value in zip("xyz", centroid, strict=True)},
    }


def _metadata(scoring: Scoring, path: Path | None, reference: Reference | None) -> dict[str, str]:
    return {
        **scoring_metadata(scoring),
        "prediction": path.name if path else "",
        "prediction_sha256": sha256_of(path) if path else "",
        "reference_sha256": reference.digest if reference else "",
    }


def scoring_metadata(scoring: Scoring) -> dict[str, str]:
    """Return what a file of scores says about how they came about: scheme, its digest, regions, versions."""
    return {
        "scheme": scoring.scheme,
        "scheme_digest": digest_of([asdict(scoring.rules), scoring.regions, list(scoring.tolerances)]),
        "regions": str(dict(scoring.regions)),
        "versions": _versions(),
    }


@cache
def _versions() -> str:
    return ", ".join(f"{package} {version(package)}" for package in PACKAGES)

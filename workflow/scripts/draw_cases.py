"""Draw the worst and the best cases of a model and those asked for, and a montage of either extreme."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from posttx.cases import MODALITIES
from posttx.configuration import EVERY_CASE
from posttx.errors import PostTxError
from posttx.files import read_parquet, replacing, write_json, write_text
from posttx.geometry.reading import Reading, readings_of
from posttx.logs import configure_logging
from posttx.nifti import Scratch
from posttx.parallel import map_cases
from posttx.reporting.case_pictures import draw_case, montage
from posttx.reporting.case_volumes import Tile, read_case, tile
from posttx.reporting.report_cases import NOT_DRAWN
from posttx.reporting.viewer import case_script
from posttx.rows import read_rows
from posttx.schemas import GEOMETRY
from posttx.scoring.predictions import find_predictions

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)
UNREADABLE = "FIL002"
# One for all cases of a process: fresh memory for a volume can take as long as decompressing into it.
SCRATCH = Scratch()


@dataclass(frozen=True)
class Sheet:
    """What one worker needs to draw one case."""

    case: str
    images: Mapping[str, str]
    reference: str | None
    prediction: str | None
    colors: Mapping[int, str]
    names: Mapping[int, str]
    reading: Reading
    path: Path
    script: Path
    lesions: pd.DataFrame


def predictions_of(lists: Sequence[str | Path], folder: str | Path, cases: Sequence[str]) -> dict[str, str]:
    """Return case -> prediction from the shards' ``_cases.tsv`` (case, file), or from a folder of others' files."""
    if folder:
        return {case: str(path) for case, path in find_predictions(folder, cases).files.items()}
    found = {}
    for path in map(Path, lists):
        table = pd.read_csv(path, sep="\t", dtype=str)
        found.update({row.case: str(path.parent / row.file) for row in table.itertuples()})
    return found


def draw_cases(
    cohort: pd.DataFrame,
    extremes: Mapping[str, pd.DataFrame],
    predictions: Mapping[str, str],
    look: tuple[Mapping[int, str], Mapping[int, str]],
    readings: Mapping[str, Reading],
    folder: str | Path,
    montages: Mapping[str, str],
    viewer: str | Path,
    lesions: pd.DataFrame,
    threads: int = 1,
) -> None:
    """Draw the cases of ``extremes`` (worst, best, and ``asked`` for) and the montages named by them.

    Written are ``folder/<case>.webp``, ``viewer/<case>.js`` for the interactive viewer, and the ``montages``.
    ``look`` is colours by label and names by label; ``readings`` are the audit's. Cases without images (references
    alone), without a reading (nothing could be read) or without a prediction have no picture, and a montage without
    pictures says so. A case whose files cannot be laid together or read costs its own picture alone: why is logged,
    and its finding code written to ``folder/NOT_DRAWN``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    Path(viewer).mkdir(parents=True, exist_ok=True)
    rows = cohort.set_index("case")
    chosen = {name: list(table["case"]) for name, table in extremes.items()}
    sheets: dict[str, Sheet] = {}
    missed: dict[str, str] = {}
    for case in dict.fromkeys(case for cases in chosen.values() for case in cases):
        images = {name: rows.at[case, name] for name in MODALITIES if isinstance(rows.at[case, name], str)}
        if images and case in predictions and case not in readings:
            missed[case] = UNREADABLE
            logger.warning("case %s has no picture: none of its files could be read when it was audited", case)
        elif images and case in predictions:
            reference = rows.at[case, "seg"] if isinstance(rows.at[case, "seg"], str) else None
            sheets[case] = Sheet(
                case, images, reference, predictions[case], *look, readings[case], folder / f"{case}.webp",
                Path(viewer) / f"{case}.js", lesions[lesions["case"] == case],
            )  # fmt: skip
    drawn = map_cases(_draw_or_tell, sheets, threads, verb="drew")
    tiles = {case: result for case, result in drawn.items() if isinstance(result, Tile)}
    missed |= {case: result for case, result in drawn.items() if isinstance(result, str)}
    write_json(folder / NOT_DRAWN, missed)
    for name, path in montages.items():
        table = extremes[name]
        captions = {row.case: _caption(row) for row in table.itertuples()}
        montage([tiles[case] for case in chosen[name] if case in tiles], captions, look[0], path)


def _draw_or_tell(sheet: Sheet) -> Tile | str:
    """Draw a case and return its tile for the montage, or the code of what is wrong with its files."""
    try:
        return _draw_one(sheet)
    except PostTxError as error:
        logger.warning("case %s has no picture: %s", sheet.case, error)
        return error.code


def _draw_one(sheet: Sheet) -> Tile:
    volumes = read_case(sheet.case, sheet.images, sheet.reference, sheet.prediction, sheet.reading, SCRATCH)
    picture = draw_case(volumes, volumes.labels.slices, 0.0, sheet.colors, sheet.names)
    with replacing(sheet.path) as beside:
        beside.write_bytes(picture)
    write_text(sheet.script, case_script(volumes, sheet.lesions, picture))
    modality = "t2f" if "t2f" in volumes.images else next(iter(volumes.images))
    return tile(volumes, modality, 2, volumes.labels.slices)


def _caption(row) -> str:  # type: ignore[no-untyped-def]
    return "" if math.isnan(getattr(row, "mean_dice", math.nan)) else f"mean Dice {row.mean_dice:.3f}"


def select(
    worst: str | Path, best: str | Path, cohort: pd.DataFrame, count: int, further: Sequence[str] = ()
) -> dict[str, pd.DataFrame]:
    """Return the tables of worst and best cases, or the cohort's first cases as ``worst`` where nothing was scored.

    ``asked`` are those of the cohort that ``further`` names, all of them where it says ``all``.
    """
    tables = {"worst": read_parquet(worst).head(count), "best": read_parquet(best).head(count)}
    if all(table.empty for table in tables.values()):
        tables["worst"] = cohort[["case"]].head(count)
    for table in tables.values():
        unknown = sorted(set(table["case"]) - set(cohort["case"]))
        if unknown:
            raise PostTxError(f"the cohort has no case {unknown[0]!r}", remedy="Delete the tables and run again")
    asked = cohort["case"].isin(list(further)) | (EVERY_CASE in further)
    return tables | {"asked": cohort.loc[asked, ["case"]]}


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    cases = read_parquet(snakemake.input.cohort)
    wanted = (snakemake.params.cases, snakemake.params.further)
    extremes = select(snakemake.input.worst, snakemake.input.best, cases, *wanted)
    model = snakemake.config["models"][snakemake.wildcards.model]
    folder = model.get("predictions", {}).get(snakemake.wildcards.cohort, "")
    predictions = predictions_of(snakemake.input.predictions, folder, list(cases["case"]))
    montages = {"worst": snakemake.output.worst, "best": snakemake.output.best}
    look = (snakemake.params.colors, snakemake.params.names)
    readings = readings_of(row for path in snakemake.input.geometry for row in read_rows(path, GEOMETRY))
    lesions = read_parquet(snakemake.input.lesions)
    folders = (snakemake.output.cases, montages, snakemake.output.viewer)
    draw_cases(cases, extremes, predictions, look, readings, *folders, lesions, snakemake.threads)

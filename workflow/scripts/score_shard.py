"""Score all models on the cases of one shard; the reference of a case is read once."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posttx.case_ids import MODALITIES
from posttx.files import digest_of, flush, sha256_of, write_text
from posttx.geometry.reading import Reading, readings_of
from posttx.logs import configure_logging
from posttx.parallel import map_cases
from posttx.rows import read_rows
from posttx.schemas import COHORT, GEOMETRY
from posttx.scoring.evaluation import SCHEMAS, CaseItem, Scoring, Target, prepare, score_case
from posttx.scoring.predictions import find_predictions

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def case_items(
    cohort: Sequence[Mapping[str, Any]],
    shard: str,
    folders: Mapping[str, str],
    readings: Mapping[str, Reading],
    references: bool = True,
) -> dict[str, CaseItem]:
    """Return the cases of a shard with their prediction per model; ``folders`` maps model to its folder.

    ``cohort`` holds the rows of ``schemas.COHORT``.
    """
    known = {row["case"] for row in cohort}
    found = {model: find_predictions(folder, known) for model, folder in folders.items()}
    items = {}
    for row in cohort:
        if row["shard"] != shard:
            continue
        case = row["case"]
        leader = readings[case].grid_file if case in readings else ""
        items[case] = CaseItem(
            case=case,
            patient=row["patient"],
            timepoint=int(row["timepoint"]),
            predictions={model: files.files.get(case) for model, files in found.items()},
            repeated={model: files.repeated[case] for model, files in found.items() if case in files.repeated},
            reference=Path(row["seg"]) if references and row["seg"] else None,
            reading=readings.get(case),
            image=Path(row[leader]) if leader in MODALITIES and row[leader] else None,
        )
    return items


def clear_others(target: Target, models: Mapping[str, str], cases: Mapping[str, CaseItem]) -> None:
    """Delete what earlier runs left in the shard's folders for cases that are no longer in it."""
    for table in SCHEMAS:
        for model in models:
            for path in target.path(table, model, "x").parent.glob("*.parquet"):
                if path.name.removesuffix(".parquet") not in cases:
                    logger.info("removing %s: its case is no longer in the shard", path)
                    path.unlink()


def score_shard(
    cohort_table: str | Path,
    geometry: str | Path | None,
    output: str | Path,
    cohort: str,
    shard: str,
    settings: Mapping[str, Any],
    workers: int = 1,
) -> None:
    """Write results/{metrics,lesions,confusion}/<cohort>/<model>/<shard>/<case>.parquet and, last, the list ``output``.

    ``output`` is ``<results>/scored/<cohort>/<shard>.tsv``. ``settings``: ``folders`` (model -> folder of
    predictions), ``regions`` (name -> integers), ``scheme``, ``tolerances``, ``missing``, ``snfh_dilation``,
    ``references`` (False for a cohort that has none by its use). Every case is tried; the failed ones are named at the
    end, together. The list has a digest of the scores: Snakemake knows them by this file alone.
    """
    readings = readings_of(read_rows(geometry, GEOMETRY)) if geometry else {}
    scoring = Scoring(
        settings["regions"],
        settings["scheme"],
        tuple(map(float, settings["tolerances"])),
        settings["missing"],
        settings.get("snfh_dilation", "executed"),
    )
    target = Target(Path(output).parents[2], cohort, shard)
    items = case_items(
        read_rows(cohort_table, COHORT), shard, settings["folders"], readings, settings.get("references", True)
    )
    clear_others(target, settings["folders"], items)
    prepare(scoring)
    scored = map_cases(partial(score_case, scoring=scoring, target=target), items, workers, verb="scored")
    flush(target.path(table, model, case) for case, files in scored.items() for model in files for table in SCHEMAS)
    lines = [
        f"{case}\t{model}\t{file}\t{digest_of([sha256_of(target.path(table, model, case)) for table in SCHEMAS])}\n"
        for case, files in scored.items()
        for model, file in files.items()
    ]
    write_text(output, "case\tmodel\tfile\tscores\n" + "".join(lines))


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    score_shard(
        snakemake.input.cohort,
        snakemake.input.get("geometry"),
        snakemake.output.scored,
        snakemake.wildcards.cohort,
        snakemake.wildcards.shard,
        snakemake.params.settings,
        snakemake.threads,
    )

"""Draw a small picture of every case of some shards that has images, for each model that segmented it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posttx.errors import PostTxError
from posttx.files import flush, renaming, sha256_of, write_text
from posttx.geometry.reading import FAIL, Reading, readings_of
from posttx.logs import configure_logging
from posttx.nifti import Scratch
from posttx.parallel import map_cases
from posttx.reporting.case_findings import opening
from posttx.reporting.case_pictures import draw_thumb
from posttx.reporting.case_sheets import CaseSheet, Look, case_sheets, look_of, told
from posttx.rows import read_rows
from posttx.schemas import COHORT, GEOMETRY

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)
SCRATCH = Scratch()
DRAWN = ""
# One image is read a case: the first of these that it has.
SHOWN = ("t1c", "t2f", "t2w", "t1n")


@dataclass(frozen=True)
class _Item:
    sheet: CaseSheet
    look: Look
    folder: Path


def draw_thumbs(
    rows: Sequence[Mapping[str, Any]],
    cohort: str,
    scored: Sequence[str | Path],
    readings: Mapping[str, Reading],
    settings: Mapping[str, Any],
    output: str | Path,
    threads: int = 1,
) -> None:
    """Write ``<model>/<case>.webp`` beside the folder of ``output``, the list of them, which is written last.

    ``rows`` are those of ``schemas.COHORT`` of some shards, ``scored`` their lists; ``settings`` as for
    ``draw_review``. The picture is the axial slice through the worst finding. A case that cannot be read or laid
    together costs its own pictures alone: the list has its finding code. Pictures that earlier runs left of such cases,
    or of models that no longer have a prediction, are removed.
    """
    folder = Path(output).parents[1]
    sheets, unread = case_sheets(rows, cohort, scored, readings, settings["references"])
    items = {case: _Item(sheet, look_of(settings), folder) for case, sheet in sheets.items()}

    def failed(case: str, error: PostTxError) -> dict[str, str]:
        return dict.fromkeys(sheets[case].predictions, told(case, error))

    drawn = map_cases(_draw, items, threads, verb="drew", instead=failed)
    lines, written = [], []
    for row in rows:
        case = str(row["case"])
        for model in settings["models"]:
            path = folder / model / f"{case}.webp"
            code = unread.get(case, drawn.get(case, {}).get(model))
            if code == DRAWN:
                written.append(path)
            else:
                path.unlink(missing_ok=True)
            lines.append(f"{case}\t{model}\t{sha256_of(path) if code == DRAWN else ''}\t{code or ''}\n")
    flush(written)
    write_text(output, "case\tmodel\tsha256\tcode\n" + "".join(lines))


def _draw(item: _Item) -> dict[str, str]:
    """Draw a case for all models; return each model's finding code, empty where the picture was drawn."""
    sheet = item.sheet
    if sheet.reading.decision == FAIL:
        # the one image that is read may lie well, but the case has no picture and no score either
        logger.warning("case %s has no small picture: its files contradict each other", sheet.case)
        return dict.fromkeys(sheet.predictions, "GEO001")
    name = next(name for name in SHOWN if name in sheet.images)
    segmented, codes = sheet.volumes({name: sheet.images[name]}, SCRATCH)
    for model, volumes in segmented.items():
        found, _ = sheet.findings(model, volumes, item.look, most=1)
        with renaming(item.folder / model / f"{sheet.case}.webp") as beside:
            beside.write_bytes(draw_thumb(volumes, opening(volumes, found)[0], item.look.colors))
        codes[model] = DRAWN
    return codes


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    table = [row for path in snakemake.input.cohort for row in read_rows(path, COHORT)]
    readings = readings_of(row for path in snakemake.input.geometry for row in read_rows(path, GEOMETRY))
    scored, cohort = snakemake.input.scored, snakemake.wildcards.cohort
    draw_thumbs(table, cohort, scored, readings, snakemake.params.settings, snakemake.output.drawn, snakemake.threads)

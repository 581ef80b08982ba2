"""Write what the review page shows of the worst and best cases of any model, and of those asked for."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posttx.configuration import EVERY_CASE
from posttx.errors import PostTxError
from posttx.files import flush, read_parquet, renaming, write_json
from posttx.geometry.boxes import hull_of
from posttx.geometry.reading import Reading, readings_of
from posttx.logs import configure_logging
from posttx.nifti import Scratch
from posttx.parallel import map_cases
from posttx.reporting.case_findings import opening
from posttx.reporting.case_pictures import draw_case
from posttx.reporting.case_scripts import images_script, labels_script
from posttx.reporting.case_sheets import CaseSheet, Look, case_sheets, look_of, told
from posttx.reporting.case_volumes import CaseVolumes
from posttx.reporting.report_cases import NOT_DRAWN
from posttx.rows import read_rows
from posttx.schemas import COHORT, GEOMETRY

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)
# One for all cases of a process: fresh memory for a volume can take as long as decompressing into it.
SCRATCH = Scratch()


@dataclass(frozen=True)
class Folders:
    """Where the files of a cohort go: images by case; labels and pictures by model and case."""

    images: Path
    labels: Path
    pictures: Path


@dataclass(frozen=True)
class _Item:
    sheet: CaseSheet
    cohort: str
    look: Look
    folders: Folders


def draw_review(
    rows: Sequence[Mapping[str, Any]],
    cohort: str,
    chosen: Iterable[str],
    scored: Sequence[str | Path],
    readings: Mapping[str, Reading],
    settings: Mapping[str, Any],
    folders: Folders,
    threads: int = 1,
) -> None:
    """Write images, labels of each model and pictures of the ``chosen`` cases of a cohort.

    ``rows`` are those of ``schemas.COHORT``; ``scored`` the lists of scored cases; ``settings`` are ``colors`` and
    ``names`` by label, ``scheme``, ``snfh_dilation``, ``references`` and ``models``. Cases without images
    (references alone) or without a prediction are left out. A case whose files cannot be laid together or read costs
    its own pictures alone, a prediction that cannot those of its model: why is logged, and the finding codes are
    written to ``folders.pictures/NOT_DRAWN``, by model and case.
    """
    for folder in (folders.images, folders.labels, folders.pictures):
        folder.mkdir(parents=True, exist_ok=True)
    wanted = set(chosen)
    sheets, unread = case_sheets(rows, cohort, scored, readings, settings["references"], wanted)
    items = {case: _Item(sheet, cohort, look_of(settings), folders) for case, sheet in sheets.items()}
    missed: dict[str, dict[str, str]] = {model: dict(unread) for model in settings["models"]} if unread else {}

    def failed(case: str, error: PostTxError) -> dict[str, str]:
        return dict.fromkeys(sheets[case].predictions, told(case, error))

    for case, codes in map_cases(_draw, items, threads, verb="drew", instead=failed).items():
        for model, code in codes.items():
            missed.setdefault(model, {})[case] = code
    flush(
        path for folder in (folders.images, folders.labels, folders.pictures)
        for path in folder.rglob("*") if path.is_file()
    )  # fmt: skip
    write_json(folders.pictures / NOT_DRAWN, missed)


def _draw(item: _Item) -> dict[str, str]:
    """Draw a case for all models; return the finding code of each model whose picture could not be drawn."""
    sheet = item.sheet
    drawn, missed = sheet.volumes(sheet.images, SCRATCH)
    for model, volumes in drawn.items():
        _write_labels(item, model, volumes)
    if drawn:
        head = hull_of(volumes.head for volumes in drawn.values())
        scan = next(iter(drawn.values()))
        content = images_script(sheet.case, item.cohort, scan.images, head, scan.affine)
        _write(item.folders.images / f"{sheet.case}.js", content.encode())
    return missed


def _write_labels(item: _Item, model: str, volumes: CaseVolumes) -> None:
    sheet, look = item.sheet, item.look
    found, further = sheet.findings(model, volumes, look)
    picture = draw_case(volumes, *opening(volumes, found), look.colors, look.names)
    _write(item.folders.pictures / model / f"{sheet.case}.webp", picture)
    content = labels_script(volumes, item.cohort, model, found, further, picture)
    _write(item.folders.labels / model / f"{sheet.case}.js", content.encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; all of them are flushed to the disk together, at the end."""
    with renaming(path) as beside:
        beside.write_bytes(content)


def chosen_cases(
    worst: Sequence[str | Path],
    best: Sequence[str | Path],
    known: Sequence[str],
    count: int,
    further: Sequence[str] = (),
) -> list[str]:
    """Return the worst and best ``count`` cases of each model's tables and the ``further`` ones, in that order.

    The cohort's first cases stand in for a model without scores; ``further`` may say ``all``.
    """
    cases: list[str] = []
    for pair in zip(worst, best, strict=True):
        extreme = [case for path in pair for case in read_parquet(path)["case"].head(count)]
        cases += extreme or list(known[:count])
    if unknown := sorted(set(cases) - set(known)):
        raise PostTxError(f"the cohort has no case {unknown[0]!r}", remedy="Delete the tables and run again")
    cases += [case for case in known if case in further or EVERY_CASE in further]
    return list(dict.fromkeys(cases))


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    table = read_rows(snakemake.input.cohort, COHORT)
    params = snakemake.params
    chosen = chosen_cases(
        snakemake.input.worst, snakemake.input.best, [row["case"] for row in table], params.cases, params.further
    )
    readings = readings_of(row for path in snakemake.input.geometry for row in read_rows(path, GEOMETRY))
    folders = Folders(*(Path(snakemake.output[name]) for name in ("images", "labels", "pictures")))
    cohort, scored, threads = snakemake.wildcards.cohort, snakemake.input.scored, snakemake.threads
    draw_review(table, cohort, chosen, scored, readings, params.settings, folders, threads)

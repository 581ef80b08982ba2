"""Write the audit's page and the pictures of its cases, before the gate may stop the run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from posttx.logs import configure_logging
from posttx.reporting.audit_page import grid_modality, write_audit_page
from posttx.reporting.audit_pictures import draw_thumbnails
from posttx.schemas import THUMBNAILS, read_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def write_page_and_pictures(
    thumbnails: Sequence[str | Path], results: str | Path, assets: str | Path, page: str | Path, pictures: str | Path,
    settings: Mapping[str, Any], threads: int = 1,
) -> None:  # fmt: skip
    """Draw the slices that the shards' audits kept into the folder ``pictures``, and write ``page`` beside it."""
    pictures = Path(pictures)
    tables = [read_table(path, THUMBNAILS) for path in thumbnails]
    kept = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(THUMBNAILS.columns))
    colors = {int(label): settings["colors"][name] for label, name in settings["labels"].items()}
    drawn = draw_thumbnails(kept, pictures, colors, threads)
    links = {who: f"{pictures.name}/{path}" for who, path in drawn.items()}
    write_audit_page(results, assets, page, links, {**settings, "modality": grid_modality(kept)})


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    assets = Path(snakemake.scriptdir).parent / "report"
    write_page_and_pictures(
        snakemake.input.thumbnails, snakemake.params.results, assets, snakemake.output.page,
        snakemake.output.pictures, snakemake.params.settings, snakemake.threads,
    )  # fmt: skip

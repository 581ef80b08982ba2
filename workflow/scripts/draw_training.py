"""Draw the training curves of a model's folds, and the network that was planned for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from posttx.files import read_json
from posttx.logs import configure_logging
from posttx.reporting.figures_training import draw_curves, draw_network, read_progress

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def draw_training(
    checkpoints: Sequence[str | Path], plans: str | Path, configuration: str, curves: str | Path, network: str | Path
) -> None:
    """Draw ``curves`` from the progress file beside each checkpoint, and ``network`` from the plans."""
    folders = [Path(checkpoint).parent for checkpoint in checkpoints]
    draw_curves(
        {folder.name.removeprefix("fold_"): read_progress(folder / "progress.jsonl") for folder in folders}, curves
    )
    draw_network(read_json(plans), configuration, network)


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    draw_training(
        snakemake.input.checkpoints,
        snakemake.input.plans,
        snakemake.params.configuration,
        snakemake.output.curves,
        snakemake.output.network,
    )

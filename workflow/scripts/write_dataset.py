"""Describe the standardized train cohort to nnU-Net, without copying an image."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from posttx.cases import MODALITIES
from posttx.files import digest_of, read_parquet, sha256_of, write_json
from posttx.logs import configure_logging
from posttx.networks.nnunet import dataset_json

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def write_dataset(
    transforms: Sequence[str | Path], dataset: str | Path, labels: dict[str, int], extra_channels: Sequence[str]
) -> None:
    """Write nnU-Net's ``dataset.json`` for the cases of all ``transforms`` tables, which lie beside the images."""
    folders: dict[str, str | Path] = {}
    for path in map(Path, transforms):
        folders |= dict.fromkeys(read_parquet(path, columns=["case"])["case"], path.parent)
    content = dataset_json(folders, [*MODALITIES, *extra_channels], labels, Path(dataset).parent)
    # What follows knows the images by this file alone: it must differ where they were made otherwise.
    write_json(dataset, {**content, "made_from": digest_of([sha256_of(path) for path in transforms])})


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    write_dataset(
        snakemake.input.transforms,
        snakemake.output.dataset,
        snakemake.params.labels,
        snakemake.params.extra_channels,
    )

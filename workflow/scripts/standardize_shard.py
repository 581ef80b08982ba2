"""Bring the cases of a shard to one orientation, voxel size and intensity range, and record how to come back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from posttx.cases import IMAGE_COLUMNS, MODALITIES
from posttx.files import digest_of, flush, sha256_of
from posttx.geometry.reading import readings_of
from posttx.logs import configure_logging
from posttx.parallel import map_cases
from posttx.schemas import COHORT, GEOMETRY, TRANSFORMS, read_table, write_table
from posttx.standardization import Job, Settings, image_file, label_file, settings_from, standardize_case

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def standardize_shard(
    cohort_table: str | Path,
    geometry: str | Path,
    transforms: str | Path,
    cohort: str,
    shard: str,
    settings: Mapping[str, Any],
    labels: Sequence[int],
    workers: int = 1,
    standard: str | Path = "",
) -> None:
    """Write ``images/<case>_000N.nii.gz`` and ``labels/<case>.nii.gz`` beside ``transforms``, which is written last.

    ``labels`` are the label scheme's integers. Each file appears whole or not at all; files of cases that left the
    shard are deleted. Every case is tried, then one error names all that failed. The table notes a digest of what the
    files were made from (the tables, and the file ``standard``): whatever follows knows them by this table alone.
    """
    folder = Path(transforms).parent
    chosen = settings_from(settings)
    jobs = jobs_of(read_table(cohort_table, COHORT), read_table(geometry, GEOMETRY), shard, folder, chosen, labels)
    written = _files_of(jobs, len(MODALITIES) + len(chosen.extra_channels))
    _delete_others(folder, written)
    done = map_cases(standardize_case, jobs, workers, verb="standardized")
    flush(written)
    rows = [{**row, "cohort": cohort, "shard": shard} for row in done.values()]
    tables = [sha256_of(path) for path in (cohort_table, geometry, standard) if path]
    write_table(
        pd.DataFrame(rows, columns=list(TRANSFORMS.columns)),
        TRANSFORMS,
        transforms,
        made_from=digest_of([tables, list(labels)]),
    )


def jobs_of(
    cohort: pd.DataFrame, geometry: pd.DataFrame, shard: str, folder: Path, settings: Settings, labels: Sequence[int]
) -> dict[str, Job]:
    """Return case -> job of a shard; of a case that the audit could read nothing of, there is no reading."""
    readings = readings_of(geometry.to_dict("records"))
    jobs = {}
    for row in cohort[cohort["shard"] == shard].to_dict("records"):
        case, files = row["case"], {name: row[name] for name in IMAGE_COLUMNS if isinstance(row[name], str)}
        jobs[case] = Job(case, files, readings.get(case), folder, settings, tuple(labels))
    return jobs


def _files_of(jobs: Mapping[str, Job], channels: int) -> set[Path]:
    images = {image_file(job.folder, case, number) for case, job in jobs.items() for number in range(channels)}
    return images | {label_file(job.folder, case) for case, job in jobs.items() if "seg" in job.files}


def _delete_others(folder: Path, written: set[Path]) -> None:
    """Delete what an earlier run left of cases, channels, references or torn writes that this one will not replace."""
    for path in [*folder.glob("images/*"), *folder.glob("labels/*")]:
        if path not in written:
            path.unlink()


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    standardize_shard(
        snakemake.input.cohort, snakemake.input.geometry, snakemake.output.transforms, snakemake.wildcards.cohort,
        snakemake.wildcards.shard, snakemake.params.settings, snakemake.params.labels, snakemake.threads,
        snakemake.input.standard,
    )  # fmt: skip

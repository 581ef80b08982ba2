"""Make one phantom scan and write its four images and its labels."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from posttx.cases import IMAGE_COLUMNS, split_brats_id
from posttx.logs import configure_logging
from posttx.nifti import write_volume
from posttx.phantom import make_case

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def write_case(outputs: Mapping[str, str | Path], case: str, seed: int, spacing: float) -> None:
    """Make the phantom scan ``case`` and write t1n, t1c, t2w, t2f and seg to the paths of ``outputs``.

    ``spacing`` in mm. The same arguments give the same bytes. Nothing is written when the case cannot be made.
    """
    started = time.perf_counter()
    patient, timepoint = split_brats_id(case)
    made = make_case(case, patient, timepoint, seed, spacing)
    for name in IMAGE_COLUMNS:
        write_volume(outputs[name], made.labels if name == "seg" else made.images[name], made.affine)
    logger.info(
        "%s: %s voxels of %g mm in %.1f s", case, "x".join(map(str, made.labels.shape)), spacing,
        time.perf_counter() - started,
    )  # fmt: skip


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    write_case(snakemake.output, snakemake.wildcards.case, **snakemake.params.phantom)

"""Make one phantom scan and write its four images, its labels and where pitfalls were planted."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posttx.cases import split_brats_id
from posttx.logs import configure_logging
from posttx.nifti import write_volume
from posttx.phantom import make_case
from posttx.phantom.difficulty import Difficulty

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

logger = logging.getLogger(__name__)


def write_case(outputs: Mapping[str, str | Path], case: str, seed: int, spacing: float, **difficulty: Any) -> None:
    """Make the phantom scan ``case`` and write what ``outputs`` names: t1n, t1c, t2w, t2f, seg and cause.

    ``spacing`` in mm; ``difficulty``: fields of ``Difficulty``. The same arguments give the same bytes. Nothing is
    written when the case cannot be made.
    """
    started = time.perf_counter()
    patient, timepoint = split_brats_id(case)
    made = make_case(case, patient, timepoint, seed, spacing, Difficulty(**difficulty))
    volumes = {**made.images, "seg": made.labels, "cause": made.causes}
    for name, path in outputs.items():
        write_volume(path, volumes[name], made.affine)
    logger.info(
        "%s: %s voxels of %g mm in %.1f s", case, "x".join(map(str, made.labels.shape)), spacing,
        time.perf_counter() - started,
    )  # fmt: skip


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    write_case(snakemake.output, snakemake.wildcards.case, **snakemake.params.phantom)

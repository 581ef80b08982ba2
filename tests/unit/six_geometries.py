"""Six ways in which the files of a case lie to each other, made of one healthy phantom case."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from audit_cases import rewrite
from nibabel.eulerangles import euler2mat

from posttx.nifti import read_header

Files = dict[str, Path]
SETTINGS = ("fail", "trust_affine", "trust_voxels")
IMAGES = ("t1n", "t1c", "t2w", "t2f")
VOXEL_MM = 3.0


def moved(*voxels: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return a change of an affine that says that the voxels lie elsewhere, by so many edges of a voxel."""

    def change(affine: np.ndarray) -> np.ndarray:
        affine[:3, 3] += np.array(voxels) * VOXEL_MM
        return affine

    return change


def one_image_shifted(files: Files) -> None:
    rewrite(files["t2w"], affine=moved(2, -1, 0))


def first_image_the_outlier(files: Files) -> None:
    rewrite(files["t1n"], affine=moved(0, 2, 1))


def reference_elsewhere(files: Files) -> None:
    rewrite(files["seg"], affine=moved(2, 1, -1))


def all_flipped(files: Files) -> None:
    """Store every file with two axes the other way round; the affines say so."""
    back = np.diag([-1.0, -1, 1, 1])
    back[:2, 3] = np.array(read_header(files["seg"]).get_data_shape()[:2]) - 1
    for path in files.values():
        rewrite(path, voxels=lambda data: data[::-1, ::-1], affine=lambda affine: affine @ back)


def oblique(files: Files) -> None:
    turn = np.eye(4)
    turn[:3, :3] = euler2mat(z=0.2, y=0.1)
    for path in files.values():
        rewrite(path, affine=lambda affine: turn @ affine)


def two_readings_tie(files: Files) -> None:
    """Two images lie a third of a voxel beside the other two: either grid has as many, either reading fits as well."""
    for name in ("t2w", "t2f"):
        rewrite(files[name], affine=moved(0.3, 0, 0))


GEOMETRIES: dict[str, Callable[[Files], None]] = {
    "one image shifted": one_image_shifted,
    "first image the outlier": first_image_the_outlier,
    "reference elsewhere": reference_elsewhere,
    "all flipped": all_flipped,
    "oblique": oblique,
    "two readings tie": two_readings_tie,
}
AGREEING = ("all flipped", "oblique")
# The file whose grid is that of the case.
LEADERS = {"first image the outlier": "t1c"}

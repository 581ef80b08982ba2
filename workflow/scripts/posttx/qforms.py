"""Quaternion forms of NIfTI headers that break the standard's rules while their meaning is beyond doubt."""

from __future__ import annotations

import math

import nibabel as nib
import numpy as np

QUATERNION = ("quatern_b", "quatern_c", "quatern_d")
# By so much may b, c, d of a quaternion be longer than 1: those written with four digits are off by less.
ROUNDING = 1e-3


def mend_qform(header: nib.Nifti1Header) -> list[str]:
    """Replace in place what a header's qform may not hold by what it means, and return what was replaced, in words.

    As the reference implementation of NIfTI and nibabel's checks do: a qfac other than -1 and 1 counts by its sign (0
    as 1), a quaternion longer than 1 by at most ``ROUNDING`` is a half turn, and edges of voxels lose their sign. Where
    only the sform counts, nothing is touched.
    """
    if header["sform_code"] and not header["qform_code"]:
        return []
    return [*_edges(header), *(_qfac(header) + _turn(header) if header["qform_code"] else [])]


def _edges(header: nib.Nifti1Header) -> list[str]:
    edges = header["pixdim"][1:4].copy()
    if not (edges < 0).any():
        return []
    header["pixdim"][1:4] = np.abs(edges)
    return [f"negative voxel edges ({', '.join(f'{edge:g}' for edge in edges)} mm), read without their sign"]


def _qfac(header: nib.Nifti1Header) -> list[str]:
    qfac = float(header["pixdim"][0])
    if not math.isfinite(qfac) or qfac in (-1.0, 1.0):
        return []
    header["pixdim"][0] = -1.0 if qfac < 0 else 1.0
    return [f"a qfac of {qfac:g}, read as {header['pixdim'][0]:g}"]


def _turn(header: nib.Nifti1Header) -> list[str]:
    turn = np.array([float(header[name]) for name in QUATERNION])
    length = float(np.linalg.norm(turn))
    # nibabel takes what single precision leaves above 1 by itself.
    if not float(header.quaternion_threshold) < length**2 - 1 <= (1 + ROUNDING) ** 2 - 1:
        return []
    for name, value in zip(QUATERNION, turn / length, strict=True):
        header[name] = value
    return [f"a quaternion of length {length:.7g}, read as one of length 1"]

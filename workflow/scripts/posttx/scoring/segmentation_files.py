"""Reading a segmentation whatever single-file format it has: NIfTI, or MetaImage and NRRD through SimpleITK."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from posttx.errors import PostTxError
from posttx.nifti import MAX_VOXELS, Scratch, Volume, read_volume

if TYPE_CHECKING:
    import SimpleITK

ITK_IO = {".mha": "MetaImageIO", ".nrrd": "NrrdImageIO"}
# ITK's world axes point to the patient's left and back, NIfTI's to the right and front.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
HEADER_BYTES = 64 * 1024
# Where a header says that the voxels lie: another file could be any file of this machine.
DATA_FILE = {
    ".mha": re.compile(rb"^[ \t]*ElementDataFile[ \t]*=[ \t]*([^\r\n]*)", re.MULTILINE | re.IGNORECASE),
    ".nrrd": re.compile(rb"^[ \t]*data[ \t]?file[ \t]*:[ \t]*([^\r\n]*)", re.MULTILINE | re.IGNORECASE),
}


def read_segmentation(path: str | Path, scratch: Scratch | None = None) -> Volume:
    """Return a three-dimensional volume of labels from ``.nii``, ``.nii.gz``, ``.mha`` or ``.nrrd``.

    ``data`` is in array order (i, j, k), Fortran-ordered; ``affine`` leads to RAS+ mm whatever the file's own
    convention; ``scratch`` as for ``read_volume``, NIfTI only. Errors carry the codes of ``posttx.nifti``.
    """
    path = Path(path)
    ending = path.suffix.lower()
    return _read_itk(path, ending) if ending in ITK_IO else read_volume(path, scratch)


def itk_affine(image: SimpleITK.Image | SimpleITK.ImageFileReader) -> np.ndarray:
    """Return the 4 x 4 affine from voxel indices (i, j, k) to mm in RAS+ of an image that ITK places in LPS+."""
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = LPS_TO_RAS @ direction @ np.diag(image.GetSpacing())
    affine[:3, 3] = LPS_TO_RAS @ np.array(image.GetOrigin())
    return affine


def _read_itk(path: Path, ending: str) -> Volume:
    # Here, because it takes as long to import as many cases to score.
    import SimpleITK

    _check_attached(path, ending)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(ITK_IO[ending])
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _check_promise(reader, path)
        image = reader.Execute()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise PostTxError(
            f"not a readable {ending} file ({reason})", remedy="Export or copy it again", file=path, code="FIL003"
        ) from error
    # A copy in ITK's order (k, j, i), which is (i, j, k) in Fortran order.
    data = SimpleITK.GetArrayFromImage(image).transpose()
    affine = itk_affine(image)
    header = nib.Nifti1Header()
    header.set_data_shape(data.shape)
    header.set_data_dtype(data.dtype)
    header.set_sform(affine, 1)
    return Volume(data, affine, header, path)


def _check_attached(path: Path, ending: str) -> None:
    try:
        with open(path, "rb") as stream:
            head = stream.read(HEADER_BYTES)
    except FileNotFoundError as error:
        raise PostTxError("the file does not exist", remedy="Check the path", file=path, code="FIL001") from error
    except OSError as error:
        raise PostTxError(
            f"cannot be opened: {error.strerror}", remedy="Check its permissions", file=path, code="FIL002"
        ) from error
    # A NRRD header ends at the first empty line.
    head = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0] if ending == ".nrrd" else head
    named = DATA_FILE[ending].search(head)
    if named and named[1].strip().upper() != b"LOCAL":
        raise PostTxError(
            "the voxels are in another file", remedy=f"Save header and voxels in one {ending} file", file=path,
            code="FIL003",
        )  # fmt: skip


def _check_promise(reader: SimpleITK.ImageFileReader, path: Path) -> None:
    size = reader.GetSize()
    if len(size) != 3 or reader.GetNumberOfComponents() != 1:
        raise PostTxError(
            f"the image has {len(size)} dimensions {size} and {reader.GetNumberOfComponents()} values per voxel",
            remedy="Give one 3-D volume with a number per voxel",
            file=path,
            code="FIL005",
        )
    if min(size) < 1 or math.prod(size) > MAX_VOXELS:
        raise PostTxError(
            f"the header promises a shape of {size}", remedy="Export the file again", file=path, code="FIL006"
        )
    affine = itk_affine(reader)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) <= 1e-9:
        raise PostTxError(
            "the affine is not finite or has no volume", remedy="Export the image again", file=path, code="GEO007"
        )

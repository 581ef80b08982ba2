"""Reading and writing NIfTI: one pass over a file, bounded memory whatever a header promises, clean headers out.

Errors carry the audit's codes: FIL001 missing, FIL002 unreadable, FIL003 not NIfTI, FIL004 truncated, damaged or longer
than promised, FIL005 not three-dimensional, FIL006 impossible shape, FIL007 voxels that are no plain numbers, GEO007
impossible affine. What is read all the same is remarked upon: FIL008 a name that says another compression, FIL009 a
qform against the standard.
"""

from __future__ import annotations

import io
import math
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np
from isal import isal_zlib
from nibabel.affines import voxel_sizes
from nibabel.spatialimages import HeaderDataError

from posttx.errors import PostTxError
from posttx.files import replacing

try:
    from imagecodecs import DeflateError, deflate_decode
except ImportError:  # too large for tests/gpu/make_kit.py; isal alone reads all that it reads, slower
    deflate_decode = None  # type: ignore[assignment]
from posttx.qforms import mend_qform

MAX_VOXELS = 1024**3
# Header extensions are read past; a whole DICOM series in one would still fit.
MAX_OFFSET = 64 * 1024**2
COMPRESSION_LEVEL = 1
DEFLATE_RATIO = 1040  # no deflate stream unfolds to more than 1032 times its size
GZIP_MAGIC = b"\x1f\x8b"
COMPRESSED_AT_ONCE = 512 * 1024
FORM_CODES = range(6)
GZIP = 31  # zlib's window bits for a gzip member
MEMBER = GZIP_MAGIC + b"\x08"
MEMBER_HEADER, MEMBER_NAME, MEMBER_TRAILER = 10, 8, 8  # bytes; the flag of a name after the header; checksum and length
MOST_AROUND = 64 * 1024  # bytes of a member's header; data that do not shrink grow by five bytes for each 64 KB
ALIGNMENT = 64
UNDECLARED = -1  # the code under which bytes between header and voxels are told that belong to no extension
HEADERS = {348: (nib.Nifti1Header, b"n+1", 352), 540: (nib.Nifti2Header, b"n+2", 544)}
# The stubs of isal call its error an instance.
# isal overflows at a member's header of more than half a megabyte.
DAMAGES: tuple[type[BaseException], ...] = (OSError, EOFError, OverflowError, zlib.error, isal_zlib.error)  # type: ignore[assignment]


@dataclass(frozen=True)
class Volume:
    """One image: ``data`` in array order (i, j, k), ``affine`` from voxel indices to mm in RAS+ world space.

    ``extensions`` holds (code, bytes of content) of each header extension, never the content; ``remarks`` holds
    (finding code, message) of what is odd about the file and was read all the same.
    """

    data: np.ndarray
    affine: np.ndarray
    header: nib.Nifti1Header
    path: Path
    extensions: tuple[tuple[int, int], ...] = ()
    remarks: tuple[tuple[str, str], ...] = ()

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Return the voxel edge lengths in mm along i, j, k, from the affine."""
        i, j, k = voxel_sizes(self.affine)
        return float(i), float(j), float(k)

    @property
    def orientation(self) -> str:
        """Return the axis codes, such as ``LAS``: the anatomical side towards which each index grows."""
        return "".join(code or "?" for code in nib.aff2axcodes(self.affine))


class Scratch:
    """Memory for one volume after another: taking fresh memory for each costs as much time as decompressing into it."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def bytes(self, size: int, begin: int = 0) -> np.ndarray:
        """Return ``size`` bytes of undefined content, valid until the next call; number ``begin`` is aligned."""
        if size + ALIGNMENT > self._memory.size:
            self._memory = np.empty(size + ALIGNMENT, np.uint8)
        first = -(self._memory.ctypes.data + begin) % ALIGNMENT
        return self._memory[first : first + size]


def read_header(path: str | Path) -> nib.Nifti1Header:
    """Read and check a NIfTI-1 or NIfTI-2 header (``.nii`` or ``.nii.gz``) without reading voxels.

    Of a compressed file, a few kilobytes are decompressed. A qform that breaks the standard's rules, and whose meaning
    is beyond doubt, comes back as what it means (``qforms.mend_qform``).
    """
    path = Path(path)
    with _file(path) as raw:
        return _header_from(_unpacked(raw), path)[0]


def read_volume(path: str | Path, scratch: Scratch | None = None) -> Volume:
    """Read a three-dimensional NIfTI file once, scaling applied.

    The array is Fortran-ordered, in the stored type (native byte order), or float64 where the header scales. Trailing
    axes of length 1 are dropped. A file that is missing, not NIfTI, truncated, damaged, longer than its header says,
    not 3-D or larger than ``MAX_VOXELS`` raises a ``PostTxError`` that names it; memory is taken only after the header
    passed, and only as much as the header says, whatever a compressed file would unfold to. With ``scratch``, the
    array lies in memory that the next reading with the same scratch overwrites.
    """
    path = Path(path)
    with _file(path) as raw:
        stream = _unpacked(raw)
        header, mended = _header_from(stream, path)
        shape = _shape_3d(header, path)
        dtype = header.get_data_dtype()
        with _damages(path):
            extensions, begin = _skip_to_voxels(stream, header, path)
            promised = math.prod(shape) * dtype.itemsize
            _check_size(path, promised, compressed=stream is not raw)
            content = (scratch or Scratch()).bytes(begin + promised, begin)
            got, more = promised, b""
            if stream is raw or not _unpack_at_once(raw, content):
                got = _fill(stream, content[begin:].data)
                # Reading past the end is also what makes the gzip reader check length and checksum.
                more = stream.read(1) if got == promised else b""
    if got < promised:
        raise _torn(path, f"{got} of {promised} bytes of voxels")
    if more:
        raise _torn(path, f"data goes on after the {promised} bytes of voxels that the header promises")
    data = content[begin:].view(dtype).reshape(shape, order="F")
    if not dtype.isnative:
        data = data.astype(dtype.newbyteorder("="))
    slope, intercept = header.get_slope_inter()
    if slope is not None and (slope, intercept) != (1.0, 0.0):
        data = data * float(slope) + float(intercept)
    remarks = (*_misnamed(path, compressed=stream is not raw), *mended)
    return Volume(data, header.get_best_affine(), header, path, extensions, remarks)


def form_code(header: nib.Nifti1Header) -> int:
    """Return the NIfTI code of the space that the affine in use leads to: 1 scanner, 2 aligned, 4 MNI152; 0 unknown.

    A code that NIfTI does not have is 1: its affine is in use all the same.
    """
    code = int(header["sform_code"]) or int(header["qform_code"])
    return code if code in FORM_CODES else 1


def write_volume(path: str | Path, data: np.ndarray, affine: np.ndarray, code: int = 1) -> None:
    """Write ``data`` as ``.nii`` or ``.nii.gz`` with a fresh header (no free text, no extensions), whole or not at all.

    ``code`` is the NIfTI sform/qform code: 1 scanner, 2 aligned, 4 MNI152; 0 would leave the affine unread, so it is
    written as 1. The same array gives the same bytes.
    """
    with replacing(path) as beside:
        pack_volume(beside, data, affine, code)


def pack_volume(path: Path, data: np.ndarray, affine: np.ndarray, code: int) -> None:
    """Write what ``write_volume`` describes to a place where a torn file does no harm."""
    data = data.astype(data.dtype.newbyteorder("="), copy=False)
    header = nib.Nifti1Header()
    header.set_data_dtype(data.dtype)
    header.set_data_shape(data.shape)
    header.set_sform(affine, code or 1)
    header.set_qform(affine, code or 1, strip_shears=True)
    header.set_xyzt_units("mm", "sec")
    header["vox_offset"] = 352
    header["scl_slope"], header["scl_inter"] = 1.0, 0.0
    head = np.frombuffer(header.binaryblock + b"\0\0\0\0", np.uint8)
    content = np.concatenate([head, np.asfortranarray(data).ravel(order="F").view(np.uint8)])
    with open(path, "wb") as raw:
        if path.name.endswith(".gz"):
            # In one call: isal that was given header and voxels one after the other once found another match for the
            # same bytes, one that reached back into the header. The time stamp in its header stays 0.
            raw.write(isal_zlib.compress(content.data, COMPRESSION_LEVEL, GZIP))
        else:
            raw.write(content.data)


def _unpacked(raw: BinaryIO) -> BinaryIO:
    """Return a stream of a file's bytes, unpacked where they are gzip data, whatever its name: no header begins so.

    As ``igzip.open`` does, but for a copy less: voxels are decompressed to where they are wanted.
    """
    compressed = raw.read(2) == GZIP_MAGIC
    raw.seek(0)
    if not compressed:
        return raw
    members = isal_zlib._GzipReader(raw, COMPRESSED_AT_ONCE)
    return io.BufferedReader(members)  # type: ignore[return-value, type-var]


def _unpack_at_once(raw: BinaryIO, content: np.ndarray) -> bool:
    """Unpack a file that is one gzip member of the very size of ``content`` into it; return whether it is one.

    libdeflate is faster than isal, but needs the whole file and does not say where it stopped reading. Nothing can
    follow the member where the file ends with the checksum and length of what was unpacked, and neither occurs before.
    Otherwise return False, and leave ``raw`` where it was.
    """
    size, place = os.fstat(raw.fileno()).st_size, raw.tell()
    if deflate_decode is None or size > content.size + content.size // 1000 + MOST_AROUND:
        return False
    try:
        raw.seek(0)
        packed = raw.read(size)
        begin, end = _deflated(packed), len(packed) - MEMBER_TRAILER
        if not 0 < begin < end or packed.find(packed[end:]) != end:
            return False
        try:
            # The stubs do not know that it takes a view: without a copy.
            unpacked = deflate_decode(memoryview(packed)[begin:end], raw=True, out=content.data)  # type: ignore[arg-type]
        except DeflateError:
            return False
        trailer = struct.pack("<II", isal_zlib.crc32(content), content.size % 2**32)
        return len(unpacked) == content.size and packed[end:] == trailer
    finally:
        raw.seek(place)


def _deflated(packed: bytes) -> int:
    """Return where a gzip member's data begin; 0 where its header is none, or holds more than a name."""
    if packed[:3] != MEMBER or len(packed) < MEMBER_HEADER or packed[3] not in (0, MEMBER_NAME):
        return 0
    return packed.find(b"\0", MEMBER_HEADER) + 1 if packed[3] else MEMBER_HEADER


def _file(path: Path) -> BinaryIO:
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise PostTxError("a folder stands there", remedy="Give a file", file=path, code="FIL002")
        if not stat.S_ISREG(kind):
            # A pipe would be waited for without end.
            raise PostTxError("not a regular file", remedy="Give a file", file=path, code="FIL002")
        return open(path, "rb")
    except FileNotFoundError as error:
        raise PostTxError("the file does not exist", remedy="Check the path", file=path, code="FIL001") from error
    except OSError as error:
        raise PostTxError(
            f"cannot be opened: {_reason(error)}", remedy="Check its permissions", file=path, code="FIL002"
        ) from error


def _header_from(stream: BinaryIO, path: Path) -> tuple[nib.Nifti1Header, tuple[tuple[str, str], ...]]:
    """Return the checked header, its qform mended where that is safe, and what was mended."""
    header = _parsed(_header_block(stream, path), path)
    shape = header.get_data_shape()
    if not shape or min(shape) < 1 or math.prod(int(n) for n in shape) > MAX_VOXELS:
        raise PostTxError(
            f"the header promises a shape of {shape}", remedy="Export the file again", file=path, code="FIL006"
        )
    if header.get_data_dtype().kind not in "iuf" or header.get_data_dtype().itemsize > 8:
        raise PostTxError(
            f"the voxels are of type {header.get_value_label('datatype')}",
            remedy="Export the image with one plain number per voxel",
            file=path,
            code="FIL007",
        )
    mended = mend_qform(header)
    _check_affine(header, path)
    return header, tuple(("FIL009", f"the header holds {text}") for text in mended)


def _misnamed(path: Path, compressed: bool) -> tuple[tuple[str, str], ...]:
    """Return the remark on a file whose ending says another compression than its content has."""
    if compressed == path.name.lower().endswith(".gz"):
        return ()
    told = "compressed, under a name without .gz" if compressed else "not compressed, under a name with .gz"
    return (("FIL008", f"the file is {told}"),)


def _header_block(stream: BinaryIO, path: Path) -> bytes:
    """Return the bytes of the header, whose first number is its own length in either byte order."""
    try:
        block = stream.read(348)
        if len(block) == 348 and 540 in struct.unpack("<i", block[:4]) + struct.unpack(">i", block[:4]):
            block += stream.read(192)
    except DAMAGES as error:
        raise _torn(path, _reason(error)) from error
    return block


def _parsed(block: bytes, path: Path) -> nib.Nifti1Header:
    if len(block) < 348:
        raise _not_nifti(path, f"only {len(block)} bytes" if block else "the file is empty")
    if block[:2] == GZIP_MAGIC:
        raise _not_nifti(path, "it was compressed twice: decompress it once")
    kind, magic, _ = HEADERS.get(len(block), HEADERS[348])
    try:
        header = kind.from_fileobj(io.BytesIO(block), check=False)
        found = bytes(header["magic"])[:3]
        if found in (b"ni1", b"ni2"):
            raise _not_nifti(path, "the voxels are in another file, .img: convert the pair to .nii.gz")
        if found != magic or int(header["sizeof_hdr"]) != len(block):
            raise _not_nifti(path, f"wrong magic {bytes(header['magic'])!r}")
        header.get_data_shape()
        header.get_data_dtype()
        header.get_slope_inter()
        int(header["vox_offset"])
    except (HeaderDataError, ValueError, KeyError, OverflowError) as error:
        raise _not_nifti(path, str(error)) from error
    return header


def _check_affine(header: nib.Nifti1Header, path: Path) -> None:
    try:
        with np.errstate(all="ignore"):
            affine = header.get_best_affine()
            # A voxel of no volume, or axes in one plane, leave some directions in space without a voxel.
            if np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-9:
                return
            problem = f"the affine {np.round(affine[:3], 4).tolist()} is not finite or has no volume"
    except (HeaderDataError, ValueError) as error:
        problem = f"the affine cannot be computed ({error})"
    raise PostTxError(problem, remedy="Export the image again", file=path, code="GEO007")


def _shape_3d(header: nib.Nifti1Header, path: Path) -> tuple[int, int, int]:
    shape = tuple(int(n) for n in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3:
        raise PostTxError(
            f"the image has {len(shape)} dimensions {shape}", remedy="Give one 3-D volume", file=path, code="FIL005"
        )
    return shape


def _skip_to_voxels(stream: BinaryIO, header: nib.Nifti1Header, path: Path) -> tuple[tuple[tuple[int, int], ...], int]:
    """Read up to the first voxel; return code and length of the header extensions on the way, and where it begins."""
    size = int(header["sizeof_hdr"])
    least = HEADERS[size][2]
    offset = int(header["vox_offset"]) or least  # some writers leave 0
    if not least <= offset <= MAX_OFFSET:
        raise _not_nifti(path, f"voxels begin at byte {offset}")
    between = stream.read(offset - size)
    if len(between) < offset - size:
        raise _torn(path, f"{size + len(between)} bytes, voxels begin at {offset}")
    extensions, position = [], 4
    order = header.endianness
    while between[0] and position + 8 <= len(between):
        length, code = struct.unpack(f"{order}ii", between[position : position + 8])
        if length < 8:
            break
        extensions.append((code, length - 8))
        position += length
    if stray := len((between[1:4] + between[position:]).strip(b"\0")):
        extensions.append((UNDECLARED, stray))
    return tuple(extensions), offset


def _check_size(path: Path, promised: int, compressed: bool) -> None:
    """Raise where a file is too small to hold what its header promises, before memory is taken for it."""
    size = path.stat().st_size
    most = size * DEFLATE_RATIO if compressed else size
    if promised > most:
        raise _torn(path, f"{size} bytes cannot hold the {promised} bytes of voxels that the header promises")


def _fill(stream: BinaryIO, buffer: memoryview) -> int:
    filled = 0
    while filled < len(buffer):
        count = stream.readinto(buffer[filled:])  # type: ignore[attr-defined]
        if not count:
            break
        filled += count
    return filled


@contextmanager
def _damages(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGES as error:
        raise _torn(path, _reason(error)) from error


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _not_nifti(path: Path, why: str) -> PostTxError:
    return PostTxError(f"not a NIfTI file ({why})", remedy="Export or download it again", file=path, code="FIL003")


def _torn(path: Path, why: str) -> PostTxError:
    return PostTxError(f"the file is truncated or damaged ({why})", remedy="Copy it again", file=path, code="FIL004")

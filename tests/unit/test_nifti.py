"""Reading and writing NIfTI: what comes back, what never gets out, and every way a file can be broken."""

import gzip
import itertools
import os
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from posttx import nifti
from posttx.errors import PostTxError
from posttx.nifti import form_code, read_header, read_volume, write_volume

AFFINE = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


def nifti_bytes(data=VOXELS, affine=AFFINE, kind=nib.Nifti1Image, change=None) -> bytearray:
    """Return an uncompressed file made by nibabel, its header changed by ``change(header array)``."""
    image = kind(data, affine)
    content = bytearray(image.to_bytes())
    if change is not None:
        size = image.header.sizeof_hdr
        block = np.frombuffer(bytes(content[:size]), image.header.template_dtype).copy()
        change(block)
        content[:size] = block.tobytes()
    return content


GOOD = bytes(nifti_bytes(np.random.default_rng(0).integers(0, 1000, (20, 20, 20)).astype(np.int16)))


def saved(folder: Path, content: bytes, name: str = "a.nii.gz") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(bytes(content)) if name.endswith(".gz") else bytes(content))
    return path


def code_of(path: Path, read=read_volume) -> str:
    with pytest.raises(PostTxError) as caught:
        read(path)
    assert caught.value.file == str(path)
    assert caught.value.remedy
    return caught.value.code


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64, np.uint16, np.int64])
def test_what_is_written_is_read_by_us_and_by_nibabel(tmp_path, name, dtype):
    write_volume(tmp_path / name, VOXELS.astype(dtype), AFFINE, 4)
    volume, peer = read_volume(tmp_path / name), nib.load(tmp_path / name)
    assert volume.data.dtype == dtype
    assert volume.data.flags.f_contiguous
    assert volume.data.flags.writeable
    np.testing.assert_array_equal(volume.data, VOXELS)
    np.testing.assert_array_equal(np.asarray(peer.dataobj), VOXELS)
    np.testing.assert_array_equal(volume.affine, AFFINE)
    np.testing.assert_allclose(peer.header.get_qform(), AFFINE)
    assert volume.orientation == "LAS"
    assert volume.spacing == (1, 1, 1)
    assert form_code(volume.header) == 4


@given(
    data=hnp.arrays(np.float32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5)),
    flips=st.tuples(*[st.sampled_from([slice(None), slice(None, None, -1)])] * 3),
    axes=st.permutations([0, 1, 2]),
)
@settings(max_examples=40, deadline=None)
def test_any_memory_layout_is_written_alike(tmp_path_factory, data, flips, axes):
    path = tmp_path_factory.mktemp("layout") / "a.nii.gz"
    view = data.transpose(axes)[flips]
    write_volume(path, view, AFFINE)
    np.testing.assert_array_equal(read_volume(path).data, view)


def test_an_array_of_foreign_byte_order_is_written_in_our_own(tmp_path):
    write_volume(tmp_path / "a.nii", VOXELS.astype(">i2"), AFFINE)
    np.testing.assert_array_equal(nib.load(tmp_path / "a.nii").dataobj, VOXELS)


def test_the_same_array_gives_the_same_bytes(tmp_path):
    write_volume(tmp_path / "a.nii.gz", VOXELS, AFFINE)
    write_volume(tmp_path / "b.nii.gz", np.asfortranarray(VOXELS), AFFINE)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.nii.gz"
    write_volume(path, VOXELS, AFFINE)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PostTxError, match="No space"):
        write_volume(path, VOXELS + 1, AFFINE)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.nii.gz"]
    assert path.read_bytes() == before


def test_a_code_of_zero_would_lose_the_affine_and_is_written_as_scanner(tmp_path):
    write_volume(tmp_path / "a.nii", VOXELS, AFFINE, 0)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").affine, AFFINE)


@pytest.mark.parametrize("code", [-1, 6, 32767])
def test_a_code_that_nifti_does_not_have_is_read_and_written_as_scanner(tmp_path, code):
    volume = read_volume(saved(tmp_path, nifti_bytes(change=lambda block: block.__setitem__("sform_code", code))))
    np.testing.assert_array_equal(volume.affine, AFFINE)
    write_volume(tmp_path / "b.nii", volume.data, volume.affine, form_code(volume.header))
    assert int(nib.load(tmp_path / "b.nii").header["sform_code"]) == 1


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_1_and_2_of_both_byte_orders_are_read_in_native_order(tmp_path, kind, order):
    image = kind(VOXELS, AFFINE, kind.header_class(endianness=order))
    image.header.set_data_dtype(np.dtype(np.float32).newbyteorder(order))
    path = saved(tmp_path, image.to_bytes())
    volume = read_volume(path)
    assert volume.data.dtype.isnative
    np.testing.assert_array_equal(volume.data, VOXELS)
    np.testing.assert_array_equal(volume.affine, AFFINE)
    assert read_header(path).get_data_shape() == (2, 3, 4)


def test_slope_and_intercept_are_applied_as_nibabel_does(tmp_path):
    image = nib.Nifti1Image(VOXELS, AFFINE)
    image.header.set_slope_inter(0.5, -3)
    path = saved(tmp_path, image.to_bytes())
    volume = read_volume(path)
    assert volume.data.dtype == np.float64
    np.testing.assert_allclose(volume.data, nib.load(path).get_fdata())


@pytest.mark.parametrize(("slope", "intercept"), [(0.0, 5.0), (np.nan, np.nan), (1.0, 0.0)])
def test_no_scaling_leaves_the_stored_type(tmp_path, slope, intercept):
    def change(block):
        block["scl_slope"], block["scl_inter"] = slope, intercept

    volume = read_volume(saved(tmp_path, nifti_bytes(change=change)))
    assert volume.data.dtype == np.int16
    np.testing.assert_array_equal(volume.data, VOXELS)


def test_trailing_axes_of_one_are_dropped(tmp_path):
    volume = read_volume(saved(tmp_path, nifti_bytes(VOXELS[..., None, None])))
    assert volume.data.shape == (2, 3, 4)


def test_a_data_offset_of_zero_means_behind_the_header(tmp_path):
    volume = read_volume(saved(tmp_path, nifti_bytes(change=lambda block: block.__setitem__("vox_offset", 0))))
    np.testing.assert_array_equal(volume.data, VOXELS)


@pytest.mark.parametrize("order", ["<", ">"])
def test_extensions_are_counted_never_kept_and_never_written(tmp_path, order):
    image = nib.Nifti1Image(VOXELS, AFFINE, nib.Nifti1Header(endianness=order))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Doe, Jane, born 1950"))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("afni", b"<xml/>"))
    image.header["descrip"] = b"Doe, Jane"
    volume = read_volume(saved(tmp_path, image.to_bytes()))
    assert [code for code, _ in volume.extensions] == [6, 4]
    assert all(8 <= size <= 40 for _, size in volume.extensions)
    np.testing.assert_array_equal(volume.data, VOXELS)
    write_volume(tmp_path / "out.nii", volume.data, volume.affine)
    assert b"Doe" not in (tmp_path / "out.nii").read_bytes()
    assert len((tmp_path / "out.nii").read_bytes()) == 352 + volume.data.nbytes


def test_several_gzip_members_and_padding_are_one_file(tmp_path):
    content = bytes(nifti_bytes())
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(content[:100]) + gzip.compress(content[100:]) + b"\0" * 512)
    np.testing.assert_array_equal(read_volume(path).data, VOXELS)


def member(content, flags, optional, level=6):
    """Return a gzip member whose header has further fields."""
    packed = gzip.compress(bytes(content), level)
    return packed[:3] + bytes([flags]) + packed[4:10] + optional + packed[10:]


HEADERS = {
    "plain": (0, b"", True),
    "with a name": (8, b"a.nii\0", True),
    "with a comment": (16, b"by a scanner\0", False),
    "with a field and a name": (4 | 8, b"\3\0abca.nii\0", False),
}


@pytest.mark.parametrize("level", [0, 9], ids=["stored", "small"])
@pytest.mark.parametrize(("flags", "optional", "quick"), HEADERS.values(), ids=HEADERS)
def test_every_header_of_a_member_is_read_the_common_ones_at_once(tmp_path, monkeypatch, flags, optional, quick, level):
    streamed = []
    fill = nifti._fill
    monkeypatch.setattr(nifti, "_fill", lambda *given: streamed.append(1) or fill(*given))
    path = tmp_path / "a.nii.gz"
    path.write_bytes(member(GOOD, flags, optional, level))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.data, nib.load(path).dataobj)
    assert bool(streamed) is not quick


@given(
    data=hnp.arrays(
        st.sampled_from([np.uint8, np.int16, np.float32, np.float64]),
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
        elements={"allow_nan": False},
    ),
    comment=st.binary(max_size=80),
    cuts=st.lists(st.integers(1, 2000), max_size=2),
)
@settings(max_examples=60, deadline=None)
def test_one_member_and_several_are_read_alike(tmp_path_factory, data, comment, cuts):
    image = nib.Nifti1Image(data, AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", comment))
    content, path = image.to_bytes(), tmp_path_factory.mktemp("members") / "a.nii.gz"
    places = [0, *sorted(cut % len(content) for cut in cuts), len(content)]
    path.write_bytes(b"".join(gzip.compress(content[i:j]) for i, j in itertools.pairwise(places)))
    volume = read_volume(path)
    assert volume.data.dtype == data.dtype
    assert volume.data.flags.aligned
    np.testing.assert_array_equal(volume.data, data)


def field(name, value):
    return lambda block: block.__setitem__(name, value)


def dims(*shape):
    def change(block):
        block["dim"][..., : len(shape) + 1] = [len(shape), *shape]

    return change


def no_code(block):
    block["sform_code"] = block["qform_code"] = 0
    block["pixdim"][..., 1:4] = 0


def nan_affine(block):
    block["srow_x"] = np.nan


def nan_quaternion(block):
    block["sform_code"], block["qform_code"], block["quatern_b"] = 0, 1, np.nan


def flat_affine(block):
    block["srow_x"] = block["srow_y"]


def infinite_intercept(block):
    block["scl_slope"], block["scl_inter"] = 2, np.inf


BROKEN_HEADERS = {
    "another magic": (field("magic", b"abc"), "FIL003"),
    "no magic (Analyze)": (field("magic", b""), "FIL003"),
    "header of a pair of files": (field("magic", b"ni1"), "FIL003"),
    "a wrong length of the header": (field("sizeof_hdr", 347), "FIL003"),
    "a voxel type that does not exist": (field("datatype", 3), "FIL003"),
    "infinite intercept": (infinite_intercept, "FIL003"),
    "voxels inside the header": (field("vox_offset", 100), "FIL003"),
    "voxels a gigabyte on": (field("vox_offset", 2**30), "FIL003"),
    "voxels at NaN": (field("vox_offset", np.nan), "FIL003"),
    "four dimensions": (dims(2, 3, 2, 2), "FIL005"),
    "two dimensions": (dims(2, 3), "FIL005"),
    "no dimensions": (dims(), "FIL006"),
    "an empty axis": (dims(2, 0, 4), "FIL006"),
    "a negative axis": (dims(2, -3, 4), "FIL006"),
    "10^12 voxels": (dims(10_000, 10_000, 10_000), "FIL006"),
    "axes whose product overflows": (dims(*[32767] * 7), "FIL006"),
    "complex voxels": (field("datatype", 32), "FIL007"),
    "colours": (field("datatype", 128), "FIL007"),
    "extended precision": (field("datatype", 1536), "FIL007"),
    "NaN in the affine": (nan_affine, "GEO007"),
    "NaN in the quaternion": (nan_quaternion, "GEO007"),
    "zero voxel size": (no_code, "GEO007"),
    "an affine without volume": (flat_affine, "GEO007"),
}


def qform(pixdim=(1, 1, 1, 1), turn=(0, 0, 1)):
    """Return a change to a header that leaves it a qform alone: a half turn about z, at first, with these fields."""

    def change(block):
        block["sform_code"], block["qform_code"] = 0, 1
        block["pixdim"][..., :4] = pixdim
        for name, value in zip(("quatern_b", "quatern_c", "quatern_d"), turn, strict=True):
            block[name] = value

    return change


HALF_TURN = np.diag([-1.0, -1, 1])
MENDED_QFORMS = {
    "negative edges": (qform(pixdim=(1, -1, -1, -1)), HALF_TURN, "negative voxel edges"),
    "qfac 0": (qform(pixdim=(0, 1, 1, 1)), HALF_TURN, "qfac of 0"),
    "qfac -0.5": (qform(pixdim=(-0.5, 1, 1, 1)), HALF_TURN * [1, 1, -1], "qfac of -0.5"),
    "four digits": (
        qform(turn=(0, 0.7072, 0.7072)),
        np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]]),
        "of length 1.000132",
    ),
    "longer by 0.0009": (qform(turn=(0, 0, 1.0009)), HALF_TURN, "of length 1.0009"),
}


@pytest.mark.parametrize(("change", "rotation", "told"), MENDED_QFORMS.values(), ids=MENDED_QFORMS)
def test_a_qform_that_breaks_the_rules_is_read_as_what_it_means(tmp_path, change, rotation, told):
    path = saved(tmp_path, nifti_bytes(change=change))
    volume = read_volume(path)
    np.testing.assert_allclose(volume.affine[:3, :3], rotation, atol=1e-6)
    np.testing.assert_array_equal(read_header(path).get_best_affine(), volume.affine)
    assert [code for code, _ in volume.remarks] == ["FIL009"]
    assert told in volume.remarks[0][1]


def test_a_quaternion_that_is_longer_by_more_is_refused(tmp_path):
    assert code_of(saved(tmp_path, nifti_bytes(change=qform(turn=(0, 0, 1.0011))))) == "GEO007"


def test_nothing_is_said_of_a_header_that_keeps_the_rules_or_whose_qform_is_not_set(tmp_path):
    def unset(block):
        block["qform_code"], block["pixdim"][..., 0] = 0, 0

    for change in (None, unset, qform(), qform(turn=(0, 0, np.nextafter(np.float32(1), np.float32(2))))):
        assert read_volume(saved(tmp_path, nifti_bytes(change=change))).remarks == ()


@pytest.mark.parametrize(("name", "content"), [("a.nii.gz", GOOD), ("a.nii", gzip.compress(GOOD))])
def test_the_content_says_whether_a_file_is_compressed(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.data, read_volume(saved(tmp_path, GOOD, "b.nii")).data)
    assert read_header(tmp_path / name).get_data_shape() == (20, 20, 20)
    assert [code for code, _ in volume.remarks] == ["FIL008"]


@pytest.mark.parametrize(("change", "code"), BROKEN_HEADERS.values(), ids=BROKEN_HEADERS)
def test_a_broken_header_is_refused_with_its_code(tmp_path, change, code):
    assert code_of(saved(tmp_path, nifti_bytes(change=change))) == code


def test_zero_voxel_size_is_harmless_beside_an_affine(tmp_path):
    path = saved(tmp_path, nifti_bytes(change=lambda block: block["pixdim"].__setitem__((..., slice(1, 4)), 0)))
    np.testing.assert_array_equal(read_volume(path).affine, AFFINE)


def nifti2_overflow():
    def change(block):
        block["dim"][..., :4] = [3, 2**62, 2**62, 2]

    return nifti_bytes(kind=nib.Nifti2Image, change=change)


GZIP_HEADER = gzip.compress(b"")[:10]
BROKEN_FILES = {
    "empty": (b"", "FIL003"),
    "text": (b"patient;date\n" * 100, "FIL003"),
    "gzip header only": (gzip.compress(GOOD)[:10], "FIL004"),
    "gzip cut in the header": (gzip.compress(GOOD)[:60], "FIL004"),
    "gzip of noise": (GZIP_HEADER + np.random.default_rng(0).bytes(500), "FIL004"),
    "a small file with garbage behind": (gzip.compress(bytes(nifti_bytes())) + b"garbage", "FIL004"),
    "gzip of nothing": (gzip.compress(b""), "FIL003"),
    "header cut": (gzip.compress(GOOD[:200]), "FIL003"),
    "header only": (gzip.compress(GOOD[:348]), "FIL004"),
    "gzip cut in the voxels": (gzip.compress(GOOD)[:-2000], "FIL004"),
    "gzip without its checksum": (gzip.compress(GOOD)[:-8], "FIL004"),
    "voxels missing": (gzip.compress(GOOD[:-1]), "FIL004"),
    "a flipped byte": (gzip.compress(GOOD, 0)[:5000] + b"x" + gzip.compress(GOOD, 0)[5001:], "FIL004"),
    "the same twice": (gzip.compress(GOOD) * 2, "FIL004"),
    "a wrong checksum": (gzip.compress(GOOD)[:-8] + b"sum!" + gzip.compress(GOOD)[-4:], "FIL004"),
    "more voxels than promised": (gzip.compress(GOOD + b"\1"), "FIL004"),
    "garbage behind the gzip data": (gzip.compress(GOOD) + b"garbage", "FIL004"),
    "NIfTI-2 with 2^125 voxels": (gzip.compress(nifti2_overflow()), "FIL006"),
}


@pytest.mark.parametrize(("content", "code"), BROKEN_FILES.values(), ids=BROKEN_FILES)
def test_a_broken_file_is_refused_with_its_code(tmp_path, content, code):
    (tmp_path / "a.nii.gz").write_bytes(content)
    assert code_of(tmp_path / "a.nii.gz") == code


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (GOOD[:-1], "FIL004"),
        (GOOD + b"x", "FIL004"),
        (GOOD[:351], "FIL004"),
        (gzip.compress(GOOD)[:-9], "FIL004"),
        (gzip.compress(gzip.compress(GOOD)), "FIL003"),
    ],
    ids=["cut", "longer", "header only", "torn gzip under the name of raw", "compressed twice"],
)
def test_a_broken_uncompressed_file_is_refused_with_its_code(tmp_path, content, code):
    (tmp_path / "a.nii").write_bytes(content)
    assert code_of(tmp_path / "a.nii") == code


@pytest.mark.parametrize("read", [read_header, read_volume])
def test_what_is_no_file_is_refused_at_once(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.nii.gz")
    (tmp_path / "folder.nii.gz").mkdir()
    (tmp_path / "loop.nii.gz").symlink_to(tmp_path / "loop.nii.gz")
    (tmp_path / "dangling.nii.gz").symlink_to(tmp_path / "nowhere.nii.gz")
    codes = {
        name: code_of(tmp_path / f"{name}.nii.gz", read) for name in ("pipe", "folder", "loop", "dangling", "none")
    }
    assert codes == {"pipe": "FIL002", "folder": "FIL002", "loop": "FIL002", "dangling": "FIL001", "none": "FIL001"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    path = saved(tmp_path, GOOD)
    path.chmod(0)
    assert code_of(path) == "FIL002"


def gzip_bomb(size: int) -> bytes:
    return gzip.compress(bytes(nifti_bytes()) + bytes(size), 9)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (gzip_bomb(200_000_000), "FIL004"),
        (gzip.compress(bytes(nifti_bytes(change=dims(1024, 1024, 1024)))), "FIL004"),
        (gzip.compress(bytes(nifti_bytes(change=dims(10_000, 10_000, 10_000)))), "FIL006"),
    ],
    ids=["unfolds beyond the header", "promises 2 GB in 300 bytes", "promises 10^12 voxels"],
)
def test_a_bomb_takes_no_memory(tmp_path, content, code):
    (tmp_path / "a.nii.gz").write_bytes(content)
    tracemalloc.start()
    try:
        assert code_of(tmp_path / "a.nii.gz") == code
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


@given(content=st.binary(max_size=400), start=st.integers(0, 352))
@settings(max_examples=150, deadline=None)
def test_any_scribble_over_a_file_is_read_or_refused(tmp_path_factory, content, start):
    path = tmp_path_factory.mktemp("scribble") / "a.nii"
    scribbled = bytearray(nifti_bytes())
    scribbled[start : start + len(content)] = content[: len(scribbled) - start]
    path.write_bytes(scribbled)
    try:
        volume = read_volume(path)
    except PostTxError:
        return
    assert volume.data.ndim == 3
    assert np.isfinite(volume.affine).all()


def test_a_header_is_read_without_the_voxels(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(GOOD)[:-5000])
    assert read_header(path).get_data_shape() == (20, 20, 20)

import gzip

import nibabel as nib
import numpy as np
import pytest

from posttx.auditing.privacy import CONVERTERS, header_text, privacy_findings
from posttx.gzip_notes import gzip_notes
from posttx.nifti import read_volume


@pytest.fixture
def image(tmp_path):
    def write(extension=None, kind=nib.Nifti1Image, **fields):
        made = kind(np.ones((3, 3, 3), np.float32), np.eye(4))
        for name, text in fields.items():
            made.header[name] = text
        if extension:
            made.header.extensions.append(nib.nifti1.Nifti1Extension(*extension))
        nib.save(made, tmp_path / "x.nii.gz")
        return read_volume(tmp_path / "x.nii.gz")

    return write


def codes_of(volume):
    return [finding.code for finding in privacy_findings(volume, "c", "x", "t1n")]


@pytest.mark.parametrize(
    "text",
    [
        "FSL5.0",
        "FSL3.3",
        "6.0.3:b862cdd5",
        "6.0.5.2:7014416a",
        "2203.6-dirty 2022-09-08T15:38:56+01:00",
        "5.0.10",
        "TE=4.2;Time=101530.000;phase=1",
        "TE=30;Time=0.000",
        "FreeSurfer May 13 2013",
        "FreeSurfer",
        "SPM compatible",
        "spm - 3D normalized",
        "ITK 5.3",
        "TE=1.1e+02;Time=224246.728",
        "TE=91;Time=93015.000;phase=1;mb=4",
        "TR=12000;TI=2500;",
        "spm - smooth(8,8,8)",
        "Slicer",
    ],
)
def test_what_converters_write_is_no_finding(image, text):
    assert codes_of(image(descrip=text.encode())) == []


@pytest.mark.parametrize("field", ["descrip", "aux_file", "intent_name", "db_name"])
@pytest.mark.parametrize(
    "text",
    [
        "Doe^Jane",
        "DOE, J.",
        "19500412",
        "MRN 0012345",
        "FSL5.0 Doe",
        "TE=4;Doe",
        "1.2 Jane",
        "12.03.1950",
        "1950.03.12",
        "12.03.50",
        "4711.0815",
        "TE=19500312",
        "TE=1950.0312",
        "Time=19500312",
        "FSL19500312",
        "FSL 1950.3",
        "6.0.3:19500312",
        "6.0.3 1950-03-12",
        "ITK 12.03.1950",
        "SPM19500312",
        "FreeSurfer Mar 12 1950",
        "FreeSurfer 19500312",
        "spm - smooth(1950,03,12)",
        "AFNI 4711.0815",
    ],
)
def test_anything_else_is(image, field, text):
    assert codes_of(image(**{field: text.encode()})) == ["PRI001"]


def test_the_text_itself_is_never_quoted(image):
    found = privacy_findings(image(descrip=b"Doe^Jane"), "c", "x", "t1n")
    assert "Doe" not in found[0].message + found[0].remedy
    assert "8 characters" in found[0].message


def test_text_behind_a_zero_byte_is_seen(image):
    assert codes_of(image(descrip=b"FSL5.0\0\0Doe Jane")) == ["PRI001"]


def test_the_unused_text_of_nifti2_is_seen(image):
    assert codes_of(image(kind=nib.Nifti2Image, unused_str=b"Doe, Jane")) == ["PRI001"]


@pytest.mark.parametrize("flags", [b"\0abc", b"\0\0\0\0"])
def test_bytes_between_header_and_voxels_are_told_by_their_number(tmp_path, flags):
    whole = nib.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4)).to_bytes()
    head = bytearray(whole[:348])
    head[108:112] = np.float32(400).tobytes()
    (tmp_path / "x.nii").write_bytes(bytes(head) + flags + b"Doe, Jane".ljust(48, b"\0") + whole[352:])
    (found,) = privacy_findings(read_volume(tmp_path / "x.nii"), "c", "x", "t1n")
    size = len(flags.strip(b"\0")) + 9
    assert (found.code, found.message) == ("PRI002", f"{size} bytes between header and voxels belong to no extension")


def gzip_header(flags, *parts):
    return b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + b"".join(parts)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (gzip_header(0), []),
        (gzip_header(8, b"x.nii\0"), []),
        (gzip_header(8, b"Doe_Jane.nii\0"), ["a file name of 12 bytes"]),
        (gzip_header(16, b"Doe\0"), ["a comment of 3 bytes"]),
        (gzip_header(4, b"\x03\0Doe"), ["a field of 3 bytes"]),
        (gzip_header(28, b"\x03\0Doe", b"x.nii.gz\0", b"Doe\0"), ["a field of 3 bytes", "a comment of 3 bytes"]),
    ],
)
def test_what_a_gzip_header_carries_is_told_by_kind_and_length(tmp_path, head, told):
    path = tmp_path / "x.nii.gz"
    image = nib.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4))
    path.write_bytes(head + gzip.compress(image.to_bytes())[10:])
    found = privacy_findings(read_volume(path), "c", "x", "t1n")
    assert [(one.code, one.message) for one in found] == [("PRI003", f"the gzip header holds {what}") for what in told]


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b\x08", gzip_header(8), gzip_header(28, b"\xff\xff"), b"no gzip at all"]
)
def test_a_torn_gzip_header_is_no_error(tmp_path, content):
    (tmp_path / "x.nii.gz").write_bytes(content)
    assert all(size >= 0 for _, size in gzip_notes(tmp_path / "x.nii.gz"))


@pytest.mark.parametrize(("code", "name"), [(2, "DICOM"), (4, "AFNI"), (6, "comment"), (44, "MRS"), (99, "unknown")])
def test_extensions_are_named_by_their_code(image, code, name):
    found = privacy_findings(image(extension=(code, b"a" * 30)), "c", "x", "t1n")
    assert [finding.code for finding in found] == ["PRI002"]
    assert name in found[0].message


def test_a_clean_header_and_nifti2_have_no_finding(image):
    assert header_text(image().header) == {}
    assert codes_of(image(kind=nib.Nifti2Image)) == []


def test_the_pattern_of_converters_stays_fast_on_long_text():
    assert not CONVERTERS.fullmatch("1." * 40)
    assert not CONVERTERS.fullmatch("TE=1;" * 16 + "x")

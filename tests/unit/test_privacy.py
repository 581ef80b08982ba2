import nibabel as nib
import numpy as np
import pytest

from posttx.auditing.privacy import CONVERTERS, header_text, privacy_findings
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
        "Slicer",
    ],
)
def test_what_converters_write_is_no_finding(image, text):
    assert codes_of(image(descrip=text.encode())) == []


@pytest.mark.parametrize("field", ["descrip", "aux_file", "intent_name", "db_name"])
@pytest.mark.parametrize(
    "text", ["Doe^Jane", "DOE, J.", "19500412", "MRN 0012345", "FSL5.0 Doe", "TE=4;Doe", "1.2 Jane"]
)
def test_anything_else_is(image, field, text):
    assert codes_of(image(**{field: text.encode()})) == ["PRI001"]


def test_the_text_itself_is_never_quoted(image):
    found = privacy_findings(image(descrip=b"Doe^Jane"), "c", "x", "t1n")
    assert "Doe" not in found[0].message + found[0].remedy
    assert "8 characters" in found[0].message


def test_text_behind_a_zero_byte_is_seen(image):
    assert codes_of(image(descrip=b"FSL5.0\0\0Doe Jane")) == ["PRI001"]


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

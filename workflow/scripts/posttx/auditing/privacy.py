"""Free text in image headers: what no converter writes may name a person."""

from __future__ import annotations

import re

import nibabel as nib

from posttx.auditing.findings import Finding
from posttx.gzip_notes import gzip_notes
from posttx.nifti import UNDECLARED, Volume

TEXT_FIELDS = ("descrip", "aux_file", "intent_name", "db_name", "data_type", "unused_str")
# A version, and no date or number of a patient: one digit, then numbers of at most two without leading zeros.
VERSION = r"\d(?:\.(?:0|[1-9]\d?)){1,3}"
COMMIT = r"(?=\d*[a-f])[0-9a-f]{6,40}"
# Of processing, by programs that write one: not before 2018.
DATE = r"20(?:1[89]|[2-9]\d)-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:[+-]\d\d:\d\d|Z)?)?"
SHORT = r"-?\d{1,3}(?:\.\d{1,3})?|\d(?:\.\d)?e\+0\d"
LONG = r"\d{1,4}(?:\.\d{1,2})?|\d{5}"
CLOCK = r"(?:(?:[01]?\d|2[0-3])[0-5]\d[0-5]\d|[0-5]?\d[0-5]\d|\d{1,2})(?:\.\d{1,3})?"
TOOLS = "ANTs|ITK|SimpleITK|c3d|NiftyReg|elastix|Slicer|3D Slicer|ITK-SNAP|MRIcron|BrainSuite|nibabel|AFNI"
# What converters and tools are known to write by themselves: versions, dates of processing, echo times, tool names.
PATTERNS = (
    rf"fsl\s?(?:{VERSION}(?::{COMMIT})?)?",
    # FSL 6: version, or year and month of a release, commit, date of processing
    rf"(?:{VERSION}|2\d(?:0[1-9]|1[0-2])\.\d\d?)(?::{COMMIT})?(?:-dirty)?(?:\s{DATE})?",
    # dcm2niix: TE=4.2;Time=101530.000;phase=1
    rf"(?:(?:(?:TE|FA|phase|mb|PE|CI|dwell)=?(?:{SHORT})?|(?:TR|TI|IR)=?(?:{LONG})?|Time=?(?:{CLOCK})?)(?:;\s?|$))+",
    rf"(?:{TOOLS})(?:[\s-]?v?{VERSION})?",
    rf"FreeSurfer(?: [A-Z][a-z]{{2}} {{1,2}}\d{{1,2}} 20\d\d)?(?:[\s-]?v?{VERSION})?",
    r"SPM\d{0,2}(?: compatible)?|spm - (?:realigned|normalized|3d normalized|algebra)",
    r"spm - smooth\(\d{1,2}(?:\.\d\d?)?(?:,\d{1,2}(?:\.\d\d?)?){0,2}\)",
    r"NIFTI-1 Image|vtkImageWriter|dsr|none|unknown",
)
CONVERTERS = re.compile("|".join(f"(?:{pattern})" for pattern in PATTERNS), re.IGNORECASE)
EXTENSIONS = {
    UNDECLARED: "undeclared",
    0: "ignored",
    2: "DICOM",
    4: "AFNI",
    6: "comment",
    8: "XCEDE",
    10: "JIM",
    12: "workflow",
    14: "FreeSurfer",
    16: "pickled Python",
    18: "MiND",
    30: "Varian",
    32: "CIFTI",
    38: "eval",
    40: "MATLAB",
    42: "quantiphyse",
    44: "MRS",
}


def header_text(header: nib.Nifti1Header) -> dict[str, str]:
    """Return field -> text for the free-text fields of a header that are not empty; undecodable bytes are replaced."""
    texts = {}
    for name in TEXT_FIELDS:
        if name in header:
            # What stands behind a zero byte is invisible to most programs and has left the hospital all the same.
            text = " ".join(bytes(header[name]).replace(b"\0", b" ").decode("latin-1").split())
            if text:
                texts[name] = text
    return texts


def privacy_findings(volume: Volume, cohort: str, case: str, modality: str) -> list[Finding]:
    """Return a finding per suspicious text field, per extension and per note of the gzip header.

    The message tells kind and length, never the text: a findings table is passed around more freely than the scans.
    """
    found = []
    for name, text in header_text(volume.header).items():
        if not CONVERTERS.fullmatch(text):
            kind = "with digits" if any(sign.isdigit() for sign in text) else "without digits"
            message = f"field {name} holds {len(text)} characters of text, {kind}"
            found.append(Finding("PRI001", cohort, message, case, modality))
    for code, size in volume.extensions:
        message = f"a {EXTENSIONS.get(code, 'unknown')} extension (code {code}) of {size} bytes"
        if code == UNDECLARED:
            message = f"{size} bytes between header and voxels belong to no extension"
        found.append(Finding("PRI002", cohort, message, case, modality))
    for kind, size in gzip_notes(volume.path):
        found.append(Finding("PRI003", cohort, f"the gzip header holds a {kind} of {size} bytes", case, modality))
    return found

"""Free text in image headers: what no converter writes may name a person."""

from __future__ import annotations

import re

import nibabel as nib

from posttx.auditing.findings import Finding
from posttx.nifti import Volume

TEXT_FIELDS = ("descrip", "aux_file", "intent_name", "db_name", "data_type")
# What converters and tools are known to write by themselves: versions, dates of processing, echo times, tool names.
PATTERNS = (
    r"fsl\s?[\d.]*(?::[0-9a-f]+)?",
    # FSL 6: version, commit, date of processing
    r"\d+(?:\.\d+){1,3}(?::[0-9a-f]{6,40})?(?:-dirty)?(?:\s\d{4}-\d\d-\d\d(?:T[\d:+.-]+Z?)?)?",
    # dcm2niix: TE=4.2;Time=101530.000;phase=1
    r"(?:(?:TE|TR|TI|FA|Time|phase|mb|PE|dwell|IR|CI)=?[-\d.]*(?:;\s?|$))+",
    r"(?:ANTs|ITK|SimpleITK|c3d|NiftyReg|elastix|Slicer|3D Slicer|ITK-SNAP|MRIcron|BrainSuite|nibabel|AFNI)[\s\d.:-]*",
    r"FreeSurfer(?: [A-Z][a-z]{2} \d+ \d{4})?[\s\d.:-]*",
    r"SPM\d*(?: compatible)?|spm - (?:realigned|normalized|3d normalized|algebra)|spm - smooth\([\d.,]*\)",
    r"NIFTI-1 Image|vtkImageWriter|dsr|none|unknown",
)
CONVERTERS = re.compile("|".join(f"(?:{pattern})" for pattern in PATTERNS), re.IGNORECASE)
EXTENSIONS = {
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
    """Return a finding per suspicious text field and per extension; the message tells the length, never the text.

    A findings table is passed around more freely than the scans, so the text itself must not get into it.
    """
    found = []
    for name, text in header_text(volume.header).items():
        if not CONVERTERS.fullmatch(text):
            kind = "with digits" if any(sign.isdigit() for sign in text) else "without digits"
            message = f"field {name} holds {len(text)} characters of text, {kind}"
            found.append(Finding("PRI001", cohort, message, case, modality))
    for code, size in volume.extensions:
        message = f"a {EXTENSIONS.get(code, 'unknown')} extension (code {code}) of {size} bytes"
        found.append(Finding("PRI002", cohort, message, case, modality))
    return found

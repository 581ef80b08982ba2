"""Codes of single files: what cannot be read, or is read although others refuse it."""

from posttx.auditing.finding_codes.code import Code

CODES: dict[str, Code] = {
    "FIL001": Code(
        "error", "file missing", "a file that the cohort names does not exist", "Restore the file or remove the case"
    ),
    "FIL002": Code(
        "error", "file unreadable", "a folder stands there, or the file cannot be opened", "Give a readable file"
    ),
    "FIL003": Code(
        "error",
        "not NIfTI",
        "the content is no single-file NIfTI-1 or NIfTI-2 image",
        "Export or download the file again",
    ),
    "FIL004": Code(
        "error",
        "file truncated or damaged",
        "the data ends early, its checksum is wrong, or more follows than the header promises",
        "Copy the file again",
    ),
    "FIL005": Code(
        "error", "not three-dimensional", "the image has a time axis or several channels", "Extract one 3-D volume"
    ),
    "FIL006": Code(
        "error",
        "impossible shape",
        "the header promises no voxels, or more than 1024^3 of them",
        "Export the file again",
    ),
    "FIL007": Code(
        "error", "voxels are no numbers", "complex or colour voxels", "Export the image with a plain number per voxel"
    ),
    "FIL008": Code(
        "warning",
        "compression other than the name says",
        "a `.nii.gz` that is not compressed, or a `.nii` that is: it is read, but other programs refuse it",
        "Rename it: `.nii` where it is not compressed, `.nii.gz` where it is",
    ),
    "FIL009": Code(
        "warning",
        "qform against the standard",
        "a negative voxel edge, a qfac other than -1 and 1, or a quaternion longer than 1 by at most 0.001: read as "
        "what it means, but other programs may refuse the file",
        "Nothing; or write the affine into the header anew",
    ),
    "FIL099": Code(
        "error",
        "unexpected error",
        "working on the case ended in an error that this program does not know; the log has its traceback",
        "Export or download the case's files again or leave it out, and report it with the traceback",
    ),
}

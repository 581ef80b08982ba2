"""Codes of geometry: how the files of a case lie to each other."""

from posttx.auditing.finding_codes.code import Code

CODES: dict[str, Code] = {
    "GEO001": Code(
        "error",
        "images on different grids",
        "the images of a case differ in shape or position, and `audit.geometry` accepts no reading",
        "Register and resample the images onto one grid, or set `audit.geometry`",
    ),
    "GEO002": Code(
        "error",
        "reference on another grid than the images",
        "the affines put the reference elsewhere than its voxel indices do, and `audit.geometry` accepts no reading",
        "Set `audit.geometry` to the reading that the evidence supports, or correct the headers",
    ),
    "GEO003": Code(
        "warning",
        "contradicting geometry, reading chosen by the config",
        "files of a case contradict each other; `audit.geometry` says which reading is used",
        "Check the picture of the case in the report",
    ),
    "GEO004": Code(
        "error",
        "the chosen reading contradicts the evidence",
        "the images speak against the reading that `audit.geometry` sets",
        "Change `audit.geometry`, or correct the case",
    ),
    "GEO005": Code(
        "warning",
        "qform and sform disagree",
        "the two affines of one header place the image differently; programs choose differently",
        "Write one correct affine into both",
    ),
    "GEO006": Code(
        "warning",
        "no orientation in the header",
        "neither qform nor sform is set: left and right are a guess",
        "Export the image with its orientation",
    ),
    "GEO007": Code(
        "error",
        "impossible affine",
        "the affine is singular or not finite, or a voxel edge is below 0.05 mm or above 20 mm",
        "Export the image again",
    ),
    "GEO008": Code(
        "info",
        "anisotropic voxels",
        "the longest voxel edge is over twice the shortest",
        "Nothing; standardisation resamples",
    ),
    "GEO009": Code(
        "warning",
        "unusual field of view",
        "the volume measures less than 100 mm or more than 400 mm along an axis",
        "Check units and spacing of the header",
    ),
    "GEO010": Code(
        "info",
        "head touches the border",
        "the head reaches the first or last slice of an axis: it may be cut off",
        "Check the picture of the case",
    ),
    "GEO011": Code(
        "warning",
        "skull present",
        "far more tissue than a brain holds: the image is not skull-stripped",
        "Strip the skull; models trained on BraTS expect it",
    ),
    "GEO012": Code(
        "error",
        "reference mirrored",
        "the reference fits the images clearly better when mirrored along an axis",
        "Flip the reference back, or correct its affine",
    ),
    "GEO013": Code(
        "warning",
        "image mirrored against the others",
        "one modality fits the others clearly better when mirrored",
        "Flip the image back, or correct its affine",
    ),
    "GEO014": Code(
        "warning",
        "reference outside the head",
        "part of the reference lies where no modality has tissue",
        "Check the picture of the case",
    ),
    "GEO015": Code(
        "warning",
        "voxel size rounded in a header",
        "a file's voxel edges are those of the case's grid, rounded to three decimals; every voxel is still nearest to "
        "the one of its own index, and is read as that",
        "Copy the header of the file that the grid is named after",
    ),
}

"""Codes of intensities: what the voxels of an image say."""

from posttx.auditing.finding_codes.code import Code

CODES: dict[str, Code] = {
    "INT001": Code(
        "error", "NaN or infinite voxels", "voxels that are no finite numbers", "Replace them, 0 outside the head"
    ),
    "INT002": Code(
        "error",
        "empty or constant image",
        "all non-zero voxels have the same value, or there are none",
        "Export the image again",
    ),
    "INT003": Code(
        "info",
        "a few negative voxels",
        "at most 1 % of the non-zero voxels are negative; resampling leaves such",
        "Nothing; standardisation clips them",
    ),
    "INT004": Code(
        "warning",
        "many negative voxels",
        "over 1 % of the non-zero voxels are negative: shifted or already normalised intensities",
        "Give the original intensities",
    ),
    "INT005": Code(
        "warning",
        "saturated",
        "over 1 % of the non-zero voxels share the highest value",
        "Export the image with its full range",
    ),
    "INT006": Code(
        "error", "near-empty image", "fewer than 0.5 % of the voxels are not zero", "Export the image again"
    ),
    "INT007": Code(
        "warning",
        "intensity outlier",
        "the 99th percentile lies far from those of the same modality in this cohort (log scale, robust)",
        "Check scanner gain and units of the case",
    ),
    "INT008": Code(
        "warning",
        "head masks disagree",
        "the non-zero voxels of one modality overlap little with those of the others",
        "Register the modalities and mask them alike",
    ),
    "INT009": Code(
        "error",
        "T1n and T1c look swapped",
        "lesion and vessels enhance in the file called T1n",
        "Exchange the two files",
    ),
    "INT010": Code(
        "error",
        "T2w and T2-FLAIR look swapped",
        "the ventricles are bright in the file called T2-FLAIR and dark in the one called T2w",
        "Exchange the two files",
    ),
    "INT011": Code(
        "info",
        "few grey levels",
        "fewer than 64 different values: 8-bit or coarser",
        "Export the image with its full depth",
    ),
    "INT012": Code(
        "warning",
        "T1n and T1c may be swapped",
        "vessels look brighter in the file called T1n, but the evidence is not certain",
        "Look at the case, and exchange the two files if so",
    ),
}

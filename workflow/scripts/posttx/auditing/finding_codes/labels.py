"""Codes of references and of the label scheme."""

from posttx.auditing.finding_codes.code import Code

CODES: dict[str, Code] = {
    "LAB001": Code(
        "error",
        "integer outside the label scheme",
        "the reference holds a value that the scheme does not name",
        "Set `labels` to the right scheme or correct the reference",
    ),
    "LAB002": Code(
        "error",
        "labels are not whole numbers",
        "values more than 0.01 from any integer: an interpolated or rescaled reference",
        "Round the reference, or resample it again with nearest neighbour",
    ),
    "LAB008": Code(
        "info",
        "labels off their integers by rounding",
        "values at most 0.01 from an integer, as scaled storage leaves them: read as that integer",
        "Nothing; or store the reference as integers",
    ),
    "LAB003": Code("error", "NaN or infinite labels", "labels that are no finite numbers", "Correct the reference"),
    "LAB004": Code(
        "warning", "empty reference", "the reference has background only", "Check that the case has no lesion"
    ),
    "LAB005": Code(
        "info",
        "specks",
        "labels with components of fewer than 5 voxels; real references have them",
        "Nothing, or clean the reference",
    ),
    "LAB006": Code(
        "info",
        "class missing in a cohort",
        "no reference of the cohort holds this class: it cannot be learnt or scored there",
        "Check the label scheme",
    ),
    "LAB007": Code("info", "class balance", "voxels of every class in the cohort", "Nothing"),
    "SCH001": Code(
        "error",
        "label scheme contradicted",
        "the intensities fit another assignment of names to integers clearly better",
        "Set `labels` to a scheme with the names that fit, or correct the references",
    ),
    "SCH002": Code(
        "info",
        "label scheme not testable",
        "too little evidence to tell which integer is which class",
        "Check the scheme by eye",
    ),
    "SCH003": Code("info", "label scheme confirmed", "the configured names fit the intensities best", "Nothing"),
    "SCH004": Code(
        "warning",
        "labels of one case in another order",
        "the intensities of this case alone fit other names clearly better than those of the scheme",
        "Look at the case: its integers may be exchanged",
    ),
}

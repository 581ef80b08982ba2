"""Codes of predictions and counts that are scored."""

from posttx.auditing.finding_codes.code import Code

CODES: dict[str, Code] = {
    "EVA001": Code(
        "error",
        "predictions folder missing",
        "the folder that the config names for a model does not exist",
        "Set the model's `predictions` to it",
    ),
    "EVA002": Code(
        "error",
        "prediction on another grid",
        "the prediction cannot be laid on the case by flips and axis swaps alone",
        "Where the file lost its header, copy that of the case's image into it; else resample it onto the case's grid "
        "with nearest-neighbour interpolation",
    ),
    "EVA003": Code(
        "error",
        "labels outside the scheme in a prediction",
        "a prediction holds integers that the label scheme does not name",
        "Re-map the labels, or choose the scheme they belong to",
    ),
    "EVA004": Code(
        "error",
        "prediction is no label map",
        "a prediction holds values more than 0.01 from any integer, NaN or infinity",
        "Give the label map, not probabilities",
    ),
    "EVA005": Code(
        "error",
        "no geometry to score on",
        "files of the case contradict each other and no reading is chosen, or the chosen one puts the reference beside "
        "the images; predicted voxels are counted alone",
        "Set `audit.geometry`, or correct the headers",
    ),
    "EVA006": Code(
        "error",
        "two predictions for a case",
        "a model's folder holds several files that name the same case",
        "Leave one of them",
    ),
    "EVA007": Code(
        "error",
        "prediction missing",
        "a model has no prediction for a case",
        "Add it, or set `evaluation.missing: penalise`",
    ),
    "EVA008": Code(
        "error",
        "scores incomplete",
        "the files of scored cases are not cases x regions",
        "Delete the cohort's folder in `results/scored` and run again",
    ),
    "EVA009": Code(
        "warning",
        "prediction of an unknown case",
        "a model's folder holds a case that the cohort does not have; it is not scored",
        "Remove the file, or add the case to the cohort",
    ),
    "EVA010": Code(
        "info",
        "prediction off its integers by rounding",
        "values at most 0.01 from an integer, as scaled storage leaves them: scored as that integer",
        "Nothing; or store the prediction as integers",
    ),
    "EVA011": Code(
        "info",
        "files passed over among the predictions",
        "volumes named like scans (`-t1c`, `_0001`), hidden ones and clutter are no predictions",
        "Nothing; rename a file that is a prediction to `<case>.nii.gz`",
    ),
    "EVA012": Code(
        "info",
        "predictions matched by more than the id",
        "the file is not called `<case>`, but its name or its folder spells the case out",
        "Check the example; rename the files to `<case>.nii.gz` where it is wrong",
    ),
    "EVA013": Code(
        "warning",
        "predictions missing",
        "cases without a prediction are scored as empty segmentations (`evaluation.missing: penalise`)",
        "Add the predictions",
    ),
    "EVA014": Code(
        "error",
        "no prediction matched",
        "no file of a model's folder belongs to a case of the cohort",
        "Name the files by case, or correct the folder",
    ),
    "EVA015": Code(
        "warning",
        "voxel size of a prediction rounded",
        "its voxel edges are those of the case rounded to three decimals; every voxel is still nearest to the one of "
        "its own index, and is scored as that",
        "Copy the header of the case's image into the prediction",
    ),
    "EVA016": Code(
        "error",
        "labels of a prediction exchanged",
        "predicted labels fit other labels of the reference far better than their own: another order or scheme",
        "Re-map the labels of the predictions to those of the label scheme",
    ),
    "EVA017": Code(
        "error",
        "prediction mirrored or transposed",
        "everything labelled fits the reference far better after one flip or transpose of the array",
        "Write the prediction with the orientation of the case's image",
    ),
    "EVA018": Code(
        "warning",
        "prediction outside the head",
        "most of a prediction lies in the background of the case's image",
        "Check whose prediction it is, and its affine",
    ),
    "EVA019": Code(
        "warning",
        "prediction is the reference",
        "both are the same file: a perfect score that says nothing",
        "Set the model's `predictions` to its own segmentations",
    ),
    "CNT001": Code(
        "error",
        "not a counts file",
        "the file is missing, is no nnU-Net summary.json, or holds no case",
        "Give the summary.json that nnUNetv2_evaluate_folder writes",
    ),
    "CNT002": Code(
        "error",
        "counts without a case name",
        "an entry names neither prediction nor reference",
        "Evaluate again",
    ),
    "CNT003": Code(
        "error",
        "counts of a case twice",
        "two entries are of the same case",
        "Keep one entry",
    ),
    "CNT004": Code(
        "error",
        "counts of an unknown case",
        "an entry's case is not in the cohort",
        "Correct the cohort, or give the counts a cohort of their own",
    ),
    "CNT005": Code(
        "error",
        "counts of other labels",
        "labels are missing in a case or not in the label scheme",
        "Choose the label scheme that the counts belong to, or evaluate all cases with the same labels",
    ),
    "CNT006": Code(
        "error",
        "counts that do not add up",
        "TP, FP, FN are missing, negative or contradict n_ref and n_pred",
        "Evaluate again",
    ),
}

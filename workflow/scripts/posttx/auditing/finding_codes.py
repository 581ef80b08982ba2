"""The table of all finding codes: data, from which the findings, their severities and the documentation are made."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True)
class Code:
    """What a finding code stands for; ``severity`` is error, warning or info."""

    severity: str
    title: str
    meaning: str
    remedy: str


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
    "COH001": Code(
        "error", "case id refused", "an id that cannot safely name a file, or not in the BraTS form", "Rename the case"
    ),
    "COH002": Code(
        "error",
        "cohort incomplete",
        "modalities or references are missing, or an id stands twice",
        "Complete or remove the cases",
    ),
    "COH003": Code(
        "error", "cohort not found", "the folder or sheet does not exist or holds no case", "Correct the path"
    ),
    "COH004": Code(
        "error",
        "sheet not understood",
        "a column is missing or unknown, or a cell has the wrong form",
        "Correct the sheet",
    ),
    "COH005": Code(
        "error",
        "patient in training and test",
        "scans of one patient are in a train and in a test or predict cohort: scores would be too good",
        "Move all scans of the patient into one cohort",
    ),
    "COH006": Code(
        "info",
        "timepoints with gaps",
        "numbers of a patient's scans are not consecutive; normal in BraTS",
        "Nothing, unless scans are missing by accident",
    ),
    "COH007": Code(
        "error",
        "unlabelled training case",
        "a case of a train cohort has no readable reference",
        "Add the reference or move the case to a predict cohort",
    ),
    "COH008": Code(
        "error",
        "ratings not understood",
        "the file that `exclude` names is missing, has other columns or ratings, or names a case twice",
        "Correct the file, or set `exclude` to null",
    ),
    "COH009": Code(
        "info",
        "case left out",
        "the file that `exclude` names rates it `exclude`: it is planned nowhere",
        "Nothing; take the line out to have the case back",
    ),
    "COH010": Code(
        "info",
        "case to be mended",
        "the file that `exclude` names rates it `fix`: it is used as it is",
        "Correct the case, then rate it `keep`",
    ),
    "COH011": Code(
        "warning",
        "rating of an unknown case",
        "the file that `exclude` names rates a case that no cohort has",
        "Correct cohort and case, or take the line out",
    ),
    "COH012": Code(
        "info", "layout of a cohort", "by which names the files of the cohort's folder were read", "Nothing"
    ),
    "COH013": Code(
        "warning",
        "files of no expected name",
        "NIfTI files in the cohort's folder were passed over; where not one image was found, the cohort is refused",
        "Rename the files, set `layout`, or describe the cohort by a sheet (`make sheet`)",
    ),
    "COH014": Code(
        "info",
        "clutter skipped",
        "files of file systems and programs (`__MACOSX`, `._*`, `@eaDir`) and hidden names are no part of a cohort",
        "Nothing",
    ),
    "COH015": Code(
        "warning",
        "folders not searched",
        "folders lie too deep, or are links that lead back to a folder above them",
        "Set `path` closer to the cases, or describe the cohort by a sheet",
    ),
    "COH016": Code(
        "warning",
        "patients not known",
        "ids tell no patient: each case counts as one, and intervals are too narrow where patients have several scans",
        "Give a sheet with `case`, `patient`, `timepoint`",
    ),
    "COH017": Code(
        "info",
        "columns kept as facts",
        "columns of the sheet that are neither ids nor files",
        "Nothing",
    ),
    "COH018": Code(
        "error",
        "layout not certain",
        "the folder's files can be read in two ways, or nnU-Net's channels have no names",
        "Set `layout`, or describe the cohort by a sheet (`make sheet`)",
    ),
    "DUP001": Code(
        "error",
        "two modalities are the same image",
        "two files of a case hold the same voxels",
        "Replace the wrong copy",
    ),
    "DUP002": Code(
        "error",
        "same scan under two ids",
        "two cases of a cohort hold the same image",
        "Keep one of them, or correct the wrong file",
    ),
    "DUP003": Code(
        "error",
        "same scan in two cohorts",
        "cases of two cohorts hold the same image: scores would be too good",
        "Remove one of them",
    ),
    "COH020": Code(
        "error",
        "path refused",
        "the path of a file holds what Snakemake would replace (`<name>`, `{name}`), a control character, or bytes "
        "that are no UTF-8",
        "Rename the folder or file, or give a link to it with another name",
    ),
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
    "PRI001": Code(
        "warning",
        "free text in the header",
        "a text field of the header holds something no converter writes: it may name a person",
        "Clear the field in the source; nothing of it is copied into results",
    ),
    "PRI002": Code(
        "warning",
        "header extension",
        "the file carries an extension (DICOM, AFNI, comments ...), or bytes before its voxels, that may name a person",
        "Remove it in the source; it is not copied into results",
    ),
    "PRI003": Code(
        "warning",
        "note in the gzip header",
        "the compressed file carries the name of another file, a comment or a field, which may name a person",
        "Compress the file again without a name (`gzip -n`); it is not copied into results",
    ),
    "FCT001": Code(
        "warning",
        "group that training hardly has",
        "a held-out cohort has many patients of a site, scanner, intensity or volume that are rare in training",
        "Look at its scores by group: they are those of another population",
    ),
    "FCT002": Code(
        "warning",
        "cases without facts",
        "the table of facts says nothing of some cases; they are in no subgroup",
        "Add their rows to the table of facts",
    ),
    "FCT003": Code(
        "info",
        "facts of nobody",
        "rows of the table of facts belong to no case of the cohort",
        "Correct the ids of these rows, or leave them",
    ),
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
        "counts of nobody",
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

"""Codes of cohorts: who the cases are, where they were found, and which of them are one."""

from posttx.auditing.finding_codes.code import Code

CODES: dict[str, Code] = {
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
        "the file that `exclude` names is missing, has other columns or ratings, or names a case twice "
        "for one model and rater",
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
        "the file that `exclude` names rates it `fix`, or its reference as wrong (`reference`): it is used as it is",
        "Correct the case, then take its lines out of the file",
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
    "COH020": Code(
        "error",
        "path refused",
        "the path of a file holds what Snakemake would replace (`<name>`, `{name}`), a control character, or bytes "
        "that are no UTF-8",
        "Rename the folder or file, or give a link to it with another name",
    ),
    "COH021": Code(
        "warning",
        "modality missing",
        "a held-out case lacks a modality that every model trained here learnt to do without "
        "(`train.channel_dropout`); zeros stand in its place",
        "Add the scan if there is one. Look at the subgroup `missing modality` for how well such cases are segmented",
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
}

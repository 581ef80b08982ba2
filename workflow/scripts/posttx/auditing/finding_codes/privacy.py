"""Codes of what in a file may name a person."""

from posttx.auditing.finding_codes.code import Code

CODES: dict[str, Code] = {
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
}

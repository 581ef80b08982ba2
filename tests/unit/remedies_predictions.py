"""Remedies of what is odd about a folder of predictions: names matched, passed over or missing (EVA011 to EVA014)."""

from pathlib import Path

from remedy_table import refused, registry

from posttx.scoring.prediction_findings import matching_findings
from posttx.scoring.predictions import check_predictions, find_predictions

REMEDIES, remedy = registry()
CASES = ["BraTS-GLI-00001-100", "BraTS-GLI-00002-100"]
ONE, TWO = (f"{case}.nii.gz" for case in CASES)


def told(folder: Path) -> set[str]:
    """Return the codes of what is said of a folder."""
    found = find_predictions(folder, CASES)
    return {finding.code for finding in matching_findings(found, folder, "c", "m", CASES)} | refused(
        check_predictions, found, folder, CASES
    )


def renamed(before, after):
    """Return steps: files of these names in a folder, then the same files under other names; '' where there is none."""

    def steps(folder):
        for name in filter(None, before):
            (folder / name).touch()
        yield told(folder)
        for old, new in zip(before, after, strict=True):
            (folder / old).rename(folder / new) if old else (folder / new).touch()
        yield told(folder)

    return steps


ODD = [f"{CASES[0]}-t1c.nii.gz", TWO]
remedy("EVA011", "Nothing")(renamed(ODD, ODD))
remedy("EVA011", "rename a file that is a prediction to `<case>.nii.gz`")(renamed(ODD, [ONE, TWO]))
MARKED = [f"team_{CASES[0]}.nii.gz", TWO]
remedy("EVA012", "Check the example")(renamed(MARKED, MARKED))
remedy("EVA012", "rename the files to `<case>.nii.gz` where it is wrong")(renamed(MARKED, [ONE, TWO]))
remedy("EVA013", "Add the predictions")(renamed([ONE, ""], [ONE, TWO]))
remedy("EVA014", "Name the files by case")(renamed(["a.nii.gz", "b.nii.gz"], [ONE, TWO]))


@remedy("EVA014", "correct the folder")
def _(folder):
    (folder / "right").mkdir()
    for name in (ONE, TWO):
        (folder / "right" / name).touch()
    (folder / "wrong").mkdir()
    (folder / "wrong" / "a.nii.gz").touch()
    yield told(folder / "wrong")
    yield told(folder / "right")

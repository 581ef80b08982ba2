"""Remedies of what is wrong with cohorts, sheets and ratings (COH)."""

import pandas as pd
from remedy_table import audited, codes, files_of, refused, registry

from posttx.auditing.cohort_audit import shared_patients, timepoint_gaps
from posttx.cases import MODALITIES, Case, Listing, list_cases
from posttx.exclusions import rating_notes, read_ratings

REMEDIES, remedy = registry()
ONE, TWO = "BraTS-GLI-00001-100", "BraTS-GLI-00002-100"


def cohort_of(root, *names, columns=MODALITIES):
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        for column in columns:
            (root / name / f"{name}-{column}.nii.gz").touch()
    return root


def listed(root, use="test", **source):
    return refused(list_cases, "c", (source or {"path": str(root)}) | {"use": use}, 4, root)


@remedy("COH001", "Rename the case")
def _(folder):
    root = cohort_of(folder / "c", "patient one")
    yield listed(root)
    for path in (root / "patient one").iterdir():
        path.rename(path.with_name(path.name.replace("patient one", ONE)))
    (root / "patient one").rename(root / ONE)
    yield listed(root)


@remedy("COH002", "Complete")
def _(folder):
    root = cohort_of(folder / "c", ONE, TWO, columns=MODALITIES[:3])
    yield listed(root)
    cohort_of(root, ONE, TWO)
    yield listed(root)


@remedy("COH002", "remove the cases")
def _(folder):
    root = cohort_of(cohort_of(folder / "c", ONE), TWO, columns=MODALITIES[:3])
    yield listed(root)
    (root / TWO).rename(folder / "elsewhere")
    yield listed(root)


@remedy("COH003", "Correct the path")
def _(folder):
    cohort_of(folder / "c", ONE)
    yield listed(folder / "typo")
    yield listed(folder / "c")


@remedy("COH004", "Correct the sheet")
def _(folder):
    root, sheet = cohort_of(folder / "c", ONE), folder / "cases.tsv"
    names = "\t".join(f"c/{ONE}/{ONE}-{column}.nii.gz" for column in MODALITIES)
    sheet.write_text(f"case\t{'	'.join(MODALITIES)}\ttimepoint\n{ONE}\t{names}\tfirst\n")
    yield listed(root, sheet=str(sheet))
    sheet.write_text(sheet.read_text().replace("first", "1"))
    yield listed(root, sheet=str(sheet))


def people(*rows):
    return pd.DataFrame(rows, columns=["cohort", "case", "patient", "timepoint"])


@remedy("COH005", "Move all scans of the patient into one cohort")
def _(_):
    uses = {"a": "train", "b": "test"}
    for other in ("b", "a"):
        table = people(("a", "p1-1", "p1", 1), (other, "p1-2", "p1", 2))
        yield {finding.code for finding in shared_patients(table, uses)}


@remedy("COH006", "Nothing, unless scans are missing by accident")
def _(_):
    for missing in ([], [("a", "p1-2", "p1", 101)]):
        table = people(("a", "p1-1", "p1", 100), *missing, ("a", "p1-3", "p1", 102))
        yield {finding.code for finding in timepoint_gaps(table)}


@remedy("COH007", "Add the reference")
def _(folder):
    files = files_of(folder)
    images = {name: path for name, path in files.items() if name != "seg"}
    yield codes(audited(images, use="train"))
    yield codes(audited(files, use="train"))


@remedy("COH007", "move the case to a predict cohort")
def _(folder):
    images = {name: path for name, path in files_of(folder).items() if name != "seg"}
    yield codes(audited(images, use="train"))
    yield codes(audited(images, use="predict"))


HEADER = "cohort\tcase\trating\tcomment\n"


def ratings(folder, text):
    path = folder / "ratings.tsv"
    path.write_text(text)
    return path


@remedy("COH008", "Correct the file")
def _(folder):
    yield refused(read_ratings, ratings(folder, f"{HEADER}a\t{ONE}\tdrop\t\n"))
    yield refused(read_ratings, ratings(folder, f"{HEADER}a\t{ONE}\texclude\t\n"))


@remedy("COH008", "set `exclude` to null")
def _(folder):
    from posttx import configuration

    yield refused(read_ratings, folder / "typo.tsv")
    # Nothing is read then: common.smk asks `if config["exclude"]`.
    schema = configuration.read_yaml("config/schema/config.schema.yaml")
    shipped = configuration.read_yaml("config/config.yaml")
    yield refused(configuration.check_schema, configuration.complete({"exclude": None}, shipped), schema, "x.yaml")


def notes(folder, line):
    found = {"a": Listing([Case(ONE, ONE, 0, "a", "000")], [])}
    return {note["code"] for note in rating_notes(found, read_ratings(ratings(folder, HEADER + line)))}


@remedy("COH009", "Nothing; take the line out to have the case back")
def _(folder):
    yield notes(folder, f"a\t{ONE}\texclude\t\n")
    assert not notes(folder, "")
    yield set()


@remedy("COH010", "Correct the case, then rate it `keep`")
def _(folder):
    yield notes(folder, f"a\t{ONE}\tfix\t\n")
    yield notes(folder, f"a\t{ONE}\tkeep\t\n")


@remedy("COH011", "Correct cohort and case")
def _(folder):
    yield notes(folder, f"b\t{ONE}\texclude\t\n")
    yield notes(folder, f"a\t{ONE}\texclude\t\n")


@remedy("COH011", "take the line out")
def _(folder):
    yield notes(folder, f"b\t{ONE}\texclude\t\n")
    yield notes(folder, "")

"""Remedies of what is wrong with cohorts, sheets and ratings (COH)."""

import pandas as pd
from remedy_table import audited, codes, files_of, refused, registry

from posttx.auditing.cohort_audit import shared_patients, timepoint_gaps
from posttx.cases import MODALITIES, Case, Listing, find_cases, list_cases, listing_notes, usable_cases
from posttx.errors import PostTxError
from posttx.exclusions import rating_notes, read_ratings
from propose_sheet import write_proposal

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


@remedy("COH021", "Add the scan if there is one")
def _(folder):
    files = files_of(folder)
    yield codes(audited({name: path for name, path in files.items() if name != "t2w"}))
    yield codes(audited(files))


@remedy("COH021", "Look at the subgroup `missing modality` for how well such cases are segmented")
def _(folder):
    files = files_of(folder)
    for _ in range(2):
        yield codes(audited({name: path for name, path in files.items() if name != "t2w"}))


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
RATED = "cohort\tcase\trating\tcomment\tmodel\trater\n"


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


def notes(folder, line, header=HEADER):
    found = {"a": Listing([Case(ONE, ONE, 0, "a", "000")], [])}
    return {note["code"] for note in rating_notes(found, read_ratings(ratings(folder, header + line)))}


@remedy("COH009", "Nothing; take the line out to have the case back")
def _(folder):
    yield notes(folder, f"a\t{ONE}\texclude\t\n")
    assert not notes(folder, "")
    yield set()


@remedy("COH010", "Correct the case, then take its lines out of the file")
def _(folder):
    wrong, kept = (f"a\t{ONE}\t{rating}\t\t{model}\tr\n" for rating, model in (("reference", "m"), ("keep", "")))
    # Another line would not do: of several ratings the one that weighs most holds.
    assert "COH010" in notes(folder, wrong + kept, RATED)
    yield notes(folder, wrong, RATED)
    yield notes(folder, "")


@remedy("COH011", "Correct cohort and case")
def _(folder):
    yield notes(folder, f"b\t{ONE}\texclude\t\n")
    yield notes(folder, f"a\t{ONE}\texclude\t\n")


@remedy("COH011", "take the line out")
def _(folder):
    yield notes(folder, f"b\t{ONE}\texclude\t\n")
    yield notes(folder, "")


def noted(root, **settings):
    """Return the codes of what is told of a cohort's folder or sheet, and of what it is refused for."""
    settings = {"path": str(root), "use": "test"} | settings
    if "sheet" in settings:
        del settings["path"]
    try:
        listing = find_cases("c", settings, 4, root)
    except PostTxError as error:
        return {error.code}
    told = {note["code"] for note in listing_notes({"c": listing})}
    return told | refused(usable_cases, listing, "c", settings)


def proposed(root):
    """Write the sheet that `make sheet` proposes and return its path as a setting."""
    write_proposal(root, root.parent / "cases.tsv")
    return {"sheet": str(root.parent / "cases.tsv")}


@remedy("COH012", "Nothing")
def _(folder):
    root = cohort_of(folder / "c", ONE)
    yield noted(root)
    yield noted(root)


@remedy("COH013", "Rename the files")
def _(folder):
    root = cohort_of(folder / "c", ONE, columns=MODALITIES[:3])
    (root / ONE / f"{ONE}-t2f_reg.nii.gz").touch()
    yield noted(root)
    (root / ONE / f"{ONE}-t2f_reg.nii.gz").rename(root / ONE / f"{ONE}-t2f.nii.gz")
    yield noted(root)


@remedy("COH013", "set `layout`")
def _(folder):
    root = cohort_of(folder / "c", ONE, columns=("t1", "t1ce", "t2", "flair"))
    yield noted(root, layout="brats2023")
    yield noted(root, layout="brats2021")


@remedy("COH013", "describe the cohort by a sheet (`make sheet`)")
def _(folder):
    (folder / "c").mkdir()
    for name in ("t1pre", "t1post", "t2", "flair"):
        (folder / "c" / f"p1 {name}.nii.gz").touch()
    yield noted(folder / "c")
    yield noted(folder / "c", **proposed(folder / "c"))


@remedy("COH014", "Nothing")
def _(folder):
    root = cohort_of(folder / "c", ONE)
    (root / "__MACOSX").mkdir()
    yield noted(root)
    yield noted(root)


def too_deep(folder):
    cohort_of(folder / "c" / "a" / "b" / "c" / "d" / "e" / "f", ONE)
    return cohort_of(folder / "c", TWO)


@remedy("COH015", "Set `path` closer to the cases")
def _(folder):
    root = too_deep(folder)
    yield noted(root)
    yield noted(root / "a" / "b")


@remedy("COH015", "describe the cohort by a sheet")
def _(folder):
    root = too_deep(folder)
    yield noted(root)
    yield noted(root, **proposed(root / "a"))


@remedy("COH016", "Give a sheet with `case`, `patient`, `timepoint`")
def _(folder):
    root, sheet = folder, folder / "people.tsv"
    sheet.write_text("case\ttimepoint\nglioma_7\t1\n")
    yield noted(root, sheet=str(sheet))
    sheet.write_text("case\tpatient\ttimepoint\nglioma_7\tp7\t1\n")
    yield noted(root, sheet=str(sheet))


@remedy("COH017", "Nothing")
def _(folder):
    (folder / "people.tsv").write_text("case\tpatient\tsite\nglioma_7\tp7\tA\n")
    yield noted(folder, sheet=str(folder / "people.tsv"))
    yield noted(folder, sheet=str(folder / "people.tsv"))


def two_layouts(folder):
    old = cohort_of(folder / "c", "BraTS2021_00001", columns=())
    for name in ("t1", "t1ce", "t2", "flair"):
        (old / "BraTS2021_00001" / f"BraTS2021_00001_{name}.nii.gz").touch()
    for name in ("T1", "T1c", "T2", "FLAIR"):
        (old / f"UCSF-PDGM-0004_{name}.nii.gz").touch()
    return old


@remedy("COH018", "Set `layout`")
def _(folder):
    root = two_layouts(folder)
    yield noted(root)
    yield noted(root, layout="ucsf_pdgm")


@remedy("COH018", "describe the cohort by a sheet (`make sheet`)")
def _(folder):
    root = two_layouts(folder)
    yield noted(root)
    yield noted(root, **proposed(root))

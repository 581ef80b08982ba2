"""Layouts, clutter and files that are nobody's: nothing in a cohort's folder is dropped without a word."""

import json
import time

import pytest

from posttx.auditing.findings import Finding
from posttx.cases import find_cases, list_cases, listing_notes, usable_cases
from posttx.errors import PostTxError
from posttx.folders import DEPTH, walk
from posttx.layouts import LAYOUTS, NAMES
from propose_sheet import write_proposal

ONE = "BraTS-GLI-00005-100"
ALL = {"t1n", "t1c", "t2w", "t2f", "seg"}


def laid(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def found(root, use="test", **settings):
    return find_cases("c", {"path": str(root), "use": use, **settings}, 4, root)


def listed(root, use="test", **settings):
    return list_cases("c", {"path": str(root), "use": use, **settings}, 4, root)


def refusal(root, **settings):
    with pytest.raises(PostTxError) as caught:
        listed(root, **settings)
    return caught.value


def told(listing):
    """Return code -> message of the findings that the audit gets; every one must be a known finding."""
    notes = listing_notes({"c": listing})
    assert all(Finding(**note).row()["severity"] in ("info", "warning") for note in notes)
    return {note["code"]: note["message"] for note in notes}


def files(pattern, names):
    return [pattern.format(name) for name in names]


BRATS_OLD = ("t1", "t1ce", "t2", "flair", "seg")
# layout -> names of files, and (case, patient, timepoint) -> modalities
TRADITIONS = {
    "brats2023": (files(f"{ONE}/{ONE}-{{}}.nii.gz", ALL), {(ONE, "BraTS-GLI-00005", 100): ALL}),
    "brats2023, flat": (files(f"{ONE}-{{}}.nii.gz", ALL), {(ONE, "BraTS-GLI-00005", 100): ALL}),
    "brats2023, upper case": (files(f"{ONE}/{ONE}-{{}}.NII.GZ", ["T1N", "T1C", "T2W", "T2F", "SEG"]),
                              {(ONE, "BraTS-GLI-00005", 100): ALL}),
    "brats2023, dated": (files("BraTS-GLI-00005-20190312/BraTS-GLI-00005-20190312-{}.nii.gz", ALL),
                         {("BraTS-GLI-00005-20190312", "BraTS-GLI-00005", 20190312): ALL}),
    "brats2021": (files("BraTS2021_00003/BraTS2021_00003_{}.nii.gz", BRATS_OLD),
                  {("BraTS2021_00003", "BraTS2021_00003", 0): ALL}),
    "brats2021, 2018": (files("HGG/Brats18_2013_2_1/Brats18_2013_2_1_{}.nii.gz", BRATS_OLD),
                        {("Brats18_2013_2_1", "Brats18_2013_2_1", 0): ALL}),
    "brats2021, new ids": (files(f"{ONE}/{ONE}-{{}}.nii.gz", BRATS_OLD), {(ONE, "BraTS-GLI-00005", 100): ALL}),
    "ucsf_pdgm": (
        files("UCSF-PDGM-0004_nifti/UCSF-PDGM-0004_{}.nii.gz", ["T1", "T1c", "T2", "FLAIR", "tumor_segmentation"])
        + files("UCSF-PDGM-0429_FU003d_nifti/UCSF-PDGM-0429_FU003d_{}.nii.gz", ["T1", "T1c", "T2", "FLAIR"]),
        {("UCSF-PDGM-0004", "UCSF-PDGM-0004", 0): ALL,
         ("UCSF-PDGM-0429_FU003d", "UCSF-PDGM-0429", 3): ALL - {"seg"}},
    ),
    "mu_glioma_post": (
        files("PatientID_0003/Timepoint_2/PatientID_0003_Timepoint_2_{}.nii.gz",
              ["brain_t1n", "brain_t1c", "brain_t2w", "brain_t2f", "tumorMask"]),
        {("PatientID_0003_Timepoint_2", "PatientID_0003", 2): ALL},
    ),
    "lumiere": (
        files("Patient-001/week-000-2/{}.nii.gz", ["T1", "CT1", "T2", "FLAIR"])
        + files("Patient-001/week-044/{}.nii.gz", ["T1", "CT1", "T2", "FLAIR"]),
        {("Patient-001_week-000-2", "Patient-001", 2): ALL - {"seg"},
         ("Patient-001_week-044", "Patient-001", 440): ALL - {"seg"}},
    ),
    "nnunet": (
        [*files(f"imagesTr/{ONE}_{{}}.nii.gz", ["0000", "0001", "0002", "0003"]), f"labelsTr/{ONE}.nii.gz"],
        {(ONE, "BraTS-GLI-00005", 100): ALL},
    ),
}  # fmt: skip
CHANNELS = {"channel_names": {"0": "FLAIR", "1": "T1", "2": "T1ce", "3": "T2"}}


@pytest.mark.parametrize("tradition", TRADITIONS)
@pytest.mark.parametrize("named", [False, True])
def test_every_layout_is_recognised_read_and_told(tmp_path, tradition, named):
    names, expected = TRADITIONS[tradition]
    layout = tradition.partition(",")[0]
    laid(tmp_path, *names)
    (tmp_path / "dataset.json").write_text(json.dumps(CHANNELS))
    listing = found(tmp_path, layout=layout if named else "auto")
    cases = usable_cases(listing, "c", {"path": str(tmp_path), "use": "test"})
    assert {(case.case, case.patient, case.timepoint): set(case.files) for case in cases} == expected
    assert sorted(path for case in cases for path in case.files.values()) == sorted(str(tmp_path / n) for n in names)
    assert set(told(listing)) == {"COH012"}
    assert f"layout {layout} " in told(listing)["COH012"]
    assert f"{len(expected)} cases, {len(names)} files" in told(listing)["COH012"]


def test_all_layouts_have_a_tradition_and_the_schema_their_names():
    assert {tradition.partition(",")[0] for tradition in TRADITIONS} == set(NAMES) - {"auto"}
    assert all(set(layout.ends.values()) >= ALL - {"seg"} for layout in LAYOUTS.values())


def test_channels_stand_as_the_data_set_names_them(tmp_path):
    laid(tmp_path, *TRADITIONS["nnunet"][0])
    (tmp_path / "dataset.json").write_text(json.dumps({"modality": {"0": "T2", "1": "T1", "2": "FLAIR", "3": "T1 ce"}}))
    for path in (tmp_path, tmp_path / "imagesTr"):
        (case,) = listed(path)
        assert [case.files[name][-11:-7] for name in ("t2w", "t1n", "t2f", "t1c")] == ["0000", "0001", "0002", "0003"]
        assert case.files["seg"] == str(tmp_path / f"labelsTr/{ONE}.nii.gz")


NAMELESS = [
    {},
    {"channel_names": {"0": "CT", "1": "T1"}},
    {"channel_names": []},
    {"channel_names": {"0": "T1", "1": "T1n"}},
]


@pytest.mark.parametrize("content", [None, "", *map(json.dumps, NAMELESS)])
def test_channels_without_names_are_refused(tmp_path, content):
    laid(tmp_path, *TRADITIONS["nnunet"][0])
    if content is not None:
        (tmp_path / "dataset.json").write_text(content)
    assert refusal(tmp_path).code == "COH018"


def test_two_folders_of_images_are_refused_by_name(tmp_path):
    laid(tmp_path, f"imagesTr/{ONE}_0000.nii.gz", "imagesTs/BraTS-GLI-00009-100_0000.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps(CHANNELS))
    error = refusal(tmp_path)
    assert error.code == "COH018"
    assert "imagesTr" in str(error)
    assert "imagesTs" in str(error)


def test_two_layouts_in_one_folder_are_refused_with_both(tmp_path):
    for name in ("brats2021", "ucsf_pdgm"):
        laid(tmp_path, *TRADITIONS[name][0])
    error = refusal(tmp_path)
    assert error.code == "COH018"
    assert "brats2021 (5 files, " in str(error)
    assert "ucsf_pdgm (9 files)" in str(error)


def test_ids_that_tell_no_patient_are_refused_and_accepted_where_the_layout_is_named(tmp_path):
    for case in ("glioma_7", "glioma_8"):
        laid(tmp_path, *files(f"{case}/{case}_{{}}.nii.gz", BRATS_OLD))
    error = refusal(tmp_path)
    assert error.code == "COH001"
    assert "'glioma_7'" in str(error)
    assert "layout: brats2021" in str(error)
    listing = found(tmp_path, layout="brats2021")
    assert [(case.case, case.patient, case.timepoint) for case in listing.cases] == [
        ("glioma_7", "glioma_7", 0),
        ("glioma_8", "glioma_8", 0),
    ]
    assert "each of 2 cases counts as one" in told(listing)["COH016"]


def test_files_of_no_expected_name_are_counted_and_named_with_the_names_that_are_expected(tmp_path):
    laid(
        tmp_path, *TRADITIONS["brats2023"][0], f"{ONE}/{ONE}-t1n_bias.nii.gz", "atlas.nii", f"{ONE}/masks/lesion.nii.gz"
    )
    listing = found(tmp_path)
    assert len(listing.cases) == 1
    text = told(listing)["COH013"]
    for part in (
        "3 of 8 NIfTI files",
        f"{ONE}/{ONE}-t1n_bias.nii.gz",
        "atlas.nii",
        "masks/lesion.nii.gz",
        "<case>-t2f.nii.gz",
    ):
        assert part in text


def test_a_modality_under_another_name_is_named_beside_what_lacks(tmp_path):
    laid(tmp_path, *files(f"{ONE}/{ONE}-{{}}.nii.gz", ALL - {"t2f"}), f"{ONE}/{ONE}-FLAIR_reg.nii.gz")
    text = str(refusal(tmp_path))
    assert f"case {ONE} has no t2f" in text
    assert f"{ONE}-FLAIR_reg.nii.gz" in text


def test_references_beside_images_of_no_expected_name_are_refused_predictions_beside_them_are_not(tmp_path):
    laid(tmp_path, f"{ONE}/{ONE}-seg.nii.gz", f"{ONE}/{ONE}_pred.nii.gz")
    assert "COH013" in told(found(tmp_path))
    assert len(listed(tmp_path)) == 1
    laid(tmp_path, f"{ONE}/{ONE}-t1post.nii.gz")
    error = refusal(tmp_path)
    assert error.code == "COH013"
    assert f"{ONE}-t1post.nii.gz" in str(error)


def test_a_folder_of_nothing_that_fits_names_what_is_there_and_every_layout(tmp_path):
    laid(tmp_path, "a/scan.nii.gz")
    text = str(refusal(tmp_path))
    assert "a/scan.nii.gz" in text
    assert all(name in text for name in LAYOUTS)
    assert "make sheet" in text


CLUTTER = ["__MACOSX/x/._a.nii.gz", f"._{ONE}", f"{ONE}/._{ONE}-t1n.nii.gz", ".DS_Store", f"{ONE}/Thumbs.db",
           "@eaDir/x.nii.gz", f"{ONE}/.ipynb_checkpoints/{ONE}-t1n-checkpoint.nii.gz", ".hidden/a.nii.gz"]  # fmt: skip


def test_clutter_is_skipped_and_counted(tmp_path):
    laid(tmp_path, *TRADITIONS["brats2023"][0], *CLUTTER)
    listing = found(tmp_path)
    assert len(usable_cases(listing, "c", {"path": str(tmp_path), "use": "train"})) == 1
    counted = ".* (1), .DS_Store (1), ._* (2), .ipynb_checkpoints (1), @eaDir (1), Thumbs.db (1), __MACOSX (1)"
    assert counted in told(listing)["COH014"]
    assert "COH013" not in told(listing)


def test_folders_that_are_not_searched_are_named(tmp_path):
    deep = "/".join("abcdef"[: DEPTH + 1])
    laid(tmp_path, *TRADITIONS["brats2023"][0], f"{deep}/{ONE[:-1]}1-t1n.nii.gz")
    (tmp_path / ONE / "again").symlink_to(tmp_path)
    text = told(found(tmp_path))["COH015"]
    assert str(tmp_path / deep) in text
    assert str(tmp_path / ONE / "again") in text
    assert f"{DEPTH} levels" in text


def test_a_doubled_id_is_mended_as_its_remedy_says(tmp_path):
    data = tmp_path / "data"
    for place in ("first", "second"):
        laid(data, *files(f"{place}/{ONE}/{ONE}-{{}}.nii.gz", ALL))
    error = refusal(data)
    assert "stands twice" in str(error)
    assert "exclude" not in error.remedy
    assert "Move one folder" in error.remedy
    (data / "second").rename(tmp_path / "moved out")
    assert [case.case for case in listed(data)] == [ONE]


def test_the_sheet_that_a_refused_id_is_advised_is_accepted(tmp_path):
    data = tmp_path / "data"
    for case in ("patient one", "Doe tp2"):
        laid(data, *files(f"{case}/{case}-{{}}.nii.gz", ALL))
    laid(data, "Doe tp2/notes.nii.gz", "Doe tp2/Doe tp2_t1.nii.gz")
    error = refusal(data)
    assert error.code == "COH001"
    assert "make sheet" in str(error)
    said = write_proposal(data, tmp_path / "cases.tsv")
    assert "2 cases" in said
    cases = list_cases("c", {"sheet": str(tmp_path / "cases.tsv"), "use": "train"}, 4, tmp_path)
    assert [(case.case, case.patient, case.timepoint, set(case.files)) for case in cases] == [
        ("Doe_tp2", "Doe", 2, ALL),
        ("patient_one", "patient_one", 0, ALL),
    ]
    unplaced = (tmp_path / "cases.tsv.unplaced.tsv").read_text()
    assert "notes.nii.gz\tits name ends in no modality" in unplaced
    assert "has t1n already" in unplaced
    with pytest.raises(PostTxError, match="exists already"):
        write_proposal(data, tmp_path / "cases.tsv")


@pytest.mark.parametrize("tradition", [name for name in TRADITIONS if name != "nnunet"])
def test_a_sheet_proposed_from_a_known_layout_gives_the_same_cases(tmp_path, tradition):
    data = tmp_path / "data"
    laid(data, *TRADITIONS[tradition][0])
    write_proposal(data, tmp_path / "sheets" / "cases.tsv")
    from_sheet = list_cases("c", {"sheet": str(tmp_path / "sheets/cases.tsv"), "use": "test"}, 4, tmp_path)
    for one, other in zip(listed(data), from_sheet, strict=True):
        assert (one.case, one.patient, one.timepoint, one.shard) == (
            other.case,
            other.patient,
            other.timepoint,
            other.shard,
        )
        assert set(one.files) == set(other.files)


def test_a_folder_of_which_nothing_can_be_proposed_is_told(tmp_path):
    laid(tmp_path / "data", "scan.nii.gz")
    with pytest.raises(PostTxError, match="no volume has a name that says its modality"):
        write_proposal(tmp_path / "data", tmp_path / "cases.tsv")
    assert not (tmp_path / "cases.tsv").exists()


def test_an_older_cohort_of_the_real_size_is_listed_within_seconds(tmp_path):
    for number in range(1621):
        case = f"BraTS-GLI-{number:05d}-100"
        (tmp_path / case).mkdir()
        for name in BRATS_OLD:
            (tmp_path / case / f"{case}_{name}.nii.gz").touch()
    started = time.process_time()
    assert len(listed(tmp_path)) == 1621
    assert time.process_time() - started < 4
    assert walk(str(tmp_path)).volumes == 8105

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttx.cases import (
    IMAGE_COLUMNS,
    MODALITIES,
    check_case_id,
    find_cases,
    list_cases,
    listing_notes,
    phantom_ids,
    split_brats_id,
)
from posttx.errors import PostTxError
from posttx.sheets import sheet_facts

ONE, TWO = "BraTS-GLI-00005-100", "BraTS-GLI-00005-101"


def make(folder, case=None, columns=IMAGE_COLUMNS, suffix=".nii.gz"):
    folder.mkdir(parents=True, exist_ok=True)
    for column in columns:
        (folder / f"{case or folder.name}-{column}{suffix}").touch()


def listed(root, use="train", **more):
    return list_cases("c", {"path": str(root), "use": use, **more}, 4, root)


def sheet(tmp_path, text, name="c.tsv", use="test"):
    path = tmp_path / name
    path.write_text(text)
    return list_cases("c", {"sheet": str(path), "use": use}, 4, tmp_path)


def refusal(call, *arguments, **options):
    with pytest.raises(PostTxError) as caught:
        call(*arguments, **options)
    return caught.value


def test_the_whole_cohort_is_listed_within_seconds_and_no_scan_is_opened(tmp_path, monkeypatch):
    for number in range(1621):
        make(tmp_path / f"BraTS-GLI-{number // 2:05d}-{100 + number % 2}")
    opened = []
    monkeypatch.setattr("builtins.open", lambda path, *_, **__: opened.append(path))
    started = time.process_time()
    cases = listed(tmp_path)
    taken = time.process_time() - started
    monkeypatch.undo()
    assert len(cases) == 1621
    assert opened == []
    assert taken < 3


def test_the_released_layout_is_read(tmp_path):
    make(tmp_path / TWO)
    make(tmp_path / ONE)
    (tmp_path / "readme.txt").touch()
    (tmp_path / ".DS_Store").touch()
    cases = listed(tmp_path)
    assert [(case.case, case.patient, case.timepoint) for case in cases] == [
        (ONE, "BraTS-GLI-00005", 100),
        (TWO, "BraTS-GLI-00005", 101),
    ]
    assert list(cases[0].files) == sorted(IMAGE_COLUMNS)
    assert len({case.shard for case in cases}) == 1


def test_nested_folders_and_uncompressed_files_are_found(tmp_path):
    make(tmp_path / "site" / "2024" / ONE, suffix=".nii")
    assert [case.case for case in listed(tmp_path)] == [ONE]


def test_links_are_followed_and_broken_ones_told(tmp_path):
    make(tmp_path / "store" / ONE)
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    (cohort / ONE).symlink_to(tmp_path / "store" / ONE)
    assert len(listed(cohort)) == 1
    (tmp_path / "store" / ONE / f"{ONE}-t1c.nii.gz").unlink()
    (tmp_path / "store" / ONE / f"{ONE}-t1c.nii.gz").symlink_to(tmp_path / "gone")
    error = refusal(listed, cohort)
    assert error.code == "FIL001"
    assert "t1c" in str(error)


def test_a_loop_of_links_ends(tmp_path):
    make(tmp_path / "data" / ONE)
    (tmp_path / "data" / "again").symlink_to(tmp_path / "data")
    assert [case.case for case in listed(tmp_path / "data")] == [ONE]


def test_all_problems_of_a_cohort_are_told_at_once(tmp_path):
    make(tmp_path / ONE, columns=("t1n", "t1c", "t2w", "seg"))
    make(tmp_path / TWO, columns=MODALITIES)
    make(tmp_path / "patient seven", columns=IMAGE_COLUMNS)
    make(tmp_path / "BraTS-GLI-00009-100")
    (tmp_path / "BraTS-GLI-00009-100" / "BraTS-GLI-00009-100-t1n.nii").touch()
    text = str(refusal(listed, tmp_path))
    assert f"{ONE} has no t2f" in text
    assert f"{TWO} has no reference" in text
    assert "'patient seven'" in text
    assert "has t1n twice" in text


def test_an_empty_case_folder_is_told(tmp_path):
    make(tmp_path / ONE)
    (tmp_path / TWO).mkdir()
    assert f"{TWO} has no t1n, t1c, t2w, t2f" in str(refusal(listed, tmp_path))


@pytest.mark.parametrize(("use", "fits"), [("predict", True), ("test", True), ("train", False)])
def test_references_are_needed_for_training_only(tmp_path, use, fits):
    make(tmp_path / ONE, columns=MODALITIES)
    if fits:
        assert "seg" not in listed(tmp_path, use)[0].files
    else:
        assert refusal(listed, tmp_path, use).code == "COH002"


@pytest.mark.parametrize(("use", "fits"), [("test", True), ("train", False), ("predict", False)])
def test_references_alone_are_enough_to_score_and_no_more(tmp_path, use, fits):
    make(tmp_path / ONE, columns=["seg"])
    if fits:
        assert list(listed(tmp_path, use)[0].files) == ["seg"]
    else:
        assert refusal(listed, tmp_path, use)


def test_a_sheet_takes_absolute_and_relative_paths(tmp_path):
    make(tmp_path / "far" / "x", case="a")
    make(tmp_path / "near", case="b")
    for name in ("sheets",):
        (tmp_path / name).mkdir()
    lines = ["case\tpatient\ttimepoint\t" + "\t".join(IMAGE_COLUMNS)]
    lines += ["one\tp1\t3\t" + "\t".join(str(tmp_path / "far" / "x" / f"a-{name}.nii.gz") for name in IMAGE_COLUMNS)]
    lines += ["two\t\t\t" + "\t".join(f"../near/b-{name}.nii.gz" for name in IMAGE_COLUMNS)]
    cases = sheet(tmp_path / "sheets", "\n".join(lines) + "\n", use="train")
    assert [(case.case, case.patient, case.timepoint) for case in cases] == [("one", "p1", 3), ("two", "two", 0)]


def test_a_sheet_of_case_and_seg_is_enough_to_score(tmp_path):
    make(tmp_path, case="b", columns=["seg"])
    cases = sheet(tmp_path, f"case,seg\n{ONE},b-seg.nii.gz\n", "c.csv")
    assert (cases[0].patient, cases[0].timepoint, list(cases[0].files)) == ("BraTS-GLI-00005", 100, ["seg"])


def test_every_problem_of_a_sheet_is_told_with_its_line(tmp_path):
    make(tmp_path, case="b")
    lines = [
        "case,patient,timepoint,seg",
        "../../etc/passwd,,,b-seg.nii.gz",
        "two,,first,b-seg.nii.gz",
        "three,,,gone.nii.gz",
        "four,,,b-seg.nii.gz",
        "five,,,b-seg.nii.gz",
        "six,,",
        "four,..,1,b-seg.nii.gz",
    ]
    error = refusal(sheet, tmp_path, "\n".join(lines), "c.csv")
    text = str(error)
    for part in ("line 2:", "line 3:", "line 4:", "gone.nii.gz", "line 7:", "line 8:", "named for four seg, five seg"):
        assert part in text, part
    assert "c.csv" in text


@pytest.mark.parametrize(
    "content",
    [b"case,t1n\n\xff\xfe,x\n", b"", b"case,case\na,b\n", b"id,seg\na,b\n", b'case,seg\n"a,b\n', b"case,flair\na,b\n"],
)
def test_sheets_that_are_none(tmp_path, content):
    path = tmp_path / "c.csv"
    path.write_bytes(content)
    error = refusal(list_cases, "c", {"sheet": str(path), "use": "test"}, 4, tmp_path)
    assert error.code == "COH004"
    assert error.remedy


FACTS = "case;patient;timepoint;Site;scanner\none;p1;20190312;Mo;Skyra\n;;;;\n\ntwo;p1;20190512143000;;\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_spreadsheets_sheet_is_read_and_its_further_columns_are_kept_as_facts(tmp_path, encoding):
    path = tmp_path / "c.csv"
    path.write_bytes(FACTS.replace("\n", "\r\n").encode(encoding))
    listing = find_cases("c", {"sheet": str(path), "use": "test"}, 4, tmp_path)
    assert [(case.case, case.patient, case.timepoint) for case in listing.cases] == [
        ("one", "p1", 20190312),
        ("two", "p1", 20190512143000),
    ]
    assert listing.people_only
    assert listing_notes({"c": listing}) == [
        {"cohort": "c", "code": "COH017", "message": "columns of the sheet kept as facts: Site, scanner"}
    ]
    assert sheet_facts(path) == {"one": {"Site": "Mo", "scanner": "Skyra"}, "two": {"Site": "", "scanner": ""}}


OTHERS = {"flair": "t2f", "T1ce": "t1c", "T2": "t2w", "t1-gd": "t1c", "mask": "seg", "time_point": "timepoint"}


@pytest.mark.parametrize(("column", "likely"), [*OTHERS.items(), ("Patients", "patient")])
def test_a_column_that_looks_like_one_of_ours_is_refused_with_its_name(tmp_path, column, likely):
    error = refusal(sheet, tmp_path, f"case,{column}\none,x\n", "c.csv")
    assert error.code == "COH004"
    assert f"{column!r} looks like {likely}" in str(error)


def test_names_of_columns_may_be_in_upper_case_and_empty_cells_at_the_end_are_none(tmp_path):
    make(tmp_path, case="b", columns=["seg"])
    cases = sheet(tmp_path, f"Case,SEG,,\n{ONE},b-seg.nii.gz,,,\n,,,,\n", "c.csv")
    assert list(cases[0].files) == ["seg"]


def test_cases_without_patients_are_told(tmp_path):
    make(tmp_path, case="b", columns=["seg"])
    (tmp_path / "c.csv").write_text("case,seg\none,b-seg.nii.gz\n")
    (note,) = listing_notes({"c": find_cases("c", {"sheet": str(tmp_path / "c.csv"), "use": "test"}, 4, tmp_path)})
    assert note["code"] == "COH016"


HOSTILE = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a\\b",
    "/etc",
    "-rf",
    "a b",
    "a\n",
    "ä",
    "x" * 201,
    "a..b",
    ".x",
    "x.",
    "$(id)",
    "a\0",
]


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_ids_are_refused(case):
    assert refusal(check_case_id, case).code == "COH001"


@given(st.text(max_size=30))
def test_an_accepted_id_is_one_harmless_file_name(case):
    try:
        check_case_id(case)
    except PostTxError:
        return
    assert "/" not in case
    assert ".." not in case
    assert case.isascii()
    assert case[0].isalnum()


@pytest.mark.parametrize("case", ["BraTS-GLI-5-100", "BraTS-GLI-00005-10", "BraTS-GLI-00005-100-t1c", "00005-100", ""])
def test_ids_that_are_not_in_the_brats_form(case):
    assert refusal(split_brats_id, case).code == "COH001"


def test_phantom_ids_of_a_larger_draw_begin_with_the_smaller():
    assert phantom_ids(9, 2) == phantom_ids(20, 2)[:9]
    assert not {patient for _, patient, _ in phantom_ids(20, 2)} & {patient for _, patient, _ in phantom_ids(20, 3)}


def test_a_cohort_of_counts_has_no_cases(tmp_path):
    assert list_cases("c", {"use": "test"}, 4, tmp_path) == []


def test_phantoms_need_no_files(tmp_path):
    settings = {"phantom": {"cases": 3, "seed": 2}, "use": "predict"}
    cases = list_cases("c", settings, 4, tmp_path)
    assert [set(case.files) for case in cases] == [set(MODALITIES)] * 3


def test_a_sheet_or_folder_that_is_not_there_is_told(tmp_path):
    assert refusal(listed, tmp_path / "no").code == "COH003"
    assert refusal(list_cases, "c", {"sheet": str(tmp_path / "no.csv"), "use": "test"}, 4, tmp_path).code == "COH003"
    assert refusal(listed, tmp_path).code == "COH003"


def test_paths_are_those_of_the_config_without_a_dot_in_front(tmp_path, monkeypatch):
    make(tmp_path / ONE)
    monkeypatch.chdir(tmp_path)
    for root in (".", "./", tmp_path.as_posix() + "/"):
        files = listed(root)[0].files
        assert set(files.values()) == {str(Path(root, ONE, f"{ONE}-{column}.nii.gz")) for column in IMAGE_COLUMNS}


def test_a_file_that_lacks_the_id_is_nobodys(tmp_path):
    make(tmp_path / ONE)
    (tmp_path / ONE / "-seg.nii.gz").touch()
    assert Path(listed(tmp_path)[0].files["seg"]).name == f"{ONE}-seg.nii.gz"

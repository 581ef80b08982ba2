"""Every kind of bad input at once: one case each, all told under their codes in one run, and no healthy one hurt.

The kinds, with their messages, stand in docs/bad-input.md: what it says and what is tested here are the same.
"""

import gzip
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from audit_shard import audit_shard, tasks_of
from bad_input_table import rows_of
from check_audit import check_audit
from gather_audit import gather_audit
from make_phantom_case import write_case
from posttx.cases import IMAGE_COLUMNS, Case, list_cases
from posttx.errors import PostTxError
from posttx.nifti import read_volume, write_volume
from posttx.schemas import COHORT, FINDINGS, read_table
from scan_shard import scan_shard

SPACING = 3.0
SEED = 7
NAMES = {1: "NETC", 2: "SNFH", 3: "ET", 4: "RC"}
HEALTHY = 4
USES = {"a": "train", "b": "test"}

HERE = "tests/integration/test_bad_input.py"
GATE, GOES_ON = "the other cases; the gate stops the run", "everything: the run goes on"

Files = dict[str, Path]


@dataclass(frozen=True)
class Bad:
    """One kind: the finding's code, its modality (empty: any), and what is done to the files of a healthy case."""

    code: str
    modality: str
    spoil: Callable[[Files], None]


def content(change: Callable[[bytes], bytes], column: str = "t1n") -> Callable[[Files], None]:
    """Return a spoiler that changes the unfolded bytes of a file."""

    def spoil(files: Files) -> None:
        files[column].write_bytes(gzip.compress(change(gzip.decompress(files[column].read_bytes())), 1))

    return spoil


def raw(change: Callable[[bytes], bytes], column: str = "t1n") -> Callable[[Files], None]:
    """Return a spoiler that changes the bytes of a file as they lie on disk."""
    return lambda files: files[column].write_bytes(change(files[column].read_bytes())) and None


def header(column: str = "t1n", **fields) -> Callable[[Files], None]:
    """Return a spoiler that sets header fields."""

    def change(unfolded: bytes) -> bytes:
        block = np.frombuffer(unfolded[:348], nib.Nifti1Header.template_dtype).copy()
        for name, value in fields.items():
            block[name] = value
        return block.tobytes() + unfolded[348:]

    return content(change, column)


def voxels(change: Callable[[np.ndarray], np.ndarray], column: str = "t1n") -> Callable[[Files], None]:
    """Return a spoiler that rewrites a file with changed voxels."""

    def spoil(files: Files) -> None:
        volume = read_volume(files[column])
        write_volume(files[column], np.asarray(change(volume.data.copy())), volume.affine)

    return spoil


def placed(change: Callable[[np.ndarray], np.ndarray], column: str) -> Callable[[Files], None]:
    """Return a spoiler that rewrites a file with another affine."""

    def spoil(files: Files) -> None:
        volume = read_volume(files[column])
        write_volume(files[column], volume.data, change(volume.affine.copy()))

    return spoil


def put(value, column: str = "t1n", where=(30, 30, 30), dtype=np.float32):
    """Return a spoiler that sets one voxel."""

    def change(data):
        data = data.astype(dtype)
        data[where] = value
        return data

    return voxels(change, column)


def swap(one: str, other: str) -> Callable[[Files], None]:
    def spoil(files: Files) -> None:
        first, second = files[one].read_bytes(), files[other].read_bytes()
        files[one].write_bytes(second)
        files[other].write_bytes(first)

    return spoil


def folder(files: Files) -> None:
    files["t1n"].unlink()
    files["t1n"].mkdir()


def loop(files: Files) -> None:
    files["t1n"].unlink()
    files["t1n"].symlink_to(files["t1n"])


def extension(files: Files) -> None:
    image = nib.load(files["t1n"])
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"scanned by Dr Doe"))
    files["t1n"].write_bytes(gzip.compress(image.to_bytes()))


def before_the_voxels(files: Files) -> None:
    unfolded = gzip.decompress(files["t1n"].read_bytes())
    moved = header(vox_offset=384.0)
    files["t1n"].write_bytes(gzip.compress(unfolded[:352] + b"Dr Jane  Doe".ljust(32, b"\0") + unfolded[352:]))
    moved(files)


def gzip_name(files: Files) -> None:
    unfolded = gzip.decompress(files["t1n"].read_bytes())
    with open(files["t1n"], "wb") as raw, gzip.GzipFile("Jane_Doe.nii", "wb", fileobj=raw) as packed:
        packed.write(unfolded)


def four_dimensional(files: Files) -> None:
    volume = read_volume(files["t1n"])
    nib.save(nib.Nifti1Image(np.stack([volume.data] * 2, -1), volume.affine), files["t1n"])


def disagreeing_forms(files: Files) -> None:
    image = nib.load(files["t1n"])
    moved = image.affine.copy()
    moved[:3, 3] += 20
    image.header.set_qform(moved, 1)
    image.header.set_sform(image.affine, 1)
    files["t1n"].write_bytes(gzip.compress(nib.Nifti1Image(image.dataobj, None, image.header).to_bytes()))


def shifted(affine: np.ndarray) -> np.ndarray:
    affine[:3, 3] += (0, 40, 0)
    return affine


def mirrored(data: np.ndarray) -> np.ndarray:
    return data[::-1, ::-1]


def long_name(packed: bytes) -> bytes:
    """Give a gzip file that names no file (flag 0) a name of 600 KB."""
    return packed[:3] + b"\x08" + packed[4:10] + b"n" * 600_000 + b"\0" + packed[10:]


def few_voxels(data: np.ndarray) -> np.ndarray:
    kept = np.zeros_like(data)
    kept[30:34, 30:34, 30:34] = data[30:34, 30:34, 30:34]
    return kept


def below_zero(data: np.ndarray) -> np.ndarray:
    return np.where(data != 0, data.astype(np.float32) - np.median(data[data != 0]), 0)


def shrunk(data: np.ndarray) -> np.ndarray:
    data[:25] = 0
    return data


BAD: dict[str, Bad] = {
    "missing file": Bad("FIL001", "t1n", lambda files: files["t1n"].unlink()),
    "folder instead of a file": Bad("FIL002", "t1n", folder),
    "file that cannot be opened": Bad("FIL002", "t1n", loop),
    "empty file": Bad("FIL003", "t1n", raw(lambda _: b"")),
    "text under the name of an image": Bad("FIL003", "t1n", raw(lambda _: b"patient,date\n" * 50)),
    "image not compressed": Bad("FIL008", "t1n", raw(gzip.decompress)),
    "negative voxel edges": Bad("FIL009", "t1n", header(sform_code=0, pixdim=[-1, -3, -3, -3, 0, 0, 0, 0])),
    "quaternion longer than 1 by rounding": Bad("FIL009", "t1n", header(sform_code=0, quatern_c=1.0002)),
    "wrong magic": Bad("FIL003", "t1n", header(magic=b"abcd")),
    "header of a pair of files": Bad("FIL003", "t1n", header(magic=b"ni1")),
    "truncated gzip": Bad("FIL004", "t1n", raw(lambda data: data[: len(data) // 2])),
    "gzip without its checksum": Bad("FIL004", "t1n", raw(lambda data: data[:-8])),
    "damaged in the middle": Bad("FIL004", "t1n", raw(lambda data: data[:9000] + b"damaged!" + data[9008:])),
    "header only": Bad("FIL004", "t1n", content(lambda data: data[:348])),
    "voxels missing": Bad("FIL004", "t1n", content(lambda data: data[:-4000])),
    "gzip bomb behind the voxels": Bad("FIL004", "t1n", content(lambda data: data + bytes(50_000_000))),
    "garbage behind the file": Bad("FIL004", "t1n", raw(lambda data: data + b"garbage")),
    "four dimensions": Bad("FIL005", "t1n", four_dimensional),
    "header that promises 10^12 voxels": Bad("FIL006", "t1n", header(dim=[3, 10_000, 10_000, 10_000, 1, 1, 1, 1])),
    "axes whose product overflows": Bad("FIL006", "t1n", header(dim=[7, *[32_767] * 7])),
    "axis of negative length": Bad("FIL006", "t1n", header(dim=[3, 61, -73, 61, 1, 1, 1, 1])),
    "colour voxels": Bad("FIL007", "t1n", header(datatype=128)),
    "complex voxels": Bad("FIL007", "t1n", header(datatype=32)),
    "NaN in the affine": Bad("GEO007", "t1n", header(srow_x=[np.nan] * 4)),
    "voxels without extent": Bad("GEO007", "t1n", header(sform_code=0, qform_code=0, pixdim=[1, 0, 0, 0, 0, 0, 0, 0])),
    "no orientation": Bad("GEO006", "t1n", header(sform_code=0, qform_code=0)),
    "qform that is no rotation": Bad("GEO005", "t1n", header(quatern_b=2.0)),
    "qform against sform": Bad("GEO005", "t1n", disagreeing_forms),
    "image on another grid": Bad("GEO001", "", placed(shifted, "t2w")),
    "reference on another grid": Bad("GEO002", "", placed(shifted, "seg")),
    "micrometres for millimetres": Bad("GEO007", "", placed(lambda affine: affine * [[1e3]] * 3 + [[1]], "t1n")),
    "NaN voxel": Bad("INT001", "t1n", put(np.nan)),
    "infinite voxel": Bad("INT001", "t2f", put(np.inf, "t2f")),
    "empty image": Bad("INT002", "t2w", voxels(np.zeros_like, "t2w")),
    "constant image": Bad("INT002", "t2w", voxels(lambda data: (data != 0) * np.float32(5), "t2w")),
    "shifted below zero": Bad("INT004", "t1n", voxels(below_zero)),
    "saturated": Bad("INT005", "t1c", voxels(lambda data: np.minimum(data, np.percentile(data, 95)), "t1c")),
    "nearly empty image": Bad("INT006", "t1n", voxels(few_voxels)),
    "head of one modality cut": Bad("INT008", "t2w", voxels(shrunk, "t2w")),
    "T2w and FLAIR swapped": Bad("INT010", "t2w, t2f", swap("t2w", "t2f")),
    "T1n and T1c swapped": Bad("INT009", "t1n, t1c", swap("t1n", "t1c")),
    "eight grey levels": Bad("INT011", "t1n", voxels(lambda data: np.ceil(data / (data.max() / 8)).astype(np.float32))),
    "label 7": Bad("LAB001", "seg", put(7, "seg", dtype=np.uint8)),
    "negative label": Bad("LAB001", "seg", put(-1, "seg", dtype=np.int16)),
    "label beyond 32 bits": Bad("LAB001", "seg", put(1e300, "seg", dtype=np.float64)),
    "labels as 0.9999": Bad("LAB008", "seg", voxels(lambda data: data * np.float32(0.9999), "seg")),
    "labels interpolated": Bad("LAB002", "seg", voxels(lambda data: data * np.float32(0.9), "seg")),
    "NaN label": Bad("LAB003", "seg", put(np.nan, "seg")),
    "empty reference": Bad("LAB004", "seg", voxels(np.zeros_like, "seg")),
    "unreadable reference in training": Bad("COH007", "seg", raw(lambda data: data[:100], "seg")),
    "one image under two names": Bad("DUP001", "", lambda files: shutil.copy(files["t1n"], files["t1c"]) and None),
    "name of a person in the header": Bad("PRI001", "t1n", header(descrip=b"Doe, Jane 1950")),
    "comment beside the voxels": Bad("PRI002", "t1n", extension),
    "name of a person before the voxels": Bad("PRI002", "t1n", before_the_voxels),
    "name of a person in the gzip header": Bad("PRI003", "t1n", gzip_name),
    "gzip header of 600 KB": Bad("FIL004", "t1n", raw(long_name)),
}  # fmt: skip


def sheet(path: Path, text: str) -> Callable[[], object]:
    path.write_text(text)
    return lambda: list_cases("c", {"sheet": str(path), "use": "test"}, 4, path.parent)


def cohort_of(root: Path, *names: str, use: str = "test", columns=IMAGE_COLUMNS) -> Callable[[], object]:
    for name in names:
        (root / name).mkdir(parents=True)
        for column in columns:
            (root / name / f"{Path(name).name}-{column}.nii.gz").touch()
    return lambda: list_cases("c", {"path": str(root), "use": use}, 4, root)


def other_names(root: Path, *names: str) -> Callable[[], object]:
    for name in names:
        path = root / name.format(ONE, ONE)
        path.parent.mkdir(parents=True)
        path.touch()
    return lambda: list_cases("c", {"path": str(root), "use": "test"}, 4, root)


ONE, TWO = "BraTS-GLI-00001-100", "BraTS-GLI-00002-100"
# Refused while the cases are listed, before any work starts: code, and what to list.
REFUSED: dict[str, tuple[str, Callable[[Path], Callable[[], object]]]] = {
    "id with ../": ("COH001", lambda root: sheet(root / "c.tsv", "case\tt1n\n../../etc/passwd\t\n")),
    "id with a line break": ("COH001", lambda root: sheet(root / "c.csv", 'case,t1n\n"a\nb",\n')),
    "id of 300 letters": ("COH001", lambda root: sheet(root / "c.csv", f"case\n{'a' * 300}\n")),
    "folder not named like a case": ("COH001", lambda root: cohort_of(root, "patient one")),
    "duplicate ids": ("COH002", lambda root: cohort_of(root, f"first/{ONE}", f"second/{ONE}")),
    "missing modality": ("COH002", lambda root: cohort_of(root, ONE, columns=("t1n", "t1c", "t2w", "seg"))),
    "training case without reference": (
        "COH002",
        lambda root: cohort_of(root, ONE, use="train", columns=IMAGE_COLUMNS[:4]),
    ),
    "cohort that is not there": (
        "COH003",
        lambda root: lambda: list_cases("c", {"path": "no", "use": "test"}, 4, root),
    ),
    "cohort without cases": ("COH003", lambda root: cohort_of(root)),
    "images under names of no layout": ("COH013", lambda root: other_names(root, "{}/{}-t1post.nii.gz")),
    "two layouts in one folder": (
        "COH018",
        lambda root: other_names(root, "a/BraTS2021_00001_t1.nii.gz", "b/UCSF-PDGM-0004_T1.nii"),
    ),
    "channels without names": ("COH018", lambda root: other_names(root, "imagesTr/{}_0000.nii.gz")),
    "ids that tell no patient": ("COH001", lambda root: other_names(root, "x/glioma_7_t1.nii.gz")),
    "sheet with an unknown column": ("COH004", lambda root: sheet(root / "c.csv", "case,flair\nx,y\n")),
    "timepoint that is no number": ("COH004", lambda root: sheet(root / "c.csv", f"case,timepoint\n{ONE},first\n")),
    "sheet that names no file": ("FIL001", lambda root: sheet(root / "c.csv", f"case,t1n\n{ONE},nowhere.nii.gz\n")),
}


@dataclass
class Audited:
    """One run over all bad and healthy cases: the findings, which case has which kind, and the gate's refusal."""

    findings: pd.DataFrame
    cases: dict[str, str]
    healthy: list[str]
    twins: dict[str, str]
    refusal: PostTxError
    table: Path
    gate: Path


def phantom(root: Path, number: int, cohort: str) -> Case:
    case = f"BraTS-GLI-{number:05d}-100"
    files = {column: root / cohort / case / f"{case}-{column}.nii.gz" for column in IMAGE_COLUMNS}
    write_case(files, case, SEED, SPACING)
    return Case(case, case[:-4], 100, cohort, "000", {name: str(path) for name, path in files.items()})


def copied(root: Path, original: Case, number: int, cohort: str, patient: str = "") -> Case:
    case = f"BraTS-GLI-{number:05d}-100"
    files = {name: root / cohort / case / f"{case}-{name}.nii.gz" for name in IMAGE_COLUMNS}
    files["t1n"].parent.mkdir(parents=True)
    for name, path in files.items():
        shutil.copy(original.files[name], path)
    return Case(case, patient or case[:-4], 100, cohort, "000", {name: str(path) for name, path in files.items()})


@pytest.fixture(scope="module")
def audited(tmp_path_factory) -> Audited:
    root = tmp_path_factory.mktemp("bad")
    cases = {kind: phantom(root, 100 + number, "a") for number, kind in enumerate(BAD)}
    for kind, case in cases.items():
        BAD[kind].spoil({name: Path(path) for name, path in case.files.items()})
    healthy = [phantom(root, 10 + number, "a") for number in range(HEALTHY)]
    more = {
        "DUP002": copied(root, healthy[0], 900, "a"),
        "DUP003": copied(root, healthy[1], 901, "b"),
        "COH005": phantom(root, 902, "b"),
    }
    shared = Case(more["COH005"].case, healthy[2].patient, 101, "b", "000", more["COH005"].files)
    cohorts = {"a": [*cases.values(), *healthy, more["DUP002"]], "b": [more["DUP003"], shared]}
    inputs: dict[str, list[Path]] = {name: [] for name in ("cohorts", "intensity", "labels", "findings", "evidence")}
    for cohort, members in cohorts.items():
        scan_shard(sorted(members, key=lambda case: case.case), root / f"{cohort}.parquet")
        outputs = {name: root / cohort / f"{name}.parquet" for name in [*list(inputs)[1:], "geometry", "thumbnails"]}
        audit_shard(
            tasks_of(read_table(root / f"{cohort}.parquet", COHORT), "000", USES[cohort], NAMES, "fail"), outputs, 2
        )
        inputs["cohorts"].append(root / f"{cohort}.parquet")
        for name in list(inputs)[1:]:
            inputs[name].append(outputs[name])
    tables = ("intensity", "labels", "findings", "cohort_table", "groups", "shift")
    gathered = {name: root / f"all_{name}.parquet" for name in tables}
    gather_audit(inputs, {**gathered, "scheme": root / "scheme.json"}, USES, NAMES)
    with pytest.raises(PostTxError) as refusal:
        check_audit(gathered["findings"], root / "audit.html", root / "gate.json", ["error"])
    return Audited(
        read_table(gathered["findings"], FINDINGS),
        {kind: case.case for kind, case in cases.items()},
        [case.case for case in healthy],
        {code: case.case for code, case in more.items()},
        refusal.value,
        gathered["findings"],
        root / "gate.json",
    )


@pytest.mark.parametrize("kind", [*BAD, *REFUSED])
def test_bad_input_is_told_under_its_code(kind, request, tmp_path):
    row = rows_of(HERE)[kind]
    if kind in REFUSED:
        code, prepare = REFUSED[kind]
        with pytest.raises(PostTxError) as caught:
            prepare(tmp_path)()
        assert caught.value.code == code
        assert caught.value.remedy
        assert (row.stage, row.code, row.survives) == ("listing", code, "no work has begun")
        assert row.says(str(caught.value))
        return
    audited = request.getfixturevalue("audited")
    bad = BAD[kind]
    own = audited.findings[audited.findings["case"] == audited.cases[kind]]
    found = own[own["code"] == bad.code]
    assert len(found), f"only {own['code'].tolist()}"
    assert not bad.modality or bad.modality in found["modality"].tolist()
    assert found["remedy"].str.len().gt(5).all()
    stops = found["severity"].tolist()[0] == "error"
    assert (row.stage, row.code, row.survives) == ("audit", bad.code, GATE if stops else GOES_ON)
    assert any(row.says(message) for message in found["message"]), found["message"].tolist()
    # A finding may bring others along, but none about the files themselves.
    assert set(own["code"][own["code"].str.startswith("FIL")]) <= {bad.code} | {"FIL004"}


@pytest.mark.parametrize("code", ["DUP002", "DUP003", "COH005"])
def test_what_only_several_cases_show_is_told(audited, code):
    assert audited.twins[code] in audited.findings.loc[audited.findings["code"] == code, "case"].tolist()


def test_the_document_has_these_kinds_and_no_others():
    assert list(rows_of(HERE)) == [*BAD, *REFUSED]


def test_healthy_cases_stay_without_errors(audited):
    own = audited.findings[audited.findings["case"].isin(audited.healthy)]
    assert not len(own[own["severity"] == "error"]), own[["case", "code", "message"]].to_string()


def test_the_run_stops_with_the_count_of_every_code_and_the_path_of_the_table(audited):
    text = str(audited.refusal)
    errors = audited.findings[audited.findings["severity"] == "error"]
    for code, count in errors["code"].value_counts().items():
        assert re.search(rf"^ *{count} x {code} ", text, re.MULTILINE), code
    assert str(audited.table) in text
    assert not audited.gate.exists()


def test_no_text_of_a_header_reaches_the_findings(audited):
    assert not audited.findings["message"].str.contains("Doe").any()

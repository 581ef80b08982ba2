"""Input that breaks a habit or a rule and yet has one meaning: what docs/bad-input.md says is read, and as what."""

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from remedy_table import audited, files_of, rewrite
from test_score_shard import CASES, Cohort

from bad_input_table import rows_of
from posttx.labels import load_scheme
from posttx.nifti import read_volume
from posttx.schemas import FINDINGS, read_table

HERE = "tests/unit/test_accepted_input.py"
ROOT = Path(__file__).resolve().parents[2]
FULL = 3  # a phantom that has ET
Told = list[tuple[str, str]]
KINDS: dict[str, tuple[str, Callable[[Path], Told]]] = {}


def kind(name: str, stage: str) -> Callable[[Callable[[Path], Told]], None]:
    """Register a function that makes the input and returns (code, message) of all that is told, remarks left out."""

    def register(function: Callable[[Path], Told]) -> None:
        assert name not in KINDS
        KINDS[name] = stage, function

    return register


def of_case(files, names=None) -> Told:
    audit = audited(files, **({"names": names} if names else {}))
    return [(one.code, one.message) for one in audit.findings if one.code not in ("LAB005", "GEO010")]


def with_fields(path, **fields):
    content = gzip.decompress(path.read_bytes())
    block = np.frombuffer(content[:348], nib.Nifti1Header.template_dtype).copy()
    for name, value in fields.items():
        block[name] = value
    path.write_bytes(gzip.compress(block.tobytes() + content[348:], 1))


@kind("label scheme 1, 2, 4", "audit")
def _(folder):
    scheme = load_scheme(ROOT / "config/labels/brats2021.yaml")
    files = files_of(folder, FULL)
    rewrite(files["seg"], voxels=lambda data: np.array([0, 1, 2, 4, 0], np.uint8)[data])
    return of_case(files, scheme.names)


@kind("compressed under .nii", "audit")
def _(folder):
    files = files_of(folder)
    return of_case(files | {"t1n": files["t1n"].rename(folder / "case-t1n.nii")})


@kind("qfac of 0", "audit")
def _(folder):
    files = files_of(folder)
    with_fields(files["t1n"], sform_code=0, pixdim=[0, 3, 3, 3, 0, 0, 0, 0], quatern_b=0, quatern_c=0, quatern_d=1)
    return [one for one in of_case(files) if one[0].startswith("FIL")]


@kind("labels scaled to a byte", "audit")
def _(folder):
    files = files_of(folder, FULL)
    rewrite(files["seg"], voxels=lambda data: np.rint(data / (4 / 255)) * (4 / 255) * 1.001)
    return of_case(files)


def of_prediction(folder, spoil) -> Told:
    cohort = Cohort(folder)
    cohort.score()
    exact = cohort.table("one")
    spoil(cohort.root / f"one/{CASES[0]}.nii.gz")
    cohort.score()
    assert cohort.table("one").equals(exact)
    found = read_table(cohort.gather(folder=str(cohort.root / "one"))["findings"], FINDINGS)
    return list(zip(found["code"], found["message"], strict=True))


@kind("prediction not compressed", "scoring")
def _(folder):
    return of_prediction(folder, lambda path: path.write_bytes(gzip.decompress(path.read_bytes())))


@kind("prediction as 1.00002", "scoring")
def _(folder):
    return of_prediction(folder, lambda path: rewrite(path, voxels=lambda data: data * 1.00002))


@kind("prediction with negative voxel edges", "scoring")
def _(folder):
    def spoil(path):
        edges = [-1, -1, -1, -1, 0, 0, 0, 0]
        with_fields(path, sform_code=0, pixdim=edges)
        assert read_volume(path).affine[0, 0] < 0

    return of_prediction(folder, spoil)


@pytest.mark.parametrize("name", KINDS)
def test_it_is_read_and_told_as_the_document_says(name, tmp_path):
    stage, make = KINDS[name]
    row, told = rows_of(HERE)[name], make(tmp_path)
    assert (row.stage, row.survives) == (stage, "everything: read as what it means")
    assert {code for code, _ in told} == ({row.code} if row.code else set())
    assert all(row.says(message) for _, message in told), told
    assert told or row.message == "nothing"


def test_the_document_has_these_kinds_and_no_others():
    assert list(rows_of(HERE)) == list(KINDS)

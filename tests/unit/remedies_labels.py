"""Remedies of what is wrong with references and label schemes (LAB, SCH)."""

import re
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from audit_cases import NAMES
from remedy_table import audited, codes, files_of, registry, rewrite

from posttx.auditing.cohort_audit import class_findings
from posttx.auditing.scheme_test import scheme_findings, scheme_tests
from posttx.labels import load_scheme
from posttx.nifti import read_volume, write_volume

REMEDIES, remedy = registry()
CASES = 8
FULL = 3  # a phantom that has SNFH, ET and RC


def spoilt(change, mend=None, names=NAMES, right=NAMES):
    """Return steps: change the voxels of a reference, audit, mend it (by the original unless told otherwise), audit."""

    def steps(folder):
        files = files_of(folder, FULL)
        good = files["seg"].read_bytes()
        rewrite(files["seg"], voxels=change)
        yield codes(audited(files, names=names))
        if mend is None:
            files["seg"].write_bytes(good)
        else:
            rewrite(files["seg"], voxels=mend)
        yield codes(audited(files, names=right))

    return steps


def one_voxel(value, dtype):
    def change(data):
        data = data.astype(dtype)
        data[30, 30, 30] = value
        return data

    return change


def to_2021(data):
    """Number the classes as BraTS 2018 to 2021 did: ET is 4, there is no cavity."""
    return np.array([0, 1, 2, 4, 0], np.uint8)[data]


ET_AS_3 = {1: "NETC", 2: "SNFH", 3: "ET"}
remedy("LAB001", "Set `labels` to the right scheme")(
    spoilt(to_2021, lambda data: data, names=ET_AS_3, right={1: "NCR", 2: "ED", 4: "ET"})
)
remedy("LAB001", "correct the reference")(spoilt(one_voxel(7, np.uint8)))
remedy("LAB002", "Round the reference")(spoilt(lambda data: data * np.float32(0.9), np.rint))
remedy("LAB003", "Correct the reference")(spoilt(one_voxel(np.nan, np.float32)))
remedy("LAB004", "Check that the case has no lesion")(spoilt(np.zeros_like))
remedy("LAB008", "Nothing")(spoilt(lambda data: data * np.float32(0.9999), lambda data: data))
remedy("LAB008", "store the reference as integers")(
    spoilt(lambda data: data * np.float32(0.9999), lambda data: np.rint(data).astype(np.uint8))
)


@remedy("LAB002", "resample it again with nearest neighbour")
def _(folder):
    from scipy.ndimage import zoom

    files = files_of(folder)
    volume = read_volume(files["seg"])
    half = zoom(volume.data.astype(np.float32), 0.5, order=0)
    factors = np.array(volume.data.shape) / half.shape
    write_volume(files["seg"], zoom(half, factors, order=1), volume.affine)
    yield codes(audited(files))
    write_volume(files["seg"], zoom(half, factors, order=0), volume.affine)
    yield codes(audited(files))


def specks(data):
    data = data.copy()
    data[30, 30, 5] = 3
    return data


remedy("LAB005", "Nothing")(spoilt(specks, lambda data: data))
remedy("LAB005", "clean the reference")(
    spoilt(lambda data: specks(np.zeros_like(data)), lambda data: np.where(data == 3, 0, data))
)


def classes(**voxels):
    rows = [("a", "1", number, name, count) for number, (name, count) in enumerate(voxels.items(), 1)]
    table = pd.DataFrame(rows, columns=["cohort", "case", "label", "name", "voxels"])
    return {finding.code for finding in class_findings(table)}


@remedy("LAB006", "Check the label scheme")
def _(_):
    yield classes(NCR=30, ED=50, unused=0, ET=20)
    yield classes(NCR=30, ED=50, ET=20)


@remedy("LAB007", "Nothing")
def _(_):
    yield classes(NCR=30)
    yield classes(NCR=30)


@cache
def audited_evidence():
    """Return the audit's evidence of healthy phantoms."""
    rows = []
    for number in range(CASES):
        with tempfile.TemporaryDirectory() as folder:
            found = audited(files_of(Path(folder), number)).evidence
        rows += [{**row, "case": f"case-{number}", "patient": f"patient-{number}"} for row in found]
    return pd.DataFrame(rows).astype({"label": "Int64", "voxels": "Int64"})


def evidence(numbering=(1, 2, 3, 4)):
    """Return the evidence of phantoms whose classes have other integers, in the order of ``NAMES``; 0 drops a class."""
    table = audited_evidence()
    given = dict(zip(NAMES, numbering, strict=True))
    table = table[table["label"].map({0: True, **{label: bool(new) for label, new in given.items()}})]
    return table.assign(label=table["label"].map({0: 0, **given}).astype("Int64"))


def findings(table, names):
    return scheme_findings(scheme_tests(table, names))


@remedy("SCH001", "Set `labels` to a scheme with the names that fit")
def _(folder):
    # The scheme of 2024 on the integers of 2021; the advice is written down word for word.
    table = evidence((1, 2, 4, 0))
    found = findings(table, NAMES)
    advised = dict(re.findall(r"(\d+): (\w+)", found[0].remedy))
    assert advised == {"1": "NETC", "2": "SNFH", "4": "ET"}
    entries = {int(label): {"name": name, "long_name": name, "color": "#d62728"} for label, name in advised.items()}
    (folder / "mine.yaml").write_text(yaml.safe_dump({"name": "mine", "labels": entries}))
    scheme = load_scheme(folder / "mine.yaml")
    yield {finding.code for finding in found}
    after = {finding.code for finding in findings(table, scheme.names)}
    shipped = {finding.code for finding in findings(table, {1: "NCR", 2: "ED", 4: "ET"})}
    assert after == shipped == {"SCH003"}
    yield after


@remedy("SCH001", "correct the references")
def _(_):
    yield {finding.code for finding in findings(evidence((3, 2, 1, 4)), NAMES)}
    yield {finding.code for finding in findings(evidence(), NAMES)}


@remedy("SCH002", "Check the scheme by eye")
def _(_):
    table = evidence()
    yield {finding.code for finding in findings(table[table["label"] == 0], NAMES)}
    yield {finding.code for finding in findings(table, NAMES)}


@remedy("SCH003", "Nothing")
def _(_):
    for _ in range(2):
        yield {finding.code for finding in findings(evidence(), NAMES)}


@remedy("SCH004", "Look at the case: its integers may be exchanged")
def _(_):
    right, wrong = evidence(), evidence((3, 1, 2, 4))
    odd = f"case-{FULL}"
    mixed = pd.concat([right[right["case"] != odd], wrong[wrong["case"] == odd]])
    yield {finding.code for finding in findings(mixed, NAMES)}
    yield {finding.code for finding in findings(right, NAMES)}

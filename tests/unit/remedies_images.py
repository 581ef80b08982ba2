"""Remedies of what is wrong with voxels of images, and of images that stand twice (INT, DUP)."""

import numpy as np
import pandas as pd
from remedy_table import audited, codes, files_of, registry, rewrite
from test_standardize import LAS, Shard

from posttx.auditing.cohort_audit import intensity_outliers
from posttx.auditing.duplicates import duplicate_findings
from posttx.nifti import read_volume, write_volume

REMEDIES, remedy = registry()


def spoilt(change, mend=None, modality="t1n"):
    """Return steps: change the voxels of an image, audit, mend (by the original unless told otherwise), audit again."""

    def steps(folder):
        files = files_of(folder)
        good = files[modality].read_bytes()
        rewrite(files[modality], voxels=change)
        yield codes(audited(files))
        if mend is None:
            files[modality].write_bytes(good)
        else:
            rewrite(files[modality], voxels=mend)
        yield codes(audited(files))

    return steps


def with_nan(data):
    data = data.astype(np.float32)
    data[30, 30, 30] = np.nan
    return data


def few(data):
    kept = np.zeros_like(data)
    kept[30:34, 30:34, 30:34] = data[30:34, 30:34, 30:34]
    return kept


def below_zero(data):
    return np.where(data != 0, data.astype(np.float32) - np.median(data[data != 0]), 0)


remedy("INT001", "Replace them, 0 outside the head")(spoilt(with_nan, np.nan_to_num))
remedy("INT002", "Export the image again")(spoilt(lambda data: (data != 0).astype(np.uint8) * 5))
remedy("INT004", "Give the original intensities")(spoilt(below_zero))
remedy("INT005", "Export the image with its full range")(
    spoilt(lambda data: np.minimum(data, np.percentile(data, 95)), modality="t1c")
)
remedy("INT006", "Export the image again")(spoilt(few))
remedy("INT008", "Register the modalities and mask them alike")(
    spoilt(lambda data: np.where(np.arange(data.shape[0])[:, None, None] < 25, 0, data), modality="t2w")
)
remedy("INT011", "Export the image with its full depth")(
    spoilt(lambda data: np.ceil(data / (data.max() / 8)).astype(np.float32))
)


@remedy("INT003", "Nothing; standardisation clips them")
def _(folder):
    data = np.zeros((24, 28, 26), np.float32)
    data[4:20, 4:24, 4:22] = np.random.default_rng(0).uniform(50, 900, (16, 20, 18))
    data[4, 4, 4:22] = -3
    shard = Shard(folder)
    case = shard.add()
    written = case.files["t1n"]
    write_volume(written, np.resize(data, read_volume(written).data.shape), LAS)
    found = codes(audited(case.files))
    shard.run()
    assert shard.image(0).data.min() >= 0
    yield found
    yield found


def exchanged(one, other, use="test"):
    def steps(folder):
        files = files_of(folder)
        if use == "predict":
            del files["seg"]
        wrong = files | {one: files[other], other: files[one]}
        yield codes(audited(wrong, use=use))
        yield codes(audited(wrong | {one: wrong[other], other: wrong[one]}, use=use))

    return steps


remedy("INT009", "Exchange the two files")(exchanged("t1n", "t1c"))
remedy("INT010", "Exchange the two files")(exchanged("t2w", "t2f"))
remedy("INT012", "Look at the case, and exchange the two files if so")(exchanged("t1n", "t1c", "predict"))


@remedy("INT007", "Check scanner gain and units of the case")
def _(_):
    def found(odd):
        values = [*np.linspace(700, 1100, 20), odd]
        cases = [f"case-{number}" for number in range(len(values))]
        table = pd.DataFrame({"cohort": "a", "case": cases, "modality": "t1c", "p99": values})
        return {finding.code for finding in intensity_outliers(table)}

    yield found(9e5)
    yield found(9e5 / 1000)  # the gain corrected


def twins(*rows):
    table = pd.DataFrame(rows, columns=["cohort", "case", "modality", "content"]).assign(label=0)
    return {finding.code for finding in duplicate_findings(table)}


@remedy("DUP001", "Replace the wrong copy")
def _(folder):
    from gather_audit import gather_audit  # noqa: F401  (the evidence that it gathers is that of the audit below)

    def found(files):
        evidence = pd.DataFrame(audited(files).evidence).assign(cohort="c", case="case-1")
        return {finding.code for finding in duplicate_findings(evidence)}

    files = files_of(folder)
    good = files["t1c"].read_bytes()
    files["t1c"].write_bytes(files["t1n"].read_bytes())
    yield found(files)
    files["t1c"].write_bytes(good)
    yield found(files)


@remedy("DUP002", "Keep one of them")
def _(_):
    yield twins(("a", "1", "t1n", "x"), ("a", "2", "t1n", "x"))
    yield twins(("a", "1", "t1n", "x"))


@remedy("DUP002", "correct the wrong file")
def _(_):
    yield twins(("a", "1", "t1n", "x"), ("a", "2", "t1n", "x"))
    yield twins(("a", "1", "t1n", "x"), ("a", "2", "t1n", "y"))


@remedy("DUP003", "Remove one of them")
def _(_):
    yield twins(("a", "1", "t1n", "x"), ("b", "2", "t1n", "x"))
    yield twins(("a", "1", "t1n", "x"))

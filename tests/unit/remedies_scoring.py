"""Remedies of what is wrong with predictions and scores (EVA)."""

import shutil

import numpy as np
from audit_cases import geometry_table
from remedy_table import refused, registry
from test_score_shard import CASES, LAS, SHAPE, Cohort

from posttx.nifti import read_volume, write_volume
from posttx.schemas import FINDINGS, GEOMETRY, read_table, write_table
from posttx.scoring.plausibility import outside_head

REMEDIES, remedy = registry()
ONE = f"one/{CASES[0]}.nii.gz"


def scored(spoil, mend=None, before=None, after=None):
    """Return steps: spoil a prediction, score, mend (by the original unless told otherwise), score; with settings."""

    def steps(folder):
        cohort = Cohort(folder)
        good = (cohort.root / ONE).read_bytes()
        spoil(cohort)
        yield refused(cohort.score, **(before or {}))
        if mend is None:
            (cohort.root / ONE).write_bytes(good)
        else:
            mend(cohort)
        yield refused(cohort.score, **(after or {}))
        assert len(cohort.table("one")) == len(CASES) * 6

    return steps


def voxels(change):
    def spoil(cohort):
        cohort.write(ONE, change(read_volume(cohort.root / ONE).data))

    return spoil


def left(_):
    """Leave the files as they are: what changes is the configuration."""


def noted(cohort):
    """Return the codes told of model one, scored and gathered."""
    cohort.score(["one"])
    told = cohort.gather("one", folder=str(cohort.root / "one"))["findings"]
    return set(read_table(told, FINDINGS)["code"])


@remedy("EVA016", "Re-map the labels of the predictions to those of the label scheme")
def _(folder):
    cohort, exchange = Cohort(folder), np.array([0, 1, 2, 4, 3], np.uint8)
    for _ in range(2):
        for case in CASES:
            cohort.write(f"one/{case}.nii.gz", exchange[read_volume(cohort.root / f"one/{case}.nii.gz").data])
        yield noted(cohort)


@remedy("EVA017", "Write the prediction with the orientation of the case's image")
def _(folder):
    cohort, lesion = Cohort(folder), np.zeros(SHAPE, np.uint8)
    lesion[2:9, 3:11, 5:9] = 2
    cohort.write(f"references/{CASES[0]}.nii.gz", lesion)
    for prediction in (lesion[::-1], lesion):
        cohort.write(ONE, prediction)
        yield noted(cohort)


@remedy("EVA018", "Check whose prediction it is, and its affine")
def _(_folder):
    image, stray = np.zeros((10, 10, 10)), np.zeros((10, 10, 10), np.uint8)
    image[5:], stray[:4] = 1, 1
    for _ in range(2):
        yield {"EVA018"} if outside_head(stray, image) else set()


@remedy("EVA019", "Set the model's `predictions` to its own segmentations")
def _(folder):
    cohort = Cohort(folder)
    own = (cohort.root / ONE).read_bytes()
    shutil.copy(cohort.root / f"references/{CASES[0]}.nii.gz", cohort.root / ONE)
    yield noted(cohort)
    (cohort.root / ONE).write_bytes(own)
    yield noted(cohort)


remedy("EVA001", "Set the model's `predictions` to it")(
    scored(lambda cohort: (cohort.root / "one").rename(cohort.root / "elsewhere"),
           lambda cohort: (cohort.root / "elsewhere").rename(cohort.root / "one"))
)  # fmt: skip


@remedy("EVA002", "else resample it onto the case's grid with nearest-neighbour interpolation")
def _(folder):
    cohort = Cohort(folder)
    data = read_volume(cohort.root / ONE).data
    fine = np.repeat(np.repeat(np.repeat(data, 2, 0), 2, 1), 2, 2)
    affine = LAS @ np.diag([0.5, 0.5, 0.5, 1])
    affine[:3, 3] = LAS[:3, 3] + np.array([0.25, -0.25, -0.25])
    exact = cohort.score() is not None and cohort.table("one")
    cohort.write(ONE, fine, affine)
    yield refused(cohort.score)
    centres = [np.arange(size) * 2 for size in data.shape]
    cohort.write(ONE, fine[np.ix_(*centres)])
    yield refused(cohort.score)
    assert cohort.table("one").equals(exact)


@remedy("EVA002", "Where the file lost its header, copy that of the case's image into it")
def _(folder):
    cohort = Cohort(folder)
    exact = cohort.score() is not None and cohort.table("one")
    data = read_volume(cohort.root / ONE).data
    cohort.write(ONE, data, np.eye(4))
    yield refused(cohort.score)
    cohort.write(ONE, data, LAS)
    yield refused(cohort.score)
    assert cohort.table("one").equals(exact)


remedy("EVA003", "Re-map the labels")(
    scored(voxels(lambda data: data * np.uint8(10)), voxels(lambda data: data // np.uint8(10)))
)
TENS = {"NETC": [10], "SNFH": [20], "ET": [30], "RC": [40], "TC": [10, 30], "WT": [10, 20, 30]}


@remedy("EVA003", "choose the scheme they belong to")
def _(folder):
    cohort = Cohort(folder)
    for name in ("references", "one", "two"):
        for case in CASES:
            path = cohort.root / name / f"{case}.nii.gz"
            write_volume(path, read_volume(path).data * np.uint8(10), LAS)
    # The references are told under their own code.
    yield refused(cohort.score, models=("one",)) | _predicted_alone(cohort)
    yield refused(cohort.score, regions=TENS)


def _predicted_alone(cohort):
    return refused(cohort.score, references=False)


remedy("EVA004", "Give the label map, not probabilities")(scored(voxels(lambda data: data.astype(np.float32) / 3)))


def contradicted(decision):
    def steps(folder):
        cohort = Cohort(folder)

        def geometry(decided):
            leaders = {case: cohort.root / f"references/{case}.nii.gz" for case in CASES}
            table = geometry_table(leaders, dict.fromkeys(CASES, decided), "seg")
            write_table(table, GEOMETRY, folder / "geometry.parquet")
            return folder / "geometry.parquet"

        cohort.score(geometry=geometry("fail"))
        yield told(cohort)
        cohort.score(geometry=geometry(decision))
        yield told(cohort)
        assert cohort.table("one")["n_ref"].notna().all()

    return steps


remedy("EVA005", "Set `audit.geometry`")(contradicted("trust_affine"))
remedy("EVA005", "correct the headers")(contradicted("agree"))


def second_file(cohort):
    shutil.copy(cohort.root / ONE, cohort.root / f"one/{CASES[0]}-seg.nii.gz")


remedy("EVA006", "Leave one of them")(
    scored(second_file, lambda cohort: (cohort.root / f"one/{CASES[0]}-seg.nii.gz").unlink())
)
remedy("EVA007", "Add it")(scored(lambda cohort: (cohort.root / ONE).unlink()))
remedy("EVA007", "set `evaluation.missing: penalise`")(
    scored(lambda cohort: (cohort.root / ONE).unlink(), left, after={"missing": "penalise"})
)


@remedy("EVA008", "Delete the cohort's folder in `results/scored` and run again")
def _(folder):
    cohort = Cohort(folder)
    cohort.score()
    (cohort.results / f"metrics/c/one/000/{CASES[1]}.parquet").unlink()
    yield refused(cohort.gather)
    shutil.rmtree(cohort.results / "scored/c")
    cohort.score()
    yield refused(cohort.gather)


def told(cohort):
    return set(read_table(cohort.gather(folder=str(cohort.root / "one"))["findings"], FINDINGS)["code"])


@remedy("EVA009", "Remove the file")
def _(folder):
    cohort = Cohort(folder)
    stranger = cohort.write("one/BraTS-GLI-09999-100.nii.gz", read_volume(cohort.root / ONE).data)
    cohort.score()
    yield told(cohort)
    stranger.unlink()
    yield told(cohort)


@remedy("EVA009", "add the case to the cohort")
def _(folder):
    cohort = Cohort(folder)
    data = read_volume(cohort.root / ONE).data
    for name in ("one", "two"):
        cohort.write(f"{name}/BraTS-GLI-09999-100.nii.gz", data)
    cohort.score()
    yield told(cohort)
    cohort.write("references/BraTS-GLI-09999-100.nii.gz", data)
    cohort.tabulate([*CASES, "BraTS-GLI-09999-100"])
    cohort.score()
    yield told(cohort)


def rounded(mend):
    def steps(folder):
        cohort = Cohort(folder)
        voxels(lambda data: data * 1.00002)(cohort)
        cohort.score()
        yield told(cohort)
        voxels(mend)(cohort)
        cohort.score()
        yield told(cohort)

    return steps


remedy("EVA010", "Nothing")(rounded(lambda data: data))
remedy("EVA010", "store the prediction as integers")(rounded(lambda data: np.rint(data).astype(np.uint8)))


@remedy("EVA015", "Copy the header of the case's image into the prediction")
def _(folder):
    cohort = Cohort(folder)
    labels = np.zeros((256, 256, 2), np.uint8)
    labels[40:60, 30:50] = 2
    fine, coarse = (LAS @ np.diag([edge, edge, 1, 1]) for edge in (0.9375, 0.938))
    for name, affine in ((f"references/{CASES[0]}.nii.gz", fine), (ONE, coarse), (f"two/{CASES[0]}.nii.gz", fine)):
        cohort.write(name, labels, affine)
    cohort.score()
    yield told(cohort)
    cohort.write(ONE, labels, fine)
    cohort.score()
    yield told(cohort)

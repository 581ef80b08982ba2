"""One reading of a case: standardised file, score, picture and review lay the same voxels under the reference."""

import base64
import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from audit_cases import NAMES, audited, copy_case, write_phantoms
from six_geometries import AGREEING, GEOMETRIES, IMAGES, LEADERS, SETTINGS, VOXEL_MM

from posttx.auditing.audit import CaseAudit
from posttx.errors import PostTxError
from posttx.geometry.grids import Grid, displacement, grid_of
from posttx.geometry.index_maps import needs_resampling
from posttx.geometry.reading import Reading, reading_of
from posttx.geometry.resampling import labels_on_grid
from posttx.geometry.transforms import restore_labels
from posttx.nifti import read_volume, write_volume
from posttx.reporting.case_scripts import labels_script
from posttx.reporting.case_volumes import CaseVolumes, read_scan
from posttx.schemas import GEOMETRY, read_table, write_table
from posttx.scoring.evaluation import CaseItem, Scoring, Target, score_case
from posttx.standardization import Job, Settings, standardize_case

SCORING = Scoring({name: [label] for label, name in NAMES.items()}, scheme="voxel")
LABELS = tuple(NAMES)
EVERY = [(kind, setting) for kind in GEOMETRIES for setting in SETTINGS]
READ = [(kind, setting) for kind, setting in EVERY if setting != "fail" or kind in AGREEING]
UNREAD = [pair for pair in EVERY if pair not in READ]


@dataclass
class Case:
    """A case of one geometry, audited under one setting, and a prediction of it on its own grid."""

    files: dict[str, Path]
    audit: CaseAudit
    reading: Reading
    folder: Path

    @property
    def paths(self) -> dict[str, str]:
        return {name: str(path) for name, path in self.files.items()}

    def expected(self) -> np.ndarray:
        """Return the reference on the case's grid, worked out from the words of the decision alone."""
        volume = read_volume(self.files["seg"])
        if self.reading.decision == "trust_voxels":
            return volume.data
        matrix = np.linalg.inv(volume.affine) @ self.reading.grid.affine
        index = np.indices(self.reading.grid.shape).reshape(3, -1)
        at = np.rint(matrix[:3, :3] @ index + matrix[:3, 3:]).astype(int)
        inside = ((at >= 0) & (at < np.array(volume.data.shape)[:, None])).all(axis=0)
        labels = np.zeros(inside.size, np.uint8)
        labels[inside] = volume.data[tuple(at[:, inside])]
        return labels.reshape(self.reading.grid.shape)

    def standardize(self) -> dict:
        settings = Settings(spacing=VOXEL_MM)
        return standardize_case(Job("case", self.paths, self.reading, self.folder / "standard", settings, LABELS))

    def score(self, prediction: np.ndarray) -> pd.DataFrame:
        path = self.folder / "prediction.nii.gz"
        write_volume(path, prediction.astype(np.uint8), self.reading.grid.affine)
        item = CaseItem("case", "p", 100, {"m": path}, {}, self.files["seg"], self.reading)
        score_case(item, SCORING, Target(self.folder, "c", "000"))
        return pd.read_parquet(self.folder / "metrics/c/m/000/case.parquet").set_index("region")

    def draw(self) -> CaseVolumes:
        images = {name: self.paths[name] for name in IMAGES}
        return read_scan("case", images, self.files["seg"], self.reading).with_prediction(None)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    return next(iter(write_phantoms(tmp_path_factory.mktemp("phantom"), 1).values()))


@pytest.fixture
def case(healthy, tmp_path, request):
    kind, setting = request.param
    files = copy_case(healthy, tmp_path / "case")
    GEOMETRIES[kind](files)
    audit = audited(files, setting)
    (row,) = audit.geometry
    # As it is read by the later stages: through the table.
    write_table(pd.DataFrame([row], columns=list(GEOMETRY.columns)), GEOMETRY, tmp_path / "geometry.parquet")
    (told,) = read_table(tmp_path / "geometry.parquet", GEOMETRY).to_dict("records")
    return Case(files, audit, reading_of(told), tmp_path)


def on_grid(labels: np.ndarray, affine: np.ndarray, grid: Grid) -> np.ndarray:
    """Return labels that lie in the world by ``affine`` as an array of the grid."""
    matrix = np.linalg.inv(grid.affine) @ affine
    points = np.argwhere(labels) @ matrix[:3, :3].T + matrix[:3, 3]
    result = np.zeros(grid.shape, np.uint8)
    result[tuple(np.rint(points).astype(int).T)] = labels[labels != 0]
    return result


@pytest.mark.parametrize("kind", GEOMETRIES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_audit_writes_down_what_it_decided(healthy, tmp_path, kind, setting):
    files = copy_case(healthy, tmp_path)
    GEOMETRIES[kind](files)
    audit = audited(files, setting)
    reading = reading_of(audit.geometry[0])
    assert reading.decision == ("agree" if kind in AGREEING else setting)
    assert reading.grid_file == LEADERS.get(kind, "t1n")
    assert reading.origin == ("headers" if kind in AGREEING else "setting")
    own = grid_of(read_volume(files[reading.grid_file]))
    assert reading.grid.shape == own.shape
    np.testing.assert_array_equal(reading.grid.affine, own.affine)
    if kind == "two readings tie":
        assert "neither is clearly right" in audit.geometry[0]["evidence"]


@pytest.mark.parametrize("case", READ, ids=map(": ".join, READ), indirect=True)
def test_every_stage_lays_the_same_voxels_under_the_reference(case):
    expected, grid = case.expected(), case.reading.grid
    between = needs_resampling(case.reading.place(grid_of(read_volume(case.files["t2w"]))), grid)
    assert expected.any()
    row = case.standardize()
    standard = read_volume(case.folder / "standard/labels/case.nii.gz")
    restored, affine = restore_labels(standard.data, row)
    np.testing.assert_array_equal(restored, expected)
    np.testing.assert_array_equal(affine, case.reading.grid.affine)

    scores = case.score(expected)
    counts = {name: int((expected == label).sum()) for label, name in NAMES.items()}
    assert scores["n_ref"].to_dict() == counts
    assert scores.loc[scores["n_ref"] > 0, "dice"].eq(1.0).all()

    volumes = case.draw()
    drawn = np.zeros(volumes.labels.shape, np.uint8)
    drawn[volumes.labels.box] = volumes.labels.maps["ref"]
    np.testing.assert_array_equal(drawn, standard.data)
    # The standard grid has the voxels of the case's: images differ by the clipping of intensities alone.
    for number, name in enumerate(IMAGES):
        image = read_volume(case.folder / f"standard/images/case_{number:04d}.nii.gz")
        assert displacement(image.affine, volumes.affine, image.data.shape) < 1e-3
        for axis, side in enumerate(volumes.labels.box):
            level = (side.start + side.stop - 1) // 2
            plane, shown = image.data.take(level, axis), volumes.images[name].plane(axis, level)
            clipped = np.clip(shown, row[f"clip_{name}_low"], row[f"clip_{name}_high"])
            same = np.isclose(plane, np.where(shown == 0, 0, clipped), rtol=1e-3, atol=1e-3)
            # What is interpolated was clipped before that in the one and after it in the other.
            assert same.mean() > 0.95 if between else same.all()

    script = labels_script(volumes, "c", "m", [], 0, b"")
    content = json.loads(re.fullmatch(r"posttxLabels\((.*)\);\n", script)[1])
    shown = nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(content["maps"]["reference"])))
    np.testing.assert_array_equal(on_grid(np.asarray(shown.dataobj), shown.affine, case.reading.grid), expected)


@pytest.mark.parametrize("case", UNREAD, ids=map(": ".join, UNREAD), indirect=True)
def test_a_case_without_a_reading_is_refused_or_told_by_every_stage(case):
    codes = {finding.code for finding in case.audit.findings}
    assert codes & {"GEO001", "GEO002"}
    with pytest.raises(PostTxError, match="GEO001") as refused:
        case.standardize()
    assert refused.value.case == "case"
    with pytest.raises(PostTxError, match="GEO001"):
        case.draw()
    scores = case.score(read_volume(case.files["seg"]).data)
    assert scores["n_ref"].isna().all()
    assert scores["dice"].isna().all()
    assert scores["n_pred"].sum() > 0


@pytest.mark.parametrize("setting", ["trust_affine", "trust_voxels"])
def test_predictions_with_either_header_of_a_contradictory_case_score_alike(healthy, tmp_path, setting):
    files = copy_case(healthy, tmp_path / "case")
    GEOMETRIES["reference elsewhere"](files)
    audit = audited(files, setting)
    case = Case(files, audit, reading_of(audit.geometry[0]), tmp_path)
    reference = read_volume(files["seg"])
    scores = []
    for data, affine in (
        (case.expected(), case.reading.grid.affine),
        (reference.data, reference.affine),
    ):
        write_volume(tmp_path / "p.nii.gz", data.astype(np.uint8), affine)
        item = CaseItem("case", "p", 100, {"m": tmp_path / "p.nii.gz"}, {}, files["seg"], case.reading)
        score_case(item, SCORING, Target(tmp_path, "c", "000"))
        scores.append(pd.read_parquet(tmp_path / "metrics/c/m/000/case.parquet"))
    pd.testing.assert_frame_equal(*scores)
    assert scores[0]["dice"].dropna().eq(1.0).all()


def test_a_case_that_nobody_audited_lies_where_its_reference_says(tmp_path):
    labels = np.zeros((9, 8, 7), np.uint8)
    labels[2:5, 3:6, 1:4] = 2
    affine = np.diag([-1.0, 1, 1, 1])
    for name in ("seg", "p"):
        write_volume(tmp_path / f"{name}.nii.gz", labels, affine)
    item = CaseItem("case", "p", 100, {"m": tmp_path / "p.nii.gz"}, {}, tmp_path / "seg.nii.gz")
    score_case(item, SCORING, Target(tmp_path, "c", "000"))
    table = pd.read_parquet(tmp_path / "metrics/c/m/000/case.parquet").set_index("region")
    assert table.at["SNFH", "dice"] == 1.0


def test_an_image_that_changed_since_the_audit_is_not_read_by_its_old_reading(healthy, tmp_path):
    files = copy_case(healthy, tmp_path / "case")
    audit = audited(files)
    case = Case(files, audit, reading_of(audit.geometry[0]), tmp_path)
    GEOMETRIES["first image the outlier"](files)
    with pytest.raises(PostTxError, match=r"changed since the audit.*origin"):
        case.standardize()


def test_a_grid_comes_back_from_its_table_bit_by_bit():
    affine = np.array([[-0.9375000123, 1e-17, 0.1, 90.1], [0, 1 / 3, 0, -126], [0, 0, 1.1, -72], [0, 0, 0, 1]])
    reading = Reading("agree", Grid((3, 4, 5), affine), "t2w", "headers")
    assert (reading_of(reading.row()).grid.affine == affine).all()
    assert reading_of(reading.row()).grid.shape == (3, 4, 5)
    assert labels_on_grid(np.zeros((3, 4, 5), np.uint8), reading.grid, reading.grid).shape == (3, 4, 5)

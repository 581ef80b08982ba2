"""Standardisation of a shard: what is written, what is recorded, what is refused, and that no case hides another."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from audit_cases import geometry_table

from posttx.cases import MODALITIES, Case
from posttx.errors import CasesFailedError, PostTxError
from posttx.geometry.transforms import restore_labels
from posttx.nifti import read_volume, write_volume
from posttx.schemas import GEOMETRY, TRANSFORMS, read_table, write_table
from posttx.standardization import settings_from
from scan_shard import scan_shard
from standardize_shard import standardize_shard

LAS = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
SHAPE = (12, 14, 10)
SETTINGS = {"orientation": "RAS", "spacing": 1.0, "clip_percentiles": [1, 99]}
DTYPES = dict(zip(MODALITIES, (np.float64, np.float32, np.int16, np.float32), strict=True))


def brain(seed: int) -> np.ndarray:
    """Return a head with a background of exactly 0 and a few negative voxels inside."""
    draw = np.random.default_rng(seed)
    data = np.zeros(SHAPE)
    data[2:-2, 2:-2, 2:-2] = np.rint(draw.normal(500, 200, (8, 10, 6)))
    return data


def reference() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:8, 4:9, 3:7] = 2
    labels[5:7, 5:7, 4:6] = 1
    labels[5, 5, 4] = 4
    return labels


def make_case(root: Path, case: str, affine=LAS, labelled=True) -> Case:
    files = {}
    for number, name in enumerate(MODALITIES):
        files[name] = root / case / f"{case}-{name}.nii.gz"
        write_volume(files[name], brain(number).astype(DTYPES[name]), affine, 4)
    if labelled:
        files["seg"] = root / case / f"{case}-seg.nii.gz"
        write_volume(files["seg"], reference(), affine, 4)
    return Case(case, case[:-4], int(case[-3:]), "c", "000", {name: str(path) for name, path in files.items()})


class Shard:
    """A shard in a temporary folder: its cases, its tables, and its standardised files."""

    def __init__(self, root: Path):
        self.root, self.cases = root, {}
        self.folder = root / "standardized" / "c" / "000"

    def add(self, case="A-00001-100", **options) -> Case:
        self.cases[case] = make_case(self.root / "data", case, **options)
        return self.cases[case]

    def run(self, decisions=None, workers=1, leader="t1c", labels=(1, 2, 3, 4), **settings) -> pd.DataFrame:
        scan_shard(list(self.cases.values()), self.root / "cohort.parquet")
        leaders = {case: known.files[leader] for case, known in self.cases.items() if leader in known.files}
        write_table(geometry_table(leaders, decisions, leader), GEOMETRY, self.root / "geometry.parquet")
        tables = self.root / "cohort.parquet", self.root / "geometry.parquet"
        transforms = self.folder / "transforms.parquet"
        standardize_shard(*tables, transforms, "c", "000", SETTINGS | settings, labels, workers)
        return read_table(transforms, TRANSFORMS).set_index("case", drop=False)

    def image(self, number: int, case="A-00001-100"):
        return read_volume(self.folder / "images" / f"{case}_{number:04d}.nii.gz")

    def label(self, case="A-00001-100"):
        return read_volume(self.folder / "labels" / f"{case}.nii.gz")

    def files(self) -> set[str]:
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def shard(tmp_path) -> Shard:
    return Shard(tmp_path)


def test_images_are_turned_clipped_and_float32_and_the_background_stays(shard):
    shard.add()
    row = shard.run().loc["A-00001-100"]
    for number, name in enumerate(MODALITIES):
        written, scanned = shard.image(number), brain(number)
        low, high = np.percentile(scanned[scanned != 0], [1, 99])
        expected = np.where(scanned != 0, np.clip(scanned, low, high), 0)[::-1]
        np.testing.assert_array_equal(written.data, expected.astype(np.float32))
        assert written.data.dtype == np.float32
        assert written.orientation == "RAS"
        assert (row[f"clip_{name}_low"], row[f"clip_{name}_high"]) == (low, high)
        assert int(written.header["sform_code"]) == int(written.header["qform_code"]) == 4
    labels = shard.label()
    assert labels.data.dtype == np.uint8
    np.testing.assert_array_equal(labels.data, reference()[::-1])
    assert shard.files() == {
        "transforms.parquet", "labels/A-00001-100.nii.gz", *(f"images/A-00001-100_000{n}.nii.gz" for n in range(4)),
    }  # fmt: skip


def test_every_voxel_keeps_its_place_in_the_world(shard):
    case = shard.add()
    shard.run()
    scanned, written = read_volume(case.files["seg"]), shard.label()

    def places(volume, value):
        return set(map(tuple, nib.affines.apply_affine(volume.affine, np.argwhere(volume.data == value))))

    for value in (1, 2, 4):
        assert places(scanned, value) == places(written, value)


def test_a_label_map_comes_back_identical_through_the_recorded_row(shard):
    case = shard.add()
    row = shard.run().loc["A-00001-100"]
    assert not row["resampled"]
    back, affine = restore_labels(shard.label().data, row)
    scanned = read_volume(case.files["seg"])
    np.testing.assert_array_equal(back, scanned.data)
    np.testing.assert_array_equal(affine, scanned.affine)


def test_another_voxel_size_is_resampled_and_comes_back(shard):
    case = shard.add()
    row = shard.run(spacing=0.5).loc["A-00001-100"]
    assert row["resampled"]
    assert row["standard_shape"] == "24x28x20"
    assert shard.image(0).data.shape == shard.label().data.shape == (24, 28, 20)
    back, affine = restore_labels(shard.label().data, row)
    np.testing.assert_array_equal(affine, LAS)
    # One voxel between other labels is in the majority nowhere on the way back.
    scanned = read_volume(case.files["seg"]).data
    np.testing.assert_array_equal(back[scanned != 4], scanned[scanned != 4])


def test_a_label_that_the_standard_grid_cannot_hold_is_told(shard, caplog):
    case = shard.add()
    labels = reference()
    labels[2, 2, 2] = 3
    write_volume(case.files["seg"], labels, LAS)
    shard.run(spacing=0.5)
    assert "label 3 is lost: it is too small" in caplog.text
    assert "label 2" not in caplog.text


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_interpolated_images_stay_within_their_limits(shard, interpolation):
    shard.add()
    row = shard.run(spacing=0.7, interpolation=interpolation).loc["A-00001-100"]
    for number, name in enumerate(MODALITIES):
        data = shard.image(number).data
        inside = data[data != 0]
        assert inside.min() >= np.float32(row[f"clip_{name}_low"])
        assert inside.max() <= np.float32(row[f"clip_{name}_high"])


def test_text_of_the_header_never_gets_out(shard):
    case = shard.add()
    for path in map(Path, case.files.values()):
        image = nib.load(path)
        image.header["descrip"], image.header["aux_file"] = b"Doe, Jane 1950", b"Doe"
        image.header["intent_name"], image.header["db_name"] = b"Doe", b"Doe"
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Doe, Jane"))
        path.write_bytes(gzip.compress(image.to_bytes()))
    shard.run()
    for name in shard.files() - {"transforms.parquet"}:
        assert b"Doe" not in gzip.decompress((shard.folder / name).read_bytes())


def test_a_case_without_reference_gets_images_only(shard):
    shard.add(labelled=False)
    shard.run()
    assert not any(name.startswith("labels/") for name in shard.files())


def test_the_extra_channel_is_the_difference_of_z_scores(shard):
    shard.add()
    shard.run(extra_channels=["t1c-t1n"])
    t1n, t1c, extra = (shard.image(number).data.astype(float) for number in (0, 1, 4))
    inside = (t1n != 0) & (t1c != 0)
    z = [(image - image[image != 0].mean()) / image[image != 0].std() for image in (t1n, t1c)]
    np.testing.assert_allclose(extra, np.where(inside, z[1] - z[0], 0), atol=1e-5)
    shard.run()
    assert "images/A-00001-100_0004.nii.gz" not in shard.files()


def test_worker_processes_change_no_byte(shard):
    for number in range(3):
        shard.add(f"A-0000{number}-100")
    shard.run()
    alone = {name: (shard.folder / name).read_bytes() for name in shard.files() - {"transforms.parquet"}}
    table = shard.run(workers=3)
    assert list(table.index) == sorted(shard.cases)
    assert alone == {name: (shard.folder / name).read_bytes() for name in shard.files() - {"transforms.parquet"}}


def test_what_earlier_runs_left_is_deleted(shard):
    shard.add("A-00001-100")
    gone = shard.add("A-00002-100")
    shard.run()
    del shard.cases[gone.case]
    torn = shard.folder / "images" / ".4711.A-00001-100_0000.nii.gz"
    torn.write_bytes(b"torn")
    Path(shard.cases["A-00001-100"].files["seg"]).unlink()
    shard.add("A-00001-100", labelled=False)
    shard.run()
    assert shard.files() == {"transforms.parquet", *(f"images/A-00001-100_000{n}.nii.gz" for n in range(4))}


def test_one_bad_case_hides_no_other_and_leaves_no_table(shard):
    shard.add("A-00001-100")
    torn, odd = shard.add("A-00002-100"), shard.add("A-00003-100")
    Path(torn.files["t2w"]).write_bytes(Path(torn.files["t2w"]).read_bytes()[:-20])
    write_volume(odd.files["seg"], reference() + np.float32(0.5), LAS)
    with pytest.raises(CasesFailedError, match="2 of 3 cases failed") as caught:
        shard.run()
    assert {case: error.code for case, error in caught.value.failures.items()} == {
        "A-00002-100": "FIL004", "A-00003-100": "LAB002",
    }  # fmt: skip
    assert "case A-00002-100" in str(caught.value)
    assert torn.files["t2w"] in str(caught.value)
    assert "transforms.parquet" not in shard.files()
    assert not [name for name in shard.files() if "/." in name]
    np.testing.assert_array_equal(shard.label("A-00001-100").data, reference()[::-1])


def test_nan_and_infinite_voxels_become_background_and_are_recorded(shard, caplog):
    case = shard.add()
    data = brain(3).astype(np.float32)
    data[5, 5, 5], data[6, 6, 6], data[7, 7, 7] = np.nan, np.inf, -np.inf
    write_volume(case.files["t2f"], data, LAS)
    row = shard.run().loc["A-00001-100"]
    assert row["nonfinite_t2f"] == 3
    assert np.isfinite(shard.image(3).data).all()
    assert shard.image(3).data[::-1][6, 6, 6] == 0
    assert "3 voxels that are NaN or infinite become 0" in caplog.text


def test_an_empty_modality_gives_zeros_and_no_limits(shard):
    case = shard.add()
    write_volume(case.files["t2w"], np.zeros(SHAPE, np.float32), LAS)
    row = shard.run().loc["A-00001-100"]
    assert np.isnan(row["clip_t2w_low"])
    assert not shard.image(2).data.any()


def test_a_modality_on_another_grid_is_moved_to_that_of_the_case(shard, caplog):
    case = shard.add()
    turned = np.diag([1.0, -1, 1, 1])
    turned[:3, 3] = LAS[:3, 3] + LAS[:3, :3] @ [SHAPE[0] - 1, SHAPE[1] - 1, 0]
    write_volume(case.files["t2f"], brain(3).astype(np.float32)[::-1, ::-1], turned)
    aligned = dict.fromkeys(shard.cases, "trust_affine")
    caplog.set_level("INFO")
    row = shard.run(aligned).loc["A-00001-100"]
    assert row["moved"] == "t2f"
    assert "t2f moved to the grid of t1c by trust_affine" in caplog.text
    moved = shard.image(3).data
    np.testing.assert_array_equal(moved != 0, (brain(3) != 0)[::-1])
    low, high = np.float32(row["clip_t2f_low"]), np.float32(row["clip_t2f_high"])
    expected = np.where(brain(3) != 0, np.clip(brain(3), low, high), 0).astype(np.float32)
    np.testing.assert_array_equal(moved, expected[::-1])


def test_the_case_lies_on_the_grid_that_the_audit_named(shard):
    case = shard.add()
    for name in ("t1n", "t1c", "t2w"):
        data = read_volume(case.files[name]).data
        write_volume(case.files[name], data, LAS @ np.diag([1, 1, 1, 1]) + np.array([[0, 0, 0, 5]] + [[0] * 4] * 3))
    row = shard.run({"A-00001-100": "trust_voxels"}, leader="t2f").loc["A-00001-100"]
    assert row["grid_of"] == "t2f"
    assert row["moved"] == "t1n,t1c,t2w"
    np.testing.assert_array_equal(shard.image(0).affine, shard.image(3).affine)
    assert (shard.image(0).data != 0).sum() == (brain(0) != 0).sum()


CONTRADICTING = np.diag([-1.0, -1, 1, 1])


def test_trust_voxels_gives_the_reference_the_images_affine(shard):
    case = shard.add()
    write_volume(case.files["seg"], reference(), CONTRADICTING)
    row = shard.run({"A-00001-100": "trust_voxels"}).loc["A-00001-100"]
    assert row["decision"] == "trust_voxels"
    np.testing.assert_array_equal(shard.label().data, reference()[::-1])
    np.testing.assert_array_equal(shard.label().affine, shard.image(0).affine)


def test_trust_affine_puts_the_reference_where_its_affine_says(shard):
    case = shard.add()
    mirrored = LAS @ np.array([[-1.0, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    write_volume(case.files["seg"], reference(), mirrored)
    shard.run({"A-00001-100": "trust_affine"})
    np.testing.assert_array_equal(shard.label().data, reference())


@pytest.mark.parametrize(("edge", "spacing", "code"), [(1e6, 1.0, "GEO007"), (20.0, 0.01, "FIL006")])
def test_voxels_too_large_for_the_asked_size_take_no_memory(shard, edge, spacing, code):
    case = shard.add(affine=np.diag([edge, edge, edge, 1.0]))
    with pytest.raises(CasesFailedError) as caught:
        shard.run(spacing=spacing)
    (error,) = caught.value.failures.values()
    assert (error.code, error.case, error.file) == (code, case.case, case.files["t1c"])


@pytest.mark.parametrize(("decision", "code"), [("fail", "GEO001"), ("trust_affine", "GEO004")])
def test_a_contradiction_without_a_reading_is_refused(shard, decision, code):
    case = shard.add()
    write_volume(case.files["seg"], reference(), CONTRADICTING)
    with pytest.raises(CasesFailedError) as caught:
        shard.run({"A-00001-100": decision})
    (error,) = caught.value.failures.values()
    assert isinstance(error, PostTxError)
    assert error.code == code
    assert "audit.geometry" in error.remedy


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda labels: labels * np.float32(0.9999), ""),
        (lambda labels: labels.astype(np.float64), ""),
        (lambda labels: labels * 0.5, "LAB002"),
        (lambda labels: np.where(labels == 4, np.nan, labels), "LAB003"),
        (lambda labels: np.where(labels == 4, np.inf, labels), "LAB003"),
        (lambda labels: labels.astype(np.int16) - 1, "LAB001"),
        (lambda labels: labels.astype(np.int16) * 100, "LAB001"),
    ],
    ids=["0.9999", "float64", "halves", "NaN", "infinite", "negative", "over 255"],
)
def test_a_reference_holds_integers_of_the_scheme_or_is_refused(shard, change, refusal):
    case = shard.add()
    write_volume(case.files["seg"], change(reference()), LAS)
    if not refusal:
        shard.run()
        np.testing.assert_array_equal(shard.label().data, reference()[::-1])
    else:
        with pytest.raises(CasesFailedError, match=refusal):
            shard.run()


def test_an_empty_reference_is_written_empty(shard):
    case = shard.add()
    write_volume(case.files["seg"], np.zeros(SHAPE, np.uint8), LAS)
    shard.run()
    assert not shard.label().data.any()


def test_settings_of_the_config_fill_their_defaults():
    settings = settings_from({"clip_percentiles": [2, 98], "extra_channels": ["t1c-t1n"]})
    assert (settings.orientation, settings.spacing, settings.interpolation) == ("RAS", 1.0, "linear")
    assert settings.clip_percentiles == (2, 98)
    assert settings.extra_channels == ("t1c-t1n",)

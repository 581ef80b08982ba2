"""The two real cases through scan, audit and standardize: images R-A-S, reference L-P-S, arrays aligned."""

import gzip

import numpy as np
import pytest

from audit_shard import audit_shard, tasks_of
from posttx.cases import list_cases
from posttx.errors import CasesFailedError
from posttx.geometry.transforms import restore_labels
from posttx.nifti import read_volume
from posttx.schemas import COHORT, GEOMETRY, TRANSFORMS, read_table, write_table
from scan_shard import scan_shard
from standardize_shard import standardize_shard

NAMES = {1: "ET", 2: "NETC", 3: "SNFH", 4: "RC"}
MODALITIES = ("t1n", "t1c", "t2w", "t2f")


@pytest.fixture(scope="module")
def audited(shared, tmp_path_factory):
    """Scan and audit the real cases once; return the folder of their tables."""
    folder = tmp_path_factory.mktemp("real")
    cases = list_cases("real", {"path": str(shared / "data/real/cases"), "use": "test"}, 1, folder)
    scan_shard(cases, folder / "cohort.parquet")
    names = ("intensity", "labels", "findings", "geometry", "evidence", "thumbnails")
    tasks = tasks_of(read_table(folder / "cohort.parquet", COHORT), "000", "test", NAMES, "trust_voxels")
    audit_shard(tasks, {name: folder / f"{name}.parquet" for name in names})
    return folder


def standardized(audited, folder, decision=None, **settings):
    """Standardise the audited cases, under another decision where one is given; return cohort and transforms."""
    geometry = read_table(audited / "geometry.parquet", GEOMETRY)
    write_table(geometry.assign(decision=decision or geometry["decision"]), GEOMETRY, folder / "geometry.parquet")
    transforms = folder / "standardized" / "transforms.parquet"
    tables = audited / "cohort.parquet", folder / "geometry.parquet"
    standardize_shard(*tables, transforms, "real", "000", settings, (1, 2, 3, 4), workers=2)
    cohort = read_table(audited / "cohort.parquet", COHORT).set_index("case")
    return cohort, read_table(transforms, TRANSFORMS).set_index("case", drop=False)


def test_real_cases_are_read_by_their_arrays_and_come_back_identical(audited, tmp_path):
    cohort, transforms = standardized(audited, tmp_path, extra_channels=["t1c-t1n"])
    assert len(transforms) == 2
    for case, row in transforms.iterrows():
        assert row["decision"] == "trust_voxels"
        assert not row["resampled"]
        scanned = read_volume(cohort.loc[case, "seg"])
        written = read_volume(tmp_path / "standardized" / "labels" / f"{case}.nii.gz")
        assert written.data.dtype == np.uint8
        back, affine = restore_labels(written.data, row)
        np.testing.assert_array_equal(back, scanned.data)
        np.testing.assert_array_equal(affine, read_volume(cohort.loc[case, "t1c"]).affine)
        for number, name in enumerate(MODALITIES):
            image = read_volume(tmp_path / "standardized" / "images" / f"{case}_{number:04d}.nii.gz")
            original = read_volume(cohort.loc[case, name]).data
            low, high = np.percentile(original[original != 0].astype(np.float64), [1, 99])
            assert (row[f"clip_{name}_low"], row[f"clip_{name}_high"]) == (low, high)
            assert image.orientation == written.orientation == "RAS"
            np.testing.assert_array_equal(image.affine, written.affine)
            expected = np.where(original != 0, np.clip(original, np.float32(low), np.float32(high)), 0)
            np.testing.assert_array_equal(image.data, expected.astype(np.float32))
        # The label that enhances in these cases must stand out in the difference channel.
        extra = read_volume(tmp_path / "standardized" / "images" / f"{case}_0004.nii.gz").data
        assert extra[written.data == 1].mean() > extra[(written.data == 0) & (extra != 0)].mean() + 0.5


def test_real_cases_at_another_voxel_size_come_back_close(audited, tmp_path):
    cohort, transforms = standardized(audited, tmp_path, spacing=1.2, orientation="LPI")
    for case, row in transforms.iterrows():
        assert row["standard_shape"] == "200x200x129"
        scanned = read_volume(cohort.loc[case, "seg"]).data
        there = gzip.decompress((tmp_path / "standardized" / "labels" / f"{case}.nii.gz").read_bytes())[352:]
        back, _ = restore_labels(np.frombuffer(there, np.uint8).reshape((200, 200, 129), order="F"), row)
        dice = 2 * ((back > 0) & (scanned > 0)).sum() / ((back > 0).sum() + (scanned > 0).sum())
        assert dice > 0.97


@pytest.mark.parametrize("decision", ["fail", "trust_affine"])
def test_real_cases_are_refused_under_any_other_reading(audited, tmp_path, decision):
    with pytest.raises(CasesFailedError, match="2 of 2 cases failed") as caught:
        standardized(audited, tmp_path, decision)
    assert all(error.code.startswith("GEO") for error in caught.value.failures.values())
    assert not (tmp_path / "standardized" / "transforms.parquet").exists()

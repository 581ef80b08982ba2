"""nnU-Net's own evaluation of the same files is the oracle of the voxel columns."""

from __future__ import annotations

import numpy as np
import pytest
from real_pairs import PAIRS, REGIONS, prediction_path, real_pair, reference_path

from posttx.nifti import write_volume
from posttx.scoring.evaluation import Scoring, score_pair


def nnunet_metrics(reference, prediction, regions):
    compute = pytest.importorskip("nnunetv2.evaluation.evaluate_predictions").compute_metrics
    reader = pytest.importorskip("nnunetv2.imageio.simpleitk_reader_writer").SimpleITKIO()
    wanted = [tuple(labels) if len(labels) > 1 else labels[0] for labels in regions.values()]
    found = compute(str(reference), str(prediction), reader, wanted)["metrics"]
    return {name: found[key] for name, key in zip(regions, wanted, strict=True)}


def compare(ours, theirs):
    for row in ours:
        expected = theirs[row["region"]]
        for name in ("TP", "FP", "FN", "TN", "n_ref", "n_pred"):
            assert row[name.lower()] == expected[name], (row["region"], name)
        assert row["dice"] == pytest.approx(expected["Dice"], rel=1e-15, nan_ok=True)
        assert row["iou"] == pytest.approx(expected["IoU"], rel=1e-15, nan_ok=True)


@pytest.mark.parametrize(("model", "case"), PAIRS)
def test_real_pairs_have_nnunets_counts_dice_and_iou(shared, model, case):
    ours = score_pair(*real_pair(shared, model, case), (1.0, 1.0, 1.0), Scoring(REGIONS, "voxel"))["metrics"]
    compare(ours, nnunet_metrics(reference_path(shared, case), prediction_path(shared, model, case), REGIONS))


@pytest.mark.parametrize("seed", range(3))
def test_random_volumes_have_nnunets_counts_dice_and_iou(tmp_path, seed):
    rng = np.random.default_rng(seed)
    pair = [(rng.integers(0, 5, (9, 8, 7)) * (rng.random((9, 8, 7)) < seed / 2)).astype(np.uint8) for _ in range(2)]
    for name, labels in zip("rp", pair, strict=True):
        write_volume(tmp_path / f"{name}.nii.gz", labels, np.diag([1.0, 2, 3, 1]))
    ours = score_pair(*pair, (1.0, 2.0, 3.0), Scoring(REGIONS, "voxel"))["metrics"]
    compare(ours, nnunet_metrics(tmp_path / "r.nii.gz", tmp_path / "p.nii.gz", REGIONS))

"""The ensemble's segmentations: those of nnU-Net's own predictor, kept under a stamp, back on the original grid."""

import shutil
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny_nnunet as tiny
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.utilities.label_handling.label_handling import LabelManager

import predict_shard as script
import restore_shard
from posttx.errors import CasesFailedError, PostTxError
from posttx.files import read_json, sha256_of, write_json
from posttx.geometry.grids import Grid, standard_grid
from posttx.geometry.transforms import grid_columns
from posttx.networks import confidence, predictor
from posttx.networks.checkpoints import FINAL
from posttx.networks.confidence import KEPT, Segmentation, Votes, kept_files
from posttx.networks.nnunet import image_name
from posttx.networks.predictions import Target
from posttx.networks.predictor import Ensemble, load_ensemble
from posttx.nifti import read_volume, write_volume
from posttx.postprocess.components import components_of
from posttx.schemas import COMPONENTS, read_table

FOLDS = 2
NEW = "BraTS-GLI-00009-100"
NAMES = {1: "A", 2: "B", 3: "C", 4: "D"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a model folder with two briefly trained folds."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("model")
        for key, value in tiny.folders(root).items():
            patch.setenv(key, value)
        tiny.make_dataset(root)
        tiny.trained_model(root, FOLDS)
        yield tiny.model_folder(root)


def checkpoints(model: Path) -> list[Path]:
    return [model / f"fold_{fold}" / FINAL for fold in range(FOLDS)]


@pytest.fixture
def shard(model: Path, tmp_path: Path) -> Path:
    """Return the transforms table of a shard of two cases, one of them acquired in another orientation."""
    folder = tmp_path / "standardized" / "additional" / "000"
    rows = []
    for case, source in ((tiny.CASES[0], tiny.CASES[0]), (NEW, tiny.CASES[3])):
        for channel in range(4):
            name = image_name(source, channel)
            volume = read_volume(model.parents[2] / "images" / "images" / name)
            write_volume(folder / "images" / image_name(case, channel), volume.data, volume.affine)
        standard = Grid(volume.data.shape, volume.affine)
        original = standard_grid(standard, "PSR", 1.0) if case == NEW else standard
        rows.append(
            {
                "case": case,
                "cohort": "additional",
                "shard": "000",
                "form_code": 4,
                "labels": "1,2,3,4",
                **grid_columns(original, standard),
            }
        )
    pd.DataFrame(rows).to_parquet(folder / "transforms.parquet")
    return folder / "transforms.parquet"


def predict(shard: Path, model: Path, folder: Path, mirroring: bool = False) -> Path:
    predict_into(shard, model, folder, mirroring)
    return folder


def predict_into(shard: Path, model: Path, folder: Path, mirroring: bool = False, votes: Path | None = None) -> Path:
    """Predict a shard; return the table of its components."""
    table = folder.with_name(f"{folder.name}.parquet")
    script.predict_shard(shard, checkpoints(model), folder / "_cases.tsv", table, NAMES, "cpu", mirroring, votes)
    return table


@pytest.mark.parametrize("mirroring", [False, True])
def test_same_result_as_nnunet(model: Path, shard: Path, tmp_path: Path, mirroring: bool) -> None:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    theirs_predictor = nnUNetPredictor(use_mirroring=mirroring, device=torch.device("cpu"), allow_tqdm=False)
    theirs_predictor.initialize_from_trained_model_folder(str(model), tuple(range(FOLDS)))
    case = tiny.CASES[0]
    names = [[str(shard.parent / "images" / image_name(case, channel)) for channel in range(4)]]
    (tmp_path / "theirs").mkdir()
    theirs_predictor.predict_from_files_sequential(names, [str(tmp_path / "theirs" / case)], False, True, None)
    theirs = read_volume(tmp_path / "theirs" / f"{case}.nii.gz").data
    ours = read_volume(predict(shard, model, tmp_path / "ours", mirroring) / f"{case}.nii.gz").data
    assert len(np.unique(theirs)) == 3
    assert np.mean(ours == theirs) >= 0.9999
    for label in (1, 2):
        one, other = ours == label, theirs == label
        assert 2 * np.sum(one & other) / (one.sum() + other.sum()) >= 0.999


def test_prediction_lies_on_the_original_grid(model: Path, shard: Path, tmp_path: Path) -> None:
    folder = predict(shard, model, tmp_path / "out")
    table = pd.read_csv(folder / "_cases.tsv", sep="\t")
    files = [f"{case}.nii.gz" for case in (tiny.CASES[0], NEW)]
    digests = [sha256_of(folder / file) for file in files]
    assert table.to_dict("list") == {"case": [tiny.CASES[0], NEW], "file": files, "sha256": digests}
    row = pd.read_parquet(shard).set_index("case").loc[NEW]
    volume = read_volume(folder / f"{NEW}.nii.gz")
    assert "x".join(map(str, volume.data.shape)) == row["original_shape"] != row["standard_shape"]
    assert volume.orientation == "PSR"
    ensemble, _ = load_ensemble(checkpoints(model), "cpu", False)
    standard = ensemble.segment([read_volume(shard.parent / "images" / image_name(NEW, c)) for c in range(4)])
    assert np.array_equal(np.bincount(volume.data.ravel()), np.bincount(standard.ravel()))


def test_restart_predicts_only_what_is_missing(
    model: Path, shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = predict(shard, model, tmp_path / "out")
    done: list[int] = []
    finish = Ensemble.finish
    monkeypatch.setattr(Ensemble, "finish", lambda self, *case: done.append(1) or finish(self, *case))
    (folder / f"{NEW}.nii.gz").unlink()
    (folder / "gone.nii.gz").write_bytes(b"")
    (folder / "_cases.tsv").unlink()
    predict(shard, model, folder)
    assert len(done) == 1
    assert not (folder / "gone.nii.gz").exists()
    assert (folder / "_cases.tsv").is_file()
    predict(shard, model, folder)
    assert len(done) == 1
    # Another image, another mirroring: the stamp no longer agrees.
    predict(shard, model, folder, mirroring=True)
    assert len(done) == 3
    path = shard.parent / "images" / image_name(NEW, 0)
    volume = read_volume(path)
    write_volume(path, volume.data + 1, volume.affine)
    predict(shard, model, folder, mirroring=True)
    assert len(done) == 4


def test_one_bad_case_does_not_lose_the_others(model: Path, shard: Path, tmp_path: Path) -> None:
    path = shard.parent / "images" / image_name(tiny.CASES[0], 2)
    path.write_bytes(b"no image")
    remedy = rf"Delete {shard} and run again"
    with pytest.raises(CasesFailedError, match=rf"1 of 2 cases failed(.|\n)*not a NIfTI file.*{remedy}"):
        predict(shard, model, tmp_path / "out")
    assert (tmp_path / "out" / f"{NEW}.nii.gz").is_file()
    assert not (tmp_path / "out" / "_cases.tsv").exists()


def test_an_unexpected_error_in_one_case_does_not_lose_the_other(model, shard, tmp_path, monkeypatch) -> None:
    finish, calls = Ensemble.finish, []

    def stumble(self, *case):
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return finish(self, *case)

    monkeypatch.setattr(Ensemble, "finish", stumble)
    with pytest.raises(CasesFailedError, match=r"1 of 2 cases failed.*\n.*\[FIL099\] case .*: unexpected ZeroDivision"):
        predict(shard, model, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 1


def test_foreign_checkpoint_is_refused_before_it_is_read(model: Path, shard: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    (copy / "fold_1" / f"{FINAL}.sha256").unlink()
    with pytest.raises(PostTxError, match=r"fold_1.*no digest on record"):
        predict(shard, copy, tmp_path / "out")


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
@pytest.mark.parametrize("torn", [False, True], ids=["absent", "torn"])
def test_a_model_without_its_description_is_named_with_a_remedy(model: Path, tmp_path: Path, name: str, torn) -> None:
    copy, lost = tmp_path / "model", tmp_path / "model" / name
    shutil.copytree(model, copy)
    lost.write_text('{"labels": ') if torn else lost.unlink()
    with pytest.raises(PostTxError, match=f"has no {name} that can be read") as refused:
        load_ensemble(checkpoints(copy), "cpu", False)
    assert refused.value.file == str(lost)
    assert "from where the model was trained" in refused.value.remedy
    # the remedy
    shutil.copy(model / name, lost)
    assert len(load_ensemble(checkpoints(copy), "cpu", False)[0].networks) == FOLDS


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_cuda_that_is_absent_is_refused(model: Path) -> None:
    with pytest.raises(PostTxError, match="no CUDA device"):
        load_ensemble(checkpoints(model), "cuda", False)


def test_batches_do_not_change_the_result(model: Path, shard: Path) -> None:
    ensemble, _ = load_ensemble(checkpoints(model), "cpu", True)
    volumes = [read_volume(shard.parent / "images" / image_name(NEW, channel)) for channel in range(4)]
    data, _ = ensemble.prepare(volumes)
    assert ensemble.batch > 1
    together = ensemble.logits(data)
    ensemble.batch = 1
    assert torch.allclose(ensemble.logits(data), together, atol=1e-4)
    assert together.shape == (3, *data.shape[1:])


def prepared(ensemble: Ensemble, shard: Path) -> tuple[torch.Tensor, dict[str, Any]]:
    return ensemble.prepare([read_volume(shard.parent / "images" / image_name(NEW, c)) for c in range(4)])


def finer(properties: dict[str, Any], factors: tuple[int, int, int]) -> dict[str, Any]:
    """Return the properties of the same case if its voxels were smaller: its logits are to be resampled."""
    shape = [factor * edge for factor, edge in zip(factors, properties["shape_before_cropping"], strict=True)]
    bounds = zip(factors, properties["bbox_used_for_cropping"], strict=True)
    box = [[factor * edge for edge in sides] for factor, sides in bounds]
    return properties | {
        "shape_after_cropping_and_before_resampling": [high - low for low, high in box],
        "bbox_used_for_cropping": box,
        "shape_before_cropping": shape,
        "spacing": [1 / factor for factor in factors],
    }


@pytest.mark.parametrize("factors", [(1, 1, 1), (2, 2, 2), (4, 1, 1), (1, 1, 2)])
def test_segmentations_are_those_of_nnunet_to_the_voxel(
    model: Path, shard: Path, factors: tuple[int, int, int]
) -> None:
    ensemble, _ = load_ensemble(checkpoints(model), "cpu", False)
    data, properties = prepared(ensemble, shard)
    logits, properties = ensemble.logits(data), finer(properties, factors)
    labels = ensemble.plans.get_label_manager(ensemble.dataset)
    expected, probabilities = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, ensemble.plans, ensemble.configuration, labels, properties, return_probabilities=True
    )
    found = ensemble.segmentation(logits, properties)
    assert np.array_equal(found.label_map, expected.transpose(2, 1, 0))
    assert found.label_map.any()
    for values in (found.label_map, found.probability, found.entropy):
        assert values.dtype == np.uint8
        assert values.flags.f_contiguous
    probabilities = probabilities.transpose(0, 3, 2, 1).astype(float)
    given = np.take_along_axis(probabilities, found.label_map[None].astype(int), 0)[0]
    entropy = -(probabilities * np.log(probabilities + 1e-30)).sum(0) / np.log(3)
    inside = found.label_map > 0
    assert np.abs(found.probability / 255 - given)[inside].max() < 0.51 / 255
    assert np.abs(found.entropy / 255 - entropy)[inside].max() < 0.51 / 255
    assert not found.probability[~inside].any()
    assert not found.entropy[~inside].any()


def test_logits_on_the_plans_grid_are_not_resampled(model: Path, shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble, _ = load_ensemble(checkpoints(model), "cpu", False)
    data, properties = prepared(ensemble, shard)
    resampled: list[int] = []
    resample = ensemble.configuration.resampling_fn_probabilities
    monkeypatch.setattr(
        type(ensemble.configuration),
        "resampling_fn_probabilities",
        lambda *given: resampled.append(1) or resample(*given[1:]),
    )
    logits = torch.zeros(3, *data.shape[1:])
    ensemble.segmentation(logits, properties)
    assert resampled == []
    ensemble.segmentation(logits, finer(properties, (2, 2, 2)))
    assert resampled == [1]


@pytest.mark.parametrize("slab", [1, 500, 10**9])
@pytest.mark.parametrize("regions", [False, True])
def test_labels_and_regions_are_decided_as_by_nnunet(monkeypatch: pytest.MonkeyPatch, regions: bool, slab: int) -> None:
    order = [2, 1, 3]
    classes = {"background": 0, "W": [1, 2, 3], "C": [1, 3], "E": 3} if regions else {"background": 0, "A": 1, "B": 2}
    labels = LabelManager(classes, regions_class_order=order if regions else None)
    monkeypatch.setattr(confidence, "SLAB_VALUES", slab)
    logits = torch.randn(3, 9, 8, 7, generator=torch.Generator().manual_seed(1)) * 3 - (2 if regions else 0)
    # beyond what exp can do in single precision
    logits[1, :2] += 200
    found = confidence.decided(logits.numpy(), labels)
    probabilities = labels.apply_inference_nonlin(logits)
    assert np.array_equal(found.label_map, labels.convert_logits_to_segmentation(logits))
    exact = probabilities.double().numpy()
    for voxel in np.ndindex(found.label_map.shape):
        label, p = int(found.label_map[voxel]), exact[(slice(None), *voxel)]
        if not label:
            assert found.probability[voxel] == found.entropy[voxel] == 0
            continue
        chances = [np.array([one, 1 - one]) for one in p] if regions else [p]
        entropy = np.mean([-(one * np.log(one + 1e-30)).sum() / np.log(one.size) for one in chances])
        expected = p[order.index(label)] if regions else p[label]
        assert abs(found.probability[voxel] - 255 * expected) < 0.51
        assert abs(found.entropy[voxel] - 255 * entropy) < 0.51


def test_votes_of_the_folds(model: Path, shard: Path) -> None:
    ensemble, _ = load_ensemble(checkpoints(model), "cpu", False)
    data, properties = prepared(ensemble, shard)
    found, together = ensemble.finish_with_votes(data, properties), ensemble.finish(data, properties)
    # The folds' logits are added up in another order.
    assert np.mean(found.label_map == together.label_map) >= 0.9999
    both = (found.label_map == together.label_map) & (found.label_map > 0)
    assert np.abs(found.probability[both].astype(int) - together.probability[both]).max() <= 1
    singles = [load_ensemble([path], "cpu", False)[0] for path in checkpoints(model)]
    alone = [single.finish(data, properties).label_map for single in singles]
    assert found.votes is not None
    assert found.votes.folds == FOLDS
    assert np.array_equal(found.votes.dissent, sum((one != found.label_map).astype(np.uint8) for one in alone))
    assert found.votes.dissent.any()


def test_disagreement_by_hand() -> None:
    label_map = np.array([0, 0, 1, 1, 2], np.uint8)
    dissent = np.array([0, 1, 0, 2, 0], np.uint8)
    assert Votes(dissent, 4).disagreement(label_map) == 3 / 16
    assert Votes(dissent * 0, 4).disagreement(label_map) == 0
    assert np.isnan(Votes(dissent * 0, 4).disagreement(label_map * 0))


def test_uncertainty_is_written_beside_the_predictions_and_kept(
    model: Path, shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, votes = predict(shard, model, tmp_path / "out"), tmp_path / "uncertainty" / "000"
    done: list[int] = []
    finish = Ensemble.finish_with_votes
    monkeypatch.setattr(Ensemble, "finish_with_votes", lambda self, *case: done.append(1) or finish(self, *case))
    for expected in (2, 2):
        # The predictions stand, the maps do not; then both.
        predict_into(shard, model, folder, votes=votes)
        assert len(done) == expected
    table = pd.read_csv(votes / "_disagreement.tsv", sep="\t").set_index("case")["disagreement"]
    assert list(table.index) == [tiny.CASES[0], NEW]
    assert table.between(0, 1).all()
    label_map, dissent = (read_volume(path / f"{NEW}.nii.gz") for path in (folder, votes))
    assert dissent.orientation == label_map.orientation == "PSR"
    assert dissent.data.max() <= FOLDS
    assert table[NEW] == pytest.approx(Votes(dissent.data, FOLDS).disagreement(label_map.data))
    assert sorted(path.name for path in folder.glob("*.nii.gz")) == sorted(path.name for path in votes.glob("*.nii.gz"))
    rows = read_table(folder.with_name(f"{folder.name}.parquet"), COMPONENTS)
    for label, own in rows[rows["case"] == NEW].groupby("label"):
        mean = (dissent.data[label_map.data == label] / FOLDS).mean()
        assert np.average(own["dissent"], weights=own["voxels"].astype(float)) == pytest.approx(mean)


def test_components_are_those_of_the_stored_predictions(
    model: Path, shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = predict_into(shard, model, tmp_path / "out")
    rows = read_table(table, COMPONENTS)
    assert rows["dissent"].isna().all()
    assert rows["p_max"].between(0, 1).all()
    for case in (tiny.CASES[0], NEW):
        label_map = read_volume(tmp_path / "out" / f"{case}.nii.gz").data
        found = components_of(label_map)
        own = rows[rows["case"] == case]
        assert sorted(zip(own["label"], own["component"], strict=True)) == sorted(
            zip(found.labels[1:], found.within[1:], strict=True)
        )
        assert own.groupby("label")["voxels"].sum().to_dict() == dict(
            zip(*np.unique(label_map[label_map > 0], return_counts=True), strict=True)
        )
        first = own.iloc[own["voxels"].argmax()]
        assert first["region"] == NAMES[first["label"]]
    # Kept cases keep their rows, and the table is made anew; one that an older version predicted is predicted again.
    done: list[int] = []
    finish = Ensemble.finish
    monkeypatch.setattr(Ensemble, "finish", lambda self, *case: done.append(1) or finish(self, *case))
    table.unlink()
    stamp = tmp_path / "out" / f".{NEW}.json"
    write_json(stamp, {key: value for key, value in read_json(stamp).items() if key != "components"})
    assert rows.equals(read_table(predict_into(shard, model, tmp_path / "out"), COMPONENTS))
    assert done == [1]


def test_never_more_than_two_cases_in_memory(
    model: Path, shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pd.read_parquet(shard)
    six = [tiny.CASES[0], *(f"BraTS-GLI-0001{number}-100" for number in range(5))]
    for case in six[1:]:
        for channel in range(4):
            source = shard.parent / "images" / image_name(tiny.CASES[0], channel)
            shutil.copyfile(source, shard.parent / "images" / image_name(case, channel))
    first = rows[rows["case"] == tiny.CASES[0]]
    pd.concat([first.assign(case=case) for case in six]).to_parquet(shard)
    alive: set[int] = set()
    most: list[int] = []
    prepare, write = Ensemble.prepare, Target.write

    def counted(self: Ensemble, volumes: object) -> object:
        data, properties = prepare(self, volumes)
        alive.add(id(properties))
        weakref.finalize(data, alive.discard, id(properties))
        most.append(len(alive))
        return data, properties

    def slowly(*case: Any) -> None:
        time.sleep(0.2)
        write(*case)

    monkeypatch.setattr(Ensemble, "prepare", counted)
    monkeypatch.setattr(Target, "write", slowly)
    predict(shard, model, tmp_path / "out")
    assert len(most) == 6
    assert max(most) == 2


def counting_backend(programs: list[int]):
    def backend(graph: torch.fx.GraphModule, inputs: object) -> object:
        programs.append(1)
        return graph.forward

    return backend


def test_compiled_networks_share_one_program(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for CUDA's compiler: what is tested is how often it is asked, and that results stay."""
    ensemble, _ = load_ensemble(checkpoints(model), "cpu", False)
    data = torch.randn(4, 24, 20, 16)
    expected = ensemble.logits(data)
    programs: list[int] = []
    compile_network = torch.compile
    torch._dynamo.reset()
    backend = counting_backend(programs)
    monkeypatch.setattr(torch, "compile", lambda network, dynamic: compile_network(network, backend=backend))
    compiled = predictor.compiled(ensemble)
    assert len(programs) == 1
    assert torch.allclose(compiled.logits(data), expected, atol=1e-4)
    assert torch.allclose(compiled.logits(data[:, :17]), ensemble.logits(data[:, :17]), atol=1e-4)
    assert len(programs) == 1


def test_networks_that_cannot_be_compiled_are_used_as_they_are(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def backend(graph: torch.fx.GraphModule, inputs: object) -> object:
        raise RuntimeError("no C compiler")

    ensemble, _ = load_ensemble(checkpoints(model), "cpu", False)
    compile_network = torch.compile
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", lambda network, dynamic: compile_network(network, backend=backend))
    assert predictor.compiled(ensemble) is ensemble
    assert "cannot be compiled" in caplog.text


def test_memory_of_the_device_runs_out(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for a small GPU: batches are halved until they fit, and the result is the same."""
    ensemble, _ = load_ensemble(checkpoints(model), "cpu", True)
    data = torch.randn(4, 20, 20, 16)
    expected, mean = ensemble.logits(data), Ensemble._mean

    def small(self: Ensemble, networks: object, images: torch.Tensor) -> torch.Tensor:
        if len(images) > 2:
            raise torch.cuda.OutOfMemoryError
        return mean(self, networks, images)

    monkeypatch.setattr(Ensemble, "_mean", small)
    assert torch.allclose(ensemble.logits(data), expected, atol=1e-4)
    assert ensemble.batch == 2


def test_a_full_memory_is_left_before_the_next_try(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of the first try keeps its sums alive for as long as it is being handled."""
    ensemble, _ = load_ensemble(checkpoints(model), "cpu", False)
    sums: list[weakref.ref] = []

    def fails_once(self: Ensemble, *given: object) -> torch.Tensor:
        if sums:
            assert sums[0]() is None
            return torch.zeros(3, 16, 16, 16)
        total = torch.zeros(3, 16, 16, 16)
        sums.append(weakref.ref(total))
        raise torch.AcceleratorError("CUDA error: out of memory")

    monkeypatch.setattr(Ensemble, "_summed", fails_once)
    ensemble.logits(torch.zeros(4, 16, 16, 16))
    assert len(sums) == 1


def test_memory_that_holds_not_even_a_tile_is_told(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Ensemble, networks: object, images: torch.Tensor) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError

    ensemble, _ = load_ensemble(checkpoints(model), "cpu", False)
    monkeypatch.setattr(Ensemble, "_mean", full)
    with pytest.raises(PostTxError, match="too small for one tile"):
        ensemble.logits(torch.zeros(4, 16, 16, 16))
    assert ensemble.batch == 1


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_logits_that_are_not_finite_never_become_labels(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, bad: float
) -> None:
    """One such voxel of background came out as label 1. On CUDA, single precision is tried first."""
    ensemble, _ = load_ensemble(checkpoints(model), "cpu", False)
    good = torch.zeros(3, 16, 16, 16)
    spoilt = good.clone()
    spoilt[1, 2, 3, 4] = bad
    tried: list[bool] = []

    def summed(
        self: Ensemble, networks: object, data: object, patch: object, home: object, mixed: bool
    ) -> torch.Tensor:
        tried.append(mixed)
        return spoilt if mixed or always else good

    monkeypatch.setattr(Ensemble, "_summed", summed)
    ensemble.device = torch.device("cuda")
    always = False
    assert torch.equal(ensemble.logits(torch.zeros(4, 16, 16, 16)), good)
    assert tried == [True, False]
    assert "half precision is exceeded" in caplog.text
    always = True
    with pytest.raises(PostTxError, match="not finite"):
        ensemble.logits(torch.zeros(4, 16, 16, 16))
    assert tried == [True, False] * 2


def test_a_shard_that_is_done_compiles_nothing(
    model: Path, shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    monkeypatch.setattr(script, "ready", lambda ensemble: made.append(1) or ensemble)
    folder = predict(shard, model, tmp_path / "out")
    predict(shard, model, folder)
    assert made == [1]


def test_image_smaller_than_the_patch(model: Path) -> None:
    ensemble, _ = load_ensemble(checkpoints(model), "cpu", False)
    logits = ensemble.logits(torch.randn(4, 5, 16, 40))
    assert logits.shape == (3, 5, 16, 40)
    assert torch.isfinite(logits).all()


def test_restore_takes_each_case_from_the_fold_that_held_it_out(shard: Path, tmp_path: Path) -> None:
    rows = pd.read_parquet(shard).assign(labels="1,4")
    rows.to_parquet(shard)
    summaries = []
    for fold in range(2):
        for case in rows["case"]:
            labels = np.zeros((24, 28, 20), np.uint8, order="F")
            labels[2:9] = fold + 1
            values = {"label_map": labels, "probability": labels * 100, "entropy": (labels > 0) * np.uint8(51)}
            for name, path in kept_files(tmp_path / f"fold_{fold}", case).items():
                write_volume(path, values[name], np.diag([-1.0, 1, 1, 1]))
        summaries.append(tmp_path / f"fold_{fold}" / "validation" / "summary.json")
    out = tmp_path / "out" / "_cases.tsv"

    def restore(*folds: int) -> None:
        pd.DataFrame({"case": rows["case"][: len(folds)], "fold": folds}).to_parquet(tmp_path / "splits.parquet")
        table = tmp_path / "c.parquet"
        restore_shard.restore_shard(shard, tmp_path / "splits.parquet", summaries, out, table, NAMES, 1)

    restore(1, 0)
    first = read_volume(out.parent / f"{tiny.CASES[0]}.nii.gz").data
    assert np.unique(first).tolist() == [0, 4]  # the second label of the scheme
    restored = read_volume(out.parent / f"{NEW}.nii.gz")
    assert np.unique(restored.data).tolist() == [0, 1]
    assert restored.orientation == "PSR"
    table = read_table(tmp_path / "c.parquet", COMPONENTS).set_index("case")
    assert table["region"].to_dict() == {tiny.CASES[0]: "D", NEW: "A"}
    assert table["p_max"].tolist() == [200 / 255, 100 / 255]
    assert table["entropy"].tolist() == [0.2, 0.2]
    assert table["dissent"].isna().all()
    for name in KEPT:
        kept = kept_files(tmp_path / "fold_0", NEW)[name]
        content = kept.read_bytes()
        kept.unlink()
        with pytest.raises(CasesFailedError, match=rf"1 of 2 .*\n.*does not exist.*Delete {summaries[0]} and run"):
            restore(1, 0)
        kept.write_bytes(content)
    with pytest.raises(PostTxError, match="in no fold"):
        restore(1)


@pytest.mark.parametrize(("spacing", "axes"), [((1, 1, 5), "RAS"), ((1.7, 1.7, 1.7), "PSR"), ((0.6, 0.6, 0.6), "RAS")])
def test_confidence_goes_back_to_a_coarser_or_finer_grid_with_every_label(spacing, axes) -> None:
    draw = np.random.default_rng(3)
    standard = Grid((20, 24, 25), np.diag([-1.0, 1, 1, 1]))
    shape = tuple(int(edge / size) for edge, size in zip(standard.shape, spacing, strict=True))
    original = standard_grid(Grid(shape, np.diag([-spacing[0], *spacing[1:], 1])), axes, spacing[0])
    if len(set(spacing)) > 1:
        original = Grid(shape, np.diag([-spacing[0], *spacing[1:], 1]))
    label_map = np.zeros(standard.shape, np.uint8)
    label_map[3:12, 4:20, 5:20], label_map[12:17, 4:20, 5:15] = 1, 2
    sure = (draw.integers(200, 256, label_map.shape) * (label_map > 0)).astype(np.uint8)
    row = {"case": "a", "labels": "2,5", **grid_columns(original, standard)}
    found, _ = confidence.restored(Segmentation(label_map, sure, sure // 2), row)
    assert np.unique(found.label_map).tolist() == [0, 2, 5]
    inside = found.label_map > 0
    assert found.label_map.shape == found.probability.shape == original.shape
    assert found.probability[inside].min() >= 200
    assert found.entropy[inside].min() >= 99
    assert abs(found.probability[inside].mean() - sure[sure > 0].mean()) < 3

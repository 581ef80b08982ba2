"""Ensembles of models: the mean of probabilities, by hand and by the scripts, and weights chosen out of fold."""

import shutil
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import results_tree as tree
import tiny_nnunet as tiny
import torch

import choose_weights
import predict_ensemble as script
import predict_shard
import weigh_shard
from posttx.errors import CasesFailedError, PostTxError
from posttx.files import read_json, write_json
from posttx.geometry.grids import Grid, standard_grid
from posttx.geometry.transforms import grid_columns
from posttx.networks import averaging, member_runs
from posttx.networks.checkpoints import FINAL
from posttx.networks.nnunet import image_name
from posttx.networks.predictor import Ensemble, load_ensemble
from posttx.networks.weighing import Weights, candidates, choose, counts_table, from_record
from posttx.nifti import read_volume, write_volume
from posttx.reporting import report_ensembles

FOLDS = 2
NEW = "BraTS-GLI-00009-100"
EQUAL = (0.5, 0.5)
NAMES = {1: "X", 2: "Y"}


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[list[Path]]]:
    """Return the checkpoints of two models of two folds that differ by patch, features and number of channels."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("models")
        for key, value in tiny.folders(root).items():
            patch.setenv(key, value)
        tiny.make_dataset(root)
        first = tiny.trained_model(root, FOLDS)
        kept = shutil.move(tiny.model_folder(root), root / "results" / "first")
        changes = {"patch_size": [16, 8, 16], "features": [4, 4, 8]}
        second = tiny.trained_model(root, FOLDS, channels=3, changes=changes, first_seed=40)
        yield [[Path(kept, path.parent.name, path.name) for path in first], second]


@pytest.fixture
def shard(members: list[list[Path]], tmp_path: Path) -> Path:
    """Return the transforms table of a shard: a case of each fold, and a new one in another orientation."""
    folder = tmp_path / "standardized" / "cohort" / "000"
    source = members[1][0].parents[4] / "images"
    rows = []
    for case, origin in ((tiny.CASES[0], tiny.CASES[0]), (tiny.CASES[4], tiny.CASES[4]), (NEW, tiny.CASES[3])):
        for channel in range(4):
            volume = read_volume(source / "images" / image_name(origin, channel))
            write_volume(folder / "images" / image_name(case, channel), volume.data, volume.affine)
        (folder / "labels").mkdir(exist_ok=True)
        shutil.copy(source / "labels" / f"{origin}.nii.gz", folder / "labels" / f"{case}.nii.gz")
        standard = Grid(volume.data.shape, volume.affine)
        original = standard_grid(standard, "PSR", 1.0) if case == NEW else standard
        rows.append(
            {
                "case": case,
                "cohort": "cohort",
                "shard": "000",
                "form_code": 4,
                "labels": "1,2",
                **grid_columns(original, standard),
            }
        )
    pd.DataFrame(rows).to_parquet(folder / "transforms.parquet")
    pd.DataFrame({"case": [row["case"] for row in rows], "fold": [0, 1, 1]}).to_parquet(tmp_path / "splits.parquet")
    return folder / "transforms.parquet"


def predict(
    shard: Path, members: Sequence[Sequence[Path]], folder: Path, weights: Weights | None = None, *, train: bool = False
) -> Path:
    splits = shard.parents[3] / "splits.parquet" if train else None
    mirroring, table = [False] * len(members), folder / "components.parquet"
    script.predict_ensemble(shard, members, folder / "_cases.tsv", table, NAMES, "cpu", mirroring, weights, splits)
    return folder


def images(shard: Path, case: str, channels: int) -> list[Any]:
    return [read_volume(shard.parent / "images" / image_name(case, channel)) for channel in range(channels)]


@cache
def probabilities(paths: tuple[Path, ...], case: str, fold: int | None) -> np.ndarray:
    """Return a model's probabilities (3, z, y, x) of a case, by softmax over whole arrays."""
    ensemble, _ = load_ensemble(paths, "cpu", False)
    source = paths[0].parents[4] if (paths[0].parents[4] / "images").is_dir() else paths[0].parents[3]
    channels = range(len(ensemble.dataset["channel_names"]))
    data, properties = ensemble.prepare(
        [read_volume(source / "images" / "images" / image_name(case, channel)) for channel in channels]
    )
    logits = ensemble.logits(data, None if fold is None else [ensemble.networks[fold]])
    whole = np.zeros((3, *properties["shape_before_cropping"]))
    whole[0] = 1
    inside = tuple(slice(*bounds) for bounds in properties["bbox_used_for_cropping"])
    whole[(slice(None), *inside)] = torch.softmax(logits.double(), 0).numpy()
    return whole


def by_hand(
    members: Sequence[Sequence[Path]], case: str, weights: Sequence[float], fold: int | None = None
) -> np.ndarray:
    """Return the label map of a case by the mean of whole arrays."""
    said = [probabilities(tuple(paths), case, fold) for paths in members]
    total = sum(weight * one for weight, one in zip(weights, said, strict=True))
    return np.asarray(total).argmax(0).transpose(2, 1, 0)


@pytest.mark.parametrize("train", [False, True])
def test_a_model_with_itself_predicts_what_it_predicts_alone(members, shard, tmp_path, train) -> None:
    twice = predict(shard, [members[0], members[0]], tmp_path / "twice", train=train)
    if not train:
        alone = tmp_path / "alone"
        predict_shard.predict_shard(
            shard, members[0], alone / "_cases.tsv", alone / "components.parquet", NAMES, "cpu", False
        )
        rows, same = (pd.read_parquet(folder / "components.parquet") for folder in (twice, alone))
        pd.testing.assert_frame_equal(rows, same, atol=1.5 / 255)
        assert len(rows) > 4
    for case, fold in ((tiny.CASES[0], 0), (tiny.CASES[4], 1), (NEW, 1)):
        together = read_volume(twice / f"{case}.nii.gz")
        if train:
            ensemble, _ = load_ensemble([members[0][fold]], "cpu", False)
            alone = ensemble.segment(images(shard, case, 4))
            assert np.array_equal(np.bincount(together.data.ravel()), np.bincount(alone.ravel()))
            assert case == NEW or np.array_equal(together.data, alone)
        else:
            assert np.array_equal(together.data, read_volume(tmp_path / "alone" / f"{case}.nii.gz").data)


@pytest.mark.parametrize("train", [False, True])
def test_two_models_are_averaged_as_by_hand(members, shard, tmp_path, train) -> None:
    weights = (0.3, 0.7)
    given = Weights(("a", "b"), weights, (weights, weights))
    folder = predict(shard, members, tmp_path / "out", given, train=train)
    differing = 0
    for case, fold in ((tiny.CASES[0], 0), (tiny.CASES[4], 1)):
        expected = by_hand(members, case, weights, fold if train else None)
        assert np.array_equal(read_volume(folder / f"{case}.nii.gz").data, expected)
        differing += int((expected != by_hand(members, case, (1.0, 0.0), fold if train else None)).sum())
    assert differing > 20


def test_weights_of_a_fold_are_for_its_cases_and_the_final_ones_for_held_out_cohorts(members, shard, tmp_path) -> None:
    weights = Weights(("a", "b"), EQUAL, ((1.0, 0.0), (0.0, 1.0)))
    held_out = predict(shard, members, tmp_path / "held", weights)
    out_of_fold = predict(shard, members, tmp_path / "train", weights, train=True)
    for case, fold in ((tiny.CASES[0], 0), (tiny.CASES[4], 1)):
        expected = by_hand(members, case, EQUAL)
        assert np.array_equal(read_volume(held_out / f"{case}.nii.gz").data, expected)
        expected = by_hand(members, case, weights.folds[fold], fold)
        assert np.array_equal(read_volume(out_of_fold / f"{case}.nii.gz").data, expected)


def test_what_stands_is_kept_and_other_weights_predict_again(members, shard, tmp_path, monkeypatch) -> None:
    done: list[int] = []
    logits = Ensemble.logits
    monkeypatch.setattr(Ensemble, "logits", lambda self, *given: done.append(1) or logits(self, *given))
    folder = predict(shard, members, tmp_path / "out")
    assert len(done) == 6
    (folder / f"{NEW}.nii.gz").unlink()
    predict(shard, members, folder)
    assert len(done) == 8
    predict(shard, members, folder, Weights(("a", "b"), (0.5, 0.5), (EQUAL, EQUAL)))
    assert len(done) == 8
    predict(shard, members, folder, Weights(("a", "b"), (0.0, 1.0), (EQUAL, EQUAL)))
    assert len(done) == 11, "a member without weight is left out"


@pytest.mark.parametrize("lost", [0, 3])
def test_a_case_whose_channel_is_damaged_for_a_member_is_named_and_the_others_are_there(
    members, shard, tmp_path, lost
) -> None:
    (shard.parent / "images" / image_name(tiny.CASES[4], lost)).write_bytes(b"none")
    with pytest.raises(CasesFailedError) as failed:
        predict(shard, members, tmp_path / "out")
    assert tiny.CASES[4] in str(failed.value)
    assert "the shard is standardized anew" in str(failed.value)
    assert {path.name for path in (tmp_path / "out").glob("*.nii.gz")} == {f"{tiny.CASES[0]}.nii.gz", f"{NEW}.nii.gz"}
    assert not (tmp_path / "out/_cases.tsv").exists()


def test_a_case_in_no_fold_is_refused(members, shard, tmp_path) -> None:
    splits = tmp_path / "splits.parquet"
    pd.read_parquet(splits).query("case != @NEW").to_parquet(splits)
    with pytest.raises(PostTxError, match="in no fold"):
        predict(shard, members, tmp_path / "out", train=True)


def test_members_for_other_labels_are_refused(members, shard, tmp_path) -> None:
    other = tmp_path / "other"
    shutil.copytree(members[0][0].parents[1], other)
    dataset = read_json(other / "dataset.json")
    write_json(other / "dataset.json", dataset | {"labels": {"background": 0, "Y": 1, "X": 2}})
    paths = [other / path.parent.name / FINAL for path in members[0]]
    with pytest.raises(PostTxError, match="learnt different labels"):
        predict(shard, [members[0], paths], tmp_path / "out")


def test_members_that_do_not_fit_together_take_turns(members, shard, tmp_path, monkeypatch) -> None:
    once = predict(shard, members, tmp_path / "once")
    placed: list[tuple[int, str]] = []
    monkeypatch.setattr(averaging, "_is_full", lambda device: True)
    to = torch.nn.Module.to

    def noted(self, *given, **named):
        placed.append((id(self), str(given[0]) if given else ""))
        return to(self, *given, **named)

    monkeypatch.setattr(torch.nn.Module, "to", noted)
    turns = averaging.load_members(members, "cpu", [False, False])
    assert turns.take_turns
    placed.clear()
    turns.called(1)
    assert [name for name, _ in placed] == [id(network) for one in turns.ensembles for network in one.networks]
    again = predict(shard, members, tmp_path / "turns")
    for case in (*tiny.CASES[:1], NEW):
        assert np.array_equal(read_volume(once / f"{case}.nii.gz").data, read_volume(again / f"{case}.nii.gz").data)


def test_probabilities_exist_in_slabs(monkeypatch) -> None:
    import tracemalloc

    class Manager:
        has_regions, num_segmentation_heads = False, 5

    shape = (160, 96, 96)
    parts = (
        averaging.Slab(
            (slice(start, start + 16), slice(0, 96), slice(0, 96)),
            np.full((5, 16, 96, 96), 0.2, np.float32),
            np.zeros((16, 96, 96), np.uint8),
        )
        for start in range(0, 160, 16)
    )
    tracemalloc.start()
    average = averaging.Average(Manager())
    average.add(parts, shape, 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * average.total.nbytes


def test_candidates_are_equal_weights_and_a_grid_of_at_most_seventy() -> None:
    assert candidates(2)[0].tolist() == [0.5, 0.5]
    assert len(candidates(2)) == 11
    assert len({tuple(row) for row in candidates(3).round(6)}) == len(candidates(3)) == 67
    for members in range(2, 11):
        grid = candidates(members)
        assert np.allclose(grid.sum(1), 1)
        assert (grid >= 0).all()
        assert len(grid) <= 71
        assert all((np.isclose(grid[:, member], 1)).any() for member in range(members))


def test_counts_of_candidates_are_those_of_whole_maps(members, shard, tmp_path) -> None:
    splits = tmp_path / "splits.parquet"
    weigh_shard.weigh_shard(shard, splits, members, tmp_path / "000.parquet", "cpu", [False, False])
    table = pd.read_parquet(tmp_path / "000.parquet")
    grid = candidates(2)
    assert len(table) == 3 * len(grid) * 2
    for case, fold in ((tiny.CASES[0], 0), (tiny.CASES[4], 1)):
        reference = read_volume(shard.parent / "labels" / f"{case}.nii.gz").data
        for number in (0, 3, 7, len(grid) - 1):
            drawn = by_hand(members, case, grid[number], fold)
            for label in (1, 2):
                row = table.query("case == @case and candidate == @number and label == @label").iloc[0]
                assert row["fold"] == fold
                there, here = reference == label, drawn == label
                expected = [int((there & here).sum()), int((here & ~there).sum()), int((there & ~here).sum())]
                assert np.abs(np.array([row["tp"], row["fp"], row["fn"]]) - expected).max() <= 1


def counted(case: str, fold: int, right: Sequence[int]) -> pd.DataFrame:
    """Return counts of one label of ten voxels, of which each candidate finds some."""
    return counts_table(case, fold, np.array([[[hits, 0, 10 - hits]] for hits in right]))


def test_weights_for_a_fold_are_chosen_on_the_others() -> None:
    last, first = [9] * 10 + [10], [9, 10] + [9] * 9
    table = pd.concat([counted("a", 0, last), counted("b", 1, first), counted("c", 1, first)])
    weights, choice = choose(table, ["m", "n"], {"a": "p", "b": "q", "c": "q"})
    grid = candidates(2)
    assert weights.folds == (tuple(grid[1]), tuple(grid[10]))
    assert weights.final == tuple(grid[1])
    row = choice.set_index(["fold", "member"]).loc[("0", "m")]
    assert (row["n"], row["n_patients"]) == (2, 1)
    assert row["dice"] == 1.0
    assert row["dice_held_out"] == row["dice_equal_held_out"] == pytest.approx(18 / 19)
    last_rows = choice[choice["fold"] == "all"]
    assert last_rows["dice_held_out"].isna().all()
    assert last_rows["n"].tolist() == [3, 3]
    assert choice["weight"].groupby(choice["fold"]).sum().round(9).eq(1).all()


def test_a_tie_keeps_equal_weights_and_an_absent_label_counts_one() -> None:
    table = pd.concat([counted("a", 0, [9] * 11), counts_table("b", 1, np.zeros((11, 1, 3), int))])
    weights, choice = choose(table, ["m", "n"], {"a": "p", "b": "q"})
    assert weights.final == EQUAL
    assert weights.folds == (EQUAL, EQUAL)
    assert choice.query("fold == '0'")["dice"].tolist() == [1.0, 1.0]


def test_the_choice_is_written_as_weights_and_table(tmp_path) -> None:
    counted("a", 0, [9] * 10 + [10]).to_parquet(tmp_path / "000.parquet")
    counted("b", 1, [9] * 10 + [10]).to_parquet(tmp_path / "001.parquet")
    pd.DataFrame({"case": ["a", "b"], "patient": ["p", "q"]}).to_parquet(tmp_path / "cohort.parquet")
    output = {name: tmp_path / f"weights.{name}" for name in ("parquet", "csv")} | {
        "weights": tmp_path / "weights.json"
    }
    counts = [tmp_path / "000.parquet", tmp_path / "001.parquet"]
    choose_weights.choose_weights(counts, tmp_path / "cohort.parquet", ["m", "n"], output)
    weights = from_record(read_json(tmp_path / "weights.json"))
    assert weights.members == ("m", "n")
    assert weights.final == tuple(candidates(2)[10])
    assert len(pd.read_csv(tmp_path / "weights.csv")) == len(pd.read_parquet(tmp_path / "weights.parquet")) == 6


def test_checkpoints_are_told_apart_by_model_folder() -> None:
    paths = [f"models/{model}/fold_{fold}/{FINAL}" for model in ("b", "a") for fold in range(2)]
    assert [[str(path) for path in member] for member in member_runs.by_member(paths)] == [paths[:2], paths[2:]]


def choice_of(members: Sequence[str]) -> pd.DataFrame:
    """Return the table of a choice of three cases, the second of which is the fold's own that gains."""
    table = pd.concat([counted("a", 0, [8] * 10 + [10]), counted("b", 1, [8] * 10 + [10]), counted("c", 1, [8] * 11)])
    return choose(table, members, {"a": "p", "b": "q", "c": "q"})[1]


def test_the_report_tells_members_weights_and_what_they_gain_out_of_fold(tmp_path) -> None:
    models: Any = {name: {"train": {"planner": planner}} for name, planner in (("m", "plain"), ("n", "resenc_m"))}
    models |= {"both": {"ensemble": ["m", "n"], "weights": "out_of_fold"}, "plain": {"ensemble": ["m", "n"]}}
    path = tmp_path / "tables/training/both/weights.parquet"
    path.parent.mkdir(parents=True)
    choice_of(["m", "n"]).to_parquet(path)
    both, plain = report_ensembles.section(tmp_path, {"config": tree.configured(models=models)})
    assert [one["name"] for one in (both, plain)] == ["both", "plain"]
    assert plain["weights"] is None
    assert "Each model's are the softmax" in plain["paragraphs"][0][1]
    assert "Each model's are the sigmoid" in report_ensembles.paragraphs(["m", "n"], True, None)[0][1]
    assert "The probabilities of m, n were averaged with equal weights" in plain["paragraphs"][0][1]
    text = both["paragraphs"][1][1]
    weights = candidates(2)[10]
    assert f"m {weights[0]:.2g}, n {weights[1]:.2g}" in text
    assert "3 cases of 2 patients" in text
    assert f"its mean Dice over classes and cases is {(1 + 1 + 8 / 9) / 3:.4f}, with equal weights {8 / 9:.4f}" in text
    rows = [[cell.text for cell in row] for row in both["weights"].rows]
    assert [row[0] for row in rows] == ["cases of fold 0", "cases of fold 1", "held-out cohorts"]
    assert rows[0][1:] == [f"{weights[0]:.2f}", f"{weights[1]:.2f}", "1.000", "0.889", "1"]
    assert rows[2][3:] == ["–", "–", "2"]

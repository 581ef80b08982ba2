"""Channel dropout: how often a modality is missing in training, and that nothing else is touched."""

import numpy as np
import pytest
import tiny_nnunet as tiny
import torch

from posttx.cases import MODALITIES
from posttx.networks.levers.channel_dropout import channels_without, drawn, without_modalities

MANY = 40_000


def test_each_modality_is_missing_at_its_rate_and_independently():
    torch.manual_seed(1)
    lacks = drawn({"t1n": 0.3, "t2w": 0.1}, MANY).numpy()
    rates = dict(zip(MODALITIES, lacks.mean(axis=0), strict=True))
    assert rates["t1c"] == rates["t2f"] == 0
    # Four standard errors of a share of 0.3 among so many.
    assert rates["t1n"] == pytest.approx(0.3, abs=0.01)
    assert rates["t2w"] == pytest.approx(0.1, abs=0.006)
    assert (lacks[:, 0] & lacks[:, 2]).mean() == pytest.approx(0.03, abs=0.004)


def test_never_all_four_are_missing_and_each_stays_as_often():
    torch.manual_seed(2)
    lacks = drawn(dict.fromkeys(MODALITIES, 0.9), MANY).numpy()
    assert not lacks.all(axis=1).any()
    # 0.9 less a quarter of the 0.9^4 of patches that would lack all.
    np.testing.assert_allclose(lacks.mean(axis=0), 0.9 - 0.9**4 / 4, atol=0.01)


def test_the_same_seed_draws_the_same_and_as_many_numbers_whatever_comes():
    drawn_twice = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn_twice.append((drawn({"t1n": 0.5}, 7), torch.rand(1)))
    assert torch.equal(drawn_twice[0][0], drawn_twice[1][0])
    torch.manual_seed(3)
    drawn(dict.fromkeys(MODALITIES, 0.9), 7)
    assert torch.equal(torch.rand(1), drawn_twice[0][1])


def test_a_missing_modality_takes_the_differences_that_need_it_along():
    names = [*MODALITIES, "t1c-t1n", "t2f-t2w"]
    lost = channels_without(names)
    assert lost[MODALITIES.index("t1n")].tolist() == [True, False, False, False, True, False]
    assert lost[MODALITIES.index("t2f")].tolist() == [False, False, False, True, False, True]


def test_channels_are_zeroed_by_patch_and_the_others_stay():
    names, data = [*MODALITIES, "t1c-t1n"], torch.ones(200, 5, 2, 2, 2)
    torch.manual_seed(4)
    lacks = drawn({"t1c": 0.5, "t2f": 0.2}, 200)
    torch.manual_seed(4)
    assert without_modalities(data, names, {"t1c": 0.5, "t2f": 0.2}) is data
    there = data.flatten(2).mean(dim=2)
    assert torch.equal(there[:, :4] == 0, lacks)
    assert torch.equal(there[:, 4] == 0, lacks[:, 1])
    assert set(there.flatten().tolist()) == {0.0, 1.0}


def test_the_trainer_hides_modalities_in_training_and_never_in_validation(tmp_path, monkeypatch):
    for key, value in tiny.folders(tmp_path).items():
        monkeypatch.setenv(key, value)
    tiny.make_dataset(tmp_path)
    plans = tiny.lever_plans(tmp_path, channel_dropout={"t1n": 0.5})
    trainer = tiny.make_trainer(monkeypatch, tmp_path, plans=plans)
    seen = {"train": [], "validation": []}
    monkeypatch.setattr(trainer, "train_step", lambda batch: seen["train"].append(batch["data"]) or {"loss": 0.0})
    monkeypatch.setattr(trainer, "validation_step", lambda batch: seen["validation"].append(batch["data"]))
    for name in (
        "on_epoch_start", "on_train_epoch_start", "on_train_epoch_end", "on_validation_epoch_start",
        "on_validation_epoch_end", "on_epoch_end",
    ):  # fmt: skip
        monkeypatch.setattr(trainer, name, lambda *_: None)
    trainer.dataloader_train = trainer.dataloader_val = iter(lambda: {"data": torch.ones(2, 4, 3, 3, 3)}, None)
    trainer.num_iterations_per_epoch = trainer.num_val_iterations_per_epoch = 60
    trainer._run_epoch()
    assert len(seen["train"]) == len(seen["validation"]) == 60
    assert all(bool(data.all()) for data in seen["validation"])
    trained = torch.cat(seen["train"]).flatten(2).mean(dim=2)
    assert bool(trained[:, 1:].all())
    assert float((trained[:, 0] == 0).float().mean()) == pytest.approx(0.5, abs=0.15)

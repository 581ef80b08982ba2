"""Levers of training: what is in the plan is what runs, and what each of them does."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_nnunet as tiny
import torch
from published_plan import plans as published
from torch import nn

from posttx.errors import PostTxError
from posttx.files import read_json, write_json
from posttx.networks import attention
from posttx.networks.architectures import GATED, refuse_foreign_network
from posttx.networks.checkpoints import FINAL, LATEST, STAMP
from posttx.networks.levers import planned_levers
from posttx.networks.levers.boundary import BoundaryLoss, interface_cross_entropy, interface_weights
from posttx.networks.nnunet import OURS, image_name, with_levers
from posttx.networks.predictor import load_ensemble
from posttx.networks.training import MINED, REACH, read_progress_lines
from posttx.nifti import read_volume

GATES = {"attention": "gates"}
MINING = {"hard_negatives": {"rounds": 1, "classes": ["X", "Y"], "share": 0.5}}
BOUNDARY = {"boundary": {"between": ["X", "Y"], "weight": 0.5}}
DROPOUT = {"channel_dropout": {"t1n": 0.4, "t2w": 0.4}}
ALL = {**GATES, **BOUNDARY, **MINING, **DROPOUT, "sampling": "rarity"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("levers")
        for key, value in tiny.folders(root).items():
            patch.setenv(key, value)
        tiny.make_dataset(root)
        yield root


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=False)["network_weights"]


def planned(dataset: Path, name: str) -> dict:
    return read_json(dataset / "preprocessed" / tiny.DATASET / f"{name}.json")


def test_a_plan_holds_the_levers_that_it_is_named_after(dataset: Path) -> None:
    name = tiny.lever_plans(dataset, **GATES, **BOUNDARY)
    plans = planned(dataset, name)
    assert planned_levers(plans, tiny.CONFIGURATION) == GATES | BOUNDARY
    assert planned_levers({**plans, "plans_name": f"{name}_seed7"}, tiny.CONFIGURATION) == GATES | BOUNDARY
    plain = planned(dataset, tiny.PLANS)
    assert planned_levers(plain, tiny.CONFIGURATION) == {}
    assert planned_levers({**plain, "plans_name": f"{tiny.PLANS}_seed7"}, tiny.CONFIGURATION) == {}
    for spoilt in (
        {**plain, "plans_name": name},
        {**plans, "plans_name": tiny.PLANS},
        {**plans, OURS: {"levers": GATES}},
        {key: value for key, value in plans.items() if key != OURS},
    ):
        with pytest.raises(PostTxError, match="are not those that it is named after"):
            planned_levers(spoilt, tiny.CONFIGURATION)


def test_training_refuses_a_copy_of_the_plan_that_lost_its_levers(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = tiny.lever_plans(dataset, **BOUNDARY)
    path = dataset / "preprocessed" / tiny.DATASET / f"{name}.json"
    write_json(path, {key: value for key, value in read_json(path).items() if key != OURS})
    with pytest.raises(PostTxError, match=r"the levers in the plan .* \(none\)"):
        tiny.make_trainer(monkeypatch, dataset, plans=name)


@pytest.mark.parametrize("planner", ["ExperimentPlanner", "nnUNetPlannerResEncM"])
def test_gates_add_less_than_three_percent_to_the_published_network(tmp_path: Path, planner: str) -> None:
    plain = published(tmp_path, (142, 175, 136), planner)
    counts = {}
    for plans in (plain, with_levers(plain, "3d_fullres", GATES)):
        with torch.device("meta"):
            network = built(plans)
        counts[type(network).__name__] = sum(part.numel() for part in network.parameters())
    (before, after) = counts.values()
    assert list(counts)[1].startswith("Attention")
    assert 0 < (after - before) / before < 0.03, counts


def built(plans: dict, channels: int = 4, classes: int = 5, configuration: str = "3d_fullres") -> nn.Module:
    """Return the network of a plan as nnU-Net builds it, once what it names is allowed."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(plans)
    settings = manager.get_configuration(configuration)
    refuse_foreign_network(settings)
    return nnUNetTrainer.build_network_architecture(manager, settings, channels, classes, True)


def test_a_gated_network_holds_the_plain_one_and_starts_with_open_gates(dataset: Path) -> None:
    plans = planned(dataset, tiny.PLANS)
    plain, gated = built(plans, 4, 3), built(with_levers(plans, tiny.CONFIGURATION, GATES), 4, 3)
    assert isinstance(gated, attention.AttentionUNet)
    missing, unexpected = gated.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert missing
    assert all("decoder.gates." in name for name in missing)
    # two of three stages have skip connections, and the finest is not gated
    (gate,) = gated.decoder.gates
    skip, coarse = torch.rand(2, 8, 8, 8, 8), torch.rand(2, 8, 4, 4, 4)
    torch.testing.assert_close(gate(skip, coarse), skip * torch.sigmoid(torch.tensor(attention.OPEN)))
    images = torch.rand(2, 4, 16, 16, 16)
    outputs = gated(images)
    assert [tuple(one.shape) for one in outputs] == [tuple(one.shape) for one in plain(images)]
    sum(one.square().mean() for one in outputs).backward()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in gate.to_one.parameters())
    gated.decoder.deep_supervision = False
    torch.testing.assert_close(gated(images), outputs[0])


def test_closed_gates_stop_a_skip_connection_where_features_disagree() -> None:
    gate = attention.AttentionGate(nn.Conv3d, 2, 1, (2, 2, 2))
    with torch.no_grad():
        for part in (gate.of_skip.weight, gate.of_coarse.bias):
            part.zero_()
        gate.of_coarse.weight.fill_(1.0)
        gate.to_one.weight.fill_(50.0)
        gate.to_one.bias.fill_(-25.0)
        coarse = torch.zeros(1, 1, 4, 4, 4)
        coarse[..., :2] = 1.0
        passed = gate(torch.ones(1, 2, 8, 8, 8), coarse)
    assert passed[..., :2].min() > 0.99
    assert passed[..., 6:].max() < 0.01


def test_every_gated_network_is_a_class_that_a_plan_may_name() -> None:
    for plain, gated in GATED.items():
        assert gated.rsplit(".", 1)[1] in vars(attention)
        assert issubclass(getattr(attention, gated.rsplit(".", 1)[1]), nn.Module)
        assert plain.rsplit(".", 1)[1] in {
            base.__name__ for base in getattr(attention, gated.rsplit(".", 1)[1]).__mro__
        }
    with pytest.raises(PostTxError, match="has no form with attention gates"):
        with_levers({"configurations": {"c": {"architecture": {"network_class_name": "x.Other"}}}}, "c", GATES)


def blocks() -> torch.Tensor:
    """Return a label map of two patches: in the first, class 1 and 2 meet between the planes 7 and 8."""
    labels = torch.zeros(2, 16, 8, 8, dtype=torch.int16)
    labels[0, :8], labels[0, 8:] = 1, 2
    labels[1, :4] = 1
    return labels


def test_the_interface_is_what_is_near_both_classes() -> None:
    weights = interface_weights(blocks(), (1, 2))
    assert weights is not None
    profile = weights[0, :, 4, 4]
    expected = torch.tensor([0, 0, 0, 0, 0, 1, 2, 3, 3, 2, 1, 0, 0, 0, 0, 0]) / REACH
    torch.testing.assert_close(profile, expected)
    # no other class is near in the second patch
    assert not weights[1].any()
    assert interface_weights(blocks()[1:], (1, 2)) is None
    far = blocks()[:1]
    far[:, 4:12] = 0
    assert interface_weights(far, (1, 2)) is None


def test_the_term_is_the_weighted_cross_entropy_and_its_gradient_ends_at_the_interface() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 16, 8, 8, dtype=torch.float64, requires_grad=True)
    labels = blocks()
    term = interface_cross_entropy(logits, labels, (1, 2))
    weights = interface_weights(labels, (1, 2))
    assert term is not None
    assert weights is not None
    every = nn.functional.cross_entropy(logits.float(), labels.long(), reduction="none")
    torch.testing.assert_close(term, (every * weights).sum() / weights.sum())
    term.backward()
    assert logits.grad is not None
    touched = logits.grad.abs().sum(1) > 0
    assert torch.equal(touched, weights > 0)
    small = logits.detach()[:1, :, 6:10, :1, :1].clone().requires_grad_()
    near = labels[:1, 6:10, :1, :1]
    assert torch.autograd.gradcheck(
        lambda given: interface_cross_entropy(given, near, (1, 2)), small, eps=1e-3, atol=1e-3
    )


def test_the_term_is_added_at_the_finest_scale_and_costs_nothing_without_an_interface() -> None:
    class Plain(nn.Module):
        def forward(self, output: list, target: list) -> torch.Tensor:
            return sum(one.square().mean() for one in output)

    loss = BoundaryLoss(Plain(), (1, 2), 2.0)
    output = [torch.randn(2, 3, 16, 8, 8), torch.randn(2, 3, 8, 4, 4)]
    target = [blocks()[:, None], blocks()[:, None, ::2, ::2, ::2]]
    term = interface_cross_entropy(output[0], blocks(), (1, 2))
    torch.testing.assert_close(loss(output, target), Plain()(output, target) + 2.0 * term)
    nothing = [torch.zeros_like(one) for one in target]
    torch.testing.assert_close(loss(output, nothing), Plain()(output, target))


def test_levers_go_on_after_a_kill_and_nnunets_own_command_segments_with_them(dataset: Path, tmp_path: Path) -> None:
    name = tiny.lever_plans(dataset, **GATES, **BOUNDARY, **DROPOUT)
    assert "Starting: no checkpoint is there" in trained(dataset, name)
    root = beside(dataset, tmp_path)
    fold, whole = (tiny.model_folder(one, name) / "fold_0" for one in (root, dataset))
    run = tiny.start_training(root, plans=name, CHECKPOINT_MINUTES=0.0001)
    while not (fold / LATEST).exists() and run.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert not (fold / FINAL).exists()
    assert "Going on from" in trained(root, name, CHECKPOINT_MINUTES=0.0001)
    assert any("decoder.gates." in key for key in weights(fold / FINAL))
    assert same_weights(fold, whole)
    ours, theirs = predictions(root, name, tmp_path / "by_nnunet")
    assert np.array_equal(ours, theirs)


def test_all_levers_together_end_alike_after_stops_while_mining_and_in_the_round_that_follows(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *given: None)
    name = tiny.lever_plans(dataset, **ALL)
    whole = begun(beside(dataset, tmp_path / "whole"), name, monkeypatch)
    whole.run_training()
    root = beside(dataset, tmp_path / "stopped")
    module = sys.modules["posttx_trainer"]
    mine, looked = module.mine_round, []

    def stop(*_: object) -> None:
        looked.append(1)
        raise KeyboardInterrupt

    first = begun(root, name, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(module, "mine_round", lambda *given: mine(*given[:3], stop))
        with pytest.raises(KeyboardInterrupt):
            first.run_training()
    fold = Path(first.output_folder)
    assert looked == [1]
    assert not (fold / "mined_1.json").exists()
    second = begun(root, name, monkeypatch)
    step = second._step
    monkeypatch.setattr(second, "_step", lambda batch: stop() if second.current_epoch == 4 else step(batch))
    with pytest.raises(KeyboardInterrupt):
        second.run_training()
    assert (fold / "mined_1.json").exists()
    third = begun(root, name, monkeypatch)
    assert (third.current_epoch, third._round) == (4, 1)
    third.run_training()
    assert same_weights(fold, Path(whole.output_folder))
    mined = read_json(fold / MINED)
    assert mined == read_json(Path(whole.output_folder) / MINED)
    assert mined
    assert {row["case"] for row in mined} <= set(tiny.SPLITS[0]["train"])
    # 4 epochs, and one round of a quarter of them at a tenth of the learning rate
    rates = [row["lr"] for row in read_progress_lines(fold / "progress.jsonl")]
    assert len(rates) == 5
    assert rates[4] == pytest.approx(rates[0] / 10)


def beside(dataset: Path, root: Path) -> Path:
    """Return a root of its own results on the shared data."""
    root.mkdir(exist_ok=True)
    for part in ("raw", "preprocessed"):
        (root / part).symlink_to(dataset / part)
    return root


def begun(root: Path, plans: str, patch: pytest.MonkeyPatch) -> Any:
    """Return a trainer in this process, as far as its newest checkpoint."""
    trainer = tiny.make_trainer(patch, root, plans=plans)
    latest = Path(trainer.output_folder) / LATEST
    if latest.exists():
        trainer.load_checkpoint(str(latest))
    return trainer


def same_weights(fold: Path, other: Path) -> bool:
    first, second = weights(fold / FINAL), weights(other / FINAL)
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def trained(root: Path, plans: str, **changed: object) -> str:
    """Train a fold to its end; return what was printed."""
    run = tiny.start_training(root, plans=plans, **changed)
    text, _ = run.communicate(timeout=900)
    assert run.returncode == 0, text
    assert (tiny.model_folder(root, plans) / "fold_0" / STAMP).is_file()
    return text


def predictions(root: Path, plans: str, output: Path) -> tuple[np.ndarray, np.ndarray]:
    """Segment a case by our path and by ``nnUNetv2_predict``; return both label maps."""
    images = (root / "raw").resolve().parent / "images" / "images"
    case = tiny.CASES[0]
    inputs = output.with_name("inputs")
    inputs.mkdir()
    for channel in range(4):
        (inputs / image_name(case, channel)).symlink_to(images / image_name(case, channel))
    program = Path(tiny.training_command()[0]).with_name("nnUNetv2_predict")
    names = ["-d", tiny.DATASET, "-tr", "PostTxTrainer", "-p", plans, "-c", tiny.CONFIGURATION, "-f", "0"]
    subprocess.run(
        [sys.executable, program, "-i", inputs, "-o", output, *names, "-device", "cpu", "--disable_tta"],
        env=tiny.environment(root), check=True, capture_output=True, timeout=900,
    )  # fmt: skip
    ensemble, _ = load_ensemble([tiny.model_folder(root, plans) / "fold_0" / FINAL], "cpu", False)
    volumes = [read_volume(inputs / image_name(case, channel)) for channel in range(4)]
    return ensemble.segment(volumes), read_volume(output / f"{case}.nii.gz").data

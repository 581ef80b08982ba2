"""The methods text says what runs: each of its facts is set against the code, the plan or the configuration."""

import re
from collections.abc import Mapping
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import results_tree as tree
import test_predictor
import tiny_nnunet as tiny
import torch
from jinja2 import Environment
from test_predictor import checkpoints, model  # noqa: F401  (a fixture)
from test_score_shard import CASES, Cohort
from test_standardize import Shard

from posttx.configuration import read_yaml
from posttx.files import read_json
from posttx.geometry.grids import grid_of
from posttx.networks.predictor import load_ensemble
from posttx.networks.targets import region_targets
from posttx.networks.training import OPTIMIZERS, POLYNOMIAL, REACH, WEIGHT_DECAY
from posttx.networks.trainings import LEVERS, trainer_class
from posttx.nifti import read_volume
from posttx.provenance import PACKAGES, provenance
from posttx.reporting import methods
from posttx.scoring.scoring_schemes import SCHEMES


def told(paragraphs: list[tuple[str, str]]) -> str:
    return " ".join(f"{heading}: {text}" for heading, text in paragraphs)


def trained(**changes: object) -> Mapping[str, object]:
    config = tree.configured(models={"nnunet": {"train": changes}})
    return config["models"]["nnunet"]["train"]


def test_every_lever_of_training_is_told_in_one_clause():
    properties = read_yaml(tiny.ROOT / "config/schema/config.schema.yaml")["properties"]["models"][
        "additionalProperties"
    ]
    assert set(methods.LEVER_CLAUSES) == set(LEVERS) & set(properties["properties"]["train"]["properties"])
    assert "Changes to the training" not in dict(methods.training(trained()))
    chosen = {
        "attention": "gates",
        "boundary": {"between": ["RC", "ET"], "weight": 0.5},
        "hard_negatives": {"rounds": 2, "classes": ["ET", "RC"], "share": 0.25},
        "sampling": "rarity",
        "channel_dropout": {"t1n": 0.3, "t2f": 0.2},
    }
    assert "centred on a label" in dict(methods.training(trained()))["Training"]
    assert "centred on a label" not in dict(methods.training(trained(**chosen)))["Training"]
    # the workflow writes the regions of the label scheme into the setting
    train = {**trained(**chosen), "targets": region_targets(tree.SCHEME)}
    text = dict(methods.training(train))["Changes to the training"]
    assert text.count(";") == len(chosen)
    assert "2 further rounds (25% as many epochs each, learning rate from 10% of the first to 0)" in text
    assert "with a probability of 0.25, on a false-positive component" in text
    assert "drawn with a probability inverse to its volume" in text
    assert "(Oktay et al., Attention U-Net, 2018) weigh every skip connection of the decoder but the finest" in text
    assert "never all four: T1 with probability 0.3, FLAIR with probability 0.2" in text
    assert "the regions WT, TC, ET, RC are learnt by a sigmoid each" in text
    assert f"0.5 times the mean cross-entropy of the voxels within {REACH} voxels of both RC and ET" in text


def test_a_configuration_inherits():
    plans = {
        "configurations": {"a": {"patch_size": [1], "batch_size": 2}, "b": {"inherits_from": "a", "batch_size": 3}}
    }
    assert methods.planned_configuration(plans, "b")["patch_size"] == [1]
    assert methods.planned_configuration(plans, "b")["batch_size"] == 3


def test_standardisation_is_told_as_it_is_done(tmp_path):
    config = tree.configured(
        standardize={"orientation": "LPS", "spacing": 2.0, "clip_percentiles": [5, 90], "interpolation": "cubic"}
    )
    text = told(methods.preprocessing(config))
    shard = Shard(tmp_path)
    case = shard.add()
    low, high = map(float, re.search(r"percentiles ([\d.]+) and ([\d.]+) over the non-zero voxels", text).groups())
    edges = re.search(r"Voxels are (\S+) × (\S+) × (\S+) mm³", text).groups()
    orientation = re.search(r"brought to (\w+) axis order", text)[1]
    row = shard.run(**config["standardize"]).loc[case.case]
    scan, written = read_volume(case.files["t1c"]).data, shard.image(1)
    np.testing.assert_allclose([row["clip_t1c_low"], row["clip_t1c_high"]], np.percentile(scan[scan != 0], [low, high]))
    np.testing.assert_allclose(grid_of(written).spacing, list(map(float, edges)), rtol=1e-3)
    assert written.orientation == orientation == "LPS"
    assert "by cubic interpolation" in text


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    """Return a function that builds the trainer as nnU-Net would, with these settings."""
    import importlib

    tiny.make_dataset(tmp_path)
    for key, value in tiny.folders(tmp_path).items():
        monkeypatch.setenv(key, value)
    monkeypatch.syspath_prepend(str(tiny.ROOT / "workflow/trainers"))
    preprocessed = tmp_path / "preprocessed" / tiny.DATASET

    def build(train):
        for name in ("epochs", "iterations", "learning_rate", "foreground", "optimizer", "seed"):
            monkeypatch.setenv(f"POSTTX_{name.upper()}", str(train[name]))
        module = importlib.import_module("posttx_trainer")
        plans = read_json(preprocessed / f"{tiny.PLANS}.json") | {"continue_training": False}
        made = getattr(module, trainer_class(train))(
            plans, tiny.CONFIGURATION, 1, read_json(preprocessed / "dataset.json"), torch.device("cpu")
        )
        made.initialize()
        return made

    return build


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_training_is_told_as_it_is_done(trainer, optimizer):
    train = trained(
        optimizer=optimizer, epochs=7, iterations=11, learning_rate=0.002, foreground=0.4, seed=3, device="cpu"
    )
    text, made = told(methods.training(train)), trainer(train)
    assert f"{made.num_epochs} epochs of {made.num_iterations_per_epoch} iterations per fold on cpu" in text
    assert f"with {type(made).__name__}, which trains as nnU-Net's nnUNetTrainer" in text
    assert type(made).__mro__[1].__name__ == "nnUNetTrainer"
    assert type(made.loss).__name__ == "DeepSupervisionWrapper"
    assert type(made.loss.loss).__name__ == "DC_and_CE_loss"
    assert (made.loss.loss.weight_ce, made.loss.loss.weight_dice) == (1, 1)
    (group,) = made.optimizer.param_groups
    assert group["weight_decay"] == WEIGHT_DECAY
    assert f"weight decay {WEIGHT_DECAY:g}" in text
    assert (
        f"learning rate from {made.initial_lr:g} by a polynomial of power {made.lr_scheduler.exponent:g} to 0" in text
    )
    assert made.lr_scheduler.exponent == POLYNOMIAL
    assert f"{made.oversample_foreground_percent:.0%} of the patches were centred on a label" in text
    assert OPTIMIZERS[optimizer] in text
    if optimizer == "sgd":
        assert type(made.optimizer) is torch.optim.SGD
        assert group["nesterov"]
        assert f"Nesterov momentum {group['momentum']:g}" in text
    else:
        assert type(made.optimizer) is torch.optim.AdamW
    assert f"seed {made.settings.seed} plus the number of the fold" in text


def test_a_trainer_of_ones_own_is_named_as_it_is():
    assert "with PostTxTrainerMine: nnU-Net's augmentation" in told(
        methods.training(trained(trainer="PostTxTrainerMine"))
    )


def test_augmentation_mirrors_whatever_the_prediction_does(trainer):
    made = trainer(trained(mirroring=False))
    made.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    assert made.inference_allowed_mirroring_axes == (0, 1, 2)
    for mirroring in (True, False):
        assert "augmentation (mirroring among it)" in told(methods.training(trained(mirroring=mirroring)))


@pytest.mark.parametrize("mirroring", [True, False])
def test_prediction_is_told_as_it_is_done(model, mirroring):  # noqa: F811
    text = told(methods.training(trained(mirroring=mirroring, folds=test_predictor.FOLDS)))
    ensemble, _ = load_ensemble(checkpoints(model), "cpu", mirroring)
    assert f"the ensemble of the {len(ensemble.networks)} folds (the mean of their logits)" in text
    data = torch.randn(4, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    together = ensemble.logits(data)
    alone = [ensemble.logits(data, [network]) for network in ensemble.networks]
    assert torch.allclose(together, sum(alone) / len(alone), atol=1e-4)
    of_softmax = sum(one.softmax(0) for one in alone) / len(alone)
    assert not torch.allclose(together.softmax(0), of_softmax, atol=1e-4)
    copies = 2 ** len(ensemble.mirror_axes)
    assert ("averaged over the eight mirrored copies" in text) == (copies == 8) == mirroring
    assert ("without mirrored copies" in text) == (copies == 1)


@pytest.mark.parametrize(("scheme", "dilation"), [*product(SCHEMES, ["executed"]), ("brats2024", "intended")])
def test_scores_are_told_as_they_are_made(tmp_path, scheme, dilation):
    config = tree.configured(
        models={"theirs": {"predictions": {"additional": "x"}}},
        evaluation={"scheme": scheme, "snfh_dilation": dilation, "surface_tolerance_mm": [0.5, 2.0]},
    )
    text = told(methods.evaluation(config))
    cohort = Cohort(tmp_path)
    cohort.score(("one",), scheme=scheme, snfh_dilation=dilation, tolerances=[0.5, 2.0])
    table = cohort.table("one")
    assert len(table["case"].unique()) == len(CASES)
    measured = table["hd95_mm"].notna().any()
    assert measured == ("95th percentile of the Hausdorff distance" in text) == (scheme != "voxel")
    assert measured == ({"nsd_0.5", "nsd_2.0"} <= set(table.columns) and "at 0.5 and 2 mm" in text)
    assert ("lesion-wise" in text) == table["lesion_dice"].notna().any()
    assert ("SNFH is dilated by 5" in text) == (dilation == "intended")


def test_counts_alone_have_no_distances():
    config = tree.configured(models={"published": {"counts": {"additional": "summary.json"}}})
    assert "only counts were given" in told(methods.evaluation(config))


def test_the_versions_are_those_that_are_installed():
    from importlib.metadata import version

    text = methods.software(provenance(tree.configured(), tree.ROOT))
    for name, number in re.findall(r"([a-z0-9]+) (\d[\w.]*)", text.replace("Python", "python")):
        if name != "python":
            assert name in PACKAGES
            assert number.rstrip(".") == version(name)
    assert "nnunetv2" in text


THEIRS = {"theirs": {"predictions": {"additional": "x"}}}


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        ({"nnunet": {"train": {}}, **THEIRS}, "standardised, 1 of 2 model(s) trained"),
        (THEIRS, "Scans are audited, segmentations scored"),
    ],
)
def test_the_archives_first_page_counts_the_models_that_were_trained(models, sentence):
    text = (tree.ASSETS / "workflow.rst").read_text(encoding="utf-8")
    used = SimpleNamespace(config=tree.configured(models=models))
    assert sentence in " ".join(Environment().from_string(text).render(snakemake=used).split())

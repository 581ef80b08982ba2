"""Every kind of bad input that docs/bad-input.md lists, outside the ingestion: what is said, and what survives.

The document is not written from memory: each row's message must be found in what the product says of such an input,
and each claim of what survives stands here, beside the lines that check it.
"""

import copy
import importlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import results_tree as tree
import test_draw_review as drawing
import test_score_shard as scoring
import torch
import yaml
from audit_cases import audited, geometry_table
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager
from scored import by_counts
from test_report_inputs import INPUTS
from test_standardize import Shard

import standardize_shard
from bad_input_table import DOCUMENT, counts, rows_of
from bad_input_table import tests as documented
from gather_metrics import remarks_on_predictions
from import_counts import import_counts
from postprocess_shard import postprocess_shard
from posttx import configuration
from posttx.analysis.comparison import compare_models
from posttx.analysis.tables import make_tables
from posttx.auditing.finding_codes import CODES
from posttx.auditing.findings import Finding
from posttx.cases import MODALITIES, Case, Listing
from posttx.config_paths import check_paths, check_previous
from posttx.errors import CasesFailedError, PostTxError
from posttx.exclusions import read_ratings, without_excluded
from posttx.facts import CATEGORICAL, NUMERIC, Fact
from posttx.files import read_json, sha256_of, write_json
from posttx.labels import LabelScheme, load_scheme
from posttx.networks import loaders
from posttx.networks.architectures import refuse_foreign_network
from posttx.networks.checkpoints import LATEST, check_checkpoint, prepare_fold, write_checkpoint
from posttx.networks.confidence import Segmentation
from posttx.networks.gpu_slots import take_slots
from posttx.networks.left_out import values_left_out
from posttx.networks.levers import planned_levers
from posttx.networks.levers.hard_negatives import HardNegatives
from posttx.networks.nnunet import customize_plan, with_levers
from posttx.networks.predictor import load_ensemble
from posttx.networks.splits import check_splits
from posttx.networks.targets import expand_targets
from posttx.networks.trainings import check_levers
from posttx.nifti import write_volume
from posttx.path_names import check_path_names
from posttx.postprocess.components import component_rows, components_table
from posttx.postprocess.rules import Rule, RuleSet, read_rules
from posttx.reporting.case_volumes import read_scan
from posttx.reporting.figures_training import read_progress
from posttx.reporting.report import write_report
from posttx.schemas import COMPONENTS, GEOMETRY, write_table
from posttx.scoring.predictions import check_predictions, find_predictions
from posttx.shard_files import write_case_list
from restore_shard import restore_shard

ROOT = Path(__file__).resolve().parents[2]
HERE = "tests/unit/test_bad_input_matrix.py"
PAGES = "tests/unit/test_report_inputs.py"
INGESTION = "tests/integration/test_bad_input.py"
DEFAULTS = yaml.safe_load((ROOT / "config/config.yaml").read_text())
SCHEMA = yaml.safe_load((ROOT / "config/schema/config.schema.yaml").read_text())
FIRST, SECOND, THIRD = scoring.CASES

NOTHING_BEGUN = "no work has begun"
OTHER_CASES = "the other cases"
OTHERS_SCORED = "the other cases, and the case's scores of other models"
TRAINING = "the training so far"
EARLIER = "all earlier results"
OTHER_PICTURES = "the pictures of the other cases"
EVERYTHING = "everything: the run goes on"


@dataclass(frozen=True)
class Kind:
    """One kind of bad input: where it is met, what survives it, and a function that returns the error told."""

    stage: str
    survives: str
    provoke: Callable[[Path, pytest.MonkeyPatch], PostTxError]


KINDS: dict[str, Kind] = {}


def kind(name: str, stage: str, survives: str) -> Callable[[Callable[..., PostTxError | Finding]], None]:
    def register(function: Callable[..., PostTxError]) -> None:
        assert name not in KINDS
        KINDS[name] = Kind(stage, survives, function)

    return register


def refusal(function: Callable[..., object], *arguments: object, **options: object) -> PostTxError:
    with pytest.raises(PostTxError) as caught:
        function(*arguments, **options)
    return caught.value


# Configuration: refused when the workflow is parsed.


def configured(**changes: object) -> PostTxError:
    given = {"cohorts": {"a": {"path": "x", "use": "train"}}, "models": {"m": {"train": {}}}} | changes
    config = configuration.complete(given, DEFAULTS)

    def check() -> None:
        configuration.check_schema(config, SCHEMA, "mine.yaml")
        for model in config["models"].values():
            if "train" in model:
                model["train"] = {"folds": 5, "trainer": "nnUNetTrainer", "plan": {}, "planner": "plain",
                                  "configuration": "3d_fullres", "seed": 0, "further_seeds": [],
                                  **model["train"]}  # fmt: skip
        configuration.cross_check(config)

    return refusal(check)


CONFIGURATIONS: dict[str, dict] = {
    "unknown key": {"standardise": {"spacing": 2}},
    "value out of range": {"shards": 0},
    "value of the wrong type": {"standardize": {"spacing": "one"}},
    "line break in a name": {"labels": "brats2024\n"},
    "cohort called ../x": {"cohorts": {"../x": {"path": "x", "use": "train"}}},
    "two cohorts for training": {"cohorts": {name: {"path": name, "use": "train"} for name in ("a", "b")}},
    "cohort from two sources": {"cohorts": {"a": {"path": "x", "sheet": "y", "use": "train"}}},
    "predictions for no cohort": {"models": {"m": {"predictions": {"zz": "p"}}}},
    "ensemble of a model that is not there": {"models": {"m": {"train": {}}, "e": {"ensemble": ["m", "n"]}}},
    "ensemble of one model": {"models": {"m": {"train": {}}, "e": {"ensemble": ["m"]}}},
    "ensemble of one model twice": {"models": {"m": {"train": {}}, "e": {"ensemble": ["m", "m"]}}},
    "ensemble of an ensemble": {
        "models": {"m": {"train": {}}, "e": {"ensemble": ["m", "f"]}, "f": {"ensemble": ["m", "e"]}}
    },
    "ensemble with somebody's predictions": {
        "models": {"m": {"train": {}}, "n": {"predictions": {"a": "p"}}, "e": {"ensemble": ["m", "n"]}}
    },
    "ensemble of labels and regions": {
        "models": {
            "m": {"train": {}},
            "r": {"train": {"planner": "resenc_m", "targets": "regions"}},
            "e": {"ensemble": ["m", "r"]},
        }
    },
    "weights without an ensemble": {"models": {"m": {"train": {}, "weights": "equal"}}},
    "model from two sources": {"models": {"m": {"train": {}, "counts": {"a": "s"}}}},
    "trainer without digests": {"models": {"m": {"train": {"trainer": "nnUNetTrainerNoMirroring"}}}},
    "percentiles that meet": {"standardize": {"clip_percentiles": [50, 50]}},
    "orientation RLS": {"standardize": {"orientation": "RLS"}},
}
for told, changes in CONFIGURATIONS.items():
    kind(told, "configuration", NOTHING_BEGUN)(lambda _path, _patch, changes=changes: configured(**changes))


@kind("more folds than patients", "configuration", NOTHING_BEGUN)
def _(_path, _patch):
    config = {"cohorts": {"a": {"use": "train"}}, "models": {"m": {"train": {"folds": 5}}}}
    return refusal(configuration.check_patients, config, {"a": [Case(f"c{n}", "p", n, "a", "000") for n in range(9)]})


SITES = {"A-1": "north", "A-2": "south", "B-1": "south"}
LEFT_OUT: dict[str, list[Fact]] = {
    "site to leave out without a table of facts": [],
    "site to leave out that is no fact": [Fact("scanner", "case", CATEGORICAL, SITES)],
    "site to leave out that is a number": [Fact("site", "case", NUMERIC, SITES)],
    "site to leave out that all cases have": [Fact("site", "case", CATEGORICAL, dict.fromkeys(SITES, "north"))],
    "case without a site to leave out": [Fact("site", "case", CATEGORICAL, {"A-1": "north", "A-2": "north"})],
    "patient of two sites to leave out": [Fact("site", "case", CATEGORICAL, SITES)],
}
for told, facts in LEFT_OUT.items():
    kind(told, "configuration", NOTHING_BEGUN)(
        lambda _path, _patch, facts=facts: refusal(
            values_left_out, "site", "a", {case: case[0] for case in SITES}, facts
        )
    )


@kind("models that leave out and models that do not", "configuration", NOTHING_BEGUN)
def _(_path, _patch):
    other = {"train": {"planner": "resenc_m", "leave_out": "site"}}
    return configured(models={"m": {"train": {}}, "n": other})


@kind("case to picture that nobody has", "configuration", NOTHING_BEGUN)
def _(_path, _patch):
    return refusal(configuration.check_pictured, {"report": {"cases": ["b"]}}, {"a": [Case("c", "p", 1, "a", "000")]})


@kind("rules of post-processing chosen for lesions that the scheme does not count", "configuration", NOTHING_BEGUN)
def _(_path, _patch):
    train = {"postprocess": "auto", "postprocess_for": "lesion_dice"}
    return configured(models={"m": {"train": train}}, evaluation={"scheme": "voxel"})


@kind("lever for a class that is not learnt", "configuration", NOTHING_BEGUN)
def _(_path, _patch):
    return refusal(check_levers, levered(boundary={"between": ["RC", "XY"], "weight": 1}), ["ET", "RC"])


@kind("regions of a label scheme without any", "configuration", NOTHING_BEGUN)
def _(_path, _patch):
    return refusal(expand_targets, levered(targets="regions"), LabelScheme("mine", "", (), ()))


@kind("levers that contradict each other", "configuration", NOTHING_BEGUN)
def _(_path, _patch):
    chosen = {"boundary": {"between": ["RC", "ET"], "weight": 1}, "targets": "regions"}
    return refusal(check_levers, levered(**chosen), ["ET", "RC"])


def levered(**chosen: object) -> dict:
    return {"models": {"m": {"train": chosen}}}


@kind("label scheme that is not there", "configuration", NOTHING_BEGUN)
def _(_path, _patch):
    return refusal(load_scheme, ROOT / "config/labels/mine.yaml")


@kind("path that is not there", "configuration", NOTHING_BEGUN)
def _(path, patch):
    patch.chdir(path)
    (path / "summary.json").touch()
    return refusal(check_paths, {"models": {"m": {"counts": {"a": "sumary.json"}}}}, SCHEMA)


@kind("earlier run without metrics", "configuration", NOTHING_BEGUN)
def _(path, patch):
    patch.chdir(path)
    (path / "earlier").mkdir()
    return refusal(check_previous, {"statistics": {"previous": "earlier"}, "cohorts": {"a": {}}}, "results")


@kind("no model for a target after the audit", "configuration", NOTHING_BEGUN)
def _(_path, _patch):
    config = configuration.complete({"cohorts": {"a": {"path": "x", "use": "test"}}}, DEFAULTS)
    return refusal(configuration.check_models, config)


@kind("label scheme with label 0", "configuration", NOTHING_BEGUN)
def _(path, _patch):
    (path / "mine.yaml").write_text("name: x\nlabels:\n  0: {name: a}\n  1: {name: b}\n")
    return refusal(load_scheme, path / "mine.yaml")


@kind("label scheme that runs Python", "configuration", NOTHING_BEGUN)
def _(path, _patch):
    (path / "mine.yaml").write_text("name: !!python/object/apply:os.getcwd []\n")
    return refusal(load_scheme, path / "mine.yaml")


def ratings(path: Path, text: str) -> PostTxError:
    (path / "ratings.tsv").write_text(text)
    return refusal(read_ratings, path / "ratings.tsv")


@kind("ratings with other columns", "configuration", NOTHING_BEGUN)
def _(path, _patch):
    return ratings(path, "case\nx\n")


@kind("rating that there is not", "configuration", NOTHING_BEGUN)
def _(path, _patch):
    return ratings(path, "cohort\tcase\trating\tcomment\na\tx\tdrop\t\n")


@kind("every case rated exclude", "configuration", NOTHING_BEGUN)
def _(path, _patch):
    (path / "ratings.tsv").write_text("cohort\tcase\trating\tcomment\na\tx\texclude\t\n")
    listing = {"a": Listing([Case("x", "p", 1, "a", "000")], [])}
    return refusal(without_excluded, listing, read_ratings(path / "ratings.tsv"))


def planned(path: Path, *names: str) -> PostTxError:
    for name in names:
        (path / name).touch()
    return refusal(lambda: check_predictions(find_predictions(path, [FIRST]), path, [FIRST]))


@kind("predictions of no case", "configuration", NOTHING_BEGUN)
def _(path, _patch):
    return planned(path, "patient1.nii.gz")


@kind("two predictions of a case in the folder", "configuration", NOTHING_BEGUN)
def _(path, _patch):
    return planned(path, f"{FIRST}.nii.gz", f"{FIRST}_pred.nii.gz")


@kind("file of a case below a folder called <results>", "configuration", NOTHING_BEGUN)
def _(_path, _patch):
    return refusal(check_path_names, [(FIRST, f"/data/<results>/{FIRST}/{FIRST}-t1n.nii.gz")])


@kind("file of a case below a folder with a terminal code", "configuration", NOTHING_BEGUN)
def _(_path, _patch):
    return refusal(check_path_names, [(FIRST, f"/data/\x1b[2J/{FIRST}/{FIRST}-t1n.nii.gz")])


@kind("file of a case below a folder called {5F2C9A}", "configuration", NOTHING_BEGUN)
def _(_path, _patch):
    return refusal(check_path_names, [(FIRST, f"/data/{{5F2C9A}}/{FIRST}/{FIRST}-t1n.nii.gz")])


@kind("configured path with <x>", "configuration", NOTHING_BEGUN)
def _(path, _patch):
    (path / "a<x>").mkdir()
    return refusal(check_paths, {"cohorts": {"a": {"path": str(path / "a<x>"), "use": "test"}}}, SCHEMA, "mine.yaml")


# Standardisation: what an accepted audit lets through. Every case is tried.


def standardized(path: Path, spoil: Callable[[Case], None], **options: object) -> PostTxError:
    shard = Shard(path)
    spoil(shard.add("A-00001-100"))
    shard.add("A-00002-100")
    with pytest.raises(CasesFailedError) as caught:
        shard.run(**options)
    assert list(caught.value.failures) == ["A-00001-100"]
    assert shard.label("A-00002-100").data.any()
    return caught.value


def add_half(case: Case) -> None:
    volume = scoring.read_volume(case.files["seg"])
    scoring.write_volume(case.files["seg"], volume.data + np.float32(0.5), volume.affine)


def voxels_of_40_mm(case: Case) -> None:
    volume = scoring.read_volume(case.files["t1c"])
    scoring.write_volume(case.files["t1c"], volume.data, np.diag([40.0, 40, 40, 1]))


@kind("reference between integers", "standardisation", OTHER_CASES)
def _(path, _patch):
    return standardized(path, add_half)


@kind("error that nobody foresaw", "standardisation", OTHER_CASES)
def _(path, patch):
    work = standardize_shard.standardize_case

    def stumble(job):
        if job.case == "A-00001-100":
            raise OverflowError("a header of 600000 bytes")
        return work(job)

    patch.setattr(standardize_shard, "standardize_case", stumble)
    return standardized(path, lambda case: None)


@kind("image torn after its audit", "standardisation", OTHER_CASES)
def _(path, _patch):
    return standardized(path, lambda case: Path(case.files["t2w"]).write_bytes(b"\x1f\x8b torn") and None)


@kind("contradicting affines, no reading chosen", "standardisation", OTHER_CASES)
def _(path, _patch):
    return standardized(path, voxels_of_40_mm, decisions={"A-00001-100": "fail"}, leader="t1n")


@kind("held-out case without a modality that models do without", "audit", EVERYTHING)
def _(path, _patch):
    files = {name: path / f"{name}.nii.gz" for name in MODALITIES if name != "t2f"}
    for name, file in files.items():
        draw = np.random.default_rng(len(name)).uniform(10, 90, (20, 24, 18))
        write_volume(file, draw.astype(np.float32), scoring.LAS)
    audit = audited(files, use="predict")
    assert audit.geometry[0]["decision"] == "agree"
    (told,) = [finding for finding in audit.findings if finding.code == "COH021"]
    return told


@kind("voxel size rounded in a header", "audit", EVERYTHING)
def _(path, _patch):
    files = {}
    for name in MODALITIES:
        edge = 0.938 if name == "t2w" else 0.9375
        files[name] = path / f"{name}.nii.gz"
        image = np.random.default_rng(len(files)).uniform(1, 9, (256, 256, 2)).astype(np.float32)
        write_volume(files[name], image, scoring.LAS @ np.diag([edge, edge, 1, 1]))
    audit = audited(files, use="predict")
    assert audit.geometry[0]["decision"] == "agree"
    (told,) = [finding for finding in audit.findings if finding.code == "GEO015"]
    return told


@kind("voxels of 40 mm", "standardisation", OTHER_CASES)
def _(path, _patch):
    return standardized(path, voxels_of_40_mm)


# Planning and training.

PLAN = {
    "plans_name": "nnUNetPlans",
    "configurations": {"3d_fullres": {"patch_size": [32, 30, 32], "architecture": {"arch_kwargs": {}}}},
}


@kind("patch that cannot be halved", "planning", EARLIER)
def _(_path, _patch):
    return refusal(customize_plan, PLAN, "3d_fullres", {"features": [4, 8, 16]})


@kind("network of two stages", "planning", EARLIER)
def _(_path, _patch):
    return refusal(customize_plan, PLAN, "3d_fullres", {"features": [4, 8]})


@kind("network that has no attention gates", "planning", EARLIER)
def _(_path, _patch):
    plan = {"configurations": {"3d_fullres": {"architecture": {"network_class_name": "some.Other"}}}}
    return refusal(with_levers, plan, "3d_fullres", {"attention": "gates"})


@kind("plan that lost its levers", "training", EARLIER)
def _(_path, _patch):
    plan = {"plans_name": "nnUNetPlans_0a1b2c3d", "configurations": {"c": {"data_identifier": "nnUNetPlans_c"}}}
    return refusal(planned_levers, plan, "c")


@kind("hard negatives of a held-out case", "training", EARLIER)
def _(_path, _patch):
    return refusal(HardNegatives, [{"case": "b", "label": 3, "voxel": [1, 2, 3]}], 0.3, ["a"], None)


@kind("patient on both sides of a fold", "planning", EARLIER)
def _(_path, _patch):
    folds = [{"train": ["a-1"], "val": ["a-2"]}, {"train": ["a-2"], "val": ["a-1"]}]
    return refusal(check_splits, folds, {"a-1": "a", "a-2": "a"})


@kind("case in no fold", "planning", EARLIER)
def _(_path, _patch):
    return refusal(check_splits, [{"train": ["a"], "val": ["b"]}], {"a": "a", "b": "b", "c": "c"})


def trainer(patch: pytest.MonkeyPatch):
    patch.syspath_prepend(str(ROOT / "workflow/trainers"))
    return importlib.import_module("posttx_trainer").PostTxTrainer


@kind("fold that the file does not hold", "training", EARLIER)
def _(path, patch):
    write_json(path / "splits_final.json", [{"train": ["a"], "val": ["b"]}])
    before = read_json(path / "splits_final.json")
    error = refusal(trainer(patch)._split, SimpleNamespace(fold=7, preprocessed_dataset_folder_base=str(path)))
    assert read_json(path / "splits_final.json") == before
    return error


@kind("CUDA asked for and absent, in training", "training", TRAINING)
def _(path, patch):
    save(path)
    patch.setattr(torch.cuda, "is_available", lambda: False)
    error = refusal(trainer(patch), {}, "3d_fullres", 0, {}, torch.device("cuda"))
    check_checkpoint(path / LATEST)
    return error


@kind("no GPU on the machine", "training", TRAINING)
def _(path, _patch):
    return refusal(take_slots, 1, {"CUDA_VISIBLE_DEVICES": "", "PATH": "", "POSTTX_GPU_LOCKS": str(path / "locks")})


@kind("all GPUs taken", "training", TRAINING)
def _(path, _patch):
    machine = {"CUDA_VISIBLE_DEVICES": "4", "PATH": "", "POSTTX_GPU_LOCKS": str(path / "locks")}
    held = take_slots(1, machine)
    error = refusal(take_slots, 1, machine, wait_seconds=0)
    assert held
    return error


def save(folder: Path) -> None:
    write_checkpoint(folder / LATEST, lambda beside: torch.save({"w": torch.ones(4)}, beside))


@kind("disk full while a checkpoint is written", "training", TRAINING)
def _(path, _patch):
    def full(_beside: Path) -> None:
        raise OSError(28, "No space left on device")

    save(path)
    error = refusal(write_checkpoint, path / LATEST, full)
    check_checkpoint(path / LATEST)
    return error


@kind("checkpoint that everybody may write to", "training", TRAINING)
def _(path, _patch):
    prepare_fold(path, {"plans": "a"})
    save(path)
    (path / LATEST).chmod(0o666)
    error = refusal(prepare_fold, path, {"plans": "a"})
    assert (path / LATEST).exists()
    return error


@kind("too little shared memory for the loaders", "training", TRAINING)
def _(path, patch):
    patch.setattr(loaders.os, "statvfs", lambda folder: type("Status", (), {"f_bavail": 16_384, "f_frsize": 4096}))
    return refusal(loaders.refuse_small_shared_memory, 2**26, 11, True, path)


@kind("batch that never comes", "training", TRAINING)
def _(_path, _patch):
    def wait() -> None:
        with loaders.time_limit(0.05):
            time.sleep(60)

    return refusal(wait)


# Prediction.


def unusable(path: Path, spoil: Callable[[Path], object]) -> PostTxError:
    for name in ("plans.json", "dataset.json"):
        write_json(path / name, {})
    save(path / "fold_0")
    spoil(path / "fold_0" / LATEST)
    return refusal(load_ensemble, [path / "fold_0" / LATEST], "cpu", False)


@kind("checkpoint that is not there", "prediction", EARLIER)
def _(path, _patch):
    return unusable(path, lambda checkpoint: checkpoint.unlink())


@kind("checkpoint of somebody else", "prediction", EARLIER)
def _(path, _patch):
    return unusable(path, lambda checkpoint: checkpoint.with_name(f"{LATEST}.sha256").unlink())


@kind("checkpoint torn or forged", "prediction", EARLIER)
def _(path, _patch):
    return unusable(path, lambda checkpoint: checkpoint.write_bytes(checkpoint.read_bytes()[:-20]))


@kind("checkpoint with code in it", "prediction", EARLIER)
def _(path, _patch):
    def forge(checkpoint: Path) -> None:
        torch.save({"w": Path("anything")}, checkpoint)
        checkpoint.with_name(f"{LATEST}.sha256").write_text(sha256_of(checkpoint))

    return unusable(path, forge)


@kind("plan that names code", "prediction", EARLIER)
def _(_path, _patch):
    plan = {"architecture": {"network_class_name": "torch.hub.load", "arch_kwargs": {}, "_kw_requires_import": []}}
    return refusal(refuse_foreign_network, ConfigurationManager(plan))


@kind("CUDA asked for and absent, in prediction", "prediction", EARLIER)
def _(_path, patch):
    patch.setattr(torch.cuda, "is_available", lambda: False)
    return refusal(load_ensemble, [], "cuda", False)


@kind("case that no fold held out", "prediction", EARLIER)
def _(path, _patch):
    pd.DataFrame({"case": ["a"]}).to_parquet(path / "transforms.parquet")
    pd.DataFrame({"case": ["b"], "fold": [0]}).to_parquet(path / "splits.parquet")
    tables = path / "transforms.parquet", path / "splits.parquet"
    error = refusal(restore_shard, *tables, [], path / "out/cases.tsv", path / "out/components.parquet", {}, 1)
    assert not (path / "out").exists()
    return error


@kind("rows of components of another prediction", "prediction", OTHER_CASES)
def _(path, _patch):
    speck = np.zeros((4, 4, 4), np.uint8, order="F")
    speck[1, 1, 1] = 3
    write_volume(path / "raw/a.nii.gz", speck * 0, np.eye(4))
    write_volume(path / "raw/b.nii.gz", speck, np.eye(4))
    write_case_list(path / "raw/_cases.tsv", "ab")
    rows = component_rows(Segmentation(speck, speck * 80, speck), np.eye(4))
    write_table(components_table({"a": rows, "b": rows}, {3: "ET"}), COMPONENTS, path / "components.parquet")
    rules = RuleSet("m", {3: "ET"}, {"ET": Rule(min_mm3=2)})
    given = path / "raw/_cases.tsv", path / "components.parquet"
    error = refusal(postprocess_shard, *given, rules, path / "post/_cases.tsv")
    assert [file.name for file in (path / "post").iterdir()] == ["b.nii.gz"]
    return error


def of_rules(path: Path, **changed: object) -> PostTxError:
    """Return how a file of rules of post-processing is refused that is right but for what is changed."""
    content = {"schema": 1, "model": "m", "labels": {"3": "ET"}, "rules": {"ET": {"min_mm3": 30}}}
    write_json(path / "rules.json", content | changed)
    return refusal(read_rules, path / "rules.json", load_scheme(ROOT / "config/labels/brats2024.yaml"), "m")


RULES = {
    "rules of post-processing of another model": {"model": "n"},
    "rules of post-processing for other labels": {"labels": {"4": "ET"}},
    "rules of post-processing for a composite region": {"rules": {"WT": {"min_mm3": 30}}},
    "rules of post-processing with an unknown key": {"rules": {"ET": {"min_mm": 30}}},
    "rules of post-processing with a negative number": {"rules": {"ET": {"min_mm3": -30}}},
}
for told, changed in RULES.items():
    kind(told, "configuration", NOTHING_BEGUN)(lambda path, _patch, changed=changed: of_rules(path, **changed))


# Scoring: one case of one model is bad.


def scored(path: Path, spoil: Callable[[scoring.Cohort, str], object]) -> PostTxError:
    cohort = scoring.Cohort(path)
    spoil(cohort, SECOND)
    with pytest.raises(CasesFailedError) as caught:
        cohort.score()
    assert set(cohort.table("one")["case"]) == {FIRST, THIRD}
    assert set(cohort.table("two")["case"]) == set(scoring.CASES)
    return caught.value


SPOILT: dict[str, Callable[[scoring.Cohort, str], object]] = {
    "prediction on another grid": scoring.with_other_grid,
    "prediction that lost its header": scoring.with_lost_header,
    "prediction with a strange label": scoring.with_strange_label,
    "probabilities for labels": scoring.with_floats,
    "prediction cut off": scoring.truncated,
    "prediction that is no NIfTI": scoring.not_nifti,
    "two predictions of a case": scoring.twice,
    "prediction missing": scoring.missing,
}
for told, spoil in SPOILT.items():
    kind(told, "scoring", OTHERS_SCORED)(lambda path, _patch, spoil=spoil: scored(path, spoil))


@kind("prediction whose voxels are in another file", "scoring", OTHERS_SCORED)
def _(path, _patch):
    def detach(cohort: scoring.Cohort, case: str) -> None:
        (cohort.root / f"one/{case}.nii.gz").unlink()
        (cohort.root / f"one/{case}.mha").write_text("NDims = 3\nDimSize = 9 9 9\nElementDataFile = /etc/hostname\n")

    return scored(path, detach)


def findings_of(path: Path, model="one") -> list[Finding]:
    files = (path / f"results/metrics/c/{model}/000").glob("*.parquet")
    return remarks_on_predictions({file.stem: file for file in files}, "c", model)


@kind("voxel size of a prediction rounded", "scoring", EVERYTHING)
def _(path, _patch):
    cohort = scoring.Cohort(path)
    labels = np.zeros((256, 256, 2), np.uint8)
    labels[40:60, 30:50] = 2
    for folder, edge in (("references", 0.9375), ("one", 0.938), ("two", 0.9375)):
        # Another segmentation for the second model: the reference itself would be told.
        drawn = np.roll(labels, folder == "two", 0)
        cohort.write(f"{folder}/{FIRST}.nii.gz", drawn, scoring.LAS @ np.diag([edge, edge, 1, 1]))
    cohort.score()
    table = cohort.table("one").query("case == @FIRST and region == 'SNFH'")
    assert table["dice"].tolist() == [1.0]
    assert "EVA015" not in {finding.code for finding in findings_of(path, "two")}
    (told,) = findings_of(path)
    return told


@kind("contradicting affines at scoring, no reading chosen", "scoring", EVERYTHING)
def _(path, _patch):
    cohort = scoring.Cohort(path)
    write_table(geometry_table({SECOND: path / f"references/{SECOND}.nii.gz"}, {SECOND: "fail"}), GEOMETRY, path / "g")
    cohort.score(geometry=path / "g")
    table = cohort.table("one")
    assert set(table.loc[table["dice"].notna(), "case"]) == {FIRST, THIRD}
    assert table.loc[table["case"] == SECOND, "n_pred"].gt(0).any()
    (told,) = findings_of(path)
    assert told.case == SECOND
    return told


@kind("reference that cannot be read", "scoring", OTHER_CASES)
def _(path, _patch):
    cohort = scoring.Cohort(path)
    (path / f"references/{SECOND}.nii.gz").write_bytes(b"")
    with pytest.raises(CasesFailedError) as caught:
        cohort.score()
    for model in ("one", "two"):
        assert set(cohort.table(model)["case"]) == {FIRST, THIRD}
    return caught.value


@kind("folder of predictions that is not there", "scoring", EARLIER)
def _(path, _patch):
    return refusal(scoring.Cohort(path).score, ("nobody",))


@kind("scores of a case lost", "scoring", EARLIER)
def _(path, _patch):
    cohort = scoring.Cohort(path)
    cohort.score()
    next((cohort.results / "metrics/c/one").rglob(f"{SECOND}.parquet")).unlink()
    error = refusal(cohort.gather)
    assert set(cohort.table("one")["case"]) == {FIRST, THIRD}
    return error


# Counts: one entry is bad.

COUNTED = {"TP": 5, "FP": 2, "FN": 3, "TN": 90}


def imported(path: Path, spoil: Callable[[list[dict]], object]) -> PostTxError:
    entries = [
        {"prediction_file": f"/x/{case}.nii.gz", "metrics": {"1": dict(COUNTED), "2": dict(COUNTED)}}
        for case in scoring.CASES
    ]
    spoil(entries)
    (path / "summary.json").write_text(json.dumps({"metric_per_case": entries}))
    outputs = {name: path / f"{name}.parquet" for name in ("metrics", "lesions", "confusion", "findings")}
    arguments = (path / "summary.json", None, outputs, "c", "m", {"A": [1], "B": [2]}, 4)
    with pytest.raises(CasesFailedError) as caught:
        import_counts(*arguments)
    assert {file.stem for file in (path / "metrics").rglob("*.parquet")} == {FIRST, THIRD}
    return caught.value


ENTRIES: dict[str, Callable[[list[dict]], object]] = {
    "counts without a case name": lambda entries: entries[1].pop("prediction_file"),
    "counts of a case twice": lambda entries: entries.insert(2, copy.deepcopy(entries[1])),
    "counts with a hostile id": lambda entries: entries[1].update(prediction_file="../../etc/pass wd"),
    "counts of another label": lambda entries: entries[1]["metrics"].update({"7": COUNTED}),
    "counts of one label missing": lambda entries: entries[1]["metrics"].pop("2"),
    "negative counts": lambda entries: entries[1]["metrics"]["1"].update(TP=-1),
    "counts that do not add up": lambda entries: entries[1]["metrics"]["1"].update(n_ref=3),
}
for told, change in ENTRIES.items():
    kind(told, "counts", OTHER_CASES)(lambda path, _patch, change=change: imported(path, change))


@kind("counts file that is none", "counts", EARLIER)
def _(path, _patch):
    (path / "summary.json").write_text('{"results": []}')
    return refusal(import_counts, path / "summary.json", None, {}, "c", "m", {"A": [1]}, 4)


# Tables and report.

HAND = {f"P-0000{n}-100": {"A": (5, 1, 1), "B": (3, 1, 0)} for n in range(3)}
TWO = {"A": [1], "B": [2]}


@kind("region of a case missing", "tables", EARLIER)
def _(_path, _patch):
    return refusal(make_tables, by_counts(HAND).iloc[1:], TWO)


@kind("scores by another label scheme", "tables", EARLIER)
def _(_path, _patch):
    return refusal(make_tables, by_counts(HAND), {"A": [1]})


@kind("models scored against other references", "tables", EARLIER)
def _(_path, _patch):
    other = {**HAND, "P-00000-100": {"A": (1, 1, 1), "B": (1, 1, 1)}}
    return refusal(compare_models, {"c": {"old": by_counts(HAND), "new": by_counts(other)}}, TWO)


@kind("progress of a fold damaged", "report", EARLIER)
def _(path, _patch):
    (path / "progress.jsonl").write_text('{"epoch": 0}\nnonsense\n{"epoch": 1}\n')
    return refusal(read_progress, path / "progress.jsonl")


@kind("table of a model missing", "report", EARLIER)
def _(path, _patch):
    counts = {"cohorts": {"additional": {"use": "test"}}, "models": {"m": {"counts": {"additional": "s.json"}}}}
    settings = tree.settings_of(tree.configured(**counts), {"additional": False}, trained=False)
    tree.write_scores(path, tree.case_metrics(6, "additional", "m"), "additional", "m")
    (path / "tables/additional/m/per_class.parquet").unlink()
    error = refusal(write_report, path, tree.ASSETS, path / "report/index.html", settings)
    assert not (path / "report/index.html").exists()
    assert (path / "tables/additional/m/summary.parquet").exists()
    return error


def undrawn(path: Path, file: str, content: bytes) -> PostTxError:
    """Damage a file after scoring, draw, and return what is wrong with it; the other cases are there."""
    held = drawing.Held(path)
    Path(held.path(file)).write_bytes(content)
    codes = held.review()["old"]
    first, others = drawing.CASES[0], drawing.CASES[1:]
    assert drawing.stems(held.folders.images) == drawing.stems(held.folders.labels / "old") == others
    told = held.thumbs().set_index(["case", "model"])["code"]
    assert told[first, "old"] == codes[first]
    assert (told[others] == "").all()
    row = held.rows[0]

    def read() -> None:
        scan = read_scan(first, {"t1c": row["t1c"]}, row["seg"], held.readings[first])
        scan.with_prediction(held.path(f"{first}-old"))

    error = refusal(read)
    assert codes == {first: error.code}
    return error


@kind("image damaged since the audit", "report", OTHER_PICTURES)
def _(path, _patch):
    return undrawn(path, f"{drawing.CASES[0]}-t1c", b"no image")


@kind("reference that is gone since it was scored", "report", OTHER_PICTURES)
def _(path, _patch):
    return undrawn(path, f"{drawing.CASES[0]}-seg", b"")


@pytest.mark.parametrize("name", KINDS)
def test_what_is_said_and_what_survives_is_what_the_document_says(name, tmp_path, monkeypatch):
    told = KINDS[name].provoke(tmp_path, monkeypatch)
    row, text = rows_of(HERE)[name], str(told)
    single = next(iter(told.failures.values())) if isinstance(told, CasesFailedError) else told
    assert (row.stage, row.survives) == (KINDS[name].stage, KINDS[name].survives)
    assert row.says(text), text
    assert row.code == getattr(single, "code", "")
    assert "Traceback" not in text


def test_the_document_has_these_kinds_and_no_others():
    assert list(rows_of(HERE)) == list(KINDS)
    assert list(rows_of(PAGES)) == list(INPUTS)


@pytest.mark.parametrize("name", INPUTS)
def test_what_a_page_says_of_scant_input_is_what_the_document_says(name):
    row = rows_of(PAGES)[name]
    assert (row.stage, row.code) == ("report", "")
    assert row.survives == "everything: the page says so"
    assert row.message in INPUTS[name][2]


def test_there_are_forty_kinds_of_all_stages_and_every_code_is_known():
    rows = [row for test in documented() for row in rows_of(test).values()]
    assert len(rows) >= 100
    assert {row.code for row in rows if row.code} <= set(CODES)
    stages = {"configuration", "listing", "audit", "standardisation", "planning", "training", "prediction", "scoring",
              "counts", "tables", "report"}  # fmt: skip
    assert {row.stage for row in rows} == stages
    assert counts() in DOCUMENT.read_text(), "run `python tests/bad_input_table.py`"

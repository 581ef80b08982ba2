"""Files of others that could decide what runs: checkpoints, plans and preprocessed data are refused before they do."""

import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_nnunet as tiny
import torch

from posttx.errors import PostTxError
from posttx.files import read_json, sha256_of, write_json
from posttx.networks import trust
from posttx.networks.architectures import refuse_foreign_network
from posttx.networks.checkpoints import FINAL, prepare_fold, read_checkpoint, write_checkpoint
from posttx.networks.predictor import load_ensemble
from posttx.networks.trust import refuse_foreign, refuse_foreign_entries

SOMEBODY = 54321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


class Forged:
    """Unpickling this makes a file: as a forged checkpoint would run anything."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def forge(path: Path, ran: Path) -> None:
    """Write a checkpoint that runs something when it is unpickled, with a digest that agrees."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"network_weights": Forged(ran)}, path)
    path.with_name(f"{path.name}.sha256").write_text(sha256_of(path) + "\n")


def test_a_forged_checkpoint_with_a_matching_digest_runs_nothing(tmp_path):
    path, ran = tmp_path / "fold_0" / FINAL, tmp_path / "ran"
    forge(path, ran)
    with pytest.raises(PostTxError, match="more than tensors and plain data"):
        read_checkpoint(path)
    assert not ran.exists()
    torch.load(path, weights_only=False)
    assert ran.exists()


@needs_root
@pytest.mark.parametrize("given", ["checkpoint", "record", "folder"])
def test_a_checkpoint_laid_by_another_user_is_refused(tmp_path, given):
    path = tmp_path / "fold_0" / FINAL
    write_checkpoint(path, lambda beside: torch.save({"w": 1}, beside))
    read_checkpoint(path)
    place = {"checkpoint": path, "record": path.with_name(f"{FINAL}.sha256"), "folder": path.parent}[given]
    os.chown(place, SOMEBODY, SOMEBODY)
    with pytest.raises(PostTxError, match=f"belongs to user {SOMEBODY}") as caught:
        read_checkpoint(path)
    assert caught.value.file == str(place)
    with pytest.raises(PostTxError, match=f"belongs to user {SOMEBODY}"):
        prepare_fold(path.parent, {"plans": "a"})


@needs_root
def test_its_remedies_help(tmp_path, monkeypatch):
    path = tmp_path / "fold_0" / FINAL
    write_checkpoint(path, lambda beside: torch.save({"w": 1}, beside))
    for place in (path.parent, *path.parent.iterdir()):
        os.chown(place, SOMEBODY, SOMEBODY)
    with pytest.raises(PostTxError, match=rf"cp -rL .*{trust.TRUSTED}"):
        read_checkpoint(path)
    shutil.copytree(path.parent, tmp_path / "copy")
    assert read_checkpoint(tmp_path / "copy" / FINAL)[0] == {"w": 1}
    monkeypatch.setattr(trust.pwd, "getpwnam", lambda name: type("Entry", (), {"pw_uid": SOMEBODY}))
    monkeypatch.setenv(trust.TRUSTED, "colleague")
    assert read_checkpoint(path)[0] == {"w": 1}


def test_a_trusted_user_who_is_unknown_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv(trust.TRUSTED, "nobody-of-this-name")
    monkeypatch.setattr(trust, "ROOT", -1)
    monkeypatch.setattr(trust.os, "geteuid", lambda: -2)
    with pytest.raises(PostTxError, match="whom this machine does not know"):
        refuse_foreign(tmp_path)


@pytest.mark.parametrize("linked", ["file", "folder", "further up"])
def test_links_into_an_open_folder_are_refused(tmp_path, linked):
    """The file itself is ours and closed; whoever may write to the folder can put another in its place."""
    path = tmp_path / "open" / "model" / "fold_0" / FINAL
    write_checkpoint(path, lambda beside: torch.save({"w": 1}, beside))
    (tmp_path / "mine" / "fold_0").mkdir(parents=True)
    if linked == "file":
        for name in (FINAL, f"{FINAL}.sha256"):
            (tmp_path / "mine" / "fold_0" / name).symlink_to(path.with_name(name))
        mine, opened = tmp_path / "mine" / "fold_0" / FINAL, path.parent
    elif linked == "folder":
        (tmp_path / "mine" / "fold_1").symlink_to(path.parent)
        mine, opened = tmp_path / "mine" / "fold_1" / FINAL, path.parent.parent
    else:
        (tmp_path / "mine" / "model").symlink_to(Path("../open/model"))
        mine, opened = tmp_path / "mine" / "model" / "fold_0" / FINAL, tmp_path / "open"
    assert read_checkpoint(mine)[0] == {"w": 1}
    opened.chmod(0o777)
    with pytest.raises(PostTxError, match="everybody on this machine may write to it") as caught:
        read_checkpoint(mine)
    assert Path(caught.value.file).resolve() == opened
    opened.chmod(0o755)
    read_checkpoint(mine)


@needs_root
def test_in_a_folder_like_tmp_only_our_own_entries_count(tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    path = tmp_path / "tmp" / "mine" / "fold_0" / FINAL
    write_checkpoint(path, lambda beside: torch.save({"w": 1}, beside))
    read_checkpoint(path)
    os.chown(tmp_path / "tmp" / "mine", SOMEBODY, SOMEBODY)
    with pytest.raises(PostTxError, match=rf"open to all and belongs to user {SOMEBODY}"):
        read_checkpoint(path)


def test_a_loop_of_links_ends(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    refuse_foreign(tmp_path / "a")
    with pytest.raises(OSError, match="symbolic links"):
        list(trust._steps(tmp_path / "a" / "c"))


@needs_root
@pytest.mark.parametrize("how", ["owner", "mode", "link"])
def test_pickles_of_preprocessed_data_come_from_us(tmp_path, how):
    ours = tmp_path / "data"
    ours.mkdir()
    (ours / "a.pkl").write_bytes(pickle.dumps({"spacing": [1.0]}))
    (ours / "other.txt").write_text("")
    os.chown(ours / "other.txt", SOMEBODY, SOMEBODY)
    refuse_foreign_entries(ours, ".pkl")
    if how == "link":
        (tmp_path / "open").mkdir()
        (ours / "a.pkl").rename(tmp_path / "open" / "a.pkl")
        (ours / "a.pkl").symlink_to(tmp_path / "open" / "a.pkl")
        (tmp_path / "open").chmod(0o777)
    elif how == "owner":
        os.chown(ours / "a.pkl", SOMEBODY, SOMEBODY)
    else:
        (ours / "a.pkl").chmod(0o666)
    with pytest.raises(PostTxError, match="a forged file there would run as you"):
        refuse_foreign_entries(ours, ".pkl")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("tiny")
        for key, value in tiny.folders(root).items():
            patch.setenv(key, value)
        tiny.make_dataset(root)
        yield root


@pytest.fixture
def root(dataset, tmp_path) -> Path:
    shutil.copytree(dataset, tmp_path / "root")
    return tmp_path / "root"


@needs_root
@pytest.mark.parametrize("name", [f"{tiny.PLANS}.json", "dataset.json", f"{tiny.PLANS}_3d_fullres/{tiny.CASES[0]}.pkl"])
def test_training_refuses_what_another_user_laid(root, monkeypatch, name):
    place, ran = root / "preprocessed" / tiny.DATASET / name, root / "ran"
    if name.endswith(".pkl"):
        place.write_bytes(pickle.dumps(Forged(ran)))
    os.chown(place, SOMEBODY, SOMEBODY)
    with pytest.raises(PostTxError, match=f"belongs to user {SOMEBODY}"):
        tiny.make_trainer(monkeypatch, root)
    assert not ran.exists()


HOSTILE = {
    "network_class_name": [
        "torch.hub.load",
        "os.system",
        "dynamic_network_architectures.architectures.unet.torch.hub.load",
        "dynamic_network_architectures.architectures.unet.nn.Sequential",
        "PlainConvUNet",
        7,
    ],
    "conv_op": [
        "subprocess.Popen",
        "torch.nn.modules.conv.torch.hub.load",
        "torch.nn.functional.conv3d",
        "antigravity",
    ],
}


@pytest.mark.parametrize(("key", "name"), [(key, name) for key, names in HOSTILE.items() for name in names])
def test_a_plan_names_no_code_but_networks(root, monkeypatch, key, name):
    path = root / "preprocessed" / tiny.DATASET / f"{tiny.PLANS}.json"
    plans = read_json(path)
    architecture = plans["configurations"][tiny.CONFIGURATION]["architecture"]
    (architecture if key == "network_class_name" else architecture["arch_kwargs"])[key] = name
    write_json(path, plans)
    with pytest.raises(PostTxError, match=f"as its {key}, which is no class of"):
        tiny.make_trainer(monkeypatch, root)


def test_a_plan_beside_the_folds_names_no_code_either(root, tmp_path):
    preprocessed, model = root / "preprocessed" / tiny.DATASET, tmp_path / "model"
    plans = read_json(preprocessed / f"{tiny.PLANS}.json")
    plans["configurations"][tiny.CONFIGURATION]["architecture"]["network_class_name"] = "torch.hub.load"
    write_json(model / "plans.json", plans)
    write_json(model / "dataset.json", read_json(preprocessed / "dataset.json"))
    content = {"init_args": {"configuration": tiny.CONFIGURATION}, "trainer_name": "nnUNetTrainer"}
    path = model / "fold_0" / FINAL
    write_checkpoint(path, lambda beside: torch.save(content, beside))
    with pytest.raises(PostTxError, match=r"the plan names 'torch.hub.load'"):
        load_ensemble([path], "cpu", False)


@pytest.mark.parametrize("planner", ["ExperimentPlanner", "nnUNetPlannerResEncL"])
def test_networks_of_nnunets_planners_are_accepted(tmp_path, planner):
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
    from published_plan import plans

    refuse_foreign_network(PlansManager(plans(tmp_path, (142, 175, 136), planner)).get_configuration("3d_fullres"))


def test_a_checkpoint_of_a_training_reads_back_as_it_was(root, monkeypatch):
    trainer = tiny.make_trainer(monkeypatch, root)
    trainer.initialize()
    trainer.on_epoch_start()
    trainer._losses = [0.5]
    path = Path(trainer.output_folder) / FINAL
    trainer.save_checkpoint(str(path))
    content, _ = read_checkpoint(path)
    whole = torch.load(path, weights_only=False)
    assert content.keys() == whole.keys()
    assert content["posttx"]["random"]["python"] == whole["posttx"]["random"]["python"]
    assert (content["posttx"]["random"]["numpy"][1] == whole["posttx"]["random"]["numpy"][1]).all()
    assert content["init_args"] == whole["init_args"]
    assert content["logging"] == whole["logging"]

"""The SLURM profiles against each other and against the rules."""

import re
from pathlib import Path

import pytest
import yaml
import yte

ROOT = Path(__file__).resolve().parents[2]
GPU_RULES = {"train_fold", "validate_fold", "predict_shard"}


def profile(name):
    return yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())


def test_the_gres_variant_differs_in_how_it_asks_for_a_gpu_and_in_nothing_else():
    gpus, gres = profile("slurm"), profile("slurm-gres")
    for rule in GPU_RULES:
        assert gpus["set-resources"][rule].pop("gpu") == 1
        # Without the zero the rule's own `gpu=1` would still become --gpus=1.
        assert gres["set-resources"][rule].pop("gpu") == 0
        assert gres["set-resources"][rule].pop("gres") == "'gpu:1'"
    assert gpus == gres


def test_the_rules_that_the_slurm_profile_names_exist():
    rules = set()
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        rules |= set(re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE))
    settings = profile("slurm")
    assert set(settings["set-resources"]) | set(settings["groups"]) <= rules
    assert set(settings["group-components"]) <= set(settings["groups"].values())


def test_memory_grows_with_the_attempt():
    for rule, resources in profile("slurm")["set-resources"].items():
        amounts = [eval(resources["mem_mb"], {"attempt": attempt}) for attempt in (1, 2, 3, 4)]
        assert amounts == sorted(set(amounts)), rule


def test_training_may_outlive_its_time_limit():
    settings = profile("slurm")
    minutes = settings["set-resources"]["train_fold"]["runtime"]
    # The rule's own estimate of a whole training is three days.
    assert minutes * (1 + settings["retries"]) >= 2 * 3 * 24 * 60
    assert settings["set-resources"]["train_fold"]["slurm_extra"] == "'--signal=TERM@120'"


def test_every_rule_on_slurm_has_time_memory_and_partition_by_default():
    defaults = dict(item.split("=") for item in profile("slurm")["default-resources"])
    assert set(defaults) == {"slurm_partition", "mem_mb", "runtime"}
    assert int(defaults["mem_mb"]) >= 500


def test_the_default_profile_sets_cores_only_where_no_other_profile_is_named(monkeypatch):
    def cores(*arguments):
        monkeypatch.setattr("sys.argv", ["snakemake", *arguments])
        with open(ROOT / "profiles" / "default" / "config.yaml") as stream:
            return yte.process_yaml(stream, require_use_yte=True).get("cores")

    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    assert cores() == "all"
    assert cores("--workflow-profile", "profiles/default") == "all"
    # Snakemake cuts a job's threads to `cores`, on a cluster too: training would get as many as the login node has.
    assert cores("--profile", "slurm") is None
    assert cores("--profile=slurm") is None
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "slurm")
    assert cores() is None


@pytest.mark.parametrize(
    ("cores", "arguments", "threads"),
    [
        (16, [], [8, 4, 4]),
        (64, ["--resources", "gpu=4", "mem_mb=9"], [12, 4, 4]),
        (2, [], [1, 1, 1]),
        (4, ["--resources=gpu=1"], [4, 4, 4]),
    ],
)
def test_gpus_of_a_workstation_share_its_cores(monkeypatch, cores, arguments, threads):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(cores)))
    monkeypatch.setattr("sys.argv", ["snakemake", *arguments])
    with open(ROOT / "profiles" / "gpu" / "config.yaml") as stream:
        given = yte.process_yaml(stream, require_use_yte=True)["set-threads"]
    assert dict(word.split("=") for word in given) == dict(
        zip(("train_fold", "validate_fold", "predict_shard"), map(str, threads), strict=True)
    )

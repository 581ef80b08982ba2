import copy
import re
from pathlib import Path

import pytest
import snakemake.utils
import yaml

from posttx import configuration
from posttx.auditing.findings import codes_markdown
from posttx.cases import Case
from posttx.errors import PostTxError
from posttx.networks import trainings

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = yaml.safe_load((ROOT / "config/schema/config.schema.yaml").read_text())
DEFAULTS = yaml.safe_load((ROOT / "config/config.yaml").read_text())
DEMO = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
TRAIN = {"configuration": "3d_fullres", "folds": 5, "trainer": "PostTxTrainer", "epochs": 1000, "device": "cuda",
         "planner": "plain", "plan": {}, "seed": 12345, "further_seeds": []}  # fmt: skip


def keys_of(schema, path=""):
    """Yield (dotted path, schema) of every key; `<name>` stands for a name the user chooses."""
    for key, inner in schema.get("properties", {}).items():
        yield f"{path}{key}", inner
        yield from keys_of(inner, f"{path}{key}.")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from keys_of(schema["additionalProperties"], f"{path}<name>.")


ALL_KEYS = dict(keys_of(SCHEMA))
WITHOUT_DEFAULT = {
    "cohorts.<name>.use",
    "cohorts.<name>.path",
    "cohorts.<name>.sheet",
    "cohorts.<name>.phantom",
    "cohorts.<name>.facts",
    "cohorts.<name>.phantom.cases",
    "models.<name>.train",
    "models.<name>.train.boundary.between",
    "models.<name>.train.boundary.weight",
    "models.<name>.train.hard_negatives.rounds",
    "models.<name>.train.hard_negatives.classes",
    "models.<name>.train.hard_negatives.share",
    "models.<name>.predictions",
    "models.<name>.counts",
    "models.<name>.ensemble",
    "models.<name>.weights",
}


@pytest.mark.parametrize("key", ALL_KEYS)
def test_every_key_has_a_description_and_a_default(key):
    assert ALL_KEYS[key].get("description", "").endswith((".", "`."))
    assert ("default" in ALL_KEYS[key]) != (key in WITHOUT_DEFAULT)


def test_every_level_refuses_unknown_keys():
    levels = [SCHEMA, *(schema for schema in ALL_KEYS.values() if schema.get("type") == "object")]
    assert all("additionalProperties" in level or "$ref" in level for level in levels)


def test_config_yaml_holds_the_defaults_of_the_schema():
    for section, schema in SCHEMA["properties"].items():
        if section in configuration.REPLACED_AS_A_WHOLE:
            continue
        value = DEFAULTS[section]
        expected = (
            {key: inner["default"] for key, inner in schema["properties"].items()}
            if "properties" in schema
            else schema["default"]
        )
        assert value == expected, section
    assert DEFAULTS["cohorts"] == SCHEMA["properties"]["cohorts"]["default"]


def test_the_readme_explains_every_key_with_its_default():
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|$", (ROOT / "config/README.md").read_text(), re.MULTILINE)
    table = dict(rows)
    assert set(table) == set(ALL_KEYS)
    for key, text in table.items():
        default = ALL_KEYS[key].get("default")
        if key not in WITHOUT_DEFAULT and not isinstance(default, dict):
            assert f"`{yaml.safe_dump(default, default_flow_style=True).splitlines()[0].strip()}`" in text, key


def test_the_readme_lists_every_finding_code():
    assert codes_markdown() in (ROOT / "config/README.md").read_text()


@pytest.mark.parametrize("path", ["config/config.yaml", "config/demo.yaml", "config/schema/config.schema.yaml"])
def test_our_files_are_read_as_plain_yaml(path):
    assert configuration.read_yaml(ROOT / path) == yaml.safe_load((ROOT / path).read_text())


def test_defaults_are_filled_in_as_snakemake_does():
    phantom = {"cohorts": {"a": {"use": "train", "phantom": {"cases": 3}}}}
    models = {"models": {"b": {"train": {}}, "c": {"train": {"planner": "resenc_m", "plan": {"batch_size": 3}}}}}
    for given in ({}, DEMO, phantom, models):
        ours, theirs = (configuration.complete(given, DEFAULTS) for _ in range(2))
        configuration.fill_defaults(ours, SCHEMA)
        snakemake.utils.validate(theirs, str(ROOT / "config/schema/config.schema.yaml"))
        assert ours == theirs


def test_two_models_do_not_share_what_was_filled_in():
    config = configuration.complete({"models": {"a": {"train": {}}, "b": {"train": {}}}}, DEFAULTS)
    configuration.fill_defaults(config, SCHEMA)
    assert config["models"]["a"]["train"]["plan"] is not config["models"]["b"]["train"]["plan"]


def named(cohort, model):
    given = {"cohorts": {cohort: {"use": "test"}}, "models": {model: {"counts": {cohort: "summary.json"}}}}
    return configuration.complete(given, DEFAULTS)


@pytest.mark.parametrize("name", ["BraTS25_1", "nnU-Net", "SegResNet", "3d", "v1.2", "a" * 64, "model.v2-final_3"])
def test_names_of_cohorts_and_models_are_what_people_write(name):
    config = named(name, name)
    configuration.check_schema(config, SCHEMA)
    configuration.fill_defaults(config, SCHEMA)
    configuration.cross_check(config)


@pytest.mark.parametrize("key", ["cohorts", "models"])
def test_names_that_differ_by_capitals_alone_or_end_like_files_are_refused(key):
    config = named("a", "m")
    configuration.fill_defaults(config, SCHEMA)
    (entry,) = config[key].values()
    config[key] |= {"nnU-Net": entry, "nnu-net": entry, "a.parquet": entry}
    with pytest.raises(PostTxError) as caught:
        configuration.cross_check(config)
    assert f"{key}.nnu-net: differs from nnU-Net by capitals alone" in str(caught.value)
    assert f"{key}.a.parquet: ends like the name of a file" in str(caught.value)


@pytest.mark.parametrize("name", [2024, 1.5, True])
def test_names_that_yaml_reads_as_something_else_are_told(name):
    with pytest.raises(PostTxError) as caught:
        configuration.check_schema(named(name, name), SCHEMA)
    for where in ("cohorts", "models", f"models.{name}.counts"):
        assert f"{where}: the name {name!r} is no text to YAML, put it in quotes" in str(caught.value)


@pytest.mark.parametrize("config", [DEFAULTS, configuration.complete(DEMO, DEFAULTS)])
def test_shipped_configs_pass_the_check(config):
    configuration.check_schema(config, SCHEMA)


def valid():
    return {
        "cohorts": {"a": {"path": "x", "use": "train"}, "b": {"path": "y", "use": "test"}},
        "models": {"m": {"train": dict(TRAIN)}},
        "standardize": {"clip_percentiles": [1, 99], "orientation": "RAS"},
        "dataset": {"id": 7, "name": "X"},
        "evaluation": {"scheme": "brats2024"},
        "statistics": {
            "primary": {"measure": "dice", "convention": "absent-is-one", "region": "mean"},
            "margins": {"dice": 0.02},
        },
    }


def test_a_valid_config_passes():
    configuration.cross_check(valid())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["cohorts"]["b"].update(use="train"), "exactly one cohort needs `use: train`, not 2"),
        (lambda c: c["cohorts"]["a"].update(use="test"), "exactly one cohort needs `use: train`, not 0"),
        (lambda c: c["cohorts"]["a"].update(sheet="s"), "give one of path, sheet"),
        (lambda c: c["cohorts"]["b"].pop("path"), "give one of path, sheet, phantom"),
        (lambda c: c["models"].update(n={"train": dict(TRAIN)}), "are the same training"),
        (
            lambda c: c["models"].update(n={"train": {**TRAIN, "seed": 7}}),
            "give the seed of n to models.m.train.further_seeds instead",
        ),
        (lambda c: c["models"]["m"]["train"].update(further_seeds=[5, 12345]), "12345 is the model's own seed"),
        (
            lambda c: (
                c["models"]["m"]["train"].update(further_seeds=[5]),
                c["models"].update(M_seed5={"predictions": {"b": "p"}}),
            ),
            "there is a model m_seed5 already",
        ),
        (
            lambda c: c["models"].update({"m" * 60: {"train": {**TRAIN, "planner": "resenc_m", "further_seeds": [5]}}}),
            "would have over 64 characters",
        ),
        (lambda c: c["models"]["m"]["train"].update(trainer="nnUNetTrainerNoMirroring"), "that nothing verifies"),
        (
            lambda c: c["models"].update(n={"train": {**TRAIN, "planner": "resenc_m", "leave_out": "site"}}),
            "give all of them the same train.leave_out",
        ),
        (lambda c: c["models"].update(n={"predictions": {"zz": "p"}}), "there is no cohort 'zz'"),
        (lambda c: c["models"].update(n={}), "models.n: give exactly one of train, predictions, counts, ensemble"),
        (lambda c: c["models"]["m"].update(counts={"b": "s"}), "models.m: give exactly one of train"),
        (lambda c: c["models"].update(n={"ensemble": ["m", "q"]}), "models.n.ensemble: there is no model 'q'"),
        (lambda c: c["models"].update(n={"ensemble": ["m", "m"]}), "models.n.ensemble: m stands there twice"),
        (lambda c: c["models"].update(n={"ensemble": ["m", "n"]}), "models.n.ensemble: n is an ensemble itself"),
        (
            lambda c: c["models"].update(
                n={"ensemble": ["m", "r"]}, r={"train": {**TRAIN, "planner": "resenc_m", "targets": "regions"}}
            ),
            "models.n.ensemble: some members learn labels and some regions",
        ),
        (
            lambda c: c["models"].update(n={"ensemble": ["m", "p"]}, p={"predictions": {"b": "x"}}),
            "models.n.ensemble: p is not trained here, and no probabilities of it are known",
        ),
        (lambda c: c["standardize"].update(clip_percentiles=[50, 50]), "clip_percentiles"),
        (lambda c: c["statistics"]["primary"].update(measure="dce"), "primary.measure: there is no measure 'dce'"),
        (lambda c: c["statistics"]["margins"].update(dce=0.1), "margins.dce: there is no measure 'dce'"),
        (lambda c: c["statistics"]["primary"].update(measure="hd95_mm"), "hd95_mm is known under lesion-wise"),
    ],
)
def test_contradictions_are_named(change, message):
    config = valid()
    change(config)
    with pytest.raises(PostTxError, match=re.escape(message)):
        configuration.cross_check(config)


def test_every_contradiction_is_told_at_once():
    config = valid()
    config["cohorts"]["a"]["use"] = "test"
    config["models"]["n"] = {"counts": {"zz": "p"}}
    with pytest.raises(PostTxError) as error:
        configuration.cross_check(config)
    assert "not 0" in str(error.value)
    assert "'zz'" in str(error.value)


def test_phantom_cohorts_need_different_seeds():
    config = valid()
    config["cohorts"] = {
        "a": {"phantom": {"cases": 3, "seed": 1}, "use": "train"},
        "b": {"phantom": {"cases": 3, "seed": 1}, "use": "test"},
    }
    with pytest.raises(PostTxError, match="share patients"):
        configuration.cross_check(config)


def test_more_folds_than_patients_are_refused():
    cases = {"a": [Case(f"P{n}-100", f"P{n % 4}", 100, "a", "000") for n in range(8)]}
    with pytest.raises(PostTxError, match="folds is 5, but cohort 'a' has 4 patients"):
        configuration.check_patients(valid(), cases)


def test_models_on_a_cohort():
    config = copy.deepcopy(valid())
    config["cohorts"]["c"] = {"use": "test"}
    config["models"] |= {"p": {"predictions": {"b": "x"}}, "q": {"counts": {"b": "s", "c": "t"}}}
    assert configuration.models_on(config, "a") == ["m"]
    assert configuration.models_on(config, "b") == ["m", "p", "q"]
    assert configuration.models_on(config, "c") == ["q"]


def test_models_made_here_are_on_every_cohort_with_images():
    config = valid()
    config["cohorts"]["c"] = {"use": "test"}
    config["models"] |= {"e": {"ensemble": ["m", "o"]}, "m+post": {"postprocessed": "m"}, "q": {"counts": {"c": "t"}}}
    assert configuration.made_here(config) == ["m", "e", "m+post"]
    assert configuration.models_on(config, "a") == configuration.models_on(config, "b") == ["m", "e", "m+post"]
    assert configuration.models_on(config, "c") == ["q"]


def test_further_seeds_become_models_after_all_others_and_a_single_seed_stays_as_it_is():
    config = valid()
    config["models"] = {"m": {"train": {**TRAIN, "further_seeds": [7, 8]}}, "p": {"predictions": {"b": "x"}}}
    configuration.cross_check(config)
    trainings.expand_seeds(config)
    assert list(config["models"]) == ["m", "p", "m_seed7", "m_seed8"]
    assert trainings.repeated_models(config) == {"m": ["m_seed7", "m_seed8"]}
    repeat = config["models"]["m_seed7"]["train"]
    assert repeat == {**TRAIN, "seed": 7, "further_seeds": [], "repeats": "m"}
    folders = {trainings.model_folder(train) for train in trainings.trained_models(config).values()}
    assert len(folders) == 3
    single = valid()
    trainings.expand_seeds(single)
    assert single == valid()


def test_names_of_nnunet_folders():
    assert configuration.dataset_folder({"dataset": {"id": 7, "name": "X"}}) == "Dataset007_X"
    assert trainings.model_folder(TRAIN) == "PostTxTrainer__nnUNetPlans__3d_fullres"
    assert trainings.model_folder({**TRAIN, "trainer": "nnUNetTrainer"}) == trainings.model_folder(TRAIN)
    assert trainings.model_folder({**TRAIN, "trainer": "MyPostTxTrainer"}).startswith("MyPostTxTrainer__")
    repeat = {**TRAIN, "seed": 7, "repeats": "m"}
    assert trainings.model_folder(repeat) == "PostTxTrainer__nnUNetPlans_seed7__3d_fullres"
    assert trainings.data_plans_name(repeat) == "nnUNetPlans"
    changed = trainings.plans_name({**TRAIN, "plan": {"batch_size": 4}})
    assert re.fullmatch(r"nnUNetPlans_[0-9a-f]{8}", changed)
    assert changed != trainings.plans_name({**TRAIN, "plan": {"batch_size": 5}})


def test_levers_name_the_plan_and_share_the_data_and_without_them_names_are_as_they_were():
    off = {**TRAIN, "attention": "none", "boundary": None}
    assert trainings.plans_name(off) == trainings.plans_name(TRAIN) == "nnUNetPlans"
    assert trainings.levers(off) == {}
    chosen = {"attention": "gates", "boundary": {"between": ["RC", "ET"], "weight": 1.0}}
    names = {trainings.plans_name({**TRAIN, **{key: chosen[key] for key in keys}}) for keys in
             (["attention"], ["boundary"], ["attention", "boundary"])}  # fmt: skip
    assert len(names) == 3
    assert all(re.fullmatch(r"nnUNetPlans_[0-9a-f]{8}", name) for name in names)
    repeat = {**TRAIN, **chosen, "plan": {"batch_size": 4}, "seed": 7, "repeats": "m"}
    assert re.fullmatch(r"nnUNetPlans_[0-9a-f]{8}_[0-9a-f]{8}_seed7", trainings.plans_name(repeat))
    assert trainings.data_plans_name(repeat) == trainings.plans_name({**TRAIN, "plan": {"batch_size": 4}})


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            {"boundary": {"between": ["RC", "XY"]}},
            "models.m.train.boundary.between: the label scheme has no class 'XY'",
        ),
        (
            {"hard_negatives": {"rounds": 1, "classes": ["ET", "XY"], "share": 0.3}},
            "models.m.train.hard_negatives.classes: the label scheme has no class 'XY'",
        ),
        (
            {"boundary": {"between": ["RC", "ET"]}, "targets": "regions"},
            "models.m.train.boundary: it reads single classes, and targets: regions learns classes that overlap",
        ),
    ],
)
def test_levers_that_contradict_each_other_or_the_scheme_are_refused(chosen, message):
    config = valid()
    config["models"]["m"]["train"] |= chosen
    with pytest.raises(PostTxError, match=re.escape(message)):
        trainings.check_levers(config, ["NETC", "SNFH", "ET", "RC"])
    trainings.check_levers(valid(), ["ET"])


@pytest.mark.parametrize(
    "lever",
    [
        {"attention": "yes"},
        {"boundary": {"between": ["ET", "ET"], "weight": 1}},
        {"boundary": {"between": ["ET"], "weight": 1}},
        {"boundary": {"between": ["RC", "ET"]}},
        {"boundary": {"between": ["RC", "ET"], "weight": 0}},
        {"sampling": "rare"},
        {"hard_negatives": {"rounds": 0, "classes": ["ET"], "share": 0.3}},
        {"hard_negatives": {"rounds": 1, "classes": ["ET", "ET"], "share": 0.3}},
        {"hard_negatives": {"rounds": 1, "classes": ["ET"], "share": 1.1}},
        {"hard_negatives": {"rounds": 1, "classes": [], "share": 0.3}},
    ],
)
def test_levers_out_of_range_do_not_fit_the_schema(lever):
    config = configuration.complete({"models": {"m": {"train": lever}}}, DEFAULTS)
    with pytest.raises(PostTxError, match=rf"models\.m\.train\.{next(iter(lever))}"):
        configuration.check_schema(config, SCHEMA)


def test_a_case_to_be_pictured_must_exist():
    known = {"c": [Case("a", "a", 1, "c", "000")]}
    for cases in ([], ["a"], ["all"]):
        configuration.check_pictured({"report": {"cases": cases}}, known)
    with pytest.raises(PostTxError, match=r"report\.cases: no cohort with images has 'b'"):
        configuration.check_pictured({"report": {"cases": ["a", "b"]}}, known)


def test_a_primary_endpoint_of_no_region_is_refused():
    configuration.check_primary(DEFAULTS, ["ET"])
    config = configuration.complete({"statistics": {"primary": {"region": "CC"}}}, DEFAULTS)
    with pytest.raises(PostTxError, match=r"no region 'CC'.*mean, ET"):
        configuration.check_primary(config, ["ET"])


@pytest.mark.parametrize("value", [1.0, -0.0])
def test_a_whole_number_written_as_a_fraction_is_refused_by_name(value):
    config = configuration.complete(copy.deepcopy(DEMO), DEFAULTS)
    config["cohorts"]["training"]["phantom"]["seed"] = value
    with pytest.raises(PostTxError) as raised:
        configuration.check_schema(config, SCHEMA)
    assert f"cohorts.training.phantom.seed: {value} is not of type 'integer'" in str(raised.value)

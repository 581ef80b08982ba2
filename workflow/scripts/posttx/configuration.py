"""The configuration: defaults under a user's file, checks that a schema cannot say, names that follow from it."""

from __future__ import annotations

import copy
import difflib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError, validators

from posttx.cases import Case
from posttx.errors import PostTxError
from posttx.files import is_file
from posttx.labels import is_whole
from posttx.measures import is_measure, measure_of
from posttx.networks.model_ensembles import ensemble_problems
from posttx.networks.trainings import is_resumable, model_folder, seed_problems, trained_models
from posttx.postprocess.models import postprocess_problems

REPLACED_AS_A_WHOLE = ("cohorts", "models")
# In report.cases: picture every case.
EVERY_CASE = "all"
# Endings of what is written beside a folder of a cohort's or model's name.
FILE_ENDINGS = (".parquet", ".csv", ".tsv", ".json", ".svg", ".png", ".webp", ".html", ".js", ".log", ".zip")
COHORT_SOURCES = ("path", "sheet", "phantom")
MODEL_SOURCES = ("train", "predictions", "counts", "ensemble")
# Models whose segmentations this workflow makes; no user writes `postprocessed`, the workflow does.
MADE_HERE = ("train", "ensemble", "postprocessed")


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file of ours as plain data, by libyaml where it is there: ten times as fast."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return loader(Path(path).read_text(encoding="utf-8")).get_single_data()


def complete(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``defaults`` with ``given`` merged over it; ``cohorts`` and ``models`` are replaced, not merged.

    Cohorts alone, none or several of them for training, have no model.
    A cohort or model of the defaults would otherwise survive beside the user's own, and be waited for.
    """
    merged = _merged(given, defaults)
    for key in REPLACED_AS_A_WHOLE:
        if key in given:
            merged[key] = copy.deepcopy(given[key])
    if "cohorts" in given and "models" not in given and len(_train_cohorts(merged)) != 1:
        merged["models"] = {}  # the default one is trained, and there is nothing to train it on
    return merged


def _train_cohorts(config: Mapping[str, Any]) -> list[str]:
    cohorts = config["cohorts"] if isinstance(config["cohorts"], Mapping) else {}
    return [name for name, cohort in cohorts.items() if isinstance(cohort, Mapping) and cohort.get("use") == "train"]


def drop_unfit_default(config: dict[str, Any], given: Mapping[str, Any], cases: Mapping[str, Sequence[Case]]) -> None:
    """Take out, in place, a default model that nobody asked for and that has too few patients for its folds.

    Whoever gives `cohorts` alone wants an audit; any later target then asks for models (``check_models``).
    """
    if "models" in given or "cohorts" not in given:
        return
    try:
        check_patients(config, cases)
    except PostTxError:
        config["models"] = {}


def check_models(config: Mapping[str, Any]) -> None:
    """Raise an error where no model is configured: only the audit needs none."""
    if not config["models"]:
        raise PostTxError(
            "no model is configured (the default one is trained, which takes exactly one cohort with `use: train`, and "
            "more patients than folds)",
            remedy="Give `models`: `train`, `predictions` or `counts` (config/README.md has examples); "
            "`snakemake audit` needs none",
        )


def _merged(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(dict(defaults))
    for key, value in given.items():
        old = merged.get(key)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(value, old) if nested else copy.deepcopy(value)  # type: ignore[arg-type]
    return merged


# JSON Schema takes 1.0 for an integer; as a seed or a number of cases it fails where it is used.
_Strict = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: is_whole(value)),
)


def check_schema(config: Mapping[str, Any], schema: Mapping[str, Any], source: str | Path = "") -> None:
    """Raise one error with a line per key that does not fit the JSON schema; an unknown key gets the likely one named.

    Snakemake's own validation prints schema and configuration whole, and takes a tenth of a second to read the schema.
    """
    errors = _Strict(schema).iter_errors(config)
    lines = [_schema_problem(error) for error in sorted(errors, key=lambda error: [str(key) for key in error.path])]
    lines += [f"{where}: the name {name!r} is no text to YAML, put it in quotes" for where, name in _nameless(config)]
    # A schema's `$` matches before a last line break too, and names of cohorts and models become folders.
    lines += [f"{where}: {text!r:.80} holds a sign that is not printable" for where, text in _unprintable(config)]
    if lines:
        raise PostTxError(
            "the configuration does not fit its schema",
            lines=lines,
            remedy="config/README.md explains every key",
            file=source,
        )


def fill_defaults(config: dict[str, Any], schema: Mapping[str, Any]) -> None:
    """Write the schema's default wherever a checked configuration leaves a key out, in place."""
    check_properties = Draft202012Validator.VALIDATORS["properties"]

    def fill(validator: Any, properties: Mapping[str, Any], instance: Any, level: Any) -> Iterator[ValidationError]:
        for key, inner in properties.items():
            if "default" in inner:
                instance.setdefault(key, copy.deepcopy(inner["default"]))
        yield from check_properties(validator, properties, instance, level)

    validators.extend(Draft202012Validator, {"properties": fill})(schema).validate(config)


def _nameless(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (where, name) of cohorts and models whose names YAML reads as numbers, dates or truth values."""
    for level in REPLACED_AS_A_WHOLE:
        entries = config.get(level)
        for name, entry in entries.items() if isinstance(entries, Mapping) else ():
            if not isinstance(name, str):
                yield level, name
            for kind in ("predictions", "counts"):
                folders = entry.get(kind) if isinstance(entry, Mapping) else None
                for cohort in folders if isinstance(folders, Mapping) else ():
                    if not isinstance(cohort, str):
                        yield f"{level}.{name}.{kind}", cohort


def _unprintable(part: Any, where: str = "the file") -> Iterator[tuple[str, str]]:
    """Yield (where, text) of every key and text that holds line breaks or control characters."""
    if isinstance(part, str):
        if not part.isprintable():
            yield where, part
    elif isinstance(part, Mapping):
        for key, value in part.items():
            yield from _unprintable(key, where)
            yield from _unprintable(value, str(key))
    elif isinstance(part, list):
        for value in part:
            yield from _unprintable(value, where)


def _schema_problem(error: ValidationError) -> str:
    where = ".".join(map(str, error.path))
    if error.validator != "additionalProperties":
        return f"{where or 'the file'}: {error.message[:300]}"
    level: dict[str, Any] = {"known": error.schema, "given": error.instance}
    known = list(level["known"].get("properties", {}))
    unknown = [str(key) for key in level["given"] if key not in known]
    likely = {key: "".join(difflib.get_close_matches(key, known, 1)) for key in unknown}
    hints = {key: f", did you mean {match}?" if match else "" for key, match in likely.items()}
    return "; ".join(f"{where}{'.' if where else ''}{key}: unknown key{hint}" for key, hint in hints.items())


def cross_check(config: Mapping[str, Any]) -> None:
    """Raise one error with everything that is wrong between keys; single keys are the schema's."""
    problems = [*_name_problems(config), *_cohort_problems(config), *_model_problems(config)]
    low, high = config["standardize"]["clip_percentiles"]
    if low >= high:
        problems.append(f"standardize.clip_percentiles: the lower one must be below the upper one, not [{low}, {high}]")
    if {"R", "L"} <= set(config["standardize"]["orientation"]):
        problems.append("standardize.orientation: give one letter of each pair R/L, A/P, S/I")
    problems += _statistics_problems(config["statistics"])
    if problems:
        raise PostTxError("the configuration contradicts itself", lines=problems)


def _name_problems(config: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with names of cohorts and models, of which folders and files are made."""
    problems = []
    for level in REPLACED_AS_A_WHOLE:
        same: dict[str, str] = {}
        for name in config[level]:
            if other := same.get(name.lower()):
                problems.append(f"{level}.{name}: differs from {other} by capitals alone, which some disks ignore")
            same[name.lower()] = name
            if name.lower().endswith(FILE_ENDINGS):
                problems.append(f"{level}.{name}: ends like the name of a file, and such files lie beside its folder")
    return problems


def _cohort_problems(config: Mapping[str, Any]) -> list[str]:
    problems = []
    seeds: dict[int, str] = {}
    for name, cohort in config["cohorts"].items():
        sources = [key for key in COHORT_SOURCES if key in cohort]
        counted = [model for model, source in config["models"].items() if name in source.get("counts", {})]
        if len(sources) > 1:
            problems.append(f"cohorts.{name}: give one of {', '.join(sources)}")
        if not sources and (not counted or cohort["use"] != "test"):
            problems.append(
                f"cohorts.{name}: give one of path, sheet, phantom (only counts of a test cohort need none)"
            )
        if "phantom" in cohort:
            seed = cohort["phantom"]["seed"]
            if seed in seeds:
                problems.append(f"cohorts.{name}: phantom seed {seed} is that of {seeds[seed]}: they share patients")
            seeds[seed] = name
    return problems


def _model_problems(config: Mapping[str, Any]) -> list[str]:
    problems = []
    cohorts, models = config["cohorts"], config["models"]
    trained = {name: model["train"] for name, model in models.items() if "train" in model}
    training = _train_cohorts(config)
    if trained and len(training) != 1:
        problems.append(f"models {', '.join(trained)}: exactly one cohort needs `use: train`, not {len(training)}")
    if len({settings.get("leave_out") for settings in trained.values()}) > 1:
        problems.append("trained models share one splits_final.json: give all of them the same train.leave_out")
    elif len({settings["folds"] for settings in trained.values() if not settings.get("leave_out")}) > 1:
        problems.append("trained models share one splits_final.json: give all of them the same number of folds")
    folders: dict[str, str] = {}
    for name, settings in trained.items():
        folder = model_folder(settings)
        if folder in folders:
            problems.append(
                f"models {folders[folder]} and {name} are the same training ({folder}); where they differ by their "
                f"seed alone, give the seed of {name} to models.{folders[folder]}.train.further_seeds instead"
            )
        folders[folder] = name
        problems += seed_problems(name, settings, models)
        problems += postprocess_problems(name, settings, config)
        if not is_resumable(settings["trainer"]):
            problems.append(
                f"models.{name}.train.trainer: {settings['trainer']} writes checkpoints that nothing verifies; "
                "use nnUNetTrainer, or a subclass of PostTxTrainer in workflow/trainers whose name says PostTx"
            )
    for name, model in models.items():
        if sum(source in model for source in MODEL_SOURCES) != 1:
            problems.append(f"models.{name}: give exactly one of {', '.join(MODEL_SOURCES)}")
        problems += ensemble_problems(name, models)
        for kind in ("predictions", "counts"):
            for cohort in sorted(set(model.get(kind, {})) - set(cohorts)):
                problems.append(f"models.{name}.{kind}: there is no cohort {cohort!r}")
        for cohort in set(model.get("predictions", {})) & set(cohorts):
            if not any(source in cohorts[cohort] for source in COHORT_SOURCES):
                problems.append(f"models.{name}.predictions: cohort {cohort!r} has no references to score against")
    return problems


def check_patients(config: Mapping[str, Any], cases: Mapping[str, Sequence[Case]]) -> None:
    """Raise an error where a train cohort has fewer patients than folds: a patient cannot be cut in two."""
    for model, settings in trained_models(config).items():
        for cohort, members in cases.items():
            patients = len({case.patient for case in members})
            if config["cohorts"][cohort]["use"] == "train" and patients < settings["folds"]:
                raise PostTxError(
                    f"models.{model}.train.folds is {settings['folds']}, but cohort {cohort!r} has {patients} patients",
                    remedy=f"Set folds to {patients} or fewer, or add patients",
                )


def _statistics_problems(statistics: Mapping[str, Any]) -> list[str]:
    primary, margins = statistics["primary"], statistics["margins"]
    named = {"primary.measure": primary["measure"], **{f"margins.{name}": name for name in margins}}
    unknown = {key: name for key, name in named.items() if not is_measure(name)}
    if unknown:
        return [
            f"statistics.{key}: there is no measure {name!r}, see docs/measures.md" for key, name in unknown.items()
        ]
    obeyed = measure_of(primary["measure"]).columns
    if primary["convention"] in obeyed:
        return []
    return [f"statistics.primary: {primary['measure']} is known under {', '.join(obeyed)}, not {primary['convention']}"]


def check_primary(config: Mapping[str, Any], regions: Iterable[str]) -> None:
    """Raise an error where the primary endpoint is of a region that the label scheme does not have."""
    region = config["statistics"]["primary"]["region"]
    known = ["mean", *regions]
    if region not in known:
        raise PostTxError(
            f"statistics.primary.region: the label scheme has no region {region!r}",
            remedy=f"Give one of {', '.join(known)}",
        )


def check_people(config: Mapping[str, Any], people: Iterable[str]) -> None:
    """Raise an error where a cohort whose sheet names no file (one of ``people``) has models that need files."""
    for cohort in people:
        others = [model for model in models_on(config, cohort) if "counts" not in config["models"][model]]
        if others or config["cohorts"][cohort]["use"] != "test":
            needs = f"models {', '.join(others)} need" if others else f"`use: {config['cohorts'][cohort]['use']}` needs"
            raise PostTxError(
                f"cohort {cohort!r}: its sheet names no file, which is enough for counts of a test cohort alone, but "
                f"{needs} scans or references",
                remedy="Add the columns t1n, t1c, t2w, t2f, seg to the sheet, or give the counts a cohort of their own",
                code="COH004",
            )


def check_pictured(config: Mapping[str, Any], cases: Mapping[str, Sequence[Case]]) -> None:
    """Raise an error where ``report.cases`` names a case that no cohort has."""
    known = {case.case for members in cases.values() for case in members} | {EVERY_CASE}
    unknown = [case for case in config["report"]["cases"] if case not in known]
    if unknown:
        raise PostTxError(
            f"report.cases: no cohort with images has {', '.join(map(repr, unknown))}",
            remedy="Give ids of the cohorts' cases, or [all] for every case",
        )


def environment(base: str | Path) -> dict[str, str]:
    """Return the environment variables of shell rules.

    They call python and the nnUNetv2 programs of the environment that runs the workflow, activated or not, and find our
    scripts and trainers through a variable, not a parameter: a moved checkout is no reason to train again.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {"PATH": path, "POSTTX_WORKFLOW": str(Path(base) / "workflow")}


def dataset_folder(config: Mapping[str, Any]) -> str:
    """Return nnU-Net's folder of the dataset, such as ``Dataset501_BraTSPostTx``."""
    return f"Dataset{config['dataset']['id']:03d}_{config['dataset']['name']}"


def models_on(config: Mapping[str, Any], cohort: str) -> list[str]:
    """Return the models that are scored on a cohort: those made here, and others whose entry names it.

    A model made here is scored out of fold on the train cohort and by all its folds on every other one with images.
    """
    has_images = any(source in config["cohorts"][cohort] for source in COHORT_SOURCES)
    made = made_here(config)
    return [
        name
        for name, model in config["models"].items()
        if (name in made and has_images) or cohort in model.get("predictions", {}) or cohort in model.get("counts", {})
    ]


def made_here(config: Mapping[str, Any]) -> list[str]:
    """Return the models whose segmentations this workflow writes to ``results/predictions``."""
    return [name for name, model in config["models"].items() if any(source in model for source in MADE_HERE)]


def label_scheme_path(base: str | Path, config: Mapping[str, Any]) -> Path:
    """Return the file of the configured label scheme: the working directory's own, else the project's."""
    name = Path("config", "labels", f"{config['labels']}.yaml")
    return name if is_file(name) else Path(base) / name

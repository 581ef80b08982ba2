"""What a change of each key of the configuration runs again, by dry runs on a run that was finished in name only.

Every output is a file of a few bytes, which `--touch` notes as made from the configuration: as good as the real one to
plan on. A key of the schema that no row here speaks of fails the test.
"""

import copy
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from posttx import configuration
from workflow_runs import ROOT, Run, brats_ids, empty_cohort, snakemake

SCHEMA = configuration.read_yaml(ROOT / "config/schema/config.schema.yaml")
TRAIN, HELD, ROSTER = brats_ids(4), brats_ids(2, first=500), brats_ids(2, first=600)
CONFIG: dict[str, Any] = {
    "dataset": {},
    "labels": "own",
    "cohorts": {
        "training": {"path": "data/training", "use": "train", "facts": "sites.tsv"},
        "held": {"path": "data/held", "use": "test"},
        "roster": {"sheet": "roster.tsv", "use": "test"},
        "simulated": {"phantom": {"cases": 1, "seed": 2, "spacing": 6.0}, "use": "test"},
        "tally": {"use": "test"},
    },
    "exclude": "ratings.tsv",
    "shards": 1,
    "audit": {},
    "standardize": {},
    "models": {
        "nnunet": {"train": {"device": "cpu", "epochs": 1, "folds": 2}},
        "theirs": {"predictions": {"held": "data/theirs", "roster": "data/roster"}},
        "tallied": {"counts": {"tally": "summary.json"}},
        "recounted": {"counts": {"tally": "again.json"}},
    },
    "evaluation": {},
    "statistics": {"previous": "earlier"},
    "report": {},
}


@dataclass(frozen=True)
class Change:
    """A value at a place of CONFIG, rules that it runs again, and rules that it must not run again."""

    keys: tuple[str, ...]
    value: Any
    runs: frozenset[str]
    spares: frozenset[str] = field(default=frozenset())

    def applied(self) -> dict[str, Any]:
        config = copy.deepcopy(CONFIG)
        part = config
        for key in self.keys[:-1]:
            part = part.setdefault(key, {})
        part[self.keys[-1]] = self.value
        return config


def change(where: str, value: Any, runs: str, spares: str = "") -> Change:
    return Change(tuple(where.split(".")), value, frozenset(runs.split()), frozenset(spares.split()))


def training(key: str, value: Any, runs: str = "train_fold validate_fold predict_shard score_shard write_report",
             spares: str = "standardize_shard write_dataset") -> Change:  # fmt: skip
    return change(f"models.nnunet.train.{key}", value, runs, spares)


def lever(key: str, value: Any, also: str = "") -> Change:
    """Return what a lever of training runs again: all from its own copy of the plan on, on the same data."""
    return training(key, value, f"pull_levers {GPU} {SCORED} {also}", "standardize_shard write_dataset write_splits "
                    "plan_experiment preprocess_dataset copy_plan")  # fmt: skip


MINING = {"rounds": 1, "classes": ["ET"], "share": 0.3}
GPU = "train_fold validate_fold predict_shard"
SEEDED = {"train": CONFIG["models"]["nnunet"]["train"] | {"further_seeds": [7]}}
SCORED = "score_shard gather_metrics make_tables write_report"
ALL_BUT_SCAN = f"standardize_shard write_dataset {GPU} {SCORED}"
# Key of the schema (* for names that the user gives) -> what happens. `None`: it has one value only.
CHANGES: dict[str, Change | None] = {
    "dataset.id": change(
        "dataset.id", 502, f"write_dataset {GPU} {SCORED}", "scan_shard audit_shard standardize_shard"
    ),
    "dataset.name": change("dataset.name", "Other", f"write_dataset {GPU} {SCORED}", "scan_shard audit_shard"),
    "labels": change("labels", "renamed", f"audit_shard check_audit {SCORED}", "scan_shard"),
    "cohorts.*.use": change("cohorts.held.use", "predict", "audit_shard check_audit write_report", "train_fold"),
    "cohorts.*.path": change(
        "cohorts.held.path", "data/other", f"scan_shard audit_shard check_audit {SCORED}", "train_fold"
    ),
    "cohorts.*.layout": change(
        "cohorts.held.layout", "brats2023", "write_report", f"standardize_shard {GPU} score_shard"
    ),
    "cohorts.*.sheet": change("cohorts.roster.sheet", "fewer.tsv", f"scan_shard check_audit {SCORED}", "train_fold"),
    "cohorts.*.facts": change(
        "cohorts.held.facts",
        "facts.tsv",
        "gather_audit check_audit make_subgroups write_report",
        f"audit_shard standardize_shard make_tables score_shard {GPU}",
    ),
    "cohorts.*.phantom.cases": change(
        "cohorts.simulated.phantom.cases", 2, "make_phantom_case scan_shard", "train_fold"
    ),
    "cohorts.*.phantom.seed": change("cohorts.simulated.phantom.seed", 3, "make_phantom_case scan_shard", "train_fold"),
    "cohorts.*.phantom.spacing": change(
        "cohorts.simulated.phantom.spacing", 5.0, "make_phantom_case scan_shard predict_shard", "train_fold"
    ),
    **{
        f"cohorts.*.phantom.pitfalls.{name}": change(
            "cohorts.simulated.phantom.pitfalls", {name: 3}, "make_phantom_case scan_shard predict_shard", "train_fold"
        )
        for name in ("vessels", "plexus", "blood", "ischaemia", "csf_pockets")
    },
    "cohorts.*.phantom.sites": change(
        "cohorts.simulated.phantom.sites", 2, "make_phantom_case make_subgroups gather_audit", "train_fold"
    ),
    "cohorts.*.phantom.rims": change(
        "cohorts.simulated.phantom.rims", 0.5, "make_phantom_case scan_shard predict_shard", "train_fold"
    ),
    "exclude": change("exclude", "excluding.tsv", f"scan_shard gather_audit check_audit {SCORED}", "train_fold"),
    "permissions": change("permissions", "owner", "write_report", f"make_tables {GPU} score_shard"),
    "shards": change("shards", 2, f"scan_shard audit_shard check_audit {ALL_BUT_SCAN}"),
    "audit.fail_on": change(
        "audit.fail_on",
        ["nothing"],
        "check_audit write_audit_page write_report write_provenance bundle_report",
        f"audit_shard gather_audit {ALL_BUT_SCAN.replace('write_report', '')}",
    ),
    "audit.geometry": change("audit.geometry", "trust_affine", f"audit_shard check_audit {ALL_BUT_SCAN}", "scan_shard"),
    "standardize.orientation": change("standardize.orientation", "LPS", ALL_BUT_SCAN, "scan_shard audit_shard"),
    "standardize.spacing": change("standardize.spacing", 2.0, ALL_BUT_SCAN, "scan_shard audit_shard"),
    "standardize.clip_percentiles": change(
        "standardize.clip_percentiles", [2, 98], ALL_BUT_SCAN, "scan_shard audit_shard"
    ),
    "standardize.interpolation": change("standardize.interpolation", "cubic", ALL_BUT_SCAN, "scan_shard audit_shard"),
    "standardize.extra_channels": change("standardize.extra_channels", ["t1c-t1n"], ALL_BUT_SCAN, "audit_shard"),
    "models.*.ensemble": change(
        "models",
        CONFIG["models"] | {"nnunet": SEEDED, "both": {"ensemble": ["nnunet", "nnunet_seed7"]}},
        f"train_fold predict_ensemble {SCORED}",
        "weigh_shard standardize_shard preprocess_dataset",
    ),
    "models.*.weights": change(
        "models",
        CONFIG["models"]
        | {"nnunet": SEEDED, "both": {"ensemble": ["nnunet", "nnunet_seed7"], "weights": "out_of_fold"}},
        f"train_fold weigh_shard choose_weights predict_ensemble {SCORED}",
        "standardize_shard preprocess_dataset",
    ),
    "models.*.predictions.*": change(
        "models.theirs.predictions.held", "data/again", SCORED, "train_fold standardize_shard"
    ),
    "models.*.counts.*": change("models.tallied.counts.tally", "again.json", "import_counts write_report", GPU),
    "models.*.train.configuration": None,
    "models.*.train.folds": training("folds", 3, f"write_splits describe_splits {GPU} {SCORED}"),
    "models.*.train.leave_out": training("leave_out", "site", f"write_splits describe_splits {GPU} {SCORED}"),
    "models.*.train.trainer": training("trainer", "PostTxTrainerOther"),
    "models.*.train.epochs": training("epochs", 2),
    "models.*.train.iterations": training("iterations", 3),
    "models.*.train.validation_iterations": training("validation_iterations", 3),
    "models.*.train.learning_rate": training("learning_rate", 0.5),
    "models.*.train.optimizer": training("optimizer", "adamw"),
    "models.*.train.seed": training("seed", 3),
    "models.*.train.further_seeds": training(
        "further_seeds",
        [7],
        f"copy_plan {GPU} make_seeds compare_models write_report",
        "standardize_shard write_dataset write_splits plan_experiment preprocess_dataset check_plan",
    ),
    "models.*.train.checkpoint_minutes": training("checkpoint_minutes", 3, "write_report", f"{GPU} score_shard"),
    "models.*.train.foreground": training("foreground", 0.5),
    "models.*.train.channel_dropout.*": training(
        "channel_dropout", {"t1n": 0.3}, spares="standardize_shard write_dataset write_splits preprocess_dataset"
    ),
    "models.*.train.planner": training("planner", "resenc_m", f"plan_experiment {GPU}"),
    "models.*.train.plan.patch_size": training("plan", {"patch_size": [32, 32, 32]}, f"plan_experiment {GPU}"),
    "models.*.train.plan.batch_size": training("plan", {"batch_size": 4}, f"plan_experiment {GPU}"),
    "models.*.train.plan.batch_dice": training("plan", {"batch_dice": True}, f"plan_experiment {GPU}"),
    "models.*.train.plan.features": training("plan", {"features": [8, 16, 32]}, f"plan_experiment {GPU}"),
    "models.*.train.targets": lever("targets", "regions"),
    "models.*.train.attention": lever("attention", "gates"),
    "models.*.train.boundary.between": lever("boundary", {"between": ["RC", "ET"], "weight": 1}),
    "models.*.train.boundary.weight": lever("boundary", {"between": ["RC", "ET"], "weight": 0.5}),
    "models.*.train.postprocess": training(
        "postprocess",
        "auto",
        "measure_overlaps choose_rules postprocess_shard score_shard compare_models write_report",
        f"{GPU} restore_shard standardize_shard",
    ),
    # Changes nothing where no rules are asked for: see MORE.
    "models.*.train.postprocess_for": training(
        "postprocess_for", "dice", "write_report", f"choose_rules postprocess_shard score_shard {GPU}"
    ),
    "models.*.train.sampling": lever("sampling", "rarity"),
    "models.*.train.hard_negatives.rounds": lever("hard_negatives", {**MINING, "rounds": 2}, "gather_mined"),
    "models.*.train.hard_negatives.classes": lever("hard_negatives", {**MINING, "classes": ["RC"]}, "gather_mined"),
    "models.*.train.hard_negatives.share": lever("hard_negatives", {**MINING, "share": 0.5}, "gather_mined"),
    "models.*.train.device": training("device", "cuda", "write_report", f"{GPU} score_shard"),
    "models.*.train.mirroring": training("mirroring", False, "validate_fold predict_shard score_shard", "train_fold"),
    "models.*.train.uncertainty": training("uncertainty", True, "predict_shard gather_metrics", "train_fold"),
    "evaluation.scheme": change("evaluation.scheme", "voxel", SCORED, GPU),
    "evaluation.snfh_dilation": change("evaluation.snfh_dilation", "intended", SCORED, GPU),
    "evaluation.counts_voxel_mm3": change("evaluation.counts_voxel_mm3", 2.0, "import_counts write_report", GPU),
    "evaluation.surface_tolerance_mm": change("evaluation.surface_tolerance_mm", [2.0], SCORED, GPU),
    "evaluation.missing": change("evaluation.missing", "penalise", SCORED, GPU),
    "statistics.primary.measure": change(
        "statistics.primary", {"measure": "iou"}, "compare_models write_report", "score_shard"
    ),
    "statistics.primary.convention": change(
        "statistics.primary", {"convention": "present-only"}, "compare_models write_report", "score_shard"
    ),
    "statistics.primary.region": change(
        "statistics.primary", {"region": "ET"}, "compare_models write_report", "score_shard"
    ),
    "statistics.margins.*": change("statistics.margins", {"dice": 0.1}, "compare_models write_report", "score_shard"),
    "statistics.bootstrap": change("statistics.bootstrap", 300, "write_report", f"score_shard {GPU}"),
    "statistics.seed": change("statistics.seed", 3, "write_splits make_tables write_report", "standardize_shard"),
    "statistics.previous": change("statistics.previous", "before", "compare_models write_report", "score_shard"),
    "report.title": change(
        "report.title", "Other", "write_report bundle_report", f"make_tables write_provenance {SCORED[:11]}"
    ),
    "report.extreme_cases": change(
        "report.extreme_cases", 3, "make_tables draw_review write_report", "score_shard draw_thumbs"
    ),
    "report.cases": change("report.cases", ["all"], "draw_review write_report", "make_tables score_shard draw_thumbs"),
    "report.convention": change("report.convention", "present-only", "make_tables write_report", "score_shard"),
    "report.palette": change(
        "report.palette",
        "okabe-ito",
        "draw_model draw_cohorts draw_review draw_thumbs write_report",
        "make_tables score_shard",
    ),
}
# Beyond single keys: what a user adds or takes away.
MORE = {
    "a model is added": change(
        "models.newer",
        {"predictions": {"held": "data/again"}},
        f"compare_models {SCORED}",
        "train_fold standardize_shard",
    ),
    "a model is removed": change(
        "models",
        {key: CONFIG["models"][key] for key in ("nnunet", "tallied")},
        "write_report",
        "train_fold standardize_shard predict_shard",
    ),
    "a model is trained beside a gate that opens": change(
        "models.second", {"train": {"device": "cpu", "folds": 2, "planner": "resenc_m"}}, "train_fold"
    ),
    "two models change places": change(
        "models",
        {key: CONFIG["models"][key] for key in ("nnunet", "theirs", "recounted", "tallied")},
        "compare_models write_report",
        f"score_shard gather_metrics {GPU}",
    ),
    "a cohort is removed": change(
        "cohorts",
        {key: CONFIG["cohorts"][key] for key in ("training", "held", "tally", "roster")},
        "gather_audit check_audit write_report",
        "train_fold standardize_shard predict_shard",
    ),
    "a table of facts is another cohort's": change(
        "cohorts",
        CONFIG["cohorts"]
        | {
            "training": {"path": "data/training", "use": "train"},
            "held": {"path": "data/held", "use": "test", "facts": "sites.tsv"},
        },
        "gather_audit check_audit make_subgroups write_report",
        f"audit_shard standardize_shard make_tables score_shard {GPU}",
    ),
}


def leaves(schema: dict[str, Any], where: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the keys of the schema that hold values, with * for names that the user gives."""
    if "$ref" in schema:
        schema = schema | SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    inner = dict(schema.get("properties", {}))
    if isinstance(schema.get("additionalProperties"), dict):
        inner["*"] = schema["additionalProperties"]
    if not inner:
        yield ".".join(where)
    for name, part in inner.items():
        yield from leaves(part, (*where, name))


@pytest.fixture(scope="module")
def planned(request, tmp_path_factory) -> dict[str, Run]:
    """Return the dry runs of the changes that are asked for; two at a time, since each is a process of its own."""
    root = tmp_path_factory.mktemp("changes")
    finish_in_name(root)
    configs = {name: entry.applied() for name, entry in (CHANGES | MORE).items() if entry} | {"": CONFIG}
    gate = MORE["a model is trained beside a gate that opens"].applied() | {"audit": {"fail_on": ["nothing"]}}
    configs["a model is trained beside a gate that opens"] = gate

    def plan(name: str) -> Run:
        path = root / f"{abs(hash(name))}.yaml"
        path.write_text(yaml.safe_dump(configs[name], sort_keys=False))
        return snakemake(root, "-n", "train" if "trained beside" in name else "all", "--configfile", str(path))

    asked = {item.callspec.params.get("key") for item in request.session.items if hasattr(item, "callspec")}
    names = [name for name in configs if not name or name in asked]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(names, pool.map(plan, names), strict=True))


def finish_in_name(root: Path) -> None:
    """Write inputs of no bytes, and every output, noted as made from CONFIG."""
    data = root / "data"
    empty_cohort(data / "training", TRAIN)
    empty_cohort(data / "held", HELD)
    empty_cohort(data / "other", HELD)
    for folder, ids in (("theirs", HELD), ("again", HELD), ("roster", ROSTER)):
        (data / folder).mkdir()
        for case in ids:
            (data / folder / f"{case}.nii.gz").touch()
    empty_cohort(data / "references", ROSTER, ("seg",))
    lines = [f"{case}\tdata/references/{case}/{case}-seg.nii.gz\n" for case in ROSTER]
    (root / "roster.tsv").write_text("case\tseg\n" + "".join(lines))
    (root / "fewer.tsv").write_text("case\tseg\n" + lines[0])
    header = "cohort\tcase\trating\tcomment\n"
    (root / "ratings.tsv").write_text(header)
    sites = {HELD[0]: "north"} | {case: ("north", "south")[number % 2] for number, case in enumerate(TRAIN)}
    for name in ("facts.tsv", "sites.tsv"):
        (root / name).write_text("case\tsite\n" + "".join(f"{case}\t{site}\n" for case, site in sites.items()))
    (root / "excluding.tsv").write_text(f"{header}held\t{HELD[0]}\texclude\tmotion\n")
    for name in ("summary.json", "again.json"):
        (root / name).write_text("{}")
    for name in ("earlier", "before"):
        path = root / name / "metrics/held/older.parquet"
        path.parent.mkdir(parents=True)
        path.touch()
    own = root / "config/labels/own.yaml"
    own.parent.mkdir(parents=True)
    shutil.copy(ROOT / "config/labels/brats2024.yaml", own)
    own.with_name("renamed.yaml").write_text(own.read_text().replace("name: NETC", "name: CORE"))
    outputs = snakemake(root, "--summary", config=CONFIG)
    assert outputs.returncode == 0, outputs.text[-3000:]
    for line in outputs.text.splitlines():
        if "\tmissing\t" in line:
            path = root / line.split("\t")[0]
            (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
            if path.suffix:
                path.write_text("{}")
    touched = snakemake(root, "--touch", "--forceall", "--cores", "1", config=CONFIG)
    assert touched.returncode == 0, touched.text[-3000:]


def test_every_key_of_the_schema_has_a_row():
    assert set(leaves(SCHEMA)) == set(CHANGES)


def test_nothing_is_run_again_without_a_change(planned):
    assert planned[""].returncode == 0, planned[""].text[-3000:]
    assert planned[""].jobs == {}, planned[""].text[-3000:]


@pytest.mark.parametrize("key", [key for key, entry in (CHANGES | MORE).items() if entry])
def test_a_change_runs_again_what_it_changes_and_nothing_dear_besides(planned, key):
    entry, run = (CHANGES | MORE)[key], planned[key]
    assert entry is not None
    assert run.returncode == 0, run.text[-3000:]
    assert entry.runs <= set(run.jobs), f"not planned: {sorted(entry.runs - set(run.jobs))}"
    assert not entry.spares & set(run.jobs), f"planned: {sorted(entry.spares & set(run.jobs))}"

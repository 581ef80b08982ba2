"""Exit 0 means that the target is there and made from today's configuration and data: real runs on small cohorts."""

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import results_tree
import tiny_run
import yaml

from posttx import configuration
from workflow_runs import ROOT, Run, snakemake

NOTHING = "Nothing to be done"
METRICS = "results/metrics/held/theirs.parquet"
PAGE = "results/report/index.html"
SCHEMA = configuration.read_yaml(ROOT / "config/schema/config.schema.yaml")
CONFIG = {
    "labels": "own",
    "cohorts": {
        "held": {"path": "data/held_out", "use": "test", "facts": "facts.tsv"},
        "roster": {"sheet": "roster.tsv", "use": "test"},
        "tally": {"use": "test"},
    },
    "models": {
        "theirs": {"predictions": {"held": "data/theirs"}},
        "rival": {"predictions": {"held": "data/rival", "roster": "data/roster"}},
        "tallied": {"counts": {"tally": "summary.json"}},
    },
    "exclude": "ratings.tsv",
    "shards": 1,
    "statistics": {"bootstrap": 100, "previous": "earlier"},
}


@dataclass(frozen=True)
class Place:
    """A working directory with data, a configuration, and the results of a finished run."""

    directory: Path

    def run(self, *arguments: str, **changes) -> Run:
        """Call the workflow with top-level keys changed."""
        return snakemake(self.directory, "--cores", "2", *arguments, config=CONFIG | changes)

    def metrics(self, path: str = METRICS) -> pd.DataFrame:
        return pd.read_parquet(self.directory / path)

    def text(self, path: str) -> str:
        return (self.directory / path).read_text()


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Place:
    place = Place(tmp_path_factory.mktemp("finished"))
    write_inputs(place.directory)
    run = place.run()
    assert run.returncode == 0, run.text[-4000:]
    assert NOTHING in place.run().text
    return place


@pytest.fixture
def place(finished, tmp_path) -> Place:
    return Place(shutil.copytree(finished.directory, tmp_path / "copy", symlinks=True))


def write_inputs(root: Path) -> None:
    data = tiny_run.make_cohorts(root / "data")
    shutil.copytree(data / "theirs", data / "rival")
    (data / "roster").mkdir()
    lines = ["case\tseg"]
    for case in tiny_run.TRAINING[:2]:
        reference = data / "training" / case / f"{case}-seg.nii.gz"
        shutil.copy(reference, data / "roster" / f"{case}.nii.gz")
        lines.append(f"{case}\t{reference.relative_to(root)}")
    (root / "roster.tsv").write_text("\n".join(lines) + "\n")
    (root / "ratings.tsv").write_text("cohort\tcase\trating\tcomment\nheld\tBraTS-GLI-99999-100\tkeep\tis not here\n")
    sites = "".join(f"{case}\tnorth\n" for case in tiny_run.HELD_OUT)
    (root / "facts.tsv").write_text(f"case\tsite\n{sites}")
    counts = {"TP": 5, "FP": 2, "FN": 1, "TN": 92, "n_ref": 6, "n_pred": 7}
    cases = [
        {"prediction_file": f"p/{case}.nii.gz", "reference_file": f"r/{case}.nii.gz",
         "metrics": {str(label): counts for label in (1, 2, 3, 4)}}
        for case in tiny_run.HELD_OUT
    ]  # fmt: skip
    (root / "summary.json").write_text(json.dumps({"metric_per_case": cases}))
    own = root / "config/labels/own.yaml"
    own.parent.mkdir(parents=True)
    shutil.copy(ROOT / "config/labels/brats2024.yaml", own)
    earlier = root / "earlier/metrics/held/older.parquet"
    earlier.parent.mkdir(parents=True)
    results_tree.case_metrics(2, "held", "older").to_parquet(earlier)


def path_keys(schema, where=()) -> list[str]:
    """Return the keys of the schema that hold paths, with * for names that the user gives."""
    if "$ref" in schema:
        schema = schema | SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    found = [".".join(where)] if "x-path" in schema else []
    inner = dict(schema.get("properties", {}))
    if isinstance(schema.get("additionalProperties"), dict):
        inner["*"] = schema["additionalProperties"]
    return found + [key for name, part in inner.items() for key in path_keys(part, (*where, name))]


# Key of the schema -> the mistyped value at its place in CONFIG, what is then said, and what lies nearby. The name of a
# label scheme is a path, too.
TYPOS = {
    "labels": (("labels",), "ovn", "there is no label scheme 'ovn'", "brats2024, own, published"),
    "cohorts.*.path": (("cohorts", "held", "path"), "data/held_in", "there is no folder data/held_in", "held_out"),
    "cohorts.*.sheet": (("cohorts", "roster", "sheet"), "rosters.tsv", "there is no file rosters.tsv", "roster.tsv"),
    "cohorts.*.facts": (("cohorts", "held", "facts"), "fact.tsv", "there is no file fact.tsv", "facts.tsv"),
    "exclude": (("exclude",), "rating.tsv", "there is no file rating.tsv", "ratings.tsv"),
    "models.*.predictions.*": (
        ("models", "theirs", "predictions", "held"), "data/their", "there is no folder data/their", "theirs"
    ),
    "models.*.counts.*": (
        ("models", "tallied", "counts", "tally"), "sumary.json", "there is no file sumary.json", "summary.json"
    ),
    "statistics.previous": (("statistics", "previous"), "earlyer", "there is no folder earlyer", "earlier"),
}  # fmt: skip


# It takes a model that is trained, and the run that is finished here has none.
RULES = "models.*.train.postprocess"


def changed(keys: tuple[str, ...], value) -> dict:
    config = json.loads(json.dumps(CONFIG))
    part = config
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    return config


def test_every_path_of_the_schema_is_mistyped_here():
    assert {"labels", *path_keys(SCHEMA)} == {*TYPOS, RULES}


@pytest.mark.parametrize("key", TYPOS)
def test_a_mistyped_path_is_refused_after_a_good_run(finished, key):
    keys, value, said, near = TYPOS[key]
    run = finished.run("evaluate", **changed(keys, value))
    assert run.returncode != 0
    assert NOTHING not in run.text
    assert keys[0] in run.text
    assert said in run.text
    assert near in run.text
    assert "Traceback" not in run.text


def test_a_mistyped_file_of_rules_is_refused_after_a_good_run(finished):
    cohorts = {"held": {"path": "data/held_out", "use": "train"}}
    models = {"m": {"train": {"device": "cpu", "folds": 2, "postprocess": "rule.json"}}}
    run = finished.run("evaluate", cohorts=cohorts, models=models)
    assert run.returncode != 0
    assert NOTHING not in run.text
    assert "models.m.train.postprocess: there is no file rule.json" in run.text
    assert "Traceback" not in run.text


def test_an_earlier_run_that_holds_no_metrics_is_refused(finished):
    run = finished.run(statistics={"bootstrap": 100, "previous": "data"})
    assert run.returncode != 0
    assert "statistics.previous: data holds no metrics" in run.text


def test_a_closed_gate_stays_closed_and_a_reopened_one_is_finished_in_one_call(place):
    scored = (place.directory / METRICS).stat().st_mtime_ns
    for target in ([], [], ["audit"], [METRICS], [PAGE]):
        run = place.run(*target, audit={"fail_on": ["warning"]})
        assert run.returncode != 0, target
        assert "COH011" in run.text
        assert not (place.directory / "results/audit/gate.json").exists()
    run = place.run(audit={"fail_on": ["nothing"]})
    assert run.returncode == 0, run.text[-3000:]
    assert json.loads(place.text("results/audit/gate.json"))["fail_on"] == ["nothing"]
    assert json.loads(place.text("results/provenance.json"))["config"]["audit"]["fail_on"] == ["nothing"]
    assert "fail_on:\n  - nothing" in place.text(PAGE)
    assert "The run stops here." not in place.text("results/report/audit.html")
    assert (place.directory / METRICS).stat().st_mtime_ns == scored
    assert NOTHING in place.run(audit={"fail_on": ["nothing"]}).text


def test_an_excluded_case_and_another_scheme_reach_the_scores_in_one_call(place):
    ratings = place.directory / "ratings.tsv"
    ratings.write_text(ratings.read_text() + f"held\t{tiny_run.HELD_OUT[0]}\texclude\tmotion\n")
    own = place.directory / "config/labels/own.yaml"
    own.write_text(own.read_text().replace("name: NETC", "name: CORE"))
    run = place.run("evaluate", audit={"geometry": "trust_voxels"})
    assert run.returncode == 0, run.text[-3000:]
    metrics = place.metrics()
    assert set(metrics["case"]) == {tiny_run.HELD_OUT[1]}
    assert {"CORE"} <= set(metrics["region"])
    assert "NETC" not in set(metrics["region"])
    assert NOTHING in place.run("evaluate", audit={"geometry": "trust_voxels"}).text


def test_a_removed_model_is_gone_from_the_report_and_an_added_one_is_there(place):
    models = {"newer": {"predictions": {"held": "data/theirs"}}, "theirs": CONFIG["models"]["theirs"]}
    cohorts = {"held": CONFIG["cohorts"]["held"]}
    run = place.run(models=models, cohorts=cohorts)
    assert run.returncode == 0, run.text[-3000:]
    page = place.text(PAGE)
    assert re.search(r"\bnewer\b", page)
    assert not re.search(r"\b(rival|tallied|roster|tally)\b", page)
    assert set(place.metrics("results/comparisons/held.parquet")["model"]) == {"newer", "theirs"}
    bundle = {path.relative_to(place.directory).as_posix() for path in (place.directory / "results/bundle").rglob("*")}
    assert not [path for path in bundle if "rival" in path or "roster" in path or "published" in path]


def test_a_failed_job_fails_again_and_older_predictions_are_scored(place):
    before = place.metrics()
    prediction = place.directory / f"data/theirs/{tiny_run.HELD_OUT[0]}.nii.gz"
    prediction.write_bytes(b"none")
    for _ in range(2):
        run = place.run("evaluate")
        assert run.returncode != 0
        assert NOTHING not in run.text
        assert tiny_run.HELD_OUT[0] in run.text
    shutil.copy(place.directory / f"data/theirs/{tiny_run.HELD_OUT[1]}.nii.gz", prediction)
    os.utime(prediction, (10**9, 10**9))
    run = place.run("evaluate")
    assert run.returncode == 0, run.text[-3000:]
    after = place.metrics()
    assert len(after) == len(before)
    assert not after.equals(before)


def test_what_a_run_left_half_done_is_finished_by_the_next(place):
    """A run that was killed after scoring and before gathering: the list of scores must not look unchanged."""
    changes = {"evaluation": {"surface_tolerance_mm": [2.0]}}
    run = place.run("results/scored/held/000.tsv", **changes)
    assert run.returncode == 0, run.text[-3000:]
    assert "nsd_2.0" not in place.metrics().columns
    run = place.run("evaluate", **changes)
    assert run.returncode == 0, run.text[-3000:]
    assert "nsd_2.0" in place.metrics().columns


def test_a_job_that_was_killed_is_not_forgotten(place):
    """As Snakemake leaves it: the output of before is deleted, the marker of a running job stands."""
    run = place.run("results/audit/findings.parquet", "--forcerun", "gather_audit", "--dry-run")
    assert run.jobs == {"gather_audit": 1}
    (place.directory / "results/scored/held/000.tsv").unlink()
    assert NOTHING in place.run("evaluate").text, "a file that somebody deleted to save space is no reason to score"
    mark_as_running(place.directory, "results/scored/held/000.tsv")
    run = place.run("evaluate", "--dry-run")
    assert {"score_shard", "gather_metrics"} <= set(run.jobs)


def mark_as_running(directory: Path, output: str) -> None:
    import base64

    marker = directory / ".snakemake/incomplete" / base64.b64encode(output.encode()).decode()
    marker.parent.mkdir(exist_ok=True)
    marker.write_text("{}")


def test_the_configuration_is_what_was_meant():
    assert yaml.safe_load(yaml.safe_dump(CONFIG)) == CONFIG

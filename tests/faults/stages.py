"""The stages of the workflow that write, as their rules call them, on a cohort of two phantoms of 8 mm."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import results_tree
import torch

from audit_shard import audit_shard, tasks_of
from gather_audit import gather_audit
from gather_metrics import gather_metrics
from make_phantom_case import write_case
from make_tables import write_tables
from posttx.case_ids import IMAGE_COLUMNS
from posttx.cases import Case
from posttx.labels import load_scheme
from posttx.networks.checkpoints import LATEST, write_checkpoint
from posttx.reporting import figures
from posttx.reporting.report import write_report
from posttx.schemas import COHORT, read_table
from scan_shard import scan_shard
from score_shard import score_shard
from standardize_shard import standardize_shard
from workflow_runs import ROOT

COHORT_NAME, SHARD, MODEL = "held_out", "000", "theirs"
PATIENTS = ("BraTS-GLI-00031", "BraTS-GLI-00032")
CASES = tuple(f"{patient}-100" for patient in PATIENTS)
SCHEME = load_scheme(ROOT / "config/labels/brats2024.yaml")
NAMES = SCHEME.names
AUDIT_TABLES = ("intensity", "labels", "findings", "geometry", "evidence", "thumbnails")
SETTINGS = {"orientation": "RAS", "spacing": 8.0, "clip_percentiles": [1, 99]}


@dataclass(frozen=True)
class Stage:
    """A stage: ``run(results, data)`` writes what ``outputs`` (patterns below results) match."""

    run: Callable[[Path, Path], None]
    outputs: tuple[str, ...]


def make_data(data: Path) -> Path:
    """Write two phantoms, and their references as the predictions of somebody else's model."""
    for case in CASES:
        write_case({name: data / case / f"{case}-{name}.nii.gz" for name in IMAGE_COLUMNS}, case, 5, 8.0)
        prediction = data / MODEL / f"{case}.nii.gz"
        prediction.parent.mkdir(exist_ok=True)
        prediction.write_bytes((data / case / f"{case}-seg.nii.gz").read_bytes())
    return data


def scan(results: Path, data: Path) -> None:
    files = {case: {name: str(data / case / f"{case}-{name}.nii.gz") for name in IMAGE_COLUMNS} for case in CASES}
    cases = [Case(case, case[:-4], 100, COHORT_NAME, SHARD, files[case]) for case in CASES]
    scan_shard(cases, _cohort(results))


def audit(results: Path, data: Path, workers: int = 1) -> None:
    tasks = tasks_of(read_table(_cohort(results), COHORT), SHARD, "test", NAMES, "fail")
    folder = results / "audit/shards" / COHORT_NAME / SHARD
    audit_shard(tasks, {name: folder / f"{name}.parquet" for name in AUDIT_TABLES}, workers)


def gather_audits(results: Path, data: Path) -> None:
    shard = results / "audit/shards" / COHORT_NAME / SHARD
    inputs = {name: [shard / f"{name}.parquet"] for name in ("intensity", "labels", "findings", "evidence")}
    outputs = {name: results / f"audit/{name}.parquet" for name in ("intensity", "labels", "findings", "cohort_table")}
    outputs |= {name: results / f"audit/{name}.parquet" for name in ("groups", "shift")}
    outputs["scheme"] = results / "audit/scheme.json"
    gather_audit(inputs | {"cohorts": [_cohort(results)]}, outputs, {COHORT_NAME: "test"}, NAMES)


def standardize(results: Path, data: Path, workers: int = 1) -> None:
    geometry = results / "audit/shards" / COHORT_NAME / SHARD / "geometry.parquet"
    transforms = results / "standardized" / COHORT_NAME / SHARD / "transforms.parquet"
    standardize_shard(_cohort(results), geometry, transforms, COHORT_NAME, SHARD, SETTINGS, SCHEME.values, workers)


def score(results: Path, data: Path, workers: int = 1) -> None:
    settings = {"regions": SCHEME.scoring(), "scheme": "brats2024", "tolerances": [0.5, 1.0], "missing": "error"}
    folders = {"folders": {MODEL: str(data / MODEL)}}
    output = results / "scored" / COHORT_NAME / f"{SHARD}.tsv"
    score_shard(_cohort(results), None, output, COHORT_NAME, SHARD, settings | folders, workers)


def gather(results: Path, data: Path) -> None:
    outputs = {name: _of_model(results, name) for name in ("metrics", "lesions", "confusion")}
    outputs["findings"] = results / "scored" / COHORT_NAME / f"{MODEL}_findings.parquet"
    gather_metrics(_cohort(results), outputs, COHORT_NAME, MODEL, SCHEME.scoring())


def tabulate(results: Path, data: Path) -> None:
    folder = results / "tables" / COHORT_NAME / MODEL
    write_tables(_of_model(results, "metrics"), folder, SCHEME.scoring(), "published", 2, 1)


def draw(results: Path, data: Path) -> None:
    results_tree.draw_kind(results, figures.DATA)


def report(results: Path, data: Path) -> None:
    config = results_tree.configured(cohorts={COHORT_NAME: {"path": "data", "use": "test"}}, models={})
    settings = results_tree.settings_of(config, {COHORT_NAME: True}, trained=False)
    write_report(results, results_tree.ASSETS, results / "report/index.html", settings)


def checkpoint(results: Path, data: Path) -> None:
    content = {"weights": torch.arange(4096.0)}
    write_checkpoint(results / "nnunet/fold_0" / LATEST, lambda beside: torch.save(content, beside))


def _cohort(results: Path) -> Path:
    return results / f"cohorts/{COHORT_NAME}.parquet"


def _of_model(results: Path, table: str) -> Path:
    return results / table / COHORT_NAME / f"{MODEL}.parquet"


_CASES = f"{COHORT_NAME}/{MODEL}/{SHARD}/*.parquet"
STAGES = {
    "scan": Stage(scan, ("cohorts/*",)),
    "audit": Stage(audit, ("audit/shards/*/*/*",)),
    "gather_audit": Stage(gather_audits, ("audit/*.parquet", "audit/*.json")),
    "standardize": Stage(standardize, ("standardized/*/*/*.parquet", "standardized/*/*/*/*")),
    "score": Stage(score, ("scored/*/*.tsv", *(f"{name}/{_CASES}" for name in ("metrics", "lesions", "confusion")))),
    "gather": Stage(gather, ("scored/*/*.parquet", *(f"{n}/*/*.parquet" for n in ("metrics", "lesions", "confusion")))),
    "tabulate": Stage(tabulate, ("tables/*/*/*",)),
    "draw": Stage(draw, ("figures/*/*",)),
    "report": Stage(report, ("report/*", "tables/checklist.*")),
    "checkpoint": Stage(checkpoint, ("nnunet/*/*",)),
}


def run_all(results: Path, data: Path) -> None:
    """Run every stage, in order."""
    for stage in STAGES.values():
        stage.run(results, data)


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }

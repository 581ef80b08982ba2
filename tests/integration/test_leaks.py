"""Names never reach what is handed on: one run on folders with telling names, and every byte of what leaves."""

import csv
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from leaks import hits
from make_phantom_case import write_case
from posttx.case_ids import IMAGE_COLUMNS
from workflow_runs import ROOT, SNAKEMAKE

# In names of folders and files, in comments, as the user and as the name of the run's machine.
NAMES = ["Mustermann", "Geheimrat", "Nachbarin", "Oberarzt", "Rechenknecht", "Charite"]
SPACING = 6.0


def make_inputs(home: Path) -> dict:
    """Write a pseudonymous sheet, predictions, counts and ratings in telling places; return the configuration."""
    source = Path("export") / "Mustermann, Maria 19500312"
    rows = [["case", "patient", "timepoint", *IMAGE_COLUMNS]]
    for number in (1, 2, 3):
        files = {name: home / source / f"Mustermann {number} {name}.nii.gz" for name in IMAGE_COLUMNS}
        write_case(files, f"BraTS-GLI-{20 + number:05d}-100", 5, SPACING)
        rows.append([f"P{number}-1", f"P{number}", "1", *[str(source / path.name) for path in files.values()]])
    with open(home / "Charite.tsv", "w", newline="") as stream:
        csv.writer(stream, delimiter="\t").writerows(rows)
    theirs = home / "Geheimrat"
    theirs.mkdir()
    for number in (1, 2):
        shutil.copy(home / source / f"Mustermann {number} seg.nii.gz", theirs / f"P{number}-1.nii.gz")
    shutil.copy(theirs / "P1-1.nii.gz", theirs / "Nachbarin-1.nii.gz")
    comment = "Oberarzt says: wrong patient"
    (home / "Charite_ratings.tsv").write_text(
        f"cohort\tcase\trating\tcomment\nklinik\tP3-1\texclude\t{comment}\nklinik\tNachbarin-7\tkeep\t{comment}\n"
    )
    (home / "Geheimrat.json").write_text(
        json.dumps({"metric_per_case": [counts(f"BraTS-GLI-0900{n}-100") for n in (1, 2, 3)]})
    )
    return {
        "cohorts": {"klinik": {"sheet": str(home / "Charite.tsv"), "use": "test"}, "counted": {"use": "test"}},
        "models": {
            "theirs": {"predictions": {"klinik": str(theirs)}},
            "published": {"counts": {"counted": str(home / "Geheimrat.json")}},
        },
        "exclude": str(home / "Charite_ratings.tsv"),
        "shards": 1,
        "audit": {"fail_on": ["nothing"]},
        "statistics": {"bootstrap": 100},
    }


def counts(case: str) -> dict:
    known = {"TP": 40, "FP": 5, "FN": 7, "TN": 1000, "n_pred": 45, "n_ref": 47}
    path = f"/home/Mustermann/{case}.nii.gz"
    return {"prediction_file": path, "reference_file": path, "metrics": {str(label): known for label in range(1, 5)}}


def run(home: Path, config: dict, *arguments: str) -> str:
    """Run the workflow from a checkout below ``home``, as a user with a telling name."""
    (home / "Mustermann.yaml").write_text(json.dumps(config))
    command = [SNAKEMAKE, "--snakefile", home / "PostTx_of_Oberarzt/Snakefile", "--directory", home / "run"]
    command += ["--configfile", home / "Mustermann.yaml", "--cores", "2", *arguments]
    user = {"USER": "Oberarzt", "LOGNAME": "Oberarzt", "HOSTNAME": "Rechenknecht", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        list(map(str, command)), env={**os.environ, **user}, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a finished run with all that its owner may hand on in ``handed_on``, and its settings."""
    home = tmp_path_factory.mktemp("home") / "Mustermann"
    home.mkdir()
    ignored = shutil.ignore_patterns(".*", "demo", "results", "tests")
    shutil.copytree(ROOT, home / "PostTx_of_Oberarzt", ignore=ignored, symlinks=True)
    config = make_inputs(home)
    run(home, config)
    run(home, config, "--report", str(home / "report.zip"))
    handed_on = home / "handed_on"
    for name in ("report", "bundle", "figures", "tables", "metrics", "comparisons"):
        if (home / "run/results" / name).exists():
            shutil.copytree(home / "run/results" / name, handed_on / name)
    shutil.copy(home / "report.zip", handed_on)
    return home, config


def words(home: Path) -> list[str]:
    host = socket.gethostname()
    return [*NAMES, "19500312", str(home), str(ROOT), *([host] if len(host) > 5 else [])]


def test_no_name_stands_in_anything_that_leaves(finished):
    home, _ = finished
    assert hits(home / "handed_on", words(home)) == []


def test_what_is_wrong_is_told_all_the_same(finished):
    home, _ = finished
    page = (home / "handed_on/report/index.html").read_text()
    for code in ("EVA009", "COH009", "COH011"):
        assert code in page
    assert "a sheet of cases" in page


def test_the_owner_finds_the_names_beside_the_results(finished):
    home, _ = finished
    results = home / "run/results"
    record = json.loads((results / "provenance.json").read_text())
    assert record["config"]["models"]["theirs"]["predictions"]["klinik"] == str(home / "Geheimrat")
    assert hits(results / "cohorts", ["Mustermann 1 t1c"])
    assert hits(results / "audit", ["Oberarzt says"])
    assert hits(results / "scored", ["Nachbarin"])


def test_the_zip_has_a_page_with_all_that_it_shows(finished):
    home, _ = finished
    bundle = home / "handed_on/bundle/index"
    names = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert {name for name in names if "P3" in name} == set()
    assert {
        "review.html", "data/cases.js", "images/klinik/P1-1.js", "labels/klinik/theirs/P1-1.js",
        "thumbs/klinik/theirs/P1-1.webp",
    } <= names  # fmt: skip


def test_a_cohort_that_left_the_configuration_leaves_report_and_bundle(finished):
    home, config = finished
    results = home / "run/results"
    assert (results / "report/thumbs/klinik/theirs/P1-1.webp").is_file()
    assert (results / "report/audit.html").is_file()
    counted = {"cohorts": {"counted": config["cohorts"]["counted"]}, "exclude": None}
    counted["models"] = {"published": config["models"]["published"]}
    run(home, {**config, **counted})
    for folder in (results / "report", results / "bundle"):
        assert hits(folder, ["klinik", "P1-1"]) == []
        assert not list(folder.rglob("*.webp"))

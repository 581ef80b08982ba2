"""What a hostile file, sheet, name or neighbour on the machine cannot do; docs/security.md lists all such tests.

Tested elsewhere: hostile case ids (test_cases), texts of headers (test_privacy, test_nifti), gzip bombs (test_nifti),
texts of the data in pages (test_report, test_audit_page, test_draw_review, browser/), the folder of GPU locks
(test_gpu_slots), torn and foreign checkpoints (test_checkpoints, test_predictor), the lock file (test_environment).
"""

import ast
import json
import os
import re
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from posttx.auditing.audit import AuditTask, audit_case
from posttx.auditing.findings import Finding
from posttx.cases import MODALITIES, check_case_id, list_cases
from posttx.configuration import check_schema, complete
from posttx.errors import PostTxError
from posttx.files import write_text
from posttx.labels import load_scheme
from posttx.networks import trust
from posttx.networks.checkpoints import FINAL, LATEST, check_checkpoint, prepare_fold, write_checkpoint
from posttx.nifti import read_volume, write_volume
from posttx.scoring.counts import rows_from_counts
from posttx.standardization import Job, Settings, standardize_case

ROOT = Path(__file__).resolve().parents[2]
AFFINE = np.diag([-1.0, 1, 1, 1])
ONE = "BraTS-GLI-00001-100"
NAMES = {1: "NETC", 2: "SNFH", 3: "ET", 4: "RC"}
EVERYBODY = stat.S_IWOTH


def snapshot(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return path -> content, permissions and time of change of all files below a folder."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns) for path in found}


def write_images(folder: Path, names=(*MODALITIES, "seg")) -> dict[str, Path]:
    files = {name: folder / f"{ONE}-{name}.nii.gz" for name in names}
    for path in files.values():
        data = np.zeros((8, 9, 10), np.uint8)
        data[2:6, 2:6, 2:6] = np.arange(64).reshape(4, 4, 4) % 4 + 1
        write_volume(path, data, AFFINE)
    return files


# Paths that lead elsewhere. They are followed: a sheet's author may read what they may read anyway, and annexed data
# sets are nothing but links. What must not happen: a file outside changes, or its content gets into results.


@pytest.mark.parametrize("form", ["absolute", "relative", "link"])
def test_a_sheet_that_leads_elsewhere_reads_no_file_into_the_findings(tmp_path, form):
    secret = tmp_path / "outside" / "passwords.txt"
    secret.parent.mkdir()
    secret.write_text("root:hunter2:" * 100)
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort/scan.nii.gz").symlink_to(secret)
    told = {"absolute": str(secret), "relative": "../outside/passwords.txt", "link": "scan.nii.gz"}[form]
    before = snapshot(tmp_path / "outside")
    sheet = tmp_path / "cohort/sheet.csv"
    sheet.write_text(f"case,seg\n{ONE},{told}\n")
    (case,) = list_cases("c", {"sheet": str(sheet), "use": "test"}, 4, tmp_path)
    audit = audit_case(AuditTask("c", ONE, "p", "test", case.files, NAMES))
    assert [finding.code for finding in audit.findings] == ["FIL003"]
    assert "hunter2" not in str([finding.row() for finding in audit.findings])
    assert snapshot(tmp_path / "outside") == before


def test_a_cohort_of_links_works_and_what_they_lead_to_stays_as_it_is(tmp_path):
    store, cohort = tmp_path / "annex", tmp_path / "cohort" / ONE
    cohort.mkdir(parents=True)
    for path in write_images(store).values():
        path.chmod(0o444)
        (cohort / path.name).symlink_to(path)
    before = snapshot(store)
    (case,) = list_cases("c", {"path": str(cohort.parent), "use": "train"}, 4, tmp_path)
    audit_case(AuditTask("c", ONE, "p", "train", case.files, NAMES))
    standardize_case(Job(ONE, case.files, None, tmp_path / "results", Settings(), (1, 2, 3, 4)))
    assert len(list((tmp_path / "results/images").iterdir())) == 4
    assert snapshot(store) == before


def test_a_link_laid_where_a_result_goes_is_replaced_not_followed(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "table.json").symlink_to(tmp_path / "victim")
    write_text(tmp_path / "table.json", "ours")
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (tmp_path / "table.json").is_symlink()


HOSTILE = ["../../outside", "/etc/passwd", "a\\..\\b", "-rf", "$(id)", "x\n", "BraTS-GLI-00001-100/.."]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_in_counts_becomes_a_path(tmp_path, name):
    counts = {"1": {"TP": 1, "FP": 0, "FN": 0, "TN": 5}}
    content = {"metric_per_case": [{"prediction_file": f"{name}.nii.gz", "metrics": counts}]}
    (tmp_path / "summary.json").write_text(json.dumps(content))
    rows, failures = rows_from_counts(tmp_path / "summary.json", {"NETC": [1]})
    assert [error.code for error in failures.values()] == ["COH001"] * (1 - len(rows))
    # The last part of a path may be a harmless id of its own.
    assert all(check_case_id(case) in re.split(r"[/\\]", name) for case in rows)


@pytest.mark.parametrize("name", ["../x", "a/b", "a\n", "", "-a", "_a", "a b", "ä", "$(id)", ".", "x" * 65])
@pytest.mark.parametrize("key", ["cohorts", "models"])
def test_names_of_cohorts_and_models_cannot_leave_the_results(key, name):
    defaults = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    schema = yaml.safe_load((ROOT / "config/schema/config.schema.yaml").read_text())
    entry = {"path": "x", "use": "test"} if key == "cohorts" else {"predictions": {"test": "x"}}
    with pytest.raises(PostTxError, match="does not fit its schema"):
        check_schema(complete({key: {name: entry}}, defaults), schema)


@pytest.mark.parametrize("labels", ["../../etc/passwd", "/etc/passwd", "a/b", "brats2024\n", ""])
def test_the_name_of_a_label_scheme_is_no_path(labels):
    defaults = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    schema = yaml.safe_load((ROOT / "config/schema/config.schema.yaml").read_text())
    with pytest.raises(PostTxError, match="labels"):
        check_schema(complete({"labels": labels}, defaults), schema)


# Files that hold more than data.


def scheme_with(**fields: str) -> str:
    entry = {"name": "ET", "long_name": "tissue", "color": '"#1f77b4"'} | fields
    return "name: x\nlabels:\n  1: {" + ", ".join(f"{key}: {value}" for key, value in entry.items()) + "}\n"


@pytest.mark.parametrize(
    "text",
    [
        "name: !!python/object/apply:pathlib.Path.touch [forged]\n",
        scheme_with(color='"red; background: url(https://x.example)"'),
        scheme_with(color='"#fff\\"><script>"'),
        scheme_with(name='"<script>alert(1)</script>"'),
        scheme_with(name='"../../x"'),
        scheme_with(name='"$\\\\frac{"'),
        scheme_with(long_name='"a\\e[2Jb"'),
    ],
)
def test_a_label_scheme_runs_nothing_and_styles_nothing(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(text)
    with pytest.raises(PostTxError, match="not a label scheme"):
        load_scheme("mine.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_the_scheme_that_those_were_made_of_is_one(tmp_path):
    (tmp_path / "mine.yaml").write_text(scheme_with())
    assert load_scheme(tmp_path / "mine.yaml").values == (1,)


@pytest.mark.parametrize("key", ["name", "labels", "regions"])
def test_a_bomb_of_aliases_is_refused_in_a_short_line(tmp_path, key):
    bomb = "bomb:\n- &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    good = yaml.safe_load(scheme_with())
    del good[key if key in good else "name"]
    value = "{TC: {long_name: x, labels: *a11, color: '#000000'}}" if key == "regions" else "*a11"
    rest = yaml.safe_dump(good | ({"name": "x"} if key == "regions" else {}))
    (tmp_path / "mine.yaml").write_text(f"{bomb}{key}: {value}\n{rest}")
    with pytest.raises(PostTxError, match="not a label scheme") as caught:
        load_scheme(tmp_path / "mine.yaml")
    assert len(str(caught.value)) < 1000


def test_an_extension_of_a_header_is_counted_and_never_read(tmp_path):
    import nibabel as nib

    image = nib.Nifti1Image(np.zeros((2, 3, 4), np.uint8), AFFINE)
    # Code 16 says pickled Python: this one would make a file.
    forged = b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR."
    image.header.extensions.append(nib.nifti1.Nifti1Extension(16, forged))
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    assert [code for code, _ in read_volume(tmp_path / "a.nii").extensions] == [16]
    assert not (tmp_path / "ran").exists()


DANGEROUS = re.compile(
    r"(pickle|dill|joblib|shelve|marshal)\.loads?|yaml\.(unsafe_|full_)?load|(^|\.)(eval|exec|system|popen)|allow_pickle"
)


def test_the_only_pickles_read_are_checkpoints_after_their_check():
    loaders = []
    for path in sorted((ROOT / "workflow").rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            for call in calls:
                name = ast.unparse(call.func)
                keywords = {word.arg: ast.unparse(word.value) for word in call.keywords}
                assert not DANGEROUS.fullmatch(name), (path, name)
                assert keywords.get("shell") != "True", path
                assert "allow_pickle" not in keywords, path
                if name == "torch.load":
                    before = [ast.unparse(one.func) for one in calls if one.lineno < call.lineno]
                    assert "_known_digest" in before, (path, function.name)
                    assert keywords.get("weights_only") == "True"
                    loaders.append(function.name)
    assert loaders == ["read_checkpoint"]


def test_what_stands_in_a_file_cannot_steer_a_terminal():
    error = PostTxError("it says \x1b[2J\x07 and \u202e, and\nends", file="a\x1b]0;x\x07.nii", case="c")
    assert all(line.isprintable() for line in str(error).split("\n"))
    assert r"\x1b[2J" in str(error)
    row = Finding("COH009", "c", "left out: \x1b[2J" + "x" * 10_000, "case").row()
    assert row["message"].isprintable()
    assert len(row["message"]) < 1000


# Neighbours on the machine. As root, permissions bind nobody; what counts here is what the files say.


class Forged:
    """Unpickling this makes a file: as a forged checkpoint would run anything."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def save(path: Path) -> None:
    write_checkpoint(path, lambda beside: torch.save({"w": 1}, beside))


def test_a_forged_checkpoint_is_refused_before_it_runs(tmp_path):
    save(tmp_path / LATEST)
    torch.save(Forged(tmp_path / "ran"), tmp_path / LATEST)
    with pytest.raises(PostTxError, match="was changed"):
        check_checkpoint(tmp_path / LATEST)
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / LATEST, weights_only=False)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("opened", ["folder", LATEST, f"{LATEST}.sha256"])
def test_a_checkpoint_that_everybody_could_have_forged_is_refused(tmp_path, opened):
    save(tmp_path / LATEST)
    path = tmp_path if opened == "folder" else tmp_path / opened
    path.chmod(path.stat().st_mode | EVERYBODY)
    with pytest.raises(PostTxError, match="everybody on this machine may write") as caught:
        check_checkpoint(tmp_path / LATEST)
    assert caught.value.file == str(path)
    assert f"`chmod o-w {path}`" in caught.value.remedy
    path.chmod(path.stat().st_mode & ~EVERYBODY)
    check_checkpoint(tmp_path / LATEST)


def test_a_wrong_permission_costs_no_training(tmp_path):
    prepare_fold(tmp_path, {"plans": "a"})
    save(tmp_path / LATEST)
    (tmp_path / LATEST).chmod(0o666)
    with pytest.raises(PostTxError, match="everybody on this machine"):
        prepare_fold(tmp_path, {"plans": "a"})
    (tmp_path / LATEST).chmod(0o644)
    assert "Going on" in prepare_fold(tmp_path, {"plans": "a"})


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077])
def test_checkpoints_are_closed_to_others_under_any_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        folder = tmp_path / "fold_0"
        folder.mkdir()
        prepare_fold(folder, {"plans": "a"})
        save(folder / FINAL)
        assert "Going on" in prepare_fold(folder, {"plans": "a"})
        save(folder / FINAL)
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    written = [folder, *(path for path in folder.iterdir() if "checkpoint" in path.name)]
    assert len(written) == 5
    assert not [path for path in written if path.stat().st_mode & EVERYBODY]
    # Members of the group may write where the user's umask lets them: a laboratory shares its models.
    assert bool(folder.stat().st_mode & stat.S_IWGRP) == (umask != 0o077)


def test_a_file_system_without_permissions_is_a_warning(tmp_path, monkeypatch, caplog):
    save(tmp_path / LATEST)
    (tmp_path / LATEST).chmod(0o666)
    monkeypatch.setattr(trust, "_knows_permissions", lambda folder: False)
    check_checkpoint(tmp_path / LATEST)
    assert "has no owners or permissions" in caplog.text


def test_the_document_names_tests_that_exist():
    named = re.findall(r"`(tests/[a-z_/]+\.py)::(test_\w+)`", (ROOT / "docs/security.md").read_text())
    assert len(named) >= 30
    for path, test in named:
        assert f"\ndef {test}(" in (ROOT / path).read_text(), f"{path}::{test}"
    rows = [line for line in (ROOT / "docs/security.md").read_text().splitlines() if line.startswith("| ")]
    assert all("`tests/" in row for row in rows if not row.startswith("| threat"))

"""The folder that is passed on: all that the pages show and link to today, nothing else, and no path in it."""

import copy
import re
import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest
import results_tree as tree
from audit_tree import write_audit

from leaks import hits
from posttx.errors import PostTxError
from posttx.files import read_json, write_json, write_parquet, write_text
from posttx.reporting.bundle import write_bundle
from posttx.reporting.case_data import images_path, labels_path, thumb_path, write_cases
from posttx.reporting.report import run_of, write_report
from posttx.reporting.review import write_review
from posttx.reporting.stale import remove_stale

FOLDER = "Mustermann_Maria"


@pytest.fixture(scope="module")
def made(reported, tmp_path_factory):
    """Return results whose scans lie in a telling folder, with one pictured case in the review, and the settings."""
    results = tmp_path_factory.mktemp("bundle") / "results"
    shutil.copytree(reported[0], results)
    settings = copy.deepcopy(reported[1])
    settings["config"]["exclude"] = f"/home/{FOLDER}/ratings.tsv"
    write_json(results / "provenance.json", {**read_json(results / "provenance.json"), "config": settings["config"]})
    write_audit(results, {"training": 12, "additional": 6})
    for path in (results / "cohorts").glob("*.parquet"):
        table = pd.read_parquet(path)
        write_parquet(table.assign(t1n=f"/data/{FOLDER}/t1n.nii.gz"), path)
    case = pd.read_parquet(results / "tables/additional/nnunet/worst_cases.parquet")["case"][0]
    for name in reviewed(case):
        write_text(results / "report" / name, "x")
    write_pages(results, settings)
    return results, settings, case


def reviewed(case, cohort="additional", model="nnunet"):
    return images_path(cohort, case), labels_path(cohort, model, case), thumb_path(cohort, model, case)


def write_pages(results, settings):
    write_cases(results, results / "report/data/cases.js", settings, run_of(results, settings))
    write_review(tree.ASSETS, results / "report/review.html", results / "report/niivue.js", settings)
    write_report(results, tree.ASSETS, results / "report/index.html", settings)


@pytest.fixture
def copied(made, tmp_path):
    results, settings, case = made
    shutil.copytree(results, tmp_path / "results")
    return tmp_path / "results", settings, case


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_bundle_holds_the_pages_and_all_that_they_show_and_link_to(made, tmp_path):
    results, _, case = made
    files = write_bundle(results, tmp_path / "bundle")
    assert files_below(tmp_path / "bundle") == files
    page = (tmp_path / "bundle/index.html").read_text()
    links = re.findall(r'href="([^"#]+)"', page)
    assert len(links) > 20
    assert not [link for link in links if link.startswith("..")]
    assert {"audit.html", "review.html", "niivue.js", "data/cases.js", *reviewed(case)} <= set(files)
    there = [link for link in links if (results / link).is_file()]
    assert len(there) > 15
    assert set(there) <= set(files)
    pictures = re.findall(r'src="(audit/[^"]+)"', (tmp_path / "bundle/audit.html").read_text())
    assert len(pictures) > 12
    assert set(pictures) <= set(files)
    # the report itself is as it was, and a second call changes nothing
    assert 'href="../tables/' in (results / "report/index.html").read_text()
    assert write_bundle(results, tmp_path / "bundle") == files


def test_no_path_is_in_it_and_the_results_keep_them(made, tmp_path):
    results, _, _ = made
    write_bundle(results, tmp_path / "bundle")
    assert hits(tmp_path / "bundle", [FOLDER]) == []
    assert hits(results / "report", [FOLDER]) == []
    assert hits(results / "cohorts", [FOLDER])
    assert FOLDER in (results / "provenance.json").read_text()


def test_notes_in_tables_leave_by_choice(copied, tmp_path):
    """The scores of a single case carry what is common to all files of the cohort: the name of its prediction."""
    results, _, _ = copied
    path = results / "metrics/additional/nnunet.parquet"
    table = pd.read_parquet(path)
    notes = {"scheme": "brats2024", "prediction": f"{FOLDER}.nii.gz", "remarks": f'["{FOLDER}"]'}
    write_parquet(table, path, notes)
    write_bundle(results, tmp_path / "bundle")
    left = tmp_path / "bundle/metrics/additional/nnunet.parquet"
    assert hits(tmp_path / "bundle", [FOLDER]) == []
    assert pq.read_schema(left).metadata[b"scheme"] == b"brats2024"
    pd.testing.assert_frame_equal(pd.read_parquet(left), table)


def test_what_todays_pages_do_not_link_is_not_in_it(copied, tmp_path):
    results, _, case = copied
    write_text(results / "report/old.html", "<p>")
    # of a case that is in no table, and of one that cannot be opened because its labels are not there
    for name in (*reviewed("removed"), images_path("training", "BraTS-GLI-05000-100")):
        write_text(results / "report" / name, "x")
    write_text(tmp_path / "bundle/labels/gone/nnunet/y.js", "x")
    write_text(tmp_path / "bundle/left.csv", "x")
    (tmp_path / "bundle/link").symlink_to(results)
    files = write_bundle(results, tmp_path / "bundle")
    assert files_below(tmp_path / "bundle") == files
    assert [name for name in files if name.endswith(".js")] == [
        "data/cases.js",
        images_path("additional", case),
        labels_path("additional", "nnunet", case),
        "niivue.js",
    ]
    assert [name for name in files if name.startswith("thumbs/")] == [thumb_path("additional", "nnunet", case)]
    assert not (tmp_path / "bundle/labels/gone").exists()
    assert (results / "report/old.html").exists()


def test_a_missing_picture_is_an_error_that_names_it(copied, tmp_path):
    results, _, _ = copied
    next((results / "report/audit").rglob("*.webp")).unlink()
    with pytest.raises(PostTxError, match="which is not there"):
        write_bundle(results, tmp_path / "bundle")


@pytest.mark.parametrize("number", range(3))
def test_a_file_that_a_case_of_the_review_needs_is_missed_by_name(copied, tmp_path, number):
    results, _, case = copied
    name = reviewed(case)[number]
    (results / "report" / name).unlink()
    with pytest.raises(PostTxError, match=f"loads {re.escape(name)}, which is not there"):
        write_bundle(results, tmp_path / "bundle")


def test_cohorts_and_models_that_are_gone_are_removed_from_the_report(copied, tmp_path):
    results, settings, case = copied
    report = results / "report"
    gone = [*reviewed("x", "gone"), labels_path("additional", "gone", "x"), thumb_path("additional", "gone", "x")]
    for name in (*gone, "thumbs/gone/_drawn/000.tsv", "thumbs/additional/_drawn/000.tsv"):
        write_text(report / name, "x")
    write_text(report / "viewer/index.html", "of an earlier version")
    outside = tmp_path / "outside"
    write_text(outside / "kept.webp", "x")
    (report / "thumbs/additional/linked").symlink_to(outside)
    remove_stale(report, settings)
    assert [path for name in ("images", "labels", "thumbs") for path in files_below(report / name)] == [
        f"additional/{case}.js",
        f"additional/nnunet/{case}.js",
        "additional/_drawn/000.tsv",
        f"additional/nnunet/{case}.webp",
    ]
    assert not (report / "thumbs/additional/linked").is_symlink()
    assert (outside / "kept.webp").exists()
    assert (report / "audit.html").exists()
    assert not (report / "viewer").exists()
    remove_stale(report, {**settings, "cohorts": dict.fromkeys(settings["cohorts"], False)})
    assert not (report / "audit.html").exists()
    assert not [path for name in ("images", "labels", "thumbs") for path in files_below(report / name)]


def test_small_pictures_of_cases_that_are_gone_are_removed_from_the_report(copied):
    results, settings, case = copied
    gone = results / "report" / thumb_path("additional", "nnunet", "excluded")
    write_text(gone, "x")
    remove_stale(results / "report", settings)
    assert not gone.exists()
    assert (results / "report" / thumb_path("additional", "nnunet", case)).exists()

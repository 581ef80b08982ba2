"""The folder that is passed on: all that the pages show and link to today, nothing else, and no path in it."""

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
from posttx.reporting.report import remove_stale, write_report, write_viewer

FOLDER = "Mustermann_Maria"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return results whose scans lie in a telling folder, with one pictured case in the viewer, and the settings."""
    results = tmp_path_factory.mktemp("bundle") / "results"
    settings = tree.write_results(results)
    settings["config"]["exclude"] = f"/home/{FOLDER}/ratings.tsv"
    write_json(results / "provenance.json", {**read_json(results / "provenance.json"), "config": settings["config"]})
    write_audit(results, {"training": 12, "additional": 6})
    for path in (results / "cohorts").glob("*.parquet"):
        table = pd.read_parquet(path)
        write_parquet(table.assign(t1n=f"/data/{FOLDER}/t1n.nii.gz"), path)
    case = pd.read_parquet(results / "tables/additional/nnunet/worst_cases.parquet")["case"][0]
    for name in (f"figures/additional/nnunet/cases/{case}.webp", f"report/viewer/additional/nnunet/{case}.js"):
        write_text(results / name, "posttxCase({})")
    write_pages(results, settings)
    return results, settings, case


def write_pages(results, settings):
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    write_viewer(tree.ASSETS, results / "report/viewer/index.html", results / "report/viewer/niivue.js", settings)


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
    assert {f"viewer/additional/nnunet/{case}.js", "viewer/niivue.js", "viewer/index.html", "audit.html"} <= set(files)
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
    write_text(results / "report/viewer/gone/nnunet/x.js", "posttxCase({})")
    write_text(results / "report/viewer/additional/nnunet/removed.js", "posttxCase({})")
    write_text(results / "report/old.html", "<p>")
    write_text(tmp_path / "bundle/viewer/gone/nnunet/y.js", "posttxCase({})")
    write_text(tmp_path / "bundle/left.csv", "x")
    (tmp_path / "bundle/link").symlink_to(results)
    files = write_bundle(results, tmp_path / "bundle")
    assert files_below(tmp_path / "bundle") == files
    assert [name for name in files if name.endswith(".js")] == [
        f"viewer/additional/nnunet/{case}.js",
        "viewer/niivue.js",
    ]
    assert not (tmp_path / "bundle/viewer/gone").exists()
    assert (results / "report/old.html").exists()


def test_a_missing_picture_is_an_error_that_names_it(copied, tmp_path):
    results, _, _ = copied
    next((results / "report/audit").rglob("*.webp")).unlink()
    with pytest.raises(PostTxError, match="which is not there"):
        write_bundle(results, tmp_path / "bundle")


def test_cohorts_and_models_that_are_gone_are_removed_from_the_report(copied, tmp_path):
    results, settings, case = copied
    report = results / "report"
    for name in ("gone/nnunet/x.js", "additional/gone/x.js"):
        write_text(report / "viewer" / name, "posttxCase({})")
    outside = tmp_path / "outside"
    write_text(outside / "kept.js", "x")
    (report / "viewer/additional/linked").symlink_to(outside)
    remove_stale(report, settings)
    assert files_below(report / "viewer") == [f"additional/nnunet/{case}.js", "index.html", "niivue.js"]
    assert not (report / "viewer/additional/linked").is_symlink()
    assert (outside / "kept.js").exists()
    assert (report / "audit.html").exists()
    remove_stale(report, {**settings, "cohorts": dict.fromkeys(settings["cohorts"], False)})
    assert not (report / "audit.html").exists()
    assert files_below(report / "viewer") == ["index.html", "niivue.js"]

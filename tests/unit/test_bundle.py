import re

import results_tree as tree

from posttx.files import write_text
from posttx.reporting.bundle import write_bundle
from posttx.reporting.report import write_report, write_viewer


def test_the_bundle_holds_the_page_the_viewer_and_what_they_link_to(tmp_path):
    results = tmp_path / "results"
    settings = tree.write_results(results)
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    write_viewer(tree.ASSETS, results / "report/viewer/index.html", results / "report/viewer/niivue.js", settings)
    write_text(results / "report/viewer/additional/nnunet/a.js", "posttxCase({})")
    write_text(results / "report/audit.html", '<a href="index.html">report</a> <a href="../audit/labels.parquet">x</a>')
    write_text(results / "report/viewer/.snakemake_timestamp", "")
    folder = tmp_path / "bundle"
    files = write_bundle(results, folder)
    assert {
        "index.html",
        "audit.html",
        "viewer/index.html",
        "viewer/niivue.js",
        "viewer/additional/nnunet/a.js",
    } <= set(files)
    assert "viewer/.snakemake_timestamp" not in files
    page = (folder / "index.html").read_text()
    links = [link for link in re.findall(r'href="([^"#]+)"', page) if not link.startswith("viewer/")]
    assert len(links) > 20
    assert not [link for link in links if link.startswith("..")]
    there = [link for link in links if (results / link).is_file()]
    assert len(there) > 15
    assert all((folder / link).read_bytes() == (results / link).read_bytes() for link in there)
    assert 'href="audit/labels.parquet"' in (folder / "audit.html").read_text()
    # the report itself is as it was, and a second call changes nothing
    assert 'href="../tables/' in (results / "report/index.html").read_text()
    assert write_bundle(results, folder) == files

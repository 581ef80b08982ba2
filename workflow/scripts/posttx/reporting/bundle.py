"""The report as one folder that can be mailed: the pages, and exactly what they show and link to, without paths."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import unquote

from posttx.errors import PostTxError
from posttx.files import replacing, write_text
from posttx.redaction import write_public
from posttx.reporting.case_data import TABLE, reachable

# An attribute of a page that names a file; addresses with a scheme (data:, https:) are none.
LINKS = re.compile(r'\b(href|src)="([^"#:?]+)(?:#[^"]*)?"')
START = "index.html"
# The review page loads these by its script, and of the first all that it leads to.
REVIEW, LOADED = "review.html", (TABLE, "niivue.js")


def write_bundle(results: str | Path, folder: str | Path) -> list[str]:
    """Fill ``folder`` with the report below ``results`` and what it shows and links to; return its files, sorted.

    Pages of ``results/report`` stand at the top, where their links to the results lead into folders beside them instead
    of one above; everything else keeps its place. What holds paths is written without them (``posttx.redaction``),
    other files are hard links where the file system has them. Whatever else stands in ``folder`` is removed. A link
    without a file (a cohort's audit that was not run) stays as it is; a picture or script that is missing is an error.
    """
    results, folder = Path(results), Path(folder)
    report = results / "report"
    wanted: dict[str, Path] = {}
    open_pages = [START, REVIEW]
    while open_pages:
        page = open_pages.pop()
        wanted[page] = report / page
        loaded = _loaded(report) if page == REVIEW else []
        for target in [*_shown(report / page, results), *loaded]:
            inside = target.is_relative_to(report)
            name = target.relative_to(report if inside else results).as_posix()
            if inside and target.suffix == ".html" and name not in wanted:
                open_pages.append(name)
            wanted.setdefault(name, target)
    for name, source in wanted.items():
        _bring(source, name, folder, results)
    _remove_others(folder, set(wanted))
    return sorted(wanted)


def _shown(page: Path, results: Path) -> Iterator[Path]:
    """Yield the files of the results that a page shows or links to."""
    for kind, link in LINKS.findall(page.read_text(encoding="utf-8")):
        target = Path(os.path.normpath(page.parent / unquote(unescape(link))))
        if not target.is_relative_to(results):
            continue
        if target.is_file():
            yield target
        elif kind == "src":
            raise PostTxError(
                f"the page shows {link}, which is not there", remedy="Run the target `report` again", file=page
            )


def _loaded(report: Path) -> list[Path]:
    """Return what the review page loads: its library, the table of all cases, and the files of those it can open."""
    names = [*LOADED, *reachable(report / TABLE)]
    for name in names:
        if not (report / name).is_file():
            raise PostTxError(
                f"the page loads {name}, which is not there",
                remedy="Run the target `report` again",
                file=report / REVIEW,
            )
    return [report / name for name in names]


def _bring(source: Path, name: str, folder: Path, results: Path) -> None:
    """Put one file into the folder: a page with its links led right, a record without its paths, else the file."""
    target = folder / name
    if source.suffix == ".html":
        text = source.read_text(encoding="utf-8")
        write_text(target, text.replace('href="../', 'href="') if "/" not in name else text)
    elif source.is_relative_to(results / "report") or not write_public(source, name, target):
        _link(source, target)


def _remove_others(folder: Path, wanted: set[str]) -> None:
    """Remove the files of ``folder`` that are not wanted, and folders left empty; links are removed, not followed."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in wanted:
            path.unlink()


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without hard links
        with replacing(target) as beside:
            shutil.copyfile(source, beside)

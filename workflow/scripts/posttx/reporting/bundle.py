"""The report as one folder that can be mailed: the page, the viewer with its cases, and the files they link to."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

from posttx.files import replacing, write_text

LINKS = re.compile(r'\bhref="([^"#:?]+)(?:#[^"]*)?"')


def write_bundle(results: str | Path, folder: str | Path) -> list[str]:
    """Fill ``folder`` with the report below ``results`` and what it links to; return the names of the files, sorted.

    Pages of ``results/report`` stand at the top, where their links to the results lead into folders beside them instead
    of one above; everything else keeps its place. Files are hard links where the file system has them. A link without a
    file (a cohort's audit that was not run) is left as it is.
    """
    results, folder = Path(results), Path(folder)
    files: dict[str, Path] = {}
    for page in sorted((results / "report").glob("*.html")):
        text = page.read_text(encoding="utf-8")
        for link in map(unquote, LINKS.findall(text)):
            target = Path(os.path.normpath(page.parent / link))
            if target.is_file() and target.is_relative_to(results) and target.suffix != ".html":
                files[target.relative_to(results).as_posix()] = target
        write_text(folder / page.name, text.replace('href="../', 'href="'))
    viewer = results / "report/viewer"
    files |= {
        path.relative_to(results / "report").as_posix(): path for path in sorted(viewer.rglob("*")) if path.is_file()
    }
    for name, path in files.items():
        if not path.name.startswith("."):
            _link(path, folder / name)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without hard links
        with replacing(target) as beside:
            shutil.copyfile(source, beside)

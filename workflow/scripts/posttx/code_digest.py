"""Which of our files a script runs, found by following its imports: an edit of any of them runs its rule again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from posttx.files import digest_of, sha256_of

# Also imports inside functions and for type checkers: a file too many costs a run, a file too few a stale result.
FROM = re.compile(r"^[ \t]*from[ \t]+(posttx[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)", re.MULTILINE)
PLAIN = re.compile(r"^[ \t]*import[ \t]+(posttx[\w.]*)", re.MULTILINE)
# "module:function", which is imported when it is called for
ENTRY = re.compile(r"[\"'](posttx[\w.]*):\w+[\"']")
COMMENT = re.compile(r"#[^\n]*")
NAME = re.compile(r"\w+")


def digest_of_code(script: str | Path, others: Iterable[str | Path] = ()) -> str:
    """Return a digest of what a script of ``workflow/scripts`` runs: itself, the modules it imports, and ``others``.

    Contents count, names and dates do not: a checkout that was moved or touched is the same code.
    """
    return digest_of([_content(path) for path in [*closure(Path(script)), *sorted(map(Path, others))]])


def closure(script: Path) -> list[Path]:
    """Return a script and every module of posttx that it imports, directly or through others, sorted by path."""
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path, script.parent)
    return sorted(found)


@cache
def _imports(path: Path, root: Path) -> frozenset[Path]:
    """Return the files of the modules below ``root`` that one file imports, their packages among them."""
    text = path.read_text(encoding="utf-8")
    names = {*PLAIN.findall(text), *ENTRY.findall(text)}
    for module, imported in FROM.findall(text):
        # What is imported from a package may be a module of it.
        names |= {module, *(f"{module}.{name}" for name in NAME.findall(COMMENT.sub("", imported)))}
    files = set()
    for name in names:
        parts = name.split(".")
        packages = [root.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
        files |= {file for file in (*packages, root.joinpath(*parts).with_suffix(".py")) if _is_file(file)}
    return frozenset(files)


@cache
def _is_file(path: Path) -> bool:
    return path.is_file()


@cache
def _content(path: Path) -> str:
    return sha256_of(path)

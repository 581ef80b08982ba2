"""Paths that no file of a run may have: what Snakemake would change in them, and what would steer a terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from posttx.errors import PostTxError

# Snakemake's pathvars, as in <results>, and its wildcards, as in {case} or {5F2C}: it leaves none of them alone.
REPLACED = re.compile(r"<[a-z][a-z0-9_]*>|\{\s*\w+\s*(,[^}]*)?\}")
# Control characters, halves of a pair (bytes that are no UTF-8), separators of lines and paragraphs.
REFUSED = {"Cc": "a control character", "Cs": "bytes that are no UTF-8"}
REFUSED |= dict.fromkeys(("Zl", "Zp"), "a separator of lines")
TURNING = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


def refusal_of(path: str) -> str:
    """Return why a path is refused, empty where it is not."""
    if match := REPLACED.search(path):
        return f"{match[0]}, which Snakemake would replace"
    if path.isprintable():
        return ""
    for sign in path:
        if unicodedata.bidirectional(sign) in TURNING:
            return "a sign that turns the direction of writing"
        if kind := REFUSED.get(unicodedata.category(sign)):
            return kind
    return ""


def check_path_names(paths: Iterable[tuple[str, str]]) -> None:
    """Raise one error that names every refused path; ``paths`` holds (what it is, path)."""
    lines = [f"{what}: {path} holds {why}" for what, path in paths if (why := refusal_of(path))]
    if lines:
        raise PostTxError(
            "there are paths that the workflow cannot use",
            lines=lines,
            remedy="Rename these folders or files, or give a link to them with another name (ln -s)",
            code="COH020",
        )

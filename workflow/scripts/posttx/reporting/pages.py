"""What every page is made with: templates, texts, styles and scripts in one file, the script allowed by its digest."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup

from posttx.files import digest_of
from posttx.reporting.report_cells import slug
from posttx.reporting.script_json import script_json


def environment(assets: Path) -> jinja2.Environment:
    """Return the environment of the templates in ``assets``; what is not marked safe is escaped."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(assets),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["slug"] = slug
    made.filters["script_json"] = lambda value: Markup(script_json(value))
    return made


def digest(script: str) -> str:
    """Return the SHA-256 of a script as a page's content security policy wants it."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def run_digest(settings: str, tables: Mapping[str, pd.DataFrame]) -> str:
    """Return what tells the page of one run from that of another: a digest of its settings and of what its tables hold.

    A browser keeps ratings under it. The same run, reported again, keeps it.
    """
    held = {name: str(pd.util.hash_pandas_object(table, index=False).sum()) for name, table in tables.items()}
    return digest_of([settings, held])


def joined(assets: Path, names: Sequence[str]) -> str:
    """Return the contents of files below ``assets``, one after the other."""
    return "\n".join((assets / name).read_text(encoding="utf-8") for name in names)


def texts(assets: Path) -> dict[str, dict[str, str]]:
    """Return part of a page -> its title, how to read it, and its convention, empty where it has none."""
    known = yaml.safe_load((assets / "texts.yaml").read_text(encoding="utf-8"))
    return {name: {"title": "", "read": "", "convention": "", **text} for name, text in known.items()}

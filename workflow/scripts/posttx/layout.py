"""Which version of PostTx laid out a results folder: one of another layout is told apart before a file is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posttx import versions
from posttx.errors import PostTxError
from posttx.files import read_json, write_json

STAMP = ".posttx.json"
# The layout of folders that were made before folders were stamped.
FIRST_LAYOUT = 1


def stamp_layout(results: str | Path, base: str | Path) -> None:
    """Note in ``results`` its layout and the version of PostTx in ``base``, unless that stands there already."""
    stamp = Path(results) / STAMP
    if not stamp.exists():
        write_json(stamp, {"layout": versions.LAYOUT, "posttx": _version(base)})


def check_layout(results: str | Path, base: str | Path) -> None:
    """Raise an error where ``results`` was laid out otherwise than the PostTx in ``base`` does.

    A folder that does not exist or is empty is fine; one without a stamp has the first layout.
    """
    results = Path(results)
    stamp = results / STAMP
    if stamp.is_file():
        noted = _noted(stamp)
    elif results.is_dir() and any(not path.name.startswith(".") for path in results.iterdir()):
        noted = {"layout": FIRST_LAYOUT}
    else:
        return
    if noted["layout"] == versions.LAYOUT:
        return
    raise PostTxError(
        f"these results are of PostTx {noted.get('posttx', '(unknown)')}, layout {noted['layout']}; this is PostTx "
        f"{_version(base)}, layout {versions.LAYOUT}: paths or columns are not the same, and nothing was touched",
        remedy="Move the folder away or name another working directory by --directory, and run again; to go on with "
        "these results, use the version that made them",
        file=stamp if stamp.is_file() else results,
    )


def _noted(stamp: Path) -> dict[str, Any]:
    try:
        noted = read_json(stamp)
        return {**noted, "layout": int(noted["layout"])}
    except (ValueError, KeyError, TypeError) as error:
        raise PostTxError(
            "the note on which version laid out the results is torn",
            remedy="Delete it if this version of PostTx made them, else move the folder away",
            file=stamp,
        ) from error


def _version(base: str | Path) -> str:
    import tomllib  # here, because most runs find a stamp and need no number

    return str(tomllib.loads((Path(base) / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])

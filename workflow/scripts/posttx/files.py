"""Files that appear whole or not at all, and their digests."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

FLUSHED_TOGETHER = 16


@contextmanager
def renaming(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success rename it, on failure remove it.

    A killed process leaves the file whole or absent; the machine's own death may leave it empty, unless ``flush``
    follows before anything says that it is done. The temporary name starts with a dot and keeps the suffixes, so that
    writers which look at the extension work and readers of the folder skip it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success flush it to disk and rename it, on failure remove it."""
    with renaming(path) as beside:
        yield beside
        _flush(beside)


def flush(paths: Iterable[str | Path]) -> None:
    """Flush many files to the disk, side by side: the file system then commits them together, not one after another."""
    with ThreadPoolExecutor(FLUSHED_TOGETHER) as pool:
        for done in [pool.submit(_flush, path) for path in paths]:
            done.result()


def _flush(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_there(path: str | Path) -> bool:
    """Say whether something is at a path; no, too, where it is too long, in a loop of links or out of reach."""
    return _mode(path) != 0


def is_file(path: str | Path) -> bool:
    """Say whether a regular file is at a path, as ``is_there`` does."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: str | Path) -> bool:
    """Say whether a folder is at a path, as ``is_there`` does."""
    return stat.S_ISDIR(_mode(path))


def _mode(path: str | Path) -> int:
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):  # pathlib's own tests raise for names that are too long
        return 0


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text so that it appears whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any) -> None:
    """Write indented JSON with sorted keys, whole or not at all; NaN is refused because JSON has none."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_parquet(table: pd.DataFrame, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a table as Parquet, whole or not at all, with ``metadata`` in the file's key-value metadata."""
    import pyarrow as pa  # here, because jobs that write no table should not wait a second for it
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(table, preserve_index=False)
    if metadata:
        extra = {key.encode(): value.encode() for key, value in metadata.items()}
        arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **extra})
    with replacing(path) as beside:
        pq.write_table(arrow, beside)


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(content: Any) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of ``content`` as canonical JSON."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]

"""Files that appear whole or not at all, and their digests."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posttx.errors import PostTxError

if TYPE_CHECKING:
    import pandas as pd

FLUSHED_TOGETHER = 16
# What a user's disk can refuse; any other error while writing is ours.
REFUSALS = {
    errno.ENOSPC: "Free disk space and run again",
    errno.EDQUOT: "Free some of your disk quota and run again",
    errno.EROFS: "Choose a folder that can be written to (--directory) and run again",
}


@contextmanager
def renaming(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success rename it, on failure remove it.

    A killed process leaves the file whole or absent; the machine's own death may leave it empty, unless ``flush``
    follows before anything says that it is done. The temporary name starts with a dot and keeps the suffixes, so that
    writers which look at the extension work and readers of the folder skip it. What a writer of ``path`` left that was
    killed is removed first. A disk that refuses to be written to raises a ``PostTxError`` that names ``path``.
    """
    path = Path(path)
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        yield beside
        beside.replace(path)
    except OSError as error:
        if error.errno in REFUSALS:
            raise _refused(error.errno, path, "what stood there before is untouched") from error
        raise
    finally:
        beside.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files of ``path`` whose writers live no more, on this machine at least.

    A writer that lives on elsewhere, although its job was given up, can only fail now, and its file is not wanted.
    """
    ending = f".{path.name}"
    for name in os.listdir(path.parent):
        if name[0] != "." or not name.endswith(ending):
            continue
        writer = name.removesuffix(ending)[1:]
        if writer.isdecimal() and not _lives(int(writer)):
            path.with_name(name).unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        pass
    return True


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success flush it to disk and rename it, on failure remove it."""
    with renaming(path) as beside:
        yield beside
        _flush(beside)


def flush(paths: Iterable[str | Path]) -> None:
    """Flush many files to the disk, side by side: the file system then commits them together, not one after another.

    Some file systems refuse a file only now (quotas, delayed allocation): such a file is removed, so that no later run
    takes it for whole, and a ``PostTxError`` names the first of them.
    """
    with ThreadPoolExecutor(FLUSHED_TOGETHER) as pool:
        for done in [pool.submit(_keep_or_remove, Path(path)) for path in paths]:
            done.result()


def _keep_or_remove(path: Path) -> None:
    try:
        _flush(path)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        path.unlink(missing_ok=True)
        raise _refused(error.errno, path, "it is removed") from error


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


def _refused(number: int, path: Path, state: str) -> PostTxError:
    """Return the error of a disk in words for a user; ``state`` tells what is there now."""
    return PostTxError(
        f"cannot be written ({os.strerror(number)}); {state}",
        remedy=f"{REFUSALS[number]}: what is finished is kept",
        file=path,
    )


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


def read_parquet(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table that this workflow wrote; one that is torn or no Parquet at all raises an error that names it."""
    import pandas as pd
    import pyarrow as pa

    try:
        return pd.read_parquet(path, columns=None if columns is None else list(columns))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, pa.ArrowException) as error:
        # Those between come from pandas' own notes in the file, which it reads unchecked.
        raise torn_table(path, error) from error


def torn_table(path: str | Path, error: BaseException, remedy: str = "", case: str = "") -> PostTxError:
    """Return the error of a Parquet file that cannot be read."""
    why = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    return PostTxError(
        f"the table is torn or damaged ({why})",
        remedy=remedy or "Delete it and run again: it is made anew",
        case=case,
        file=path,
    )


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(content: Any) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of ``content`` as canonical JSON."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]

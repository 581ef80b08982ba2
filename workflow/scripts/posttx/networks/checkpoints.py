"""Checkpoints that are whole or not there, and the decision from which of them a fold may go on."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import pickle
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from posttx.errors import PostTxError
from posttx.files import read_json, replacing, sha256_of, write_json, write_text
from posttx.networks.trust import refuse_foreign

logger = logging.getLogger(__name__)
FINAL, LATEST, BEST = "checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth"
STAMP = "stamp.json"
SET_ASIDE = "set_aside"
# Some file systems count times in steps of two seconds.
COARSEST_CLOCK_NS = 2_000_000_000


def write_checkpoint(path: str | Path, save: Callable[[Path], None]) -> None:
    """Let ``save`` write a checkpoint beside ``path``, verify it, record its digest, and only then put it in place.

    A kill at any moment leaves the previous checkpoint or the new one, whole, with its digest on record: while one
    replaces the other, both digests are. A full disk raises an error and leaves the previous one.
    """
    path = Path(path)
    try:
        with _closed_to_others(), replacing(path) as beside:
            save(beside)
            _verify(beside)
            _make_newest(beside, path.parent)
            digest = sha256_of(beside)
            write_text(_record(path), "\n".join([digest, *recorded_digests(path)[:1]]) + "\n")
        with _closed_to_others():
            write_text(_record(path), digest + "\n")
    except (OSError, RuntimeError, PostTxError) as error:
        # Of a full disk, torch says no more than that it could not write.
        free = shutil.disk_usage(next(filter(Path.is_dir, path.absolute().parents))).free / 2**20
        why = (error.__cause__ or error.problem) if isinstance(error, PostTxError) else error
        raise PostTxError(
            f"the checkpoint cannot be written ({why}; {free:.1f} MB are free); the previous one, if any, is untouched",
            remedy="Free disk space and start again: training goes on from the previous checkpoint",
            file=path,
        ) from error


@contextmanager
def _closed_to_others() -> Iterator[None]:
    """Make what is written inside not writable by everybody, whatever the user's umask."""
    before = os.umask(0o077)
    os.umask(before | stat.S_IWOTH)
    try:
        yield
    finally:
        os.umask(before)


def _verify(path: Path) -> None:
    """Read a written checkpoint back: torch's format is a zip archive with a checksum per tensor."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile as error:
        raise OSError(f"it is not whole: {error}") from error
    if damaged:
        raise OSError(f"{damaged} reads back differently")


def _make_newest(path: Path, folder: Path) -> None:
    """Date a checkpoint after all others of its folder, as a clock that was set back would not."""
    others = [other.stat().st_mtime_ns for other in folder.glob("checkpoint_*.pth")]
    if others and path.stat().st_mtime_ns <= max(others):
        later = max(others) + COARSEST_CLOCK_NS
        os.utime(path, ns=(later, later))


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def recorded_digests(path: str | Path) -> list[str]:
    """Return the digests on record for a checkpoint, newest first; none where it was written by something else."""
    record = _record(Path(path))
    return record.read_text(encoding="utf-8").split() if record.is_file() else []


def check_checkpoint(path: str | Path) -> str:
    """Return the SHA-256 of a checkpoint, or raise an error where it is absent, not ours, or not what was written."""
    path = Path(path)
    with _opened(path) as stream:
        return _known_digest(path, stream)


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], str]:
    """Return what a checkpoint holds, on the CPU, and its SHA-256; what ``check_checkpoint`` refuses is not read.

    The bytes that are read are those that were checked. Only tensors and plain data come out: anything else that a
    forged file asks for is an error and is never called.
    """
    import torch  # here, because planning needs none of it

    path = Path(path)
    with _opened(path) as stream:
        digest = _known_digest(path, stream)
        stream.seek(0)
        try:
            with torch.serialization.safe_globals(_plain_data()):
                return torch.load(stream, map_location="cpu", weights_only=True), digest
        except pickle.UnpicklingError as error:
            raise PostTxError(
                "the checkpoint holds more than tensors and plain data, which could run as you; nothing of it was run",
                remedy="Find out who wrote it, delete it and train the fold again",
                file=path,
            ) from error


def _plain_data() -> list[Any]:
    """Return what a checkpoint holds beside tensors: numbers of numpy (losses, states of generators), their types."""
    import numpy as np

    kinds = (np.bool_, np.int64, np.uint32, np.float32, np.float64)
    core = np._core.multiarray  # type: ignore[attr-defined]
    return [core.scalar, core._reconstruct, np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in kinds)]


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    if not path.is_file():
        raise PostTxError("the checkpoint does not exist", remedy="Train the fold", file=path)
    refuse_foreign(path, _record(path))
    with open(path, "rb") as stream:
        yield stream


def _known_digest(path: Path, stream: io.BufferedReader) -> str:
    digests = recorded_digests(path)
    if not digests:
        raise PostTxError(
            "the checkpoint has no digest on record beside it: it was not written by this workflow",
            remedy="Delete it and train the fold again",
            file=path,
        )
    digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest not in digests:
        raise PostTxError(
            "the checkpoint is torn or was changed: it does not have the digest on record",
            remedy="Delete it and train the fold again",
            file=path,
        )
    return digest


def prepare_fold(folder: str | Path, stamp: Mapping[str, str]) -> str:
    """Make a fold's folder fit to go on or to start clean; return what was decided and why, in a sentence.

    Only checkpoints that lie beside an agreeing stamp and have their recorded digest survive; anything else is moved
    to ``set_aside/`` (the last such set is kept, it may be deleted). The newest survivor becomes
    ``checkpoint_latest.pth``, from which nnU-Net goes on with ``--c``. Checkpoints that others could have laid are an
    error: days of training are not given up for a wrong permission.
    """
    folder = Path(folder)
    with _closed_to_others():
        folder.mkdir(parents=True, exist_ok=True)
    for torn_write in folder.glob(".*.checkpoint_*"):
        torn_write.unlink()
    found = [folder / name for name in (FINAL, LATEST, BEST) if (folder / name).exists()]
    if not found:
        with suppress(OSError):
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~stat.S_IWOTH)
    refuse_foreign(folder, *found, *map(_record, found))
    differences = _stamp_differences(folder / STAMP, stamp)
    if differences:
        _set_aside(folder, found)
        (folder / "progress.jsonl").unlink(missing_ok=True)
        write_json(folder / STAMP, dict(stamp))
        return f"Starting clean: {differences}" if found else "Starting: no checkpoint is there"
    whole, torn = [], []
    for path in found:
        try:
            check_checkpoint(path)
            whole.append(path)
        except PostTxError as error:
            logger.warning("%s", error)
            torn.append(path)
    _set_aside(folder, torn)
    if not whole:
        return "Starting clean: no whole checkpoint is left" if found else "Starting: no checkpoint is there"
    newest = max(whole, key=lambda path: path.stat().st_mtime_ns)
    _link(newest, folder / LATEST)
    # nnU-Net would prefer a final checkpoint, whatever its age.
    for name in (FINAL, f"{FINAL}.sha256"):
        (folder / name).unlink(missing_ok=True)
    return f"Going on from {newest.name}, whose stamp and digest agree"


def keep_as_latest(final: str | Path) -> None:
    """Keep a finished training as ``checkpoint_latest.pth`` too, as a second name of the same bytes.

    Where the workflow dies before it has noted the finished fold, it removes ``checkpoint_final.pth`` as incomplete.
    """
    final = Path(final)
    _link(final, final.with_name(LATEST))


def _link(source: Path, target: Path) -> None:
    if source == target:
        return
    # The digest first: a record that lists both is right whichever file stands there after a kill.
    with _closed_to_others():
        write_text(_record(target), "\n".join([*recorded_digests(source)[:1], *recorded_digests(target)[:1]]) + "\n")
    beside = target.with_name(f".{os.getpid()}.{target.name}")
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError:
        # Some network file systems have no hard links.
        shutil.copyfile(source, beside)
    beside.replace(target)


def _stamp_differences(path: Path, stamp: Mapping[str, str]) -> str:
    if not path.is_file():
        return "there is no stamp that says what its checkpoints rest on"
    try:
        old = read_json(path)
    except ValueError:
        return "its stamp is torn"
    changed = sorted(key for key in {*old, *stamp} if old.get(key) != stamp.get(key))
    return f"changed since its checkpoints were written: {', '.join(changed)}" if changed else ""


def _set_aside(folder: Path, paths: list[Path]) -> None:
    if not paths:
        return
    aside = folder / SET_ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for path in paths:
        path.replace(aside / path.name)
        if _record(path).exists():
            _record(path).replace(aside / _record(path).name)

"""Logging of a job: to its log file and to standard error, and one readable line for an error of the user's data."""

from __future__ import annotations

import hashlib
import logging
import sys
from functools import partial
from pathlib import Path, PurePath
from types import TracebackType

from posttx.errors import LISTED, PostTxError, one_line, readable
from posttx.files import write_text

logger = logging.getLogger(__name__)
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# Where long lists go of what has no log file of its own; Snakemake's own folder for logs.
LOGS = Path("logs")


class ReadableFormatter(logging.Formatter):
    """Show what files and their names put into a record as escapes; no line of it can pass for another record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text. What is given beside the message is data: one line each."""
        if isinstance(record.args, tuple):
            record = logging.makeLogRecord({**record.__dict__, "args": tuple(map(_shown, record.args))})
        return readable(super().format(record))


def _shown(argument: object) -> object:
    """Return data of a record as one line; an error of ours, which formats itself, and numbers stay as they are."""
    data = isinstance(argument, str | PurePath | BaseException) and not isinstance(argument, PostTxError)
    return one_line(argument) if data else argument


def configure_logging(path: str | Path | None = None) -> None:
    """Send records of level INFO and above to ``path`` (where given) and to standard error.

    An uncaught ``PostTxError`` is logged as its message alone: it names case, file, problem and remedy, and a traceback
    would bury that. Any other exception keeps its traceback.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, mode="w", encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(ReadableFormatter(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    logging.captureWarnings(True)
    sys.excepthook = partial(_log_uncaught, Path(path).parent if path else LOGS)


def told(error: PostTxError, folder: str | Path = LOGS) -> str:
    """Return the message of an error; a list too long for it is written whole to a file in ``folder``, which it names.

    Where that file cannot be written, the message has the beginning of the list and the number of the others.
    """
    if len(error.lines) <= LISTED:
        return str(error)
    content = "".join(f"{one_line(line)}\n" for line in error.lines)
    path = Path(folder) / f"list-{hashlib.sha256(content.encode()).hexdigest()[:12]}.txt"
    try:
        write_text(path, content)
    except (OSError, PostTxError):
        return str(error)
    return error.text(path)


def _log_uncaught(folder: Path, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, PostTxError):
        logger.error(told(error, folder))
    elif issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logger.error("unexpected %s", kind.__name__, exc_info=(kind, error, trace))

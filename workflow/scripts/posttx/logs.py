"""Logging of a job: to its log file and to standard error, and one readable line for an error of the user's data."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import TracebackType

from posttx.errors import PostTxError

logger = logging.getLogger(__name__)


def configure_logging(path: str | Path | None = None) -> None:
    """Send records of level INFO and above to ``path`` (where given) and to standard error.

    An uncaught ``PostTxError`` is logged as its message alone: it names case, file, problem and remedy, and a traceback
    would bury that. Any other exception keeps its traceback.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, mode="w", encoding="utf-8"))
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", handlers=handlers, force=True
    )
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, PostTxError):
        logger.error("%s", error)
    elif issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logger.error("unexpected %s", kind.__name__, exc_info=(kind, error, trace))

"""Work through the cases of a shard with worker processes, and let no case hide another."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from posttx.errors import CasesFailedError, PostTxError
from posttx.memory import keep_freed_memory

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")
PROGRESS_SECONDS = 10.0
MORE_MEMORY = (
    "Give its rule more memory (--set-resources RULE:mem_mb=...) or fewer workers (--set-threads RULE=1) and run again"
)
# The finding code of an exception that is none of ours.


UNEXPECTED = "FIL099"


def map_cases(
    function: Callable[[Item], Result],
    items: Mapping[str, Item],
    workers: int = 1,
    *,
    verb: str = "done",
    instead: Callable[[str, PostTxError], Result] | None = None,
) -> dict[str, Result]:
    """Return ``function(item)`` per case id, in the order of ``items``; log progress while at it.

    Every case is tried. Where some fail, ``CasesFailedError`` names all of them at the end; a worker that the system
    killed (out of memory, mostly) is reported as that, and its neighbours in the pool are tried again. An exception
    that nobody foresaw (``UNEXPECTED``) is a failure like others, or, where ``instead`` is given, its result for case
    and error takes the place of the case's own. ``function`` must be importable (a module's top level) when
    ``workers`` > 1. No items: an empty dictionary.
    """
    results: dict[str, Result] = {}
    failures: dict[str, PostTxError] = {}
    started = reported = time.monotonic()
    for case, outcome in _outcomes(function, items, workers):
        if isinstance(outcome, PostTxError) and outcome.code == UNEXPECTED and instead:
            results[case] = instead(case, outcome)
        elif isinstance(outcome, PostTxError):
            failures[case] = outcome
        else:
            results[case] = outcome
        finished, now = len(results) + len(failures), time.monotonic()
        if now - reported > PROGRESS_SECONDS or finished == len(items):
            remaining = (now - started) / finished * (len(items) - finished)
            logger.info("%s %d of %d cases, about %.0f s to go", verb, finished, len(items), remaining)
            reported = now
    if failures:
        raise CasesFailedError(failures, len(items))
    return {case: results[case] for case in items}


def _outcomes(
    function: Callable[[Item], Result], items: Mapping[str, Item], workers: int
) -> Iterator[tuple[str, Result | PostTxError]]:
    if workers <= 1 or len(items) <= 1:
        keep_freed_memory()
        for case, item in items.items():
            yield case, attempt(case, function, item)
        return
    broken: list[str] = []
    with _pool(min(workers, len(items))) as pool:
        futures: dict[Future[Any], str] = {
            pool.submit(attempt, case, function, item): case for case, item in items.items()
        }
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                broken.append(futures[future])
    for case in broken:
        # A dead worker breaks the whole pool: try each unfinished case alone to learn which one kills its process.
        with _pool(1) as pool:
            try:
                yield case, pool.submit(attempt, case, function, items[case]).result()
            except BrokenProcessPool:
                yield (
                    case,
                    PostTxError("the worker process was killed, most likely for memory", remedy=MORE_MEMORY, case=case),
                )


def _pool(workers: int) -> ProcessPoolExecutor:
    fork = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(workers, mp_context=fork, initializer=keep_freed_memory)


def attempt(case: str, function: Callable[..., Result], *arguments: Any) -> Result | PostTxError:
    """Return what a function returns for a case, or the failure that its exception stands for."""
    try:
        return function(*arguments)
    except Exception as error:
        return failure_of(case, error)


def failure_of(case: str, error: BaseException) -> PostTxError:
    """Return an exception, met while a case was worked on, as an error that names the case.

    One that is not ours leaves its traceback in the log and becomes an ``UNEXPECTED`` one.
    """
    if isinstance(error, PostTxError):
        return error
    if isinstance(error, MemoryError):
        return PostTxError("MemoryError: more memory was asked for than there is", remedy=MORE_MEMORY, case=case)
    logger.error("case %s: unexpected error", case, exc_info=error)
    return PostTxError(
        f"unexpected {type(error).__name__} ({error})" if str(error) else f"unexpected {type(error).__name__}",
        remedy="Export or download its files again or leave the case out; report it with the traceback in the log",
        case=case,
        code=UNEXPECTED,
    )

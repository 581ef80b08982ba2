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


def map_cases(
    function: Callable[[Item], Result], items: Mapping[str, Item], workers: int = 1, *, verb: str = "done"
) -> dict[str, Result]:
    """Return ``function(item)`` per case id, in the order of ``items``; log progress while at it.

    Every case is tried. Where some fail, ``CasesFailedError`` names all of them at the end; a worker that the system
    killed (out of memory, mostly) is reported as that, and its neighbours in the pool are tried again. ``function``
    must be importable (a module's top level) when ``workers`` > 1. No items: an empty dictionary.
    """
    results: dict[str, Result] = {}
    failures: dict[str, BaseException] = {}
    started = reported = time.monotonic()
    for case, outcome in _outcomes(function, items, workers):
        if isinstance(outcome, BaseException):
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
) -> Iterator[tuple[str, Result | BaseException]]:
    if workers <= 1 or len(items) <= 1:
        keep_freed_memory()
        for case, item in items.items():
            yield case, _call(function, item)
        return
    broken: list[str] = []
    with _pool(min(workers, len(items))) as pool:
        futures: dict[Future[Any], str] = {pool.submit(_call, function, item): case for case, item in items.items()}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                broken.append(futures[future])
    for case in broken:
        # A dead worker breaks the whole pool: try each unfinished case alone to learn which one kills its process.
        with _pool(1) as pool:
            try:
                yield case, pool.submit(_call, function, items[case]).result()
            except BrokenProcessPool:
                yield (
                    case,
                    PostTxError(
                        "the worker process was killed, most likely for memory",
                        remedy="Give its rule more memory (--set-resources RULE:mem_mb=...) or fewer workers "
                        "(--set-threads RULE=1) and run again",
                        case=case,
                    ),
                )


def _pool(workers: int) -> ProcessPoolExecutor:
    fork = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(workers, mp_context=fork, initializer=keep_freed_memory)


def _call(function: Callable[[Item], Result], item: Item) -> Result | BaseException:
    try:
        return function(item)
    except Exception as error:
        if not isinstance(error, PostTxError):
            logger.exception("unexpected error")
        return error

"""A watcher beside a command on a GPU: when the command dies, what it leaves running dies too.

A trainer that is killed (mostly by the kernel, for memory) leaves its loader processes behind. They wait for ever, and
keep the GPU's memory and its slot, because both are inherited by fork.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep

from posttx.networks.gpu_slots import TOKEN

logger = logging.getLogger(__name__)
GRACE_SECONDS = 2.0
POLL_SECONDS = 0.1


def guard_this_process(descriptors: Sequence[int], token: str) -> None:
    """Start a watcher of this process and of the command it becomes by exec.

    It holds the slot's locks (``descriptors``) as well, until every process whose environment carries ``token`` is
    gone: those that are left a moment after the end of this one are killed. Where the system cannot watch processes
    (Linux before 5.3), the slot stays with the left ones, and this is logged.
    """
    try:
        watched = os.pidfd_open(os.getpid())
    except (AttributeError, OSError) as error:
        logger.info("this system cannot watch processes (%s): those a killed job leaves behind keep its GPU", error)
        return
    # Forked twice: no child of the command, which may wait for all of its children.
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                _watch(watched, descriptors, token)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(watched)


def _watch(watched: int, descriptors: Sequence[int], token: str) -> None:
    os.chdir("/")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nowhere, standard)
    # Whoever reads from a pipe of the command waits until we have closed it too; messages still go to standard error.
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in {0, 1, 2, watched, *descriptors}:
            with contextlib.suppress(OSError):
                os.close(int(name))
    watcher = select.poll()
    watcher.register(watched, select.POLLIN)
    watcher.poll()
    end_marked(token)


def end_marked(token: str) -> None:
    """Return when no process carries ``token``; kill those that are still there after ``GRACE_SECONDS``."""
    patience = monotonic() + GRACE_SECONDS
    told = False
    while left := marked_processes(token):
        if monotonic() > patience:
            if not told:
                logger.warning("the command is gone; killing %d processes it left on the GPU: %s", len(left), left)
                told = True
            for pid in left:
                _kill(pid, token)
        sleep(POLL_SECONDS)


def marked_processes(token: str) -> list[int]:
    """Return the ids of the user's processes that carry ``token`` in their environment, inherited or given."""
    processes = (folder for folder in Path("/proc").iterdir() if folder.name.isdigit())
    return [int(folder.name) for folder in processes if _is_marked(folder, token)]


def _is_marked(folder: Path, token: str) -> bool:
    try:
        return f"{TOKEN}={token}".encode() in (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _kill(pid: int, token: str) -> None:
    # Through a handle and looked at again: the id may belong to another process by now.
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if _is_marked(Path(f"/proc/{pid}"), token):
            signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(process)

"""Run a command on GPUs that nothing else of this user is using: `with_gpu.py --device cuda -- command ...`.

The command replaces this process (exec) and inherits the locks of its devices: signals and exit code are its own, and
the kernel frees the devices when it is gone. In a batch job that was given its devices, and on the CPU, nothing is
changed.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from posttx.logs import configure_logging
from posttx.networks.gpu_guard import guard_this_process
from posttx.networks.gpu_slots import WEEK_SECONDS, assigned_by_scheduler, take_slots

logger = logging.getLogger(__name__)
NOT_RUNNABLE = 127


def claim_gpus(count: int, environment: Mapping[str, str], wait_seconds: float, note: str) -> dict[str, str]:
    """Return the variables that confine a command to ``count`` GPUs, whose locks it inherits; none where given already.

    Waits until as many are free, ``wait_seconds`` at most, then raises an error.
    """
    if count < 1 or assigned_by_scheduler(environment, count):
        return {}
    slots = take_slots(count, environment, wait_seconds=wait_seconds, note=note)
    variables = slots.environment(environment)
    guard_this_process(slots.descriptors, slots.token)
    for descriptor in slots.descriptors:
        os.set_inheritable(descriptor, True)
    logger.info("on GPU %s", ",".join(device.name for device in slots.devices))
    return variables


def become(command: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Replace this process by ``command`` with ``variables`` added to its environment."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        # Python ignores these two, and what is ignored stays so through an exec.
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], list(command), {**os.environ, **variables})
    except OSError as error:
        logger.error("%s cannot be run: %s", command[0], error.strerror)
        raise SystemExit(NOT_RUNNABLE) from error


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; everything after `--` is the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True, help="cpu: just run the command")
    parser.add_argument("--gpus", type=int, default=1, help="number of GPUs (default: %(default)s)")
    parser.add_argument(
        "--wait",
        type=float,
        default=float(os.environ.get("POSTTX_GPU_WAIT") or WEEK_SECONDS),
        help="seconds to wait for a free one (default: POSTTX_GPU_WAIT, else a week)",
    )
    parser.add_argument("command", nargs="+", help="the command and its arguments, after --")
    return parser.parse_args(given)


if __name__ == "__main__":
    configure_logging()
    given = arguments(sys.argv[1:])
    wanted = given.gpus if given.device == "cuda" else 0
    become(given.command, claim_gpus(wanted, os.environ, given.wait, shlex.join(given.command)))

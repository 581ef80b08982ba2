"""GPUs of a workstation: one lock file per device, which the kernel frees when whoever holds it dies, however."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import random
import re
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

from posttx.errors import PostTxError

logger = logging.getLogger(__name__)
VISIBLE = "CUDA_VISIBLE_DEVICES"
TOKEN = "POSTTX_GPU_SLOT"
FOLDER = "POSTTX_GPU_LOCKS"
COUNT = "POSTTX_GPUS"
BATCH_JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")
WEEK_SECONDS = 7 * 24 * 3600.0
POLL_SECONDS = 0.5
FIRST_REMINDER_SECONDS, LAST_REMINDER_SECONDS = 60.0, 1800.0


@dataclass(frozen=True)
class Device:
    """A device as CUDA is to be told of it, and the name of its lock, which is the same however it was written."""

    name: str
    key: str


@dataclass(frozen=True)
class Slots:
    """Devices that belong to this process and to whom it hands the open descriptors of their locks."""

    devices: tuple[Device, ...]
    descriptors: tuple[int, ...]
    token: str

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that confine a command to the devices and mark it, and all its children, as theirs."""
        variables = {VISIBLE: ",".join(device.name for device in self.devices), TOKEN: self.token}
        if VISIBLE not in given and "CUDA_DEVICE_ORDER" not in given:
            # nvidia-smi counts along the bus, CUDA from the fastest: the same number could be another card.
            variables["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        return variables

    def release(self) -> None:
        """Let the devices go; where the descriptors were inherited, the heirs keep holding them."""
        for descriptor in self.descriptors:
            os.close(descriptor)


def assigned_by_scheduler(environment: Mapping[str, str], count: int) -> bool:
    """Say whether a batch system (SLURM, PBS, LSF) has chosen the devices already, so that nothing is left to do.

    An allocation of more devices than ``count``, in which a workflow runs its jobs locally, still needs slots.
    """
    return _batch_job(environment) is not None and len(_listed(environment.get(VISIBLE, ""))) <= count


def visible_devices(environment: Mapping[str, str]) -> list[Device]:
    """Return the devices a workflow may use: ``CUDA_VISIBLE_DEVICES``, else nvidia-smi's list, else ``POSTTX_GPUS``.

    A listed UUID gets the lock of its number, so that two workflows that name one device differently exclude each
    other. GPUs that are cut in MIG instances are replaced by these. None: an empty list.
    """
    job = _batch_job(environment)
    prefix = f"job-{job}-" if job else ""
    if VISIBLE in environment:
        names = _listed(environment[VISIBLE])
        numbers = {} if all(name.isdigit() for name in names) else _from_nvidia_smi(environment)
        return [Device(name, prefix + _key(name, numbers)) for name in names]
    if found := _from_nvidia_smi(environment):
        names = [uuid if uuid.startswith("MIG-") else number for uuid, number in found.items()]
    else:
        names = [str(number) for number in range(_count(environment))]
    return [Device(name, prefix + name) for name in names]


def take_slots(
    count: int, environment: Mapping[str, str], *, wait_seconds: float = WEEK_SECONDS, note: str = ""
) -> Slots:
    """Take ``count`` devices at once, waiting until as many are free; ``note`` tells others who holds them.

    The locks are flocks of files in a folder of the user on this machine. They last while any process has the returned
    descriptors open. Raises an error where there are fewer devices than asked for, and after ``wait_seconds``.
    """
    devices = visible_devices(environment)
    if len(devices) < count:
        raise _too_few(devices, count, environment)
    with _lock_folder(environment) as folder:
        started, remind_at = monotonic(), 0.0
        while True:
            if (slots := _try_devices(folder, devices, count, note)) is not None:
                return slots
            waited = monotonic() - started
            if waited >= wait_seconds:
                raise _none_free(folder, devices, count, waited)
            if waited >= remind_at:
                logger.info("waiting for a GPU slot: %s", _holders(folder, devices))
                remind_at = waited + min(max(waited, FIRST_REMINDER_SECONDS), LAST_REMINDER_SECONDS)
            # Jobs that want two devices each would otherwise take and return them in step for ever.
            sleep(min(POLL_SECONDS * (0.5 + random.random()), max(0.0, wait_seconds - waited)))


def lock_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of the locks: of the user, on this machine, whatever session or workflow asks.

    Neither ``TMPDIR`` (Snakemake and batch systems give each job its own) nor ``XDG_RUNTIME_DIR`` (absent in cron,
    removed at logout while a workflow in the background goes on) would be the same for all; ``POSTTX_GPU_LOCKS`` is
    for machines without a /tmp of their own.
    """
    return Path(environment.get(FOLDER) or f"/tmp/posttx-gpu-{os.getuid()}")


def _batch_job(environment: Mapping[str, str]) -> str | None:
    return next((_safe(environment[name]) for name in BATCH_JOBS if environment.get(name)), None)


def _listed(text: str) -> list[str]:
    names: list[str] = []
    for name in map(str.strip, text.split(",")):
        # CUDA stops at the first entry that is no device.
        if name in ("", "-1"):
            break
        names.append(name)
    return list(dict.fromkeys(names))


def _key(name: str, numbers: Mapping[str, str]) -> str:
    if name.startswith("GPU-"):
        # CUDA takes abbreviated UUIDs too.
        name = next((number for uuid, number in numbers.items() if uuid.startswith(name)), name)
    return _safe(name)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def _from_nvidia_smi(environment: Mapping[str, str]) -> dict[str, str]:
    """Return UUID -> number of the GPU, in nvidia-smi's order; nothing without nvidia-smi or its driver."""
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"], env=dict(environment), capture_output=True, text=True, timeout=60, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[str, str] = {}
    whole = ""
    for line in listing.splitlines():
        if gpu := re.match(r"GPU (\d+):.*\(UUID: (GPU-[^)]+)\)", line):
            whole, number = gpu[2], gpu[1]
            found[whole] = number
        elif (instance := re.match(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)", line)) and whole:
            found.pop(whole, None)
            found[instance[1]] = number
    return found


def _count(environment: Mapping[str, str]) -> int:
    text = environment.get(COUNT) or "0"
    if not text.isdigit():
        raise PostTxError(f"{COUNT} is {text!r}", remedy="Give the number of GPUs of this machine")
    return int(text)


def _too_few(devices: Sequence[Device], count: int, environment: Mapping[str, str]) -> PostTxError:
    source = f"{VISIBLE}={environment[VISIBLE]}" if VISIBLE in environment else f"nvidia-smi, {COUNT}"
    if not devices:
        return PostTxError(
            f"CUDA is asked for, but this machine has no GPU to use ({source})",
            remedy="Set models.<name>.train.device to cpu, or run where there is a GPU; where nvidia-smi is missing, "
            f"give the number of GPUs as {COUNT}",
        )
    return PostTxError(
        f"{count} GPUs are asked for at once, but there are only {len(devices)} ({source})", remedy="Ask for fewer"
    )


@contextlib.contextmanager
def _lock_folder(environment: Mapping[str, str]) -> Iterator[int]:
    path = lock_folder(environment)
    try:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise PostTxError(
            f"the folder of GPU locks cannot be used ({error.strerror})",
            remedy=f"Remove what is there, or set {FOLDER} to a folder of yours on a local disk",
            file=path,
        ) from error
    try:
        # Checked on the open folder: in /tmp anybody can put a link or a folder under the name before us.
        status = os.fstat(folder)
        if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise PostTxError(
                "the folder of GPU locks belongs to somebody else, or others may write to it",
                remedy=f"Remove it, or `chmod 700` it if it is yours, or set {FOLDER} to another folder",
                file=path,
            )
        yield folder
    finally:
        os.close(folder)


def _try_devices(folder: int, devices: Sequence[Device], count: int, note: str) -> Slots | None:
    held: dict[Device, int] = {}
    for device in devices:
        if len(held) < count and (descriptor := _try_lock(folder, device)) is not None:
            held[device] = descriptor
    slots = Slots(tuple(held), tuple(held.values()), uuid4().hex)
    if len(held) < count:
        slots.release()
        return None
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    text = json.dumps({"pid": os.getpid(), "since": since, "command": note[:500]}).encode()
    for descriptor in slots.descriptors:
        # The text only helps those who wait: a full disk must not stop the work.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text, 0)
    return slots


def _try_lock(folder: int, device: Device) -> int | None:
    name = _lock_name(device)
    descriptor = -1
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A clean-up of /tmp between the two lines would leave us with the lock of a file that nobody else sees.
        if os.path.samestat(os.fstat(descriptor), os.stat(name, dir_fd=folder, follow_symlinks=False)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        if descriptor >= 0:
            os.close(descriptor)
        raise PostTxError(
            f"the lock of GPU {device.name} cannot be taken ({error.strerror})",
            remedy=f"Remove it, or set {FOLDER} to a folder on a local disk",
            file=name,
        ) from error
    if descriptor >= 0:
        os.close(descriptor)
    return None


def _lock_name(device: Device) -> str:
    return f"gpu-{device.key}.lock"


def _none_free(folder: int, devices: Sequence[Device], count: int, waited: float) -> PostTxError:
    what = "no GPU slot free" if count == 1 else f"no {count} GPU slots free at once"
    return PostTxError(
        f"{what} after {waited:.0f} s: {_holders(folder, devices)}",
        remedy="Wait for these to end, or end them; keep `--resources gpu=N` at the number of GPUs",
    )


def _holders(folder: int, devices: Sequence[Device]) -> str:
    return "; ".join(f"GPU {device.name} {_holder(folder, device)}" for device in devices)


def _holder(folder: int, device: Device) -> str:
    try:
        with open(os.open(_lock_name(device), os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)) as stream:
            note: dict[str, Any] = json.load(stream)
        gone = "" if Path(f"/proc/{note['pid']}").exists() else " (gone; its children go on)"
        return f"was taken {note['since']} by process {note['pid']}{gone}: {note['command']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "is taken"

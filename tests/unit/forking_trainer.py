"""Train a fold again and again in forks of one process, so that twenty kills do not cost twenty imports of torch.

Reads one line per attempt from stdin, the place at which the attempt shall kill itself or ``-`` for none; answers with
the process id at once and with the exit status (negative: the signal) at the end. Arguments are those of
``nnUNetv2_train``.
"""

import os
import signal
import sys
import traceback
from pathlib import Path

from nnunetv2.run.run_training import run_training_entry
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

from posttx.networks import checkpoints


def main() -> None:
    answers = os.dup(1)
    # nnU-Net talks a lot; answers must stand alone.
    log = os.open("attempts.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    recursive_find_trainer_class_by_name("PostTxTrainer")
    for line in sys.stdin:
        child = os.fork()
        if not child:
            attempt(line.strip())
        os.write(answers, f"{child}\n".encode())
        os.write(answers, f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n".encode())


def attempt(place: str) -> None:
    """Train in this process and leave it."""
    status = 1
    try:
        kill_at(place)
        run_training_entry()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def kill_at(place: str) -> None:
    """Let a checkpoint write be killed: ``<step> <count>``, the count-th time that the step is reached.

    Steps: ``torn`` (half of the file stands beside), ``unverified`` (all of it), ``unrecorded`` (verified, its digest
    not on record), ``unplaced`` (recorded, the old file still in place), ``placed`` (the new one in place, the record
    names both).
    """
    if place == "-":
        return
    step, count = place.split()
    left = int(count)

    def reached() -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    verify, write_text, replace = checkpoints._verify, checkpoints.write_text, Path.replace

    def torn(path: Path) -> None:
        content = path.read_bytes()
        if left == 1:
            path.write_bytes(content[: len(content) // 2])
        reached()
        verify(path)

    def unverified(path: Path) -> None:
        reached()
        verify(path)

    def recording(path: Path, text: str) -> None:
        # Two digests on record: before the file is put in place; one: after it.
        if (step == "placed") == (len(text.split()) == 1):
            reached()
        write_text(path, text)

    def placing(path: Path, target: Path) -> Path:
        if path.name.endswith(".pth"):
            reached()
        return replace(path, target)

    if step in ("torn", "unverified"):
        checkpoints._verify = torn if step == "torn" else unverified
    elif step == "unplaced":
        Path.replace = placing  # type: ignore[method-assign]
    else:
        checkpoints.write_text = recording


if __name__ == "__main__":
    main()

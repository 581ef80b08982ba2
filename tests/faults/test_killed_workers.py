"""A worker of a shard's pool is killed, as by the kernel out of memory: reported as such, and no case is lost."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import stages
from stages import CASES, STAGES, digests

import audit_shard
import score_shard
import standardize_shard
from posttx.errors import CasesFailedError

DOOMED, SPARED = CASES
SCRIPTS = {"audit": audit_shard, "standardize": standardize_shard, "score": score_shard}
FUNCTIONS = {name: getattr(script, f"{name}_case") for name, script in SCRIPTS.items()}


def killed(stage: str, item, **options):
    """Do a case's work, unless it is the doomed case: then die as a process does that asks for too much."""
    if item.case == DOOMED:
        os.kill(os.getpid(), signal.SIGKILL)
    return FUNCTIONS[stage](item, **options)


def killed_in_audit(item):
    return killed("audit", item)


def killed_in_standardize(item):
    return killed("standardize", item)


def killed_in_score(item, **options):
    return killed("score", item, **options)


DEADLY = {"audit": killed_in_audit, "standardize": killed_in_standardize, "score": killed_in_score}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_killed_worker_is_told_as_lack_of_memory_and_its_neighbour_finishes(
    whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    results = Path(shutil.copytree(whole, tmp_path / "results"))
    finished = digests(results)
    written = [path for pattern in STAGES[name].outputs for path in results.glob(pattern) if path.is_file()]
    for path in written:
        path.unlink()
    run = getattr(stages, name)
    with monkeypatch.context() as patch:
        patch.setattr(SCRIPTS[name], f"{name}_case", DEADLY[name])
        with pytest.raises(CasesFailedError, match=r"killed, most likely for memory.*mem_mb.*run again") as caught:
            run(results, data, workers=2)
    assert caught.value.failures.keys() == {DOOMED}
    # The pool stops the neighbour in the middle of a write; the next run removes what that leaves under a hidden name.
    left = {file: digest for file, digest in digests(results).items() if not Path(file).name.startswith(".")}
    assert left.items() < finished.items(), "a file is half-written"
    if name != "audit":
        # The audit's tables hold all cases of a shard at once.
        assert {file for file in finished if SPARED in file} <= left.keys()
    run(results, data, workers=2)
    assert digests(results) == finished


class Hungry:
    """Stands for an item whose work asks for more memory than there is."""


def starve(item: Hungry) -> None:
    raise MemoryError


def test_an_allocation_that_fails_is_told_by_its_name() -> None:
    from posttx.parallel import map_cases

    with pytest.raises(CasesFailedError, match="a: MemoryError"):
        map_cases(starve, {"a": Hungry()})

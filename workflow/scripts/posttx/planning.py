"""Two gaps in how Snakemake (9.27) decides what to run, closed: both end with exit 0 and yesterday's result.

1. Of a job behind an `ancient` file whose maker is to run again, Snakemake looks at nothing, neither at its parameters
   nor at whether its output is there, and at nothing that follows from it (issue 4166). Here an `ancient` file means
   order and no more: the job waits for the maker, and is judged by everything else.
2. Of an intermediate file that is missing Snakemake takes no notice where what was made of it earlier is still there.
   That is right where a user deleted it to save space, and wrong where its job failed or was killed: the next call says
   "nothing to be done". Here such a job runs again.

What a target cannot do without is checked here, too (``check_before``): Snakemake does not tell which targets are asked
for while it parses a workflow, and an input function that refuses is passed over where its job's output is there.

This is the one module that knows Snakemake from inside; `tests/integration/test_exit_zero.py` holds it against the
version in the lock file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from snakemake.dag import DAG

# Rule -> what must be right before one of its jobs is planned.
_checks: dict[str, Callable[[], None]] = {}
Edges = Mapping[Any, Mapping[Any, set[Any]]]


def mend_planning() -> None:
    """Close both gaps for this process, once; jobs' own processes, which plan a single job, are left as they are."""
    plan = DAG.update_needrun
    if getattr(plan, "mended", False):
        return

    async def update_needrun(dag: DAG, *arguments: Any, **options: Any) -> None:
        if not dag.workflow.is_main_process:
            await plan(dag, *arguments, **options)
            return
        _check(dag)
        every = dag.depending
        dag.depending = triggering(every)
        try:
            await plan(dag, *arguments, **options)
            if lost := [job for job in dag.jobs if not dag.needrun(job) and await _is_lost(dag, job, every)]:
                dag.forcefiles.update(path for job in lost for path in job.output)
                await plan(dag)
        finally:
            dag.depending = every

    update_needrun.mended = True  # type: ignore[attr-defined]
    DAG.update_needrun = update_needrun


def check_before(rule: str, check: Callable[[], None]) -> None:
    """Have ``check`` called, which raises an error, before anything is planned that a job of ``rule`` belongs to."""
    _checks[rule] = check


def _check(dag: DAG) -> None:
    for rule in {job.rule.name for job in dag.jobs} & set(_checks):
        _checks[rule]()


def triggering(depending: Edges) -> Edges:
    """Return the edges, job -> dependent job -> files, without those whose files are all `ancient`."""
    kept: Edges = defaultdict(partial(defaultdict, set))
    for job, dependents in depending.items():
        for other, files in dependents.items():
            if not all(path.is_ancient for path in files):
                kept[job][other].update(files)
    return kept


async def _is_lost(dag: DAG, job: Any, depending: Edges) -> bool:
    """Say whether a job that is not to run was begun after what depends on it was made, and has left no output."""
    missing = [path for path in job.output if not await path.exists()]
    if not missing:
        return False
    records = dag.workflow.persistence
    if records._filter_incomplete_keys(map(str, missing)):  # killed while it ran
        return True
    ended = [record.endtime for record in map(records.metadata, missing) if record and record.endtime]
    made = [
        record.endtime
        for other in depending.get(job, {})
        for record in map(records.metadata, other.output)
        if record and record.endtime
    ]
    return bool(ended and made) and max(ended) > min(made)

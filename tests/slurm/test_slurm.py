"""The real workflow through `--profile slurm` on a real SLURM: `make test-slurm` starts one (tests/slurm/cluster.sh).

One cohort of ten small phantoms is taken through the whole workflow twice in the same folder: the first run is stopped
by Ctrl-C in the middle of its five folds, the second goes on from there while three of its folds are interrupted.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from workflow_runs import ROOT, SNAKEMAKE

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(os.environ.get("POSTTX_SLURM") != "1", reason="needs a running SLURM: make test-slurm"),
]

FOLDS, EPOCHS = 5, 16
WARNED, EXPIRED, CANCELLED = 1, 2, 3
START_TIMEOUT, RUN_TIMEOUT = 1200, 2400
CONFIG = {
    "cohorts": {
        "training": {"phantom": {"cases": 10, "seed": 1, "spacing": 5.0}, "use": "train"},
        "additional": {"phantom": {"cases": 2, "seed": 2, "spacing": 5.0}, "use": "test"},
    },
    "shards": 1,
    "standardize": {"spacing": 5.0},
    "models": {
        "nnunet": {
            "train": {
                "epochs": EPOCHS,
                "iterations": 20,
                "validation_iterations": 2,
                "plan": {"patch_size": [32, 32, 32], "batch_size": 2, "features": [8, 16, 32]},
            }
        }
    },
    "statistics": {"bootstrap": 100},
}
# The profile as it stands, but for this machine's cores, and looking at jobs more often than a cluster would like.
HERE = [
    "--slurm-init-seconds-before-status-checks=3",
    "--latency-wait=5",
    "--set-threads",
    *(f"{rule}=1" for rule in ("scan_shard", "audit_shard", "standardize_shard", "score_shard", "restore_shard")),
    *(f"{rule}=1" for rule in ("train_fold", "validate_fold", "predict_shard")),
    *(f"{rule}=2" for rule in ("extract_fingerprint", "preprocess_dataset", "draw_review", "draw_thumbs")),
]


@dataclass
class Job:
    """A SLURM job as squeue sees it; ``fold`` is None for anything but training."""

    id: str
    state: str
    fold: int | None


@dataclass
class Watched:
    """What was seen of a run of the workflow, and what its log said."""

    directory: Path
    returncode: int = -1
    text: str = ""
    devices: dict[str, str] = field(default_factory=dict)
    interrupted: dict[int, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    first_jobs: dict[int, str] = field(default_factory=dict)
    left_over: list[str] = field(default_factory=list)

    def jobs_of(self, fold: int) -> list[str]:
        """Return the SLURM jobs of a fold in the order in which they were started."""
        return sorted(
            {path.stem for path in self.directory.glob(f".snakemake/slurm_logs/rule_train_fold/*{fold}/*.log")}, key=int
        )


def merged(settings: dict, changes: dict) -> dict:
    nested = {
        key: merged(settings[key], value) for key, value in changes.items() if isinstance(settings.get(key), dict)
    }
    return settings | changes | nested


def slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def jobs() -> list[Job]:
    """Return all jobs that SLURM remembers: the comment that the plugin gives them ends in the fold."""
    found = []
    for line in slurm("squeue", "--all", "--noheader", "--states=all", "--format=%i|%T|%k").splitlines():
        number, state, comment = line.split("|", 2)
        fold = int(comment[-1]) if comment.startswith("rule_train_fold_") else None
        found.append(Job(number, state, fold))
    return found


def alive() -> list[Job]:
    return [job for job in jobs() if job.state in ("PENDING", "RUNNING", "COMPLETING", "SUSPENDED")]


def trainer_of(job: Job) -> Path | None:
    """Return the folder in /proc of a job's training, None while there is none."""
    try:
        lines = slurm("scontrol", "listpids", job.id).splitlines()[1:]
    except subprocess.CalledProcessError:
        return None
    for line in lines:
        process = Path("/proc") / line.split()[0]
        try:
            if b"nnUNetv2_train" in (process / "cmdline").read_bytes().split(b"\0")[1]:
                return process
        except (OSError, IndexError):
            continue
    return None


def device_of(process: Path) -> str:
    values = dict(part.split("=", 1) for part in (process / "environ").read_text().split("\0") if "=" in part)
    return values.get("CUDA_VISIBLE_DEVICES", "none")


def processes_in(directory: Path) -> list[str]:
    """Return the processes that work in a directory, whoever started them: trainings, jobs' own Snakemake."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == directory:
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(f"{process.name} {words}")
    return found


def left_over(directory: Path, seconds: float) -> list[str]:
    """Wait at most so long until no job lives and nobody works in a directory; return those that still do."""
    deadline = time.monotonic() + seconds
    while (left := [job.id for job in alive()] + processes_in(directory)) and time.monotonic() < deadline:
        time.sleep(1)
    return left


def fold_folder(directory: Path, fold: int) -> Path:
    return next(iter(directory.glob(f"results/nnunet/models/*/*/fold_{fold}")), directory / "none")


def epochs_of(directory: Path, fold: int) -> list[int]:
    progress = fold_folder(directory, fold) / "progress.jsonl"
    lines = progress.read_text().splitlines() if progress.is_file() else []
    return [json.loads(line)["epoch"] for line in lines]


def diary(directory: Path, fold: int) -> str:
    return "".join(path.read_text() for path in sorted(fold_folder(directory, fold).glob("training_log_*.txt")))


@contextmanager
def workflow(directory: Path, *arguments: str, profile: str = "slurm") -> Iterator[tuple[subprocess.Popen, Path]]:
    """Start the workflow in a process group of its own; whatever happens, leave neither it nor a job behind."""
    directory.mkdir(exist_ok=True)
    settings = merged(yaml.safe_load((ROOT / "config" / "demo.yaml").read_text()), CONFIG)
    (directory / "config.yaml").write_text(yaml.safe_dump(settings))
    config = ["--configfile", str(directory / "config.yaml")]
    log = directory / f"run_{time.time_ns()}.log"
    with open(log, "w") as stream:
        process = subprocess.Popen(
            [str(SNAKEMAKE), "--profile", profile, "--directory", str(directory), *config, *HERE, *arguments],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A background job of a shell ignores Ctrl-C, and so would everything it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        yield process, log
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
        for job in alive():
            slurm("scancel", job.id)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen, log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, log.read_text()[-6000:]
        assert time.monotonic() < deadline, log.read_text()[-6000:]
        time.sleep(1)


@pytest.fixture(scope="module", autouse=True)
def _leave_nothing_behind() -> Iterator[None]:
    """Let a SIGTERM, as from an expired `timeout`, end the tests as Ctrl-C does: with everything they started."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Watched:
    """Run until all folds compute and each has finished an epoch, then press Ctrl-C."""
    seen = Watched(tmp_path_factory.mktemp("slurm").resolve())

    def all_folds_compute() -> bool:
        for job in alive():
            if job.fold is not None and (process := trainer_of(job)) is not None:
                seen.first_jobs[job.fold] = job.id
                seen.devices[job.id] = device_of(process)
        return len(seen.devices) == FOLDS and all(epochs_of(seen.directory, fold) for fold in range(FOLDS))

    with workflow(seen.directory) as (process, log):
        wait_for(all_folds_compute, process, log, START_TIMEOUT)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(120)
        seen.left_over = left_over(seen.directory, 120)
        seen.returncode, seen.text = process.returncode, log.read_text()
        seen.states = {job.id: job.state for job in jobs()}
    return seen


def interrupt(job: Job) -> None:
    """Let a job reach its time limit, with or without the minutes of warning of the profile, or cancel it."""
    if job.fold == CANCELLED:
        slurm("scancel", job.id)
    elif job.fold == EXPIRED:
        slurm("scontrol", "update", f"JobId={job.id}", "TimeLimit=1")
    else:
        elapsed = slurm("squeue", "--noheader", "--jobs", job.id, "--format=%M").strip()
        slurm("scontrol", "update", f"JobId={job.id}", f"TimeLimit={int(elapsed.split(':')[-2]) + 2}")


@pytest.fixture(scope="module")
def finished(stopped) -> Watched:
    """Run again to the end, interrupting three folds once each, when they have trained an epoch more."""
    seen = Watched(stopped.directory)
    before = {fold: len(epochs_of(seen.directory, fold)) for fold in range(FOLDS)}

    def look_and_interrupt() -> None:
        for job in alive():
            trainer = trainer_of(job) if job.fold is not None and job.state == "RUNNING" else None
            if trainer is None:
                continue
            seen.devices.setdefault(job.id, device_of(trainer))
            trained = len(epochs_of(seen.directory, job.fold)) > before[job.fold]
            if trained and job.fold in (WARNED, EXPIRED, CANCELLED) and job.fold not in seen.interrupted:
                seen.interrupted[job.fold] = job.id
                interrupt(job)

    with workflow(seen.directory) as (process, log):
        deadline = time.monotonic() + RUN_TIMEOUT
        while process.poll() is None:
            assert time.monotonic() < deadline, log.read_text()[-6000:]
            look_and_interrupt()
            time.sleep(1)
        seen.returncode, seen.text = process.returncode, log.read_text()
        seen.states = {job.id: job.state for job in jobs()}
        seen.left_over = left_over(seen.directory, 120)
    return seen


def test_five_folds_were_five_jobs_with_a_gpu_each(stopped):
    assert sorted(stopped.first_jobs) == list(range(FOLDS))
    assert len(set(stopped.first_jobs.values())) == FOLDS
    assert sorted(stopped.devices.values()) == ["0", "1", "2", "3", "4"]


def test_ctrl_c_leaves_no_job_behind(stopped):
    assert stopped.returncode != 0
    assert stopped.left_over == []
    assert {stopped.states[job] for job in stopped.first_jobs.values()} == {"CANCELLED"}
    assert not list(stopped.directory.glob(".snakemake/locks/*"))


def test_ctrl_c_leaves_a_checkpoint_of_every_fold(stopped, finished):
    for fold in range(FOLDS):
        assert "resume me" in diary(stopped.directory, fold)
        assert "Going on from checkpoint_latest.pth" in diary(stopped.directory, fold)


def test_the_workflow_finishes(finished):
    assert finished.returncode == 0, finished.text[-6000:]
    assert (finished.directory / "results/report/index.html").stat().st_size > 100_000
    assert finished.left_over == []


@pytest.mark.parametrize("fold", range(FOLDS))
def test_every_fold_has_one_entry_per_epoch(finished, fold):
    assert epochs_of(finished.directory, fold) == list(range(EPOCHS))
    assert (fold_folder(finished.directory, fold) / "checkpoint_final.pth").stat().st_size > 0


@pytest.mark.parametrize(
    ("fold", "states"),
    # An expired job may still leave in time by itself: SLURM looks at time limits twice a minute.
    [(WARNED, {"FAILED"}), (EXPIRED, {"TIMEOUT", "FAILED"}), (CANCELLED, {"CANCELLED"})],
    ids=["signal ahead of the time limit", "time limit", "scancel"],
)
def test_an_interrupted_fold_is_noticed_and_goes_on(finished, fold, states):
    job = finished.interrupted[fold]
    assert finished.states[job] in states
    assert f"SLURM-job '{job}' failed" in finished.text
    following = finished.jobs_of(fold)[finished.jobs_of(fold).index(job) + 1 :]
    assert [finished.states[number] for number in following] == ["COMPLETED"]
    # Once after Ctrl-C, once after this.
    assert diary(finished.directory, fold).count("resume me") == 2
    assert diary(finished.directory, fold).count("Going on from checkpoint_latest.pth") == 2


def test_jobs_keep_their_logs(finished):
    logs = list(finished.directory.glob(".snakemake/slurm_logs/rule_validate_fold/*/*.log"))
    assert len(logs) == FOLDS


def test_the_gres_variant_gives_a_gpu_too(finished):
    cases = next(finished.directory.glob("results/predictions/additional/nnunet/*/_cases.tsv"))
    target = str(cases.relative_to(finished.directory))
    shutil.rmtree(cases.parent)
    known = {job.id for job in jobs()}
    with workflow(finished.directory, "--until", "predict_shard", "--", target, profile="profiles/slurm-gres") as (
        process,
        log,
    ):
        assert process.wait(300) == 0, log.read_text()[-6000:]
    new = [job.id for job in jobs() if job.id not in known]
    assert len(new) == 1
    assert "TresPerNode=gres:gpu:1" in slurm("scontrol", "show", "job", new[0])
    assert cases.is_file()

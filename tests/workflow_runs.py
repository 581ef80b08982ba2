"""Run the workflow, and make cohorts of empty files to plan on."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SNAKEMAKE = Path(sys.executable).parent / "snakemake"
# For a program that tests start: prints its own peak in MB. Not ru_maxrss, which begins with that of whoever forked it.
PRINT_PEAK = """
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
sys.stdout.write(str(int(peak.split()[1]) // 1000))
"""


@dataclass
class Run:
    """What a Snakemake call printed and how it ended."""

    returncode: int
    text: str

    @property
    def jobs(self) -> dict[str, int]:
        """Rule -> number of planned jobs, from the job statistics of a dry run; empty where nothing is to be done."""
        table = re.search(r"^job +count\n-+ +-+\n(.*?)\ntotal", self.text, re.MULTILINE | re.DOTALL)
        rows = (line.split() for line in table[1].splitlines()) if table else ()
        return {name: int(count) for name, count in rows if name != "all"}


def snakemake(
    directory: Path,
    *arguments: str,
    config: dict | None = None,
    timeout: float = 1800,
    snakefile: Path = ROOT / "Snakefile",
) -> Run:
    """Run the workflow, or a copy of it, in ``directory``, with ``config`` written to a file there."""
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    if config is not None:
        (directory / "test_config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        files = ["--configfile", str(directory / "test_config.yaml")]
    command = [SNAKEMAKE, "--snakefile", snakefile, "--directory", directory, *files, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Run(done.returncode, done.stdout)


def empty_cohort(root: Path, ids: list[str], columns=("t1n", "t1c", "t2w", "t2f", "seg")) -> Path:
    """Write a cohort in the BraTS layout whose files have no bytes: enough to plan on."""
    for case in ids:
        (root / case).mkdir(parents=True)
        for column in columns:
            (root / case / f"{case}-{column}.nii.gz").touch()
    return root


def brats_ids(patients: int, first: int = 1, timepoints: int = 1) -> list[str]:
    """Return ids of ``patients`` patients with ``timepoints`` scans each."""
    return [f"BraTS-GLI-{first + n:05d}-{100 + t}" for n in range(patients) for t in range(timepoints)]

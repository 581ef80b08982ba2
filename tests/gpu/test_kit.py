"""The kit for a machine with a GPU: what it lacks, from the lock file, installed and imported as it would be there."""

import importlib.metadata
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from make_kit import ARCHIVE, LOCK, ROOT, SOURCES, WHEELS, locked, make_kit
from packaging.requirements import Requirement

# What a machine with a GPU has beside torch: docs of tests/gpu/README.md.
THERE = (
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "scikit-image",
    "scikit-learn",
    "matplotlib",
    "seaborn",
    "pytest",
    "hypothesis",
    "tqdm",
    "einops",
    "jinja2",
    "pyyaml",
    "timm",
    "tifffile",
    "requests",
    "httpx",
    "rich",
)
IMPORTS = """
import checks, fold, ensemble, published, memory, trainers
import posttx_trainer, predict_shard, with_gpu, make_phantom_case, preprocess_dataset, plan_experiment
import nnunetv2.run.run_training, nnunetv2.inference.predict_from_raw_data
import sys
assert not {"pyarrow", "snakemake", "imagecodecs", "pandera"} & set(sys.modules), sorted(sys.modules)
from posttx.phantom.anatomy import _template
_template(4)
"""


def closure(names: tuple[str, ...]) -> set[str]:
    """Return distributions of this environment and all that they require."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        for text in importlib.metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                left.append(requirement.name)
    return found


def provide(folder: Path) -> None:
    """Link what a machine with a GPU has into a folder of packages: nothing else of ours."""
    folder.mkdir()
    for name in closure(THERE):
        distribution = importlib.metadata.distribution(name)
        for top in {Path(file).parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(distribution.locate_file(top))


def test_the_lock_file_is_the_only_source():
    text = locked(WHEELS + SOURCES, LOCK.read_text())
    entries = text.split("==")[1:]
    assert len(entries) == len(WHEELS + SOURCES)
    assert all("--hash=sha256:" in entry for entry in entries)
    with pytest.raises(SystemExit, match="does not hold no-such-package"):
        locked(["no-such-package"], LOCK.read_text())


def test_the_kit_is_ignored_by_git():
    done = subprocess.run(["git", "check-ignore", "-q", f".gpu-kit/{ARCHIVE}"], cwd=ROOT, check=False)
    assert done.returncode == 0


@pytest.mark.rehearsal
def test_it_brings_all_that_the_command_imports(tmp_path):
    """Made for this Python, as fast as xz can; `make gpu-kit` makes it for 3.12, small, by the same steps."""
    fetching = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(tmp_path), "yacs==0.1.8"]
    if subprocess.run(fetching, capture_output=True, check=False).returncode:
        pytest.skip("needs the package registry, which cannot be reached")
    size = make_kit(tmp_path / "kit", f"{sys.version_info.major}.{sys.version_info.minor}", preset=0)
    assert size < 70
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    there = tmp_path / "there"
    provide(there)
    site = tmp_path / "site"
    subprocess.run([python, "-m", "tarfile", "-e", tmp_path / "kit" / ARCHIVE, site], check=True)
    ours = [ROOT / part for part in ("workflow/scripts", "workflow/trainers", "tests/unit", "tests/gpu")]
    environment = {
        "PATH": f"{site / 'bin'}:{python.parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(map(str, [*ours, site, there])),
        "HOME": str(tmp_path),
    }
    for name in ("raw", "preprocessed", "results"):
        environment[f"nnUNet_{name}"] = str(tmp_path / name)
    run = subprocess.run([python, "-c", IMPORTS], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    run = subprocess.run(["nnUNetv2_train", "-h"], env=environment, capture_output=True, text=True, check=False)
    assert "usage" in run.stdout, run.stderr

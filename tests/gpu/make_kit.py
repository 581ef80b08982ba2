"""Make a kit of what a machine with a GPU and torch lacks to run tests/gpu: `make gpu-kit`.

From requirements.lock, every file checked by its digest: wheels for the Python of that machine, unpacked into one
archive of Python packages (`site.tar.xz`), which is unpacked there and put on PYTHONPATH. No registry is needed there.
"""

import argparse
import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
ARCHIVE = "site.tar.xz"
LARGEST_MB = 50.0
# With imagecodecs (26 MB) it would be larger: scans are read by isal alone there.
WHEELS = (
    "nnunetv2",
    "dynamic-network-architectures",
    "batchgenerators",
    "batchgeneratorsv2",
    "nibabel",
    "simpleitk",
    "blosc2",
    "ndindex",
    "numexpr",
    "msgpack",
    "connected-components-3d",
    "edt",
    "isal",
    "yacs",
    "graphviz",
    "pydantic",
    "pydantic-core",
    "annotated-types",
    "typing-inspection",
)
# Published as source alone; pure Python.
SOURCES = ("acvl-utils",)
# Of nilearn only the brain that phantoms are made of.
TEMPLATES = "nilearn/datasets/data/mni_icbm152_"
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux1")
SCRIPTS = ("nnUNetv2_train", "nnUNetv2_predict")
LEFT_OUT = re.compile(r"(^|/)(tests?|__pycache__|benchmarks|examples|data/tests)(/|$)")
SCRIPT = """#!/usr/bin/env python3
import sys

from {module} import {function}

sys.exit({function}())
"""


def locked(names: Iterable[str], lock: str) -> str:
    """Return the entries of ``names`` in a lock file, with their digests; a name that is not in it is an error."""
    entries = {}
    for entry in re.split(r"\n(?=\S)", lock):
        if match := re.match(r"([A-Za-z0-9._-]+)==", entry):
            entries[match[1].lower()] = entry
    absent = [name for name in names if name not in entries]
    if absent:
        raise SystemExit(f"requirements.lock does not hold {', '.join(absent)}")
    return "\n".join(entries[name] for name in names) + "\n"


def fetch(folder: Path, python: str) -> list[Path]:
    """Fetch the wheels for a Python (``3.12``) on Linux x86_64 into ``folder``, checked by digest; return them."""
    lock = LOCK.read_text(encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    (folder / "wheels.lock").write_text(locked((*WHEELS, "nilearn"), lock))
    (folder / "sources.lock").write_text(locked(SOURCES, lock))
    platforms = [word for name in PLATFORMS for word in ("--platform", f"{name}_x86_64")]
    target = [
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--implementation",
        "cp",
        "--python-version",
        python,
    ]
    wheels = ["-d", str(folder), "-r", str(folder / "wheels.lock")]
    subprocess.run([*pip, "download", *target, *platforms, *wheels], check=True)
    sources = ["-w", str(folder), "-r", str(folder / "sources.lock")]
    subprocess.run([*pip, "wheel", "--no-deps", "--require-hashes", *sources], check=True)
    return sorted(folder.glob("*.whl"))


def unpack(wheels: Sequence[Path], site: Path) -> None:
    """Unpack wheels into a folder of packages, without tests and examples, with the programs that the tests call."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                wanted = name.startswith(TEMPLATES) if wheel.name.startswith("nilearn") else not LEFT_OUT.search(name)
                if wanted:
                    archive.extract(name, site)
    programs = configparser.ConfigParser(delimiters="=")
    programs.optionxform = str  # type: ignore[assignment,method-assign]
    programs.read(next(site.glob("nnunetv2-*.dist-info")) / "entry_points.txt")
    (site / "bin").mkdir()
    for name in SCRIPTS:
        module, function = programs["console_scripts"][name].split(":")
        (site / "bin" / name).write_text(SCRIPT.format(module=module, function=function))
        (site / "bin" / name).chmod(0o755)


def make_kit(out: Path, python: str, preset: int) -> float:
    """Write the kit into ``out``; return its size in MB (10^6 bytes). ``preset`` is xz's, 0 (fast) to 9 (small)."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder, site = Path(scratch) / "wheels", Path(scratch) / "site"
        folder.mkdir()
        unpack(fetch(folder, python), site)
        beside = out / f".{os.getpid()}.{ARCHIVE}"
        with tarfile.open(beside, "w:xz", preset=preset) as archive:
            for path in sorted(site.iterdir()):
                archive.add(path, path.name)
        beside.replace(out / ARCHIVE)
    shutil.copyfile(LOCK, out / LOCK.name)
    return sum(path.stat().st_size for path in out.iterdir()) / 1e6


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / ".gpu-kit", help="folder (default: %(default)s)")
    parser.add_argument("--python", default="3.12", help="Python of the machine with the GPU (default: %(default)s)")
    parser.add_argument("--preset", type=int, default=6, help="how hard xz tries, 0 to 9 (default: %(default)s)")
    return parser.parse_args(given)


def main() -> None:
    """Make the kit, and end with an error where it is too large to be carried."""
    given = arguments(sys.argv[1:])
    size = make_kit(given.out, given.python, given.preset)
    sys.stdout.write(f"{given.out}: {size:.1f} MB for Python {given.python}, Linux x86_64\n")
    if size > LARGEST_MB:
        raise SystemExit(f"that is more than {LARGEST_MB:.0f} MB")


if __name__ == "__main__":
    main()

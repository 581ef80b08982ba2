"""Time audit and standardisation of one case at 1 mm against what decompressing and compressing its bytes costs.

Run as `python tests/benchmarks/bench_ingest.py [repeats]`. The images are a phantom's, stored as float32 (as most of
BraTS 2024, where a third is float64 and one in fifty int16), int16 and float64. The peer of standardisation
decompresses the files that it reads and compresses the bytes that it writes, which are float32 whatever was read.
Every repeat times all four steps in turn, so that a busy machine slows all of them; medians are compared. The audit
uses two threads, the other steps one: with free cores its wall time is below its CPU time.
Goals: audit <= 1.4, standardize <= 1.5. It ends with 1 where wall and CPU time both miss a goal.
"""

import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "tests" / "benchmarks")]

import numpy as np  # noqa: E402
from isal import igzip, isal_zlib  # noqa: E402
from ratios import MISSED, Ratio, note  # noqa: E402

from posttx.auditing.audit import AuditTask, audit_case  # noqa: E402
from posttx.cases import IMAGE_COLUMNS  # noqa: E402
from posttx.memory import keep_freed_memory  # noqa: E402
from posttx.nifti import COMPRESSION_LEVEL, read_header, write_volume  # noqa: E402
from posttx.phantom import PhantomCase, make_case  # noqa: E402
from posttx.standardization import Job, Settings, standardize_case  # noqa: E402

NAMES = {1: "NETC", 2: "SNFH", 3: "ET", 4: "RC"}
CASE = "BraTS-GLI-00001-100"
GOALS = {"audit": 1.4, "standardize": 1.5}
PEERS = {"audit": "decompress", "standardize": "recompress"}
GZIP = 31


def unfolded_sizes(files: dict[str, str]) -> dict[str, int]:
    """Return the bytes that each file unfolds to, so that the peer need not guess its buffer."""
    sizes = {}
    for path in files.values():
        header = read_header(path)
        sizes[path] = 352 + int(np.prod(header.get_data_shape())) * header.get_data_dtype().itemsize
    return sizes


def decompress(sizes: dict[str, int]) -> None:
    """Decompress every file in one call that knows the size, the fastest of isal's ways."""
    for path, size in sizes.items():
        isal_zlib.decompress(Path(path).read_bytes(), GZIP, size)


def recompress(sizes: dict[str, int], contents: list[bytes], folder: Path) -> None:
    """Decompress every file, and compress the bytes of every standardised one into another."""
    decompress(sizes)
    for number, content in enumerate(contents):
        (folder / f"{number}.gz").write_bytes(isal_zlib.compress(content, COMPRESSION_LEVEL, GZIP))


def timed(steps: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Return step -> (wall, CPU) seconds in each of ``repeats`` rounds of all steps; one round before warms up."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            wall, cpu = time.perf_counter(), time.process_time()
            step()
            if turn:
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return times


def measure(phantom: PhantomCase, dtype: str, folder: Path, repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Write a phantom's images as ``dtype`` below ``folder`` and time the four steps on them."""
    files = {column: str(folder / f"{CASE}-{column}.nii.gz") for column in IMAGE_COLUMNS}
    for column, path in files.items():
        data = phantom.labels if column == "seg" else phantom.images[column].astype(dtype)
        write_volume(path, data, phantom.affine)
    sizes = unfolded_sizes(files)
    task = AuditTask("bench", CASE, CASE[:-4], "train", files, NAMES)
    job = Job(CASE, files, None, folder / "standardized", Settings(), tuple(NAMES))
    standardize_case(job)
    contents = [igzip.decompress(path.read_bytes()) for path in sorted((folder / "standardized").rglob("*.gz"))]
    (folder / "recompressed").mkdir()
    steps = {
        "decompress": lambda: decompress(sizes),
        "audit": lambda: audit_case(task),
        "recompress": lambda: recompress(sizes, contents, folder / "recompressed"),
        "standardize": lambda: standardize_case(job),
    }
    return timed(steps, repeats)


def against_peer(name: str, step: str, taken: dict[str, list[tuple[float, float]]]) -> list[Ratio]:
    """Return how often a step takes the time of its peer, by the clock and on the CPU, round by round."""
    pairs = list(zip(taken[step], taken[PEERS[step]], strict=True))
    return [
        Ratio(name, f"{PEERS[step]} (isal), {unit}", [ours[i] / peer[i] for ours, peer in pairs], f"<= {GOALS[step]}")
        for i, unit in enumerate(("wall", "CPU"))
    ]


def main(repeats: int) -> int:
    """Print a table per type of voxel; return ``MISSED`` where a goal is missed."""
    logging.disable(logging.INFO)
    keep_freed_memory()  # as the workers of a shard do; the peers gain by it too
    phantom = make_case(CASE, CASE[:-4], 100, 1, 1.0)
    write, missed = sys.stdout.write, False
    write(f"medians of {repeats}\n{'voxels':8} {'step':12} {'wall ms':>8} {'CPU ms':>8} ")
    write(f"{'wall ratio':>11} {'CPU ratio':>10} {'goal':>5}\n")
    for dtype in ("float32", "int16", "float64"):
        with tempfile.TemporaryDirectory() as name:
            taken = measure(phantom, dtype, Path(name), repeats)
        for step, rounds in taken.items():
            wall, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
            line = f"{dtype:8} {step:12} {1e3 * wall:8.0f} {1e3 * cpu:8.0f}"
            if step in PEERS:
                ratios = against_peer(f"{step}, {dtype}", step, taken)
                missed |= min(ratio.median for ratio in ratios) > GOALS[step]
                line += f" {ratios[0].median:11.2f} {ratios[1].median:10.2f} {GOALS[step]:5.1f}"
                note(ratios[0])
            write(line + "\n")
    return MISSED if missed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 7))

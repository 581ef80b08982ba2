"""Time what post-processing adds: the rows of components to a prediction, and rules applied to a cohort.

    python tests/benchmarks/bench_postprocess.py [--cases 40] [--distinct 4] [--tile]

Label maps are blobs of published label volumes on the 182 x 218 x 182 grid with specks around them (`bench_cohort.py`).
Rows: CPU seconds beyond those without rows, per case, one thread. With ``--tile``, one tile goes through a network of
the published plan, and the rows are compared with what all tiles of the case take: of one network without mirroring,
which is the least that a prediction can be, and of five with all eight mirrored copies. Rules: CPU s of a shard in
which every case loses specks, and of one in which none does, for 1,621 cases on two cores.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("workflow/scripts", "tests/unit", "tests/benchmarks")]

import numpy as np  # noqa: E402  (the paths must be set first)
import torch  # noqa: E402
from bench_cohort import GRID, LAS, blobs, label_volumes  # noqa: E402
from bench_predict import random_model  # noqa: E402
from nnunetv2.utilities.label_handling.label_handling import LabelManager  # noqa: E402
from ratios import MISSED, Ratio, note  # noqa: E402

from postprocess_shard import postprocess_shard  # noqa: E402
from posttx.geometry.grids import Grid, standard_grid  # noqa: E402
from posttx.geometry.transforms import grid_columns, restore_labels  # noqa: E402
from posttx.networks import predictor  # noqa: E402
from posttx.networks.confidence import Segmentation, decided, restored  # noqa: E402
from posttx.nifti import write_volume  # noqa: E402
from posttx.postprocess.components import component_rows, components_table, rows_as_json  # noqa: E402
from posttx.postprocess.rules import Rule, RuleSet  # noqa: E402
from posttx.schemas import COMPONENTS, write_table  # noqa: E402
from posttx.shard_files import write_case_list  # noqa: E402

NAMES = {1: "NETC", 2: "SNFH", 3: "ET", 4: "RC"}
COHORT, CORES, SPECKS = 1621, 2, 30
# What nnU-Net crops such a scan to, as the published plan's median has it.
CROPPED = (142, 175, 136)
SHARE, SECONDS = 0.03, 60


def cpu_seconds() -> float:
    """Return the CPU time of this process and of those that it waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def predictions(distinct: int) -> list[np.ndarray]:
    """Return label maps of the volumes of evenly spread cases, with specks of two voxels around them."""
    volumes = label_volumes()
    chosen = sorted(volumes)[:: -(-len(volumes) // distinct)]
    maps = []
    for number, case in enumerate(chosen):
        draw = np.random.default_rng(number)
        label_map = np.asfortranarray(blobs(volumes[case], np.array([75, 110, 95]), draw))
        for i, j, k in draw.integers((10, 10, 10), np.array(GRID) - 10, (SPECKS, 3)):
            label_map[i : i + 2, j, k] = draw.choice([1, 3])
        maps.append(label_map)
    return maps


def of_rows(label_map: np.ndarray) -> tuple[float, int]:
    """Return the CPU seconds that rows of components add to a case, and how many rows it has."""
    draw = np.random.default_rng(1)
    inside = tuple(slice(20, 20 + edge) for edge in CROPPED)
    logits = draw.normal(0, 2, (5, *CROPPED)).astype(np.float32)
    np.put_along_axis(logits, label_map[inside][None].astype(int), 12, axis=0)
    labels = LabelManager({"background": 0, **{name: value for value, name in NAMES.items()}}, None)
    grid = Grid(GRID, LAS)
    row = {"case": "a", "labels": "1,2,3,4", **grid_columns(standard_grid(grid, "LPS", 1.0), grid)}
    sure = (label_map > 0) * draw.integers(100, 256, GRID).astype(np.uint8)
    begun = time.process_time()
    decided(logits, labels)
    original, affine = restored(Segmentation(label_map, sure, sure), row)
    rows = rows_as_json(component_rows(original, affine))
    taken = time.process_time() - begun
    # Without rows the label map is made and put back as well.
    begun = time.process_time()
    labels.convert_logits_to_segmentation(logits)
    restore_labels(label_map, row)
    return taken - (time.process_time() - begun), len(rows["label"])


def of_tile() -> tuple[float, int]:
    """Return the CPU seconds of one tile through one network of the published plan, and how many tiles a case has."""
    with tempfile.TemporaryDirectory() as folder:
        ensemble, _ = predictor.load_ensemble(random_model(Path(folder))[:1], "cpu", mirroring=False)
    patch = tuple(ensemble.configuration.patch_size)
    tiles = len(predictor._tiles([max(a, b) for a, b in zip(reversed(CROPPED), patch, strict=True)], patch))
    begun = time.process_time()
    ensemble.logits(torch.zeros(4, *patch))
    return time.process_time() - begun, tiles


def of_rules(maps: list[np.ndarray], cases: int, rule: Rule) -> float:
    """Return the CPU seconds a case of post-processing a shard in two workers."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        names = [f"case-{number:04d}" for number in range(cases)]
        rows = {}
        for number, label_map in enumerate(maps):
            sure = (label_map > 0) * np.uint8(200)
            columns = component_rows(Segmentation(label_map, sure, sure), LAS)
            for case in names[number :: len(maps)]:
                write_volume(folder / f"raw/{case}.nii.gz", label_map, LAS)
                rows[case] = columns
        write_case_list(folder / "raw/_cases.tsv", names)
        write_table(components_table(rows, NAMES), COMPONENTS, folder / "components.parquet")
        rules = RuleSet("m", NAMES, {"ET": rule, "NETC": rule})
        begun = cpu_seconds()
        postprocess_shard(
            folder / "raw/_cases.tsv", folder / "components.parquet", rules, folder / "post/_cases.tsv", workers=CORES
        )
        return (cpu_seconds() - begun) / cases


def main() -> int:
    """Measure, tell and note; return ``MISSED`` where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--distinct", type=int, default=4)
    parser.add_argument("--tile", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    maps = predictions(given.distinct)
    found = [of_rows(label_map) for label_map in maps]
    seconds = [taken for taken, _ in found]
    say(f"rows of components: {np.median(seconds):.2f} CPU s a case ({min(seconds):.2f} to {max(seconds):.2f}), "
        f"{[rows for _, rows in found]} rows")  # fmt: skip
    ratios = []
    if given.tile:
        tile, tiles = of_tile()
        say(f"one tile, one network of the published plan: {tile:.1f} CPU s; {tiles} tiles a case")
        for told, passes in (("one network, not mirrored", tiles), ("five networks, mirrored", tiles * 5 * 8)):
            shares = [taken / (tile * passes) for taken in seconds]
            ratios.append(Ratio("rows of components, share of CPU time", f"prediction, {told}", shares, f"<= {SHARE}"))
    for told, rule in (("every case", Rule(min_mm3=10)), ("no case", Rule(min_mm3=1))):
        per_case = of_rules(maps, given.cases, rule)
        whole = per_case * COHORT / CORES
        say(f"rules, {told} loses specks: {per_case:.3f} CPU s a case, {COHORT} cases on {CORES} cores {whole:.0f} s")
        ratios.append(Ratio(f"rules on {COHORT} cases, {told} changes, s", f"{SECONDS} s", [whole], f"<= {SECONDS}"))
    for ratio in ratios:
        say(f"{ratio.stage} / {ratio.peer}: {ratio.median:.4g} (goal {ratio.goal})")
        note(ratio)
    return 0 if all(ratio.met for ratio in ratios) else MISSED


def say(text: str) -> None:
    """Write a line."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())

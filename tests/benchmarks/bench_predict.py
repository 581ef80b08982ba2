"""Compare the ensemble's prediction with nnU-Net's own on the same device, cases, folds and mirroring.

`python tests/benchmarks/bench_predict.py RESULTS [--cohort additional] [--shard 000] [--repeats 3] [--mirroring]` takes
the model and the standardised cases of a finished run (`make demo`), lets both predict one shard from files to
files in turn, and compares medians and voxels. nnU-Net's is the program behind `nnUNetv2_predict -f 0 1 2 3 4`, called
in this process: its workers' start, which would cost it seconds, is not counted. It ends with 1 where a goal is missed.

`python tests/benchmarks/bench_predict.py --published [--tiles 2]` measures the peak memory for one case of
182 x 218 x 182 with five networks of the published plan (random weights). Only the first tiles go through one network:
memory is that of the whole, since a batch, the sums and the weights of all folds are, and it takes minutes, not hours.
"""

import argparse
import itertools
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("workflow/scripts", "tests/unit", "tests/benchmarks")]
os.environ.setdefault("nnUNet_extTrainer", str(ROOT / "workflow" / "trainers"))
os.environ.setdefault("nnUNet_def_n_proc", str(os.cpu_count()))

import nibabel as nib  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from ratios import MISSED, Ratio, note  # noqa: E402

from posttx.geometry.transforms import restore_labels  # noqa: E402
from posttx.networks import predictor  # noqa: E402
from posttx.networks.checkpoints import FINAL, write_checkpoint  # noqa: E402
from posttx.networks.nnunet import image_name  # noqa: E402
from posttx.nifti import Volume, read_volume  # noqa: E402
from predict_shard import predict_shard  # noqa: E402

GOALS = {"cpu": 1.2, "cuda": 2.0}
VOXELS, DICE = 0.9999, 0.999


def theirs(model: Path, folds: int, names: list[list[str]], files: list[str], device: str, mirroring: bool) -> None:
    """Predict cases by nnU-Net's own predictor."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    peer = nnUNetPredictor(use_mirroring=mirroring, device=torch.device(device), allow_tqdm=False)
    peer.initialize_from_trained_model_folder(str(model), tuple(range(folds)))
    peer.predict_from_files_sequential(names, files, False, True, None)


def agreement(ours: Path, other: Path, transforms: pd.DataFrame) -> tuple[float, float]:
    """Return the share of equal voxels over all cases, and the lowest Dice of a label (pooled over the cases)."""
    equal = voxels = 0
    both: dict[int, list[int]] = {}
    for row in transforms.to_dict("records"):
        one = read_volume(ours / f"{row['case']}.nii.gz").data
        two, _ = restore_labels(read_volume(other / f"{row['case']}.nii.gz").data, {str(k): v for k, v in row.items()})
        equal, voxels = equal + int((one == two).sum()), voxels + one.size
        for label in np.union1d(np.unique(one), np.unique(two)):
            if label:
                sums = both.setdefault(int(label), [0, 0])
                sums[0] += int(((one == label) & (two == label)).sum())
                sums[1] += int((one == label).sum() + (two == label).sum())
    return equal / voxels, min(2 * common / total for common, total in both.values())


def timed(steps: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Return step -> (wall, CPU) seconds in each of ``repeats`` rounds of all steps; one round before warms up."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            wall, cpu = time.perf_counter(), time.process_time()
            step()
            if turn:
                taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return taken


def compare(given: argparse.Namespace) -> int:
    """Time both on a shard and compare what they wrote; return ``MISSED`` where a goal is missed."""
    folds = sorted(given.results.glob("nnunet/models/*/*/fold_0"))
    if not folds:
        sys.exit(f"no trained model lies below {given.results}: run `make demo` first")
    model = folds[0].parent
    checkpoints = sorted(model.glob(f"fold_*/{FINAL}"))
    transforms = given.results / f"standardized/{given.cohort}/{given.shard}/transforms.parquet"
    table = pd.read_parquet(transforms)
    channels = range(len(json.loads((model / "dataset.json").read_text())["channel_names"]))
    names = [[str(transforms.parent / "images" / image_name(case, c)) for c in channels] for case in table["case"]]
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "theirs"
        other.mkdir()
        files = [str(other / case) for case in table["case"]]
        rounds = itertools.count()

        def ours() -> None:
            cases = Path(folder) / f"ours_{next(rounds)}" / "_cases.tsv"
            predict_shard(transforms, checkpoints, cases, given.device, given.mirroring)

        steps = {
            "ours": ours,
            "nnU-Net": lambda: theirs(model, len(checkpoints), names, files, given.device, given.mirroring),
        }
        rounds = timed(steps, given.repeats)
        equal, dice = agreement(Path(folder) / "ours_0", other, table)
    taken = {name: [statistics.median(column) for column in zip(*times, strict=True)] for name, times in rounds.items()}
    by_round = [
        Ratio(
            f"prediction on {given.device}, times as fast",
            f"nnU-Net's predictor, {unit}",
            [peer[index] / ours[index] for peer, ours in zip(rounds["nnU-Net"], rounds["ours"], strict=True)],
            f">= {GOALS[given.device]}",
        )
        for index, unit in enumerate(("wall", "CPU"))
    ]
    ratios = [ratio.median for ratio in by_round]
    note(by_round[0])
    sys.stderr.write(
        f"{len(table)} cases, {len(checkpoints)} folds, {given.device}, mirroring {given.mirroring}, "
        f"{torch.get_num_threads()} threads, medians of {given.repeats}\n"
        + "".join(f"{name:8} {wall:8.2f} s wall {cpu:8.2f} s CPU\n" for name, (wall, cpu) in taken.items())
        + f"nnU-Net / ours: {ratios[0]:.2f} wall, {ratios[1]:.2f} CPU (goal {GOALS[given.device]})\n"
        + f"equal voxels {100 * equal:.4f} % (goal {100 * VOXELS} %), lowest Dice of a label {dice:.5f} (goal {DICE})\n"
    )
    # On a GPU the CPU's time says nothing.
    speed = ratios[0] if given.device == "cuda" else max(ratios)
    return MISSED if speed < GOALS[given.device] or equal < VOXELS or dice < DICE else 0


def random_model(root: Path) -> list[Path]:
    """Write a model folder of five folds with the published plan's network and random weights."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from published_plan import plans

    content = plans(root, (142, 175, 136))
    folder = root / "model"
    folder.mkdir()
    (folder / "plans.json").write_text(json.dumps(content))
    (folder / "dataset.json").write_text(next(root.glob("raw/*/dataset.json")).read_text())
    network = content["configurations"]["3d_fullres"]["architecture"]
    paths = [folder / f"fold_{fold}" / FINAL for fold in range(5)]
    for path in paths:
        parts = (network["network_class_name"], network["arch_kwargs"], network["_kw_requires_import"])
        weights = get_network_from_plans(*parts, 4, 5, deep_supervision=False).state_dict()
        checkpoint = {
            "network_weights": weights,
            "init_args": {"configuration": "3d_fullres"},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (0, 1, 2),
        }
        write_checkpoint(path, lambda beside, content=checkpoint: torch.save(content, beside))
    return paths


def measure_memory(tiles: int) -> int:
    """Write the peak memory of predicting one case of 182 x 218 x 182; return ``MISSED`` where it is 10 GB or more."""
    with tempfile.TemporaryDirectory() as folder:
        ensemble, _ = predictor.load_ensemble(random_model(Path(folder)), "cpu", mirroring=True)
    loaded, ensemble.networks = ensemble.networks, ensemble.networks[:1]
    draw = np.random.default_rng(1)
    shape = (182, 218, 182)
    # No empty border: nothing is cropped away, which is the most that such a grid can hold.
    image = np.asfortranarray(draw.normal(100, 20, shape).astype(np.float32))
    affine = np.diag([-1.0, 1, 1, 1])
    volumes = [Volume(image.copy(order="F"), affine, nib.Nifti1Header(), Path("made.nii.gz")) for _ in range(4)]
    all_tiles = predictor._tiles
    predictor._tiles = lambda *grid: all_tiles(*grid)[:tiles]
    ensemble.mirror_axes = ()
    begun = time.perf_counter()
    label_map = ensemble.segment(volumes)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    sys.stderr.write(
        f"{len(loaded)} networks of the published plan in memory, case {label_map.shape}, batches of {ensemble.batch}, "
        f"{tiles} tiles through one network in {seconds:.0f} s: peak {peak:.2f} GB (goal < 10)\n"
    )
    note(Ratio("prediction, peak memory in GB", "10 GB", [peak], "<= 10"))
    return MISSED if peak >= 10 else 0


def main() -> int:
    """Parse the command line, and compare or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=Path("demo/results"))
    parser.add_argument("--cohort", default="additional")
    parser.add_argument("--shard", default="000")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", choices=sorted(GOALS), default="cpu")
    parser.add_argument("--mirroring", action="store_true")
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--tiles", type=int, default=2)
    given = parser.parse_args()
    return measure_memory(given.tiles) if given.published else compare(given)


if __name__ == "__main__":
    sys.exit(main())

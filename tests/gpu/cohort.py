"""Phantoms as the rules make, standardise, plan and preprocess them."""

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from published_plan import CHANNELS, LABELS
from scene import PUBLISHED, Report, Scene, timed

from extract_fingerprint import extract_fingerprint
from make_phantom_case import write_case
from plan_experiment import plan_experiment
from posttx.cases import IMAGE_COLUMNS
from posttx.files import read_json, write_json
from posttx.networks.nnunet import compare_plan, customize_plan, dataset_json
from posttx.standardization import Job, Settings, standardize_case
from preprocess_dataset import preprocess

DATASET, NUMBER, PLANS, CONFIGURATION = "Dataset501_BraTSPostTx", 501, "nnUNetPlans", "3d_fullres"
PATIENTS = {PUBLISHED: 4, "tiny": 2}
SPACING = {PUBLISHED: 1.0, "tiny": 6.0}
SMALL = {"patch_size": [16, 16, 16], "batch_size": 2, "features": [4, 8, 8]}
SECONDS = 90


def folders(scene: Scene) -> dict[str, str]:
    """Return nnU-Net's variables for this cohort."""
    root = scene.scratch / "cohort"
    return {f"nnUNet_{name}": str(root / name) for name in ("raw", "preprocessed", "results")}


def cases(scene: Scene) -> list[str]:
    """Return two scans of every patient."""
    return [f"BraTS-GLI-{number:05d}-{scan}" for number in range(1, PATIENTS[scene.size] + 1) for scan in (100, 101)]


def plan_of(scene: Scene) -> dict:
    """Return the plan that the cohort was preprocessed with."""
    return read_json(Path(folders(scene)["nnUNet_preprocessed"]) / DATASET / f"{PLANS}.json")


def images(scene: Scene) -> Path:
    """Return the folder of the standardised images."""
    return scene.scratch / "cohort" / "standardized" / "images"


def make_case(case: str, root: Path, spacing: float) -> None:
    """Make one phantom and standardise it."""
    files = {name: root / "scans" / f"{case}-{name}.nii.gz" for name in IMAGE_COLUMNS}
    write_case(files, case, 1, spacing)
    settings = Settings(spacing=spacing)
    paths = {name: str(path) for name, path in files.items()}
    standardize_case(Job(case, paths, None, root / "standardized", settings, tuple(LABELS.values())))


def run(scene: Scene, report: Report) -> None:
    """Make the cohort, timing each of its stages."""
    os.environ.update(folders(scene) | {"nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "1"})
    root, known = scene.scratch / "cohort", cases(scene)
    cores = len(os.sched_getaffinity(0))
    raw, preprocessed = root / "raw" / DATASET, root / "preprocessed" / DATASET
    with ProcessPoolExecutor(min(cores, len(known))) as pool:
        jobs = [pool.submit, known, [root] * len(known), [SPACING[scene.size]] * len(known)]
        made, _ = timed(
            lambda: [job.result() for job in [pool.submit(make_case, *given) for given in zip(*jobs[1:], strict=True)]]
        )
    report.note("phantoms_s", made)
    where = dict.fromkeys(known, root / "standardized")
    write_json(raw / "dataset.json", dataset_json(where, CHANNELS, LABELS, raw))
    write_json(preprocessed / "splits_final.json", [{"train": known[2:], "val": known[:2]}])
    workers = min(cores, 8)
    measured, _ = timed(lambda: extract_fingerprint(NUMBER, workers))
    path = preprocessed / f"{PLANS}.json"
    planned, _ = timed(lambda: plan_experiment(NUMBER, "ExperimentPlanner", path, CONFIGURATION, "{}"))
    different = [row["property"] for row in compare_plan(read_json(path)) if not row["equal"]]
    report.note("differs_from_published_in", ", ".join(different) or "nothing")
    wanted = SMALL if scene.size != PUBLISHED else {"patch_size": [128, 160, 112], "batch_size": 2} if different else {}
    write_json(path, customize_plan(read_json(path), CONFIGURATION, wanted))
    marker = preprocessed / "markers" / f"{PLANS}_{CONFIGURATION}.json"
    done, _ = timed(lambda: preprocess(NUMBER, path, CONFIGURATION, workers, raw / "dataset.json", marker))
    report.note("fingerprint_plan_preprocess_s", f"{measured:.1f} {planned:.1f} {done:.1f}")
    report.check("cases", read_json(marker)["cases"] == len(known), read_json(marker)["cases"])
    total = made + measured + planned + done
    report.check("seconds_in_all", total <= SECONDS or not scene.on_gpu, total)

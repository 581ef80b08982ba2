"""A small results folder, made without running the workflow: what figures and report read."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from posttx import configuration
from posttx.analysis.comparison import compare_models
from posttx.analysis.ranks import rank_models
from posttx.analysis.subgroups import subgroups
from posttx.analysis.tables import make_tables
from posttx.cases import MODALITIES
from posttx.conventions import convention_of
from posttx.files import write_json, write_parquet
from posttx.labels import load_scheme
from posttx.networks import trainings
from posttx.networks.splits import splits_of
from posttx.postprocess.models import postprocessed_models
from posttx.reporting import figures
from posttx.reporting.drawing import draw_figures
from posttx.reporting.palettes import described_regions, region_colors
from posttx.schemas import CASE_METRICS, LESIONS, checked
from posttx.scoring.scores import scores_from

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "workflow/report"
SCHEME = load_scheme(ROOT / "config/labels/brats2024.yaml")
COLORS = region_colors(SCHEME)
NAMES = SCHEME.names
LOOKS = {"colors": COLORS, "names": NAMES, "convention": "published"}


def case_metrics(
    cases: int = 12, cohort: str = "additional", model: str = "nnunet", scored: bool = True, seed: int = 0
) -> pd.DataFrame:
    """Make metrics of random cases: every state occurs, volumes spread over decades, two scans per patient."""
    draw = np.random.default_rng(seed)
    rows = []
    for i in range(cases):
        patient = f"BraTS-GLI-{5000 + i // 2:05d}"
        for region in SCHEME.regions:
            n_ref = 0 if draw.random() < 0.25 else int(10 ** draw.uniform(0, 5))
            tp = 0 if draw.random() < 0.15 else int(n_ref * draw.uniform(0.2, 1))
            fp = 0 if draw.random() < 0.4 else int(draw.uniform(1, 500))
            n_pred = tp + fp
            known = {"tp": tp, "fp": fp, "fn": n_ref - tp, "tn": 10**6, "n_ref": n_ref, "n_pred": n_pred}
            row: dict[str, Any] = {
                "cohort": cohort,
                "model": model,
                "case": f"{patient}-{100 + i % 2}",
                "patient": patient,
                "timepoint": 100 + i % 2,
                "region": region.name,
                "label": region.label,
            }
            if scored:
                either = n_ref + n_pred
                row |= known | {
                    "dice": 2 * tp / either if either else np.nan,
                    "iou": tp / (either - tp) if either else np.nan,
                    "precision": tp / n_pred if n_pred else np.nan,
                    "recall": tp / n_ref if n_ref else np.nan,
                    "volume_ref_mm3": float(n_ref),
                }
            rows.append(row | {"n_pred": n_pred, "volume_pred_mm3": float(n_pred)})
    table = pd.DataFrame(rows, columns=list(CASE_METRICS.columns))
    return checked(table, CASE_METRICS)


def improved(metrics: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return metrics of a model that misses half as much and invents no RC; of the measures, Dice alone follows."""
    found = (metrics["tp"] + (metrics["n_ref"] - metrics["tp"]) // 2).astype("Int64")
    sizes = found + (metrics["n_pred"] - metrics["tp"]).where(metrics["region"] != "RC", 0)
    with np.errstate(all="ignore"):
        dice = (2 * found / (metrics["n_ref"] + sizes)).astype("float64")
    return metrics.assign(model=model, tp=found, fn=metrics["n_ref"] - found, n_pred=sizes, fp=sizes - found, dice=dice)


def lesion_table(metrics: pd.DataFrame, seed: int = 3) -> pd.DataFrame:
    """Make two lesions of the reference per case and region, found or missed, and some that are not there."""
    draw = np.random.default_rng(seed)
    keys = ("cohort", "model", "case", "patient", "timepoint", "region")
    rows = []
    for row in metrics.to_dict("records"):
        for i, state in enumerate(draw.choice(["matched", "missed", "false_positive"], 3)):
            source = "prediction" if state == "false_positive" else "reference"
            more = {"source": source, "lesion": i + 1, "voxels": 5, "state": state}
            more["volume_mm3"] = 10 ** draw.uniform(0, 5)
            rows.append({key: row[key] for key in keys} | more)
    return pd.DataFrame(rows, columns=list(LESIONS.columns))


def audit_tables(cohorts: dict[str, int]) -> dict[str, pd.DataFrame]:
    draw = np.random.default_rng(1)
    intensity, labels = [], []
    for cohort, cases in cohorts.items():
        for i in range(cases):
            case = f"BraTS-GLI-{5000 + i // 2:05d}-{100 + i % 2}"
            gain = 10 ** draw.uniform(1.9, 4.1)
            for modality in MODALITIES:
                values = dict.fromkeys(("min", "p01", "p50", "max", "mean", "std"), 1.0)
                intensity.append({
                    "cohort": cohort, "case": case, "modality": modality, "dtype": ("float32", "int16")[i % 2],
                    **values,
                    "p99": gain * draw.uniform(0.5, 1), "nonzero_fraction": 0.2, "negative_fraction": 0.0,
                    "nan_count": 0,
                })  # fmt: skip
            for label in SCHEME.labels:
                voxels = 0 if draw.random() < 0.3 else int(10 ** draw.uniform(1, 5))
                means = {f"mean_{name}": 1.0 for name in MODALITIES}
                labels.append({
                    "cohort": cohort, "case": case, "label": label.value, "name": label.name, "voxels": voxels,
                    "volume_mm3": float(voxels), **means,
                })  # fmt: skip
    findings = pd.DataFrame(
        [
            ("warning", "GEO003", "training", "BraTS-GLI-05000-100", "t1c", "the affine <b>differs</b>", "Look at it"),
            ("info", "INT001", "training", "BraTS-GLI-05001-100", None, "negative intensities", ""),
        ],
        columns=["severity", "code", "cohort", "case", "modality", "message", "remedy"],
    )
    return {"intensity": pd.DataFrame(intensity), "labels": pd.DataFrame(labels), "findings": findings}


def cohort_table(cohort: str, cases: int) -> pd.DataFrame:
    rows = []
    for i in range(cases):
        patient = f"BraTS-GLI-{5000 + i // 2:05d}"
        row: dict[str, Any] = {"case": f"{patient}-{100 + i % 2}", "patient": patient, "timepoint": 100 + i % 2}
        row |= {"cohort": cohort, "shard": "000"}
        for name in (*MODALITIES, "seg"):
            row |= {name: f"/data/{name}.nii.gz", f"shape_{name}": "182x218x182", f"spacing_{name}": "1x1x1"}
            row |= {f"orientation_{name}": "LAS", f"dtype_{name}": "float32"}
        rows.append(row)
    return pd.DataFrame(rows)


PLANS = {
    "configurations": {
        "3d_fullres": {
            "patch_size": [128, 160, 112],
            "batch_size": 2,
            "spacing": [1.0, 1.0, 1.0],
            "median_image_size_in_voxels": [142.0, 175.0, 136.0],
            "normalization_schemes": ["ZScoreNormalization"] * 4,
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                "arch_kwargs": {
                    "n_stages": 6,
                    "features_per_stage": [32, 64, 128, 256, 320, 320],
                    "n_conv_per_stage": [2] * 6,
                    "kernel_sizes": [[3, 3, 3]] * 6,
                    "strides": [[1, 1, 1], *[[2, 2, 2]] * 4, [2, 2, 1]],
                    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                    "nonlin": "torch.nn.LeakyReLU",
                },
            },
        }
    }
}
PROVENANCE = {
    "written": "2026-01-02T03:04:05+00:00",
    "python": "3.11.7",
    "packages": {"snakemake": "9.27.1", "nnunetv2": "2.8.1", "torch": None},
    "git_commit": "0123456789abcdef",
    "git_changed_files": 0,
    "config_digest": "00112233",
    "seeds": {"statistics": 1},
    "hardware": {"system": "Linux", "processor": "a CPU", "cores": 2, "memory_gib": 8.0, "gpus": []},
}


def configured(**changes: Any) -> dict[str, Any]:
    """Return a completed config; the demo's cohorts and model unless ``changes`` replaces them."""
    defaults = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    given = {
        "cohorts": {
            "training": {"phantom": {"cases": 12, "seed": 1, "spacing": 3.0}, "use": "train"},
            "additional": {"phantom": {"cases": 6, "seed": 2, "spacing": 3.0}, "use": "test"},
        },
        **copy.deepcopy(changes),
    }
    config = configuration.complete(given, defaults)
    schema = yaml.safe_load((ROOT / "config/schema/config.schema.yaml").read_text(encoding="utf-8"))
    configuration.fill_defaults(config, schema)
    trainings.expand_seeds(config)
    return config


def settings_of(config: dict[str, Any], with_images: dict[str, bool], trained: bool = True) -> dict[str, Any]:
    """Return what the rule ``write_report`` passes to the report."""
    folder = "nnunet/models/Dataset501_BraTSPostTx/trainer__nnUNetPlans__3d_fullres"
    models = trainings.trained_models(config) if trained else {}
    return {
        "config": config,
        "scheme": SCHEME.description,
        "cohorts": with_images,
        "models": {cohort: configuration.models_on(config, cohort) for cohort in config["cohorts"]},
        "seeds": trainings.repeated_models(config),
        "made_here": configuration.made_here(config) if trained else [],
        "levers": False,
        "postprocessed": postprocessed_models(config),
        "trained": {
            name: {"folder": folder, "plans": "nnunet/plans.json", "train": train} for name, train in models.items()
        },
        "regions": described_regions(SCHEME),
    }


def write_scores(results: Path, metrics: pd.DataFrame, cohort: str, model: str, extreme_cases: int = 4) -> None:
    """Write metrics and tables of one model on one cohort below ``results``, and its figures."""
    write_tables(results, metrics, cohort, model, extreme_cases)
    draw_kind(results, figures.SCORES, cohort=cohort, model=model)


def write_tables(results: Path, metrics: pd.DataFrame, cohort: str, model: str, extreme_cases: int = 4) -> None:
    """Write metrics and tables of one model on one cohort below ``results``."""
    write_parquet(metrics, results / f"metrics/{cohort}/{model}.parquet")
    folder = results / f"tables/{cohort}/{model}"
    for name, table in make_tables(metrics, SCHEME.scoring(), "published", extreme_cases).items():
        write_parquet(table, folder / f"{name}.parquet")
    scores = scores_from(metrics, SCHEME.scoring())
    write_parquet(subgroups(scores, [], convention_of("published")), folder / "subgroups.parquet")
    write_parquet(lesion_table(metrics), results / f"lesions/{cohort}/{model}.parquet")


def write_comparison(
    results: Path, metrics: dict[str, pd.DataFrame], cohort: str, seeds: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Write the comparison and the ranks of the models of a cohort, and the figures of both."""
    regions = SCHEME.scoring()
    pairs = compare_models({cohort: metrics}, regions, seeds=seeds)[cohort]
    write_parquet(pairs, results / f"comparisons/{cohort}.parquet")
    write_parquet(rank_models(metrics, regions, resamples=50), results / f"ranks/{cohort}.parquet")
    draw_kind(results, figures.COMPARISON, cohort=cohort)


def draw_kind(results: Path, kind: str, folds: Sequence[Path] = (), **names: str) -> None:
    """Draw the figures of a kind as its rule does, from what there is below ``results``."""
    paths = {name: results / path.format(**names) for name, path in figures.inputs_of(kind).items()}
    inputs: dict[str, Path | list[Path]] = {name: path if path.exists() else [] for name, path in paths.items()}
    outputs = {figure.id: results / figure.path.format(**names) for figure in figures.drawn_per(kind)}
    draw_figures(inputs | {"folds": list(folds)}, outputs, LOOKS)


def write_data(results: Path, cohorts: dict[str, int]) -> None:
    """Write cohort and audit tables, and their figures."""
    for cohort, cases in cohorts.items():
        write_parquet(cohort_table(cohort, cases), results / f"cohorts/{cohort}.parquet")
    for name, table in audit_tables(cohorts).items():
        write_parquet(table, results / f"audit/{name}.parquet")
    draw_kind(results, figures.DATA)


def write_training(results: Path, folder: str, folds: int = 5, epochs: int = 8) -> None:
    """Write plans and the folds' progress, and their figures."""
    write_json(results / "nnunet/plans.json", PLANS)
    draw = np.random.default_rng(2)
    for fold in range(folds):
        path = results / folder / f"fold_{fold}"
        path.mkdir(parents=True, exist_ok=True)
        lines = [
            json.dumps({
                "epoch": epoch, "train_loss": -0.8 * epoch / epochs + draw.normal(0, 0.02),
                "val_loss": -0.7 * epoch / epochs, "pseudo_dice": [0.8 * epoch / epochs, None], "seconds": 12.0,
                "lr": 0.01,
            })
            for epoch in range(epochs)
        ]  # fmt: skip
        (path / "progress.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_folds(results, folds)
    checkpoints = [results / folder / f"fold_{fold}/checkpoint_final.pth" for fold in range(folds)]
    draw_kind(results, figures.TRAINING, checkpoints, model="nnunet")


def write_folds(results: Path, folds: int) -> None:
    """Write folds by patient of twelve cases and their tables, as the rules do."""
    from describe_splits import describe_splits

    cases = cohort_table("training", 12)[["case", "patient"]]
    cases["fold"] = cases["patient"].factorize()[0] % folds
    for label, name in NAMES.items():
        cases[f"volume_{name}"] = [float(1000 * (i % (label + 1))) for i in range(len(cases))]
    write_parquet(cases, results / "tables/splits.parquet")
    write_json(results / "nnunet/splits_final.json", splits_of(dict(zip(cases["case"], cases["fold"], strict=True))))
    describe_splits(results / "tables/splits.parquet", results / "nnunet/splits_final.json", results / "tables")


def drawing_settings(models: list[str]) -> dict[str, Any]:
    """Return what the rules that draw single cases pass to their scripts."""
    return {
        "models": models,
        "colors": {label.value: label.color for label in SCHEME.labels},
        "names": NAMES,
        "scheme": "brats2024",
        "snfh_dilation": "executed",
        "references": True,
    }


def write_scored(
    results: Path,
    cohort: str,
    model: str,
    pairs: dict[str, tuple[np.ndarray | None, np.ndarray, np.ndarray]],
    predictions: dict[str, str],
    scheme: str = "brats2024",
) -> Path:
    """Write the lesions of some cases (reference, prediction, affine) and the list of a shard, as scoring does."""
    from posttx.files import write_text
    from posttx.rows import write_rows
    from posttx.scoring.evaluation import Scoring, Target, score_pair

    scoring = Scoring(SCHEME.scoring(), scheme)
    target = Target(results, cohort, "000")
    for case, (reference, prediction, affine) in pairs.items():
        i, j, k = np.linalg.norm(affine[:3, :3], axis=0).tolist()
        rows = score_pair(reference, prediction, (i, j, k), scoring, affine)["lesions"]
        who = {"cohort": cohort, "model": model, "case": case, "patient": case.rsplit("-", 1)[0], "timepoint": 100}
        write_rows([{**who, **row} for row in rows], LESIONS, target.path("lesions", model, case), {})
    path = results / f"scored/{cohort}/000.tsv"
    lines = [f"{case}\t{model}\t{predictions[case]}\t0\n" for case in pairs]
    write_text(path, "case\tmodel\tfile\tscores\n" + "".join(lines))
    return path


def write_results(results: Path) -> dict[str, Any]:
    """Write a whole results folder of two phantom cohorts and a trained model; return the report's settings."""
    config = configured()
    settings = settings_of(config, {"training": True, "additional": True})
    write_data(results, {"training": 12, "additional": 6})
    write_training(results, settings["trained"]["nnunet"]["folder"])
    for cohort, cases in (("training", 12), ("additional", 6)):
        write_scores(results, case_metrics(cases, cohort), cohort, "nnunet")
    write_json(results / "provenance.json", PROVENANCE)
    return settings

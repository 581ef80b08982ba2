"""Component tables of made cohorts, without an image: lesions found or missed, and what is predicted beside them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from posttx.postprocess.choice import Predicted, choose
from posttx.postprocess.subsets import Cohort
from posttx.scoring.scoring_schemes import scoring_scheme

CLASSES = {"NETC": 1, "SNFH": 2, "ET": 3, "RC": 4}
FOLDS = 5


@dataclass(frozen=True)
class Scene:
    """How often a class is in a case, how large its lesions are (median voxels), and what is predicted beside them.

    ``specks``: mean number per case of small false components of low probability; ``hallucinated``: in what share of
    the cases without a class it is predicted; ``even``: in what share of the cases a small component is all of its
    class, right in half of them, so that to drop it or to keep it makes no difference.
    """

    present: dict[str, float] = field(default_factory=lambda: {"NETC": 0.45, "SNFH": 0.99, "ET": 0.8, "RC": 0.75})
    median: dict[str, float] = field(default_factory=lambda: {"NETC": 600, "SNFH": 30_000, "ET": 1500, "RC": 4000})
    specks: dict[str, float] = field(default_factory=dict)
    hallucinated: dict[str, float] = field(default_factory=dict)
    even: dict[str, float] = field(default_factory=dict)


CLEAN = Scene()
PLANTED = Scene(specks={"ET": 0.6, "RC": 0.6}, hallucinated={"NETC": 0.45, "RC": 0.45})
EVEN = Scene(even=dict.fromkeys(CLASSES, 0.3))


@dataclass
class _Case:
    name: str
    rows: list[dict] = field(default_factory=list)
    components: list[dict] = field(default_factory=list)

    def row(self, kind: str, label: int, first: int = 0, second: int = 0, voxels: int = 0) -> None:
        self.rows.append(
            {"case": self.name, "kind": kind, "label": label, "first": first, "second": second, "voxels": voxels}
        )

    def component(self, label: int, voxels: int, p_max: float, surround: int = 0) -> int:
        own = [one for one in self.components if one["label"] == label]
        number = len(self.components) + 1
        self.components.append({
            "case": self.name, "label": label, "component": len(own) + 1, "voxels": voxels,
            "volume_mm3": float(voxels), "share": 1.0, "p_max": p_max, "surround": surround,
        })  # fmt: skip
        self.row("component", label, number, len(own) + 1, voxels)
        self.row("place", label, number, number)
        return number

    def found(self, label: int, lesion: int, voxels: int, shared: int, p_max: float) -> None:
        number = self.component(label, voxels, p_max)
        self.row("touch", label, number, lesion, shared)
        self.row("overlap", label, number, 0, shared)


def made(scene: Scene, seed: int, patients: int = 100, scheme: str = "brats2024") -> Predicted:
    """Return a cohort of patients with one to three scans each."""
    draw = np.random.default_rng(seed)
    cases, splits = [], []
    for patient in range(patients):
        for scan in range(int(draw.integers(1, 4))):
            case = _Case(f"{patient:04d}-{scan}")
            splits.append({"case": case.name, "patient": f"{patient:04d}", "fold": patient % FOLDS})
            for name, label in CLASSES.items():
                _class(case, name, label, scene, draw)
            cases.append(case)
    rows = pd.DataFrame([row for case in cases for row in case.rows])
    components = pd.DataFrame([row for case in cases for row in case.components])
    largest = components.groupby(["case", "label"])["voxels"].transform("max")
    cohort = Cohort.of(rows, CLASSES, scoring_scheme(scheme))
    return Predicted.of(cohort, components.assign(share=components["voxels"] / largest), pd.DataFrame(splits))


def _class(case: _Case, name: str, label: int, scene: Scene, draw: np.random.Generator) -> None:
    if draw.random() < scene.even.get(name, 0):
        voxels, right = int(draw.integers(25, 200)), draw.random() < 0.5
        case.row("reference", label, voxels=voxels if right else 0)
        if right:
            case.row("lesion", label, 1, 1, voxels)
            case.found(label, 1, voxels, voxels, float(draw.uniform(0.5, 0.95)))
        else:
            case.component(label, voxels, float(draw.uniform(0.5, 0.95)))
        return
    lesions = int(draw.integers(1, 4)) if draw.random() < scene.present[name] else 0
    sizes = np.maximum(draw.lognormal(np.log(scene.median[name]), 1.3, lesions), 25).astype(int)
    case.row("reference", label, voxels=int(sizes.sum()))
    for number, voxels in enumerate(sizes.tolist(), 1):
        case.row("lesion", label, number, 1, voxels)
        # The smaller, the less sure and the more often missed.
        sure = 1 - 2 / np.sqrt(voxels)
        if draw.random() < 0.8 + 0.2 * sure:
            predicted = max(int(voxels * draw.uniform(0.7, 1.2)), 21)
            shared = int(min(voxels, predicted) * draw.uniform(0.6, 0.95))
            case.found(label, number, predicted, shared, float(min(draw.uniform(0.55, 1) + 0.4 * sure, 1.0)))
    for _ in range(draw.poisson(scene.specks.get(name, 0))):
        case.component(label, int(draw.integers(21, 60)), float(draw.uniform(0.4, 0.8)))
    if not lesions and draw.random() < scene.hallucinated.get(name, 0):
        case.component(label, int(draw.integers(25, 300)), float(draw.uniform(0.4, 0.85)))


def outcomes(scene: Scene, measure: str, seeds: range, patients: int = 100) -> pd.DataFrame:
    """Return the tables of the rules chosen on made cohorts, one below the other, with a column ``seed``.

    ``truth`` is the gain of the chosen rules on another cohort of the same kind, which had no part in the choice.
    """
    parts = []
    for seed in seeds:
        chosen = choose(made(scene, seed, patients), measure, FOLDS)
        fresh = made(scene, 1_000_000 + seed, 3 * patients)
        after, before = (fresh.values(measure, fresh.chosen(rules)).mean(axis=0) for rules in (chosen.rules, {}))
        parts.append(chosen.table.assign(seed=seed, truth=after - before))
    return pd.concat(parts, ignore_index=True)


def share_with_rule(table: pd.DataFrame, region: str) -> float:
    """Return in what share of the cohorts a class was given a rule."""
    return float((table.loc[table["region"] == region, "rule"] != "none").mean())

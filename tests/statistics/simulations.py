"""Simulations of what the intervals cover and how often a claim is false, on cases where the truth is known.

Cases are drawn patient by patient, with replacement and with all their scans, from a population whose values are the
truth: the published cases where they are present, else made ones with the same faults (zeros, clusters, rare classes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from import_counts import import_counts
from posttx.analysis.agreement import absolute_agreement
from posttx.analysis.coefficients import pearson, products, rank_products, spearman
from posttx.analysis.comparison import SECOND_CHANCE, Endpoints, adjusted, compared_by, paired_values, verdict_of
from posttx.analysis.estimates import statistic_of
from posttx.analysis.evidence import ALPHA
from posttx.analysis.judgements import Outcome
from posttx.analysis.statistics import (
    CORRELATION,
    IDENTITY,
    SHARE,
    Patients,
    average,
    holm,
    means,
    ratios,
)
from posttx.analysis.volumes import consecutive
from posttx.conventions import PUBLISHED
from posttx.files import read_parquet
from posttx.labels import load_scheme
from posttx.measures import measure_of
from posttx.scoring.scores import Scores, parts_of, scores_from

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "published"
CLAIMS = (Outcome.BETTER, Outcome.WORSE)


@dataclass(frozen=True)
class Population:
    """Values (cases, k) of patients: a statistic is made of them by ``statistic``, and ``used`` says what counts."""

    patients: np.ndarray
    parts: tuple[np.ndarray, ...]
    used: np.ndarray
    statistic: Callable
    scale: object = SHARE
    weights: Callable = lambda *parts: None

    def drawn(self, draw: np.random.Generator, count: int) -> tuple[Patients, tuple[np.ndarray, ...], np.ndarray]:
        """Draw patients with all their scans; one drawn twice counts as two."""
        rows, names = draw_patients(self.patients, draw, count)
        return Patients(names), tuple(part[rows] for part in self.parts), self.used[rows]


def draw_patients(patients: np.ndarray, draw: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of ``count`` patients drawn with replacement, and the number of the draw of each row."""
    known = np.unique(patients)
    chosen = [np.flatnonzero(patients == known[one]) for one in draw.integers(0, len(known), count)]
    return np.concatenate(chosen), np.repeat(np.arange(count), [len(rows) for rows in chosen])


def coverage(population: Population, count: int, trials: int, seed: int = 1) -> tuple[float, float]:
    """Return how often the interval holds the population's value, and in which share of the draws there is one."""
    draw = np.random.default_rng(seed)
    whole = np.ones((1, len(population.patients)))
    truth = population.statistic(*population.parts, population.used)(whole)[0]
    held = given = asked = 0
    for _ in range(trials):
        patients, parts, used = population.drawn(draw, count)
        found = patients.estimate(
            population.statistic(*parts, used), used, population.scale, population.weights(*parts)
        )
        known = ~np.isnan(found.low)
        given, asked = given + int(known.sum()), asked + len(known)
        held += int(((found.low <= truth) & (truth <= found.high))[known].sum())
    return held / max(given, 1), given / asked


@cache
def scores_of(name: str) -> Scores:
    """Return the scores of the published model, or of one of the prize models, from its counts."""
    import tempfile

    scheme = load_scheme(ROOT / "config/labels/brats2024.yaml")
    path = DATA / "summary.json" if name == "published" else DATA / f"prize/{name}.json"
    with tempfile.TemporaryDirectory() as folder:
        tables = ("metrics", "lesions", "confusion", "findings")
        outputs = {table: Path(folder) / f"{table}/{name}.parquet" for table in tables}
        import_counts(path, None, outputs, "additional", name, scheme.scoring(), 1)
        return scores_from(read_parquet(outputs["metrics"]), scheme.scoring()).per_label


def real() -> bool:
    """Return whether the published counts are here."""
    return (DATA / "summary.json").is_file()


def real_populations() -> dict[str, Population]:
    """Return the published cases as populations of each kind of estimate."""
    scores = scores_of("published")
    _, patients = np.unique(scores.patients, return_inverse=True)
    dice = scores["dice"]
    _, counted = statistic_of(scores, PUBLISHED, measure_of("dice"))
    above, below = parts_of(measure_of("precision"), scores.values)
    volume, present = scores.reference_volume, (scores["n_ref"] > 0) & ~np.isnan(dice)
    any_class = counted.any(axis=1, keepdims=True)
    return {
        "class Dice": Population(patients, (np.where(counted, dice, np.nan),), counted, lambda v, _: means(v)),
        "mean of classes": Population(
            patients, (np.where(counted, dice, np.nan),), any_class, lambda v, _: average(means(v))
        ),
        "pooled precision": Population(
            patients, (above, below), below > 0, lambda a, b, _: ratios(a, b), weights=lambda a, b: b
        ),
        "Pearson": Population(patients, (volume, dice), present, pearson, CORRELATION),
        "Spearman": Population(patients, (volume, dice), present, spearman, CORRELATION),
    }


def volume_populations() -> dict[str, Population]:
    """Return the published cases as populations of what is said of volumes, their changes, and presence."""
    scores = scores_of("published").per_label
    _, patients = np.unique(scores.patients, return_inverse=True)
    true, found = scores["n_ref"], scores["n_pred"]
    every, both = np.ones(true.shape, bool), (true > 0) & (found > 0)
    logs = np.log(np.divide(found, true, out=np.full(true.shape, np.nan), where=both))
    first, second = consecutive(scores)
    same = (np.sign(true[second] - true[first]) == np.sign(found[second] - found[first])).astype(float)
    seen = np.where(true > 0, found > 0, np.nan)
    return {
        "ICC": Population(patients, (true, found), every, absolute_agreement, CORRELATION),
        "ICC of diameters": Population(
            patients, (np.cbrt(true), np.cbrt(found)), every, absolute_agreement, CORRELATION
        ),
        "mean log ratio": Population(patients, (logs,), both, lambda v, _: means(v), IDENTITY),
        "same direction": Population(patients[first], (same,), same >= 0, lambda v, _: means(v)),
        "sensitivity": Population(patients, (seen,), true > 0, lambda v, _: means(v)),
    }


def zero_inflated(seed: int = 0, patients: int = 4000) -> Population:
    """Return a made population: a class of Dice 0 in a quarter of the scans, the others high and alike by patient."""
    draw = np.random.default_rng(seed)
    scans = draw.integers(1, 5, patients)
    names = np.repeat(np.arange(patients), scans)
    level = np.repeat(draw.normal(0.9, 0.9, patients), scans)
    dice = 1 / (1 + np.exp(-(level + draw.normal(0, 0.6, len(names)))))
    missed = draw.random(len(names)) < np.repeat(draw.beta(0.8, 2.2, patients), scans)
    values = np.where(missed, 0.0, dice)[:, None]
    return Population(names, (values,), np.ones(values.shape, bool), lambda v, _: means(v))


def correlation_errors(count: int, trials: int, seed: int = 1) -> dict[str, float]:
    """Return how often p is below 0.05, and how often any of Holm's 16, where volume and Dice are independent."""
    draw = np.random.default_rng(seed)
    hits = {"Spearman": 0, "Pearson": 0, "any of Holm's 16": 0}
    for _ in range(trials):
        scans = draw.integers(1, 5, count)
        patients = Patients(np.repeat(np.arange(count), scans))
        x, y = (
            np.repeat(draw.normal(size=(count, 16)), scans, axis=0) + draw.normal(size=(scans.sum(), 16))
            for _ in range(2)
        )
        x, y = np.exp(1.5 * x), 1 / (1 + np.exp(-y))
        used = np.ones(x.shape, bool)
        ranked = patients.flip_p(rank_products(x, y, used))
        hits["Spearman"] += ranked[0] < ALPHA
        hits["Pearson"] += patients.flip_p(products(x[:, :1], y[:, :1], used[:, :1]))[0] < ALPHA
        hits["any of Holm's 16"] += bool((holm(ranked) < ALPHA).any())
    return {name: hit / trials for name, hit in hits.items()}


def real_differences() -> tuple[np.ndarray, np.ndarray]:
    """Return paired differences (cases, rows) of the published and the four prize models, and the patients."""
    first = scores_of("published").select(scores_of("BraTS25_1").cases)
    columns = []
    for name in ("BraTS25_1", "BraTS25_2", "BraTS25_3A", "BraTS25_3B"):
        second = scores_of(name)
        for convention, measure in compared_by(Endpoints(), first, second):
            columns.append(paired_values(second, convention, measure) - paired_values(first, convention, measure))
    _, patients = np.unique(first.patients, return_inverse=True)
    return np.hstack(columns), patients


def made_differences(rows: int = 63, patients: int = 2000, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return made differences of two models: many ties, long tails, rows that go together, scans alike by patient."""
    draw = np.random.default_rng(seed)
    scans = draw.integers(1, 5, patients)
    names = np.repeat(np.arange(patients), scans)
    common = np.repeat(draw.normal(size=(patients, 1)), scans, axis=0)
    own = np.repeat(draw.normal(size=(patients, rows)), scans, axis=0) + draw.normal(size=(len(names), rows))
    values = 0.05 * (0.7 * common + own) * draw.lognormal(0, 1, size=(len(names), 1))
    values[draw.random(values.shape) < 0.3] = 0.0
    values[draw.random(values.shape) < 0.15] = np.nan
    values[:, 0] = np.nan_to_num(values[:, 0])
    return values, names


def false_verdicts(
    differences: np.ndarray, names: np.ndarray, count: int, trials: int, seed: int = 1
) -> tuple[float, float]:
    """Return how often two equal models get any verdict, and how often on the primary endpoint (the first row).

    Equal: which of the two is the baseline is drawn anew for every patient.
    """
    draw = np.random.default_rng(seed)
    anywhere = primary = 0
    for _ in range(trials):
        rows, people = draw_patients(names, draw, count)
        patients = Patients(people)
        values = differences[rows] * draw.choice([-1.0, 1.0], count)[people, None]
        found, p = patients.estimate(means(values), ~np.isnan(values)), patients.flip_p(values)
        adjusted_p = np.append(p[:1], adjusted(p[1:], SECOND_CHANCE))
        verdicts = [
            verdict_of({
                "ci_low": low, "ci_high": high, "p_holm": one, "n_patients": n, "endpoint": "", "margin": np.nan,
                "metric": "dice",
            })
            for low, high, one, n in zip(found.low, found.high, adjusted_p, found.n_patients, strict=True)
        ]  # fmt: skip
        claimed = [verdict in CLAIMS for verdict in verdicts]
        anywhere, primary = anywhere + any(claimed), primary + claimed[0]
    return anywhere / trials, primary / trials

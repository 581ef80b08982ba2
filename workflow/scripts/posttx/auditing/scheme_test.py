"""Which integer is which class, told from the intensities alone.

Every class has a look relative to normal-appearing brain (``LOOKS``). Per case, the differences between any two of its
labels, and between each label and normal brain, are compared with those that an assignment of names to integers leads
to expect. Differences are squashed to -1 .. 1, so that a scan with strong contrast or a cohort with unusual scaling
counts by its signs and not by its size. The assignment with the smallest misfit, averaged over patients, fits best.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from posttx.auditing.findings import Finding

FEATURES = ("enhancement", "t1n", "t1c", "t2w", "t2f")
# Standard deviations of normal-appearing brain from its median, typical of glioma: ET is bright on T1c relative to T1n,
# SNFH on FLAIR, NETC dark on T1c, RC fluid: bright on T2w, dark on T1 and FLAIR.
LOOKS: dict[str, tuple[float, ...]] = {
    "NETC": (0.0, -0.9, -0.9, 2.5, 1.5),
    "SNFH": (-0.2, 0.0, -0.2, 2.0, 3.5),
    "ET": (2.5, -0.2, 2.3, 1.7, 2.3),
    "RC": (0.0, -2.0, -2.0, 4.0, -2.5),
}
# Other names of a class of the same look: those of BraTS 2018 to 2021.
SAME_LOOK = {"NCR": "NETC", "ED": "SNFH"}
# A difference of this size is squashed to 0.76: of one standard deviation, wider where scans differ more.
SCALES = np.array([1.0, 1.0, 1.0, 2.0, 1.5])
# T1n says little beyond enhancement and T1c, and blood makes a necrotic core bright there.
WEIGHTS = np.array([1.0, 0.3, 1.0, 0.5, 1.0])
MIN_VOXELS = 15
# Expected contrasts, squashed, between any two looks (their places in LOOKS; the last is normal-appearing brain).
_POINTS = np.array([*LOOKS.values(), (0.0,) * len(FEATURES)])
EXPECTED = np.tanh((_POINTS[:, None] - _POINTS[None, :]) / SCALES)
NOISE = 0.06
CLEAR_LOG_ODDS = math.log(100)
CASE_LOG_ODDS = math.log(1000)


@dataclass(frozen=True)
class Witnesses:
    """The misfit of every assignment in every case, (cases, assignments); ``labels``: the integers of each case."""

    cohorts: np.ndarray
    cases: np.ndarray
    patients: np.ndarray
    labels: list[frozenset[int]]
    values: tuple[int, ...]
    candidates: list[tuple[str, ...]]
    misfits: np.ndarray

    def of(self, chosen: np.ndarray) -> Witnesses:
        """Return the witnesses at the chosen places."""
        labels = [self.labels[place] for place in chosen.tolist()]
        parts = (self.cohorts[chosen], self.cases[chosen], self.patients[chosen], labels)
        return Witnesses(*parts, self.values, self.candidates, self.misfits[chosen])


def scheme_tests(evidence: pd.DataFrame, names: Mapping[int, str]) -> dict[str, Any]:
    """Test the configured names (integer -> name) on the audit's evidence: medians per case, label and modality.

    Returned is the test over all cohorts, with that of every cohort (``cohorts``) and the cases that stand out
    (``odd_cases``): a cohort may be labelled in another order than the rest, and so may a single case. A case meets a
    higher bar, because there is one scan to judge by. ``evidence`` has the evidence table's columns and ``patient``.
    """
    witnesses = gather_witnesses(evidence, names)
    result = scheme_test(witnesses, names)
    cohorts, cases = {}, []
    for cohort in sorted(set(evidence["cohort"])):
        places = np.flatnonzero(witnesses.cohorts == cohort)
        cohorts[str(cohort)] = scheme_test(witnesses.of(places), names)
        if cohorts[str(cohort)]["verdict"] == "contradicted":
            continue
        for place in places:
            alone = scheme_test(witnesses.of(np.array([place])), names)
            if alone["verdict"] == "contradicted" and alone["log_odds_configured"] >= CASE_LOG_ODDS:
                who = {"cohort": str(cohort), "case": str(witnesses.cases[place])}
                cases.append({**who, "best": alone["best"], "reason": alone["reason"]})
    return result | {"cohorts": cohorts, "odd_cases": cases}


def gather_witnesses(evidence: pd.DataFrame, names: Mapping[int, str]) -> Witnesses:
    """Return the misfits of all assignments of the names that have a look to their integers, case by case."""
    known = {value: name for value, name in names.items() if SAME_LOOK.get(name, name) in LOOKS}
    values = tuple(known)
    candidates = list(itertools.permutations(known.values()))
    found = case_features(evidence, values)
    labels = [frozenset(features) for _, features in found]
    order = {name: place for place, name in enumerate(LOOKS)}
    places = np.array([[order[SAME_LOOK.get(name, name)] for name in names] for names in candidates], int).reshape(
        len(candidates), len(values)
    )
    misfits = [_misfits(features, values, places) for _, features in found]
    cohort, case, patient = (np.array([key[part] for key, _ in found], object) for part in range(3))
    return Witnesses(
        cohort, case, patient, labels, values, candidates, np.array(misfits, float).reshape(len(found), len(candidates))
    )


def case_features(
    evidence: pd.DataFrame, labels: Sequence[int]
) -> list[tuple[tuple[str, str, str], dict[int, np.ndarray]]]:
    """Return ((cohort, case, patient), label -> features) per case that has any.

    Labels of few voxels are left out, and so are those whose intensity is not known in all four modalities.
    """
    rows = evidence[evidence["label"].isin(labels) & (evidence["voxels"] >= MIN_VOXELS)]
    wide = rows.pivot(index=["cohort", "case", "patient", "label"], columns="modality", values="median")
    wide = wide.reindex(columns=["t1n", "t1c", "t2w", "t2f"]).dropna()
    found: dict[tuple[str, str, str], dict[int, np.ndarray]] = {}
    for (cohort, case, patient, label), (t1n, t1c, t2w, t2f) in zip(wide.index, wide.to_numpy(float), strict=True):
        found.setdefault((cohort, case, patient), {})[int(label)] = np.array([t1c - t1n, t1n, t1c, t2w, t2f])
    return list(found.items())


def _misfits(features: Mapping[int, np.ndarray], values: Sequence[int], candidates: np.ndarray) -> np.ndarray:
    """Return, per assignment, the mean squared difference of squashed observed and expected contrasts, 0 to 4.

    ``candidates`` (assignments, integers): place in ``LOOKS`` of the name that each integer gets.
    """
    normal = np.full(len(candidates), len(LOOKS))
    points = [(np.zeros(len(FEATURES)), normal)]
    points += [(features[value], candidates[:, place]) for place, value in enumerate(values) if value in features]
    total, pairs = np.zeros(len(candidates)), list(itertools.combinations(points, 2))
    for (seen_a, name_a), (seen_b, name_b) in pairs:
        apart = (np.tanh((seen_a - seen_b) / SCALES) - EXPECTED) ** 2 @ WEIGHTS / WEIGHTS.sum()
        total += apart[name_a, name_b]
    return total / len(pairs)


def scheme_test(witnesses: Witnesses, names: Mapping[int, str]) -> dict[str, Any]:
    """Return the verdict of some cases on the configured names: ``confirmed``, ``contradicted`` or ``undecided``.

    Assignments that differ only in labels that no case holds count as one. Misfits are averaged within a patient first:
    scans of one patient are no independent witnesses. Log odds weigh the best assignment against the second best and
    against the configured one (see ``log_odds``).
    """
    result: dict[str, Any] = {"configured": _text(names), "best": None, "verdict": "undecided", "patients": 0}
    if len(witnesses.values) < 2:
        return result | {"reason": f"the look of {', '.join(names.values())} is not known to this test"}
    present = sorted(frozenset().union(*witnesses.labels))
    if not present:
        return result | {"reason": "no case has four modalities and a label of enough voxels"}
    places = [place for place, value in enumerate(witnesses.values) if value in present]
    short = [tuple(names[place] for place in places) for names in witnesses.candidates]
    distinct = [short.index(names) for names in dict.fromkeys(short)]
    frame = pd.DataFrame(witnesses.misfits[:, distinct]).groupby(witnesses.patients, sort=True).mean()
    misfits, mean = frame.to_numpy(float), frame.to_numpy(float).mean(axis=0)
    order = np.argsort(mean, kind="stable")
    best, second = int(order[0]), int(order[1])
    own = [short[place] for place in distinct].index(tuple(names[value] for value in present))
    result |= {
        "patients": len(misfits),
        "cases": len(witnesses.cases),
        "labels": present,
        "best": dict(zip(map(str, present), short[distinct[best]], strict=True)),
        "misfit_best": round(float(mean[best]), 4),
        "misfit_configured": round(float(mean[own]), 4),
        "margin": round(float(mean[second] - mean[best]), 4),
        "log_odds_second": round(log_odds(misfits[:, second] - misfits[:, best]), 2),
        "log_odds_configured": round(log_odds(misfits[:, own] - misfits[:, best]), 2),
        "ranking": [{"names": list(short[distinct[at]]), "misfit": round(float(mean[at]), 4)} for at in order[:6]],
    }
    return result | _verdict(result, best == own)


def log_odds(differences: np.ndarray) -> float:
    """Return how strongly patients speak for the better of two assignments, given their differences in misfit.

    The sum in units of ``NOISE``, held back where patients disagree: not above half the squared t statistic. Patients
    without the classes in question fit both equally and are no witnesses. One or two witnesses have no scatter to judge
    by; for them the noise alone stands.
    """
    differences = differences[np.abs(differences) > 1e-9]
    plain = float(differences.sum()) / NOISE
    if differences.size < 3:
        return plain
    error = float(differences.std(ddof=1)) / math.sqrt(differences.size)
    mean = float(differences.mean())
    held = mean * abs(mean) / (2 * error**2) if error > 0 else math.inf
    return min(plain, held) if plain > 0 else plain


def _verdict(result: Mapping[str, Any], same: bool) -> dict[str, str]:
    of = f"{result['cases']} cases of {result['patients']} patients"
    best = ", ".join(f"{label} = {name}" for label, name in result["best"].items())
    if same and result["log_odds_second"] >= CLEAR_LOG_ODDS:
        return {"verdict": "confirmed", "reason": f"{of} fit {best} best, by a margin of {result['margin']:.3f}"}
    if not same and result["log_odds_configured"] >= CLEAR_LOG_ODDS:
        sure = "" if result["log_odds_second"] >= CLEAR_LOG_ODDS else " (others fit nearly as well)"
        numbers = f"misfit {result['misfit_best']:.3f} against {result['misfit_configured']:.3f} as configured"
        return {"verdict": "contradicted", "reason": f"{of} fit {best} clearly better{sure}: {numbers}"}
    return {"verdict": "undecided", "reason": f"{of} fit {best} best, but not clearly (margin {result['margin']:.3f})"}


def _text(names: Mapping[int, str]) -> dict[str, str]:
    return {str(value): name for value, name in names.items()}


def scheme_findings(result: Mapping[str, Any]) -> list[Finding]:
    """Return the findings of the scheme tests: one per contradicting cohort and case, else what all of them show."""
    found = [
        _contradiction(name, part) for name, part in result["cohorts"].items() if part["verdict"] == "contradicted"
    ]
    for part in result["odd_cases"]:
        found.append(Finding("SCH004", part["cohort"], part["reason"], part["case"], "seg"))
    if not any(finding.code == "SCH001" for finding in found):
        if result["verdict"] == "contradicted":
            found.append(_contradiction("all", result))
        else:
            code = "SCH003" if result["verdict"] == "confirmed" else "SCH002"
            found.append(Finding(code, "all", result["reason"]))
    return found


def _contradiction(cohort: str, result: Mapping[str, Any]) -> Finding:
    named = ", ".join(f"{label}: {name}" for label, name in result["best"].items())
    scheme = f"a scheme of config/labels that says {named} (write one where none does)"
    remedy = f"Set `labels` to {scheme}, or correct the references"
    return Finding("SCH001", cohort, result["reason"], remedy=remedy)

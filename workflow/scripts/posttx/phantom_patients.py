"""Who is in a phantom cohort, and which site a patient was scanned at: known without making a scan."""

from __future__ import annotations

import random
import re

SITES = ("A", "B")


def phantom_ids(count: int, seed: int) -> list[tuple[str, str, int]]:
    """Draw (case, patient, timepoint) of ``count`` phantom scans; the first n of a larger draw are the smaller draw.

    About as many scans per patient as in BraTS 2024 (1,621 scans of 731 patients, up to ten), timepoints from 100 with
    gaps. The seed is in the patient's number, so that two phantom cohorts share nobody.
    """
    draw = random.Random(seed)
    ids: list[tuple[str, str, int]] = []
    patient = 0
    while len(ids) < count:
        name = f"BraTS-GLI-{seed:02d}{patient:03d}"
        timepoint = 100
        for _ in range(draw.choices((1, 2, 3, 4, 6), (24, 52, 15, 6, 3))[0]):
            ids.append((f"{name}-{timepoint}", name, timepoint))
            timepoint += draw.choices((1, 2), (9, 1))[0]
        patient += 1
    return ids[:count]


def patient_number(patient: str) -> int | None:
    """Return the number at the end of a patient's id; none where there is none."""
    match = re.search(r"([0-9]+)$", patient)
    return int(match[1]) if match else None


def site_of(patient: str, sites: int) -> str:
    """Return the site of a patient among the first ``sites`` of ``SITES``: by turns over patients numbered in order."""
    return SITES[(patient_number(patient) or 0) % sites]


def phantom_sites(cases: int, seed: int, sites: int) -> dict[str, str]:
    """Return patient -> site of a phantom cohort; nothing where all of it comes from one site."""
    if sites == 1:
        return {}
    return {patient: site_of(patient, sites) for _, patient, _ in phantom_ids(cases, seed)}

"""Phantom cases for the tests of the audit: small, written once, and spoiled in a copy."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from make_phantom_case import write_case
from posttx.auditing.audit import AuditTask, CaseAudit, audit_case
from posttx.cases import IMAGE_COLUMNS, phantom_ids
from posttx.geometry.grids import Grid
from posttx.geometry.reading import Reading
from posttx.nifti import read_header, read_volume, write_volume
from posttx.schemas import GEOMETRY

NAMES = {1: "NETC", 2: "SNFH", 3: "ET", 4: "RC"}
SEED = 7
SPACING = 3.0


def write_phantoms(root: Path, count: int, seed: int = SEED) -> dict[str, dict[str, Path]]:
    """Return case -> modality -> path of ``count`` phantom cases."""
    cases = {}
    for case, _, _ in phantom_ids(count, seed):
        files = {column: root / case / f"{case}-{column}.nii.gz" for column in IMAGE_COLUMNS}
        write_case(files, case, seed, SPACING)
        cases[case] = files
    return cases


def copy_case(files: dict[str, Path], root: Path) -> dict[str, Path]:
    root.mkdir(parents=True, exist_ok=True)
    return {name: Path(shutil.copy(path, root / path.name)) for name, path in files.items()}


def rewrite(path: Path, voxels=None, affine=None) -> None:
    """Rewrite a file with changed voxels or a changed affine (functions of the old ones)."""
    volume = read_volume(path)
    data = volume.data if voxels is None else np.asfortranarray(voxels(volume.data))
    write_volume(path, data, volume.affine if affine is None else affine(volume.affine.copy()))


def geometry_table(leaders: dict[str, str | Path], decisions=None, leader="t1c", cohort="c") -> pd.DataFrame:
    """Return a geometry table of cases on the grids of ``leaders`` files; ``decisions``: agree where not given."""
    rows = []
    for case, path in leaders.items():
        header = read_header(path)
        grid = Grid(header.get_data_shape()[:3], header.get_best_affine())
        reading = Reading((decisions or {}).get(case, "agree"), grid, leader, "setting")
        rows.append({"cohort": cohort, "case": case, "evidence": "", **reading.row()})
    return pd.DataFrame(rows).reindex(columns=list(GEOMETRY.columns))


def audited(files: dict[str, Path], geometry: str = "fail", use: str = "test", names=NAMES) -> CaseAudit:
    paths = {name: str(path) for name, path in files.items()}
    return audit_case(AuditTask("c", "case-1", "patient-1", use, paths, names, geometry))


def codes(audit: CaseAudit) -> set[str]:
    return {finding.code for finding in audit.findings}

"""The audit of one case: every file read once, all that is wrong with it returned as rows, nothing raised."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from posttx.auditing.appearance import Appearance, label_evidence, mask_findings, outside_findings
from posttx.auditing.findings import Finding, from_error
from posttx.auditing.geometry import file_findings, head_findings
from posttx.auditing.images import Image
from posttx.auditing.intensity import intensity_findings, intensity_row, summarise
from posttx.auditing.label_audit import STRANGE_LABELS, Reference, read_reference, speck_findings
from posttx.auditing.mirrors import mirror_findings
from posttx.auditing.privacy import privacy_findings
from posttx.auditing.readings import decide
from posttx.auditing.swaps import swap_findings
from posttx.auditing.thumbnails import thumbnail
from posttx.cases import MODALITIES
from posttx.errors import PostTxError
from posttx.geometry.grids import Grid, grid_of, valid_affine
from posttx.missing_modalities import missing_of
from posttx.nifti import Scratch, Volume, read_volume

logger = logging.getLogger(__name__)
READERS = 2


@dataclass(frozen=True)
class AuditTask:
    """What the audit of a case needs: its paths by modality, the scheme's integers -> names, the accepted reading."""

    cohort: str
    case: str
    patient: str
    use: str
    files: Mapping[str, str]
    names: Mapping[int, str]
    geometry: str = "fail"


@dataclass
class CaseAudit:
    """The rows of one case for each table of the audit."""

    intensity: list[dict[str, Any]] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    geometry: list[dict[str, Any]] = field(default_factory=list)
    evidence: list[dict[str, Any]] = field(default_factory=list)
    thumbnails: list[dict[str, Any]] = field(default_factory=list)


def audit_case(task: AuditTask) -> CaseAudit:
    """Audit one case; two volumes at a time are in memory, and of those before them what lies inside the head.

    Bad data never raises: what cannot be read becomes a finding, and the rest of the case is audited without it.
    """
    audit = CaseAudit()
    with ThreadPoolExecutor(READERS) as pool:
        images, reference, grid = _audit_files(task, audit, pool)
        _audit_together(task, images, reference, grid, audit, pool)
    return audit


def _audit_together(
    task: AuditTask,
    images: Mapping[str, Image],
    reference: Reference | None,
    grid: Grid | None,
    audit: CaseAudit,
    pool: Executor,
) -> None:
    """Add what the files of a case tell only together; specks and picture are left to the pool meanwhile."""
    specks = pool.submit(_specks, task, reference)
    usable = {name: image for name, image in images.items() if valid_affine(image.grid.affine)}
    known = grid if grid is not None and valid_affine(grid.affine) else None
    geometry = decide(task.cohort, task.case, task.geometry, usable, reference, known)
    look = None if geometry is None else Appearance(usable, reference, known, geometry)
    picture = pool.submit(thumbnail, look, task.cohort, task.case)
    if geometry is not None and look is not None:
        audit.geometry.append(geometry.row(task.cohort, task.case))
        audit.findings += geometry.findings
        audit.findings += swap_findings(look, task.cohort, task.case)
        audit.findings += mask_findings(usable, task.cohort, task.case)
        audit.findings += outside_findings(look, task.cohort, task.case)
        audit.findings += mirror_findings(task.cohort, task.case, look)
    _image_evidence(task, images, look, audit)
    if reference is not None and grid is not None:
        _label_rows(task, reference, grid, look, audit)
    audit.findings += specks.result()
    audit.thumbnails.append(picture.result())


def _specks(task: AuditTask, reference: Reference | None) -> list[Finding]:
    return [] if reference is None else speck_findings(reference, task.names, task.cohort, task.case)


def _audit_files(
    task: AuditTask, audit: CaseAudit, pool: Executor
) -> tuple[dict[str, Image], Reference | None, Grid | None]:
    """Read and measure every file of a case once, ``READERS`` at a time, and add their rows in fixed order.

    Decompressing and numpy's passes leave the interpreter free, so that threads share the work.
    """
    scratches: SimpleQueue[Scratch] = SimpleQueue()
    for _ in range(READERS):
        scratches.put(Scratch())

    def measured(function: Callable[..., Any], *names: str) -> tuple[CaseAudit, Any]:
        part, scratch = CaseAudit(), scratches.get()
        try:
            return part, function(task, *names, part, scratch)
        finally:
            scratches.put(scratch)

    known = [name for name in MODALITIES if name in task.files]
    jobs = [pool.submit(measured, _audit_image, name) for name in known]
    last = pool.submit(measured, _audit_reference)
    parts, found = zip(*[job.result() for job in (*jobs, last)], strict=True)
    for part in parts:
        audit.intensity += part.intensity
        audit.findings += part.findings
    audit.findings += [
        Finding("COH021", task.cohort, f"there is no {name}: the case is segmented without it", task.case, name)
        for name in missing_of(task.files)
    ]
    images = {name: image for name, image in zip(known, found, strict=False) if image is not None}
    return images, *found[-1]


def _read(task: AuditTask, modality: str, audit: CaseAudit, scratch: Scratch) -> Volume | None:
    try:
        volume = read_volume(task.files[modality], scratch)
    except PostTxError as error:
        audit.findings.append(from_error(error, task.cohort, task.case, modality))
        return None
    except OSError as error:
        audit.findings.append(Finding("FIL002", task.cohort, f"cannot be read: {error}", task.case, modality))
        return None
    if volume.data.dtype.kind not in "iufb":
        message = f"the voxel type is {volume.header.get_data_dtype()}"
        audit.findings.append(Finding("FIL007", task.cohort, message, task.case, modality))
        return None
    audit.findings += [Finding(code, task.cohort, text, task.case, modality) for code, text in volume.remarks]
    audit.findings += privacy_findings(volume, task.cohort, task.case, modality)
    audit.findings += file_findings(volume, task.cohort, task.case, modality)
    return volume


def _audit_image(task: AuditTask, modality: str, audit: CaseAudit, scratch: Scratch) -> Image | None:
    volume = _read(task, modality, audit, scratch)
    if volume is None:
        return None
    stats, inside, mask = summarise(volume.data, str(volume.header.get_data_dtype()))
    grid = grid_of(volume)
    audit.intensity.append(intensity_row(stats, task.cohort, task.case, modality))
    audit.findings += intensity_findings(stats, task.cohort, task.case, modality)
    audit.findings += head_findings(mask, grid, task.cohort, task.case, modality)
    return Image(inside, stats, grid)


def _audit_reference(task: AuditTask, audit: CaseAudit, scratch: Scratch) -> tuple[Reference | None, Grid | None]:
    volume = _read(task, "seg", audit, scratch) if "seg" in task.files else None
    if volume is None:
        if task.use == "train":
            audit.findings.append(Finding("COH007", task.cohort, "no readable reference", task.case, "seg"))
        return None, None
    reference, found = read_reference(volume.data, task.names, task.cohort, task.case)
    audit.findings += found
    return reference, grid_of(volume)


def _image_evidence(task: AuditTask, images: Mapping[str, Image], look: Appearance | None, audit: CaseAudit) -> None:
    for name, image in images.items():
        normal = look.normals.get(name) if look is not None else None
        audit.evidence.append(
            {
                "cohort": task.cohort,
                "case": task.case,
                "modality": name,
                "label": 0,
                "voxels": image.stats.count,
                "median": normal.median if normal else float("nan"),
                "spread": normal.scale if normal else float("nan"),
                "content": image.stats.content if image.stats.count else None,
            }
        )


def _label_rows(task: AuditTask, reference: Reference, grid: Grid, look: Appearance | None, audit: CaseAudit) -> None:
    counts = reference.counts
    strange = [label for label in counts if label > 0 and label not in task.names][:STRANGE_LABELS]
    mm3 = grid.voxel_mm3 if valid_affine(grid.affine) else float("nan")
    for label in sorted([*task.names, *strange]):
        told = label_evidence(look, label) if look is not None and counts.get(label) else {}
        who = {"cohort": task.cohort, "case": task.case, "label": label}
        voxels = counts.get(label, 0)
        means = {f"mean_{name}": told[name]["mean"] if name in told else float("nan") for name in MODALITIES}
        name = task.names.get(label, f"label {label}")
        audit.labels.append({**who, "name": name, "voxels": voxels, "volume_mm3": voxels * mm3, **means})
        for modality, part in told.items():
            numbers = {key: part[key] for key in ("voxels", "median", "spread")}
            audit.evidence.append({**who, "modality": modality, **numbers, "content": None})

"""The layouts that a cohort's folder may have: data, from which files are placed by their names alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from posttx.case_ids import BRATS_ID, IMAGE_COLUMNS, IMAGE_NAMES
from posttx.errors import PostTxError
from posttx.file_names import stem_of

OLD_NAMES = {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f", "seg": "seg"}
BRATS_OLD_ID = re.compile(r"(?P<patient>(?i:brats)(?:17|18|19|20|2021)_[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*)")
UCSF_ID = re.compile(r"(?P<patient>UCSF-PDGM-\d{3,4})(?:_FU(?P<timepoint>\d+)d)?")
MU_ID = re.compile(r"(?P<patient>PatientID_\d{4})_Timepoint_(?P<timepoint>\d+)")
LUMIERE_ID = re.compile(r"(?P<patient>Patient-\d{3})_week-(?P<timepoint>\d{3}(?:-\d)?)")
IMAGES = re.compile(r"images(?P<part>Tr|Ts|Val)")


@dataclass(frozen=True)
class Layout:
    """One way to name the files of a cohort.

    ``ends`` maps what follows the case id in a file's name, in lower case and without ``.nii.gz``, to a modality; of a
    layout with ``folders`` the names are the modality alone, and the id is made of so many folders above the file.
    ``ids`` are the forms of ids that tell patient and timepoint; with ``any_id`` other ids are accepted where the
    layout was asked for by name, and each case then counts as a patient.
    """

    name: str
    title: str
    ends: Mapping[str, str]
    ids: tuple[re.Pattern[str], ...]
    folders: int = 0
    any_id: bool = False

    @cached_property
    def longest_first(self) -> tuple[str, ...]:
        """Return the ends, longest first: ``_brain_t1c`` before ``_t1c``."""
        return tuple(sorted(self.ends, key=len, reverse=True))

    def place(self, folder: str, stem: str) -> tuple[str, str] | None:
        """Return (case, modality) of a file of this stem in ``folder``; None where its name is not of this layout."""
        if self.folders:
            column = self.ends.get(stem.lower())
            return ("_".join(folder.rsplit("/", self.folders)[-self.folders :]), column) if column else None
        lower = stem.lower()
        for end in self.longest_first:
            if lower.endswith(end) and len(stem) > len(end):
                return stem[: -len(end)], self.ends[end]
        return None

    def who(self, case: str) -> tuple[str, int] | None:
        """Return (patient, timepoint) that an id tells; None where it has none of the layout's forms."""
        for form in self.ids:
            if match := form.fullmatch(case):
                told = match.groupdict().get("timepoint") or "0"
                # week-000-2 is the second scan of week 0.
                week, _, scan = told.partition("-")
                return match["patient"], int(week) * (10 if self.folders else 1) + int(scan or 0)
        return None

    def wanted(self) -> str:
        """Return the names that files of this layout have, for messages."""
        case = "/".join(["<patient>", "<week>"][-self.folders :]) + "/" if self.folders else "<case>"
        return ", ".join(f"{case}{end}.nii.gz" for end in self.ends)


def _joined(names: Mapping[str, str], signs: Iterable[str]) -> dict[str, str]:
    return {f"{sign}{name}": column for sign in signs for name, column in names.items()}


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("brats2023", "BraTS since 2023", _joined({name: name for name in IMAGE_COLUMNS}, "-"), (BRATS_ID,)),
        Layout("brats2021", "BraTS 2018-2021", _joined(OLD_NAMES, "_-"), (BRATS_OLD_ID, BRATS_ID), any_id=True),
        Layout(
            "ucsf_pdgm",
            "UCSF-PDGM",
            {"_t1": "t1n", "_t1c": "t1c", "_t2": "t2w", "_flair": "t2f", "_tumor_segmentation": "seg"},
            (UCSF_ID,),
        ),
        Layout(
            "mu_glioma_post",
            "MU-Glioma-Post",
            {f"_brain_{name}": name for name in IMAGE_COLUMNS[:4]} | {"_tumormask": "seg"},
            (MU_ID,),
        ),
        # Its masks are automatic ones, of two programs: whoever wants one of them as the reference names it in a sheet.
        Layout(
            "lumiere", "LUMIERE", {"t1": "t1n", "ct1": "t1c", "t2": "t2w", "flair": "t2f"}, (LUMIERE_ID,), folders=2
        ),
    )
}
NNUNET = "nnunet"
NAMES = ("auto", *LAYOUTS, NNUNET)


def nnunet_layout(images: Path) -> Layout:
    """Return the layout of nnU-Net's raw folders, its channels named by ``dataset.json`` beside ``images``.

    Channels may stand in any order, so that without names nothing can be placed.
    """
    description = images.parent / "dataset.json"
    try:
        content = json.loads(description.read_bytes())
        channels = content.get("channel_names") or content["modality"]
        named = {int(number): str(name).lower().replace(" ", "") for number, name in channels.items()}
        ends = {f"_{number:04d}": IMAGE_NAMES[name] for number, name in named.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PostTxError(
            f"nnU-Net's dataset.json does not say which channel is which modality ({type(error).__name__}: {error})",
            remedy=f"Name its channels ({', '.join(sorted(IMAGE_NAMES))}), or describe the cohort by a sheet",
            file=description,
            code="COH018",
        ) from error
    if len(set(ends.values())) < len(ends):
        raise PostTxError(
            f"two channels of nnU-Net's dataset.json are the same modality: {named}",
            remedy="Correct the file",
            file=description,
            code="COH018",
        )
    ends["_seg"] = "seg"
    forms = tuple(form for layout in LAYOUTS.values() for form in layout.ids)
    return Layout(NNUNET, "nnU-Net raw data", ends, tuple(dict.fromkeys(forms)), any_id=True)


def nnunet_stem(folder: str, name: str) -> str:
    """Return the stem of a file of nnU-Net's folders, that of a reference with ``_seg`` in place of a channel."""
    return f"{stem_of(name)}_seg" if Path(folder).name.startswith("labels") else stem_of(name)

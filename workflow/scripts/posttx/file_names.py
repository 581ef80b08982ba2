"""What names of files say: endings of volumes, marks of segmentations, and the clutter of file systems and programs."""

from __future__ import annotations

import re

NIFTI = (".nii.gz", ".nii")
# NIfTI, and what SimpleITK reads from a single file.
ENDINGS = (*NIFTI, ".mha", ".nrrd")
MARKS = r"(?:seg|pred|preds|predicted|prediction|segmentation|mask|label|labels|output|result|pp|postprocessed)"
MARKED = re.compile(rf"(?P<case>.+?)(?:[-_.]{MARKS})+", re.IGNORECASE)
# Lower case: a copy of a copy may have changed it.
CLUTTER = frozenset(
    {
        "__macosx", ".ds_store", ".appledouble", ".spotlight-v100", ".fseventsd", ".trashes", "thumbs.db",
        "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "@eadir", "#recycle", "#snapshot",
        "lost+found", ".ipynb_checkpoints", "__pycache__",
    }
)  # fmt: skip
FORK = "._"
MOST_NAMED = 20


def stem_of(name: str) -> str:
    """Return a file's name without the ending of a volume; the whole name where it has none."""
    if name.endswith(".nii.gz"):  # nearly every name, of thousands
        return name[:-7]
    lower = name.lower()
    return next((name[: -len(ending)] for ending in ENDINGS if lower.endswith(ending)), name)


def is_clutter(name: str) -> bool:
    """Say whether a file or folder of this name is a file system's or a program's own (``._*``: a Mac's forks)."""
    return name.startswith(FORK) or name.lower() in CLUTTER


def kind_of_clutter(name: str) -> str:
    """Return what to call clutter in a count: its name, or ``._*`` for the forks, which have one name per file."""
    return f"{FORK}*" if name.startswith(FORK) else name


def shortened(names: list[str], separator: str = ", ", most: int = MOST_NAMED) -> str:
    """Return the first names, and how many more there are."""
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return separator.join([*names[:most], *more])

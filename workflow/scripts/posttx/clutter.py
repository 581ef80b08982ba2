"""What file systems and programs leave between a user's files: never part of a cohort, never a reason to refuse one."""

from __future__ import annotations

# Lower case: a copy of a copy may have changed it.
CLUTTER = frozenset(
    {
        "__macosx", ".ds_store", ".appledouble", ".spotlight-v100", ".fseventsd", ".trashes", "thumbs.db",
        "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "@eadir", "#recycle", "#snapshot",
        "lost+found", ".ipynb_checkpoints", "__pycache__",
    }
)  # fmt: skip
FORK = "._"


def is_clutter(name: str) -> bool:
    """Say whether a file or folder of this name is a file system's or a program's own (``._*``: a Mac's forks)."""
    return name.startswith(FORK) or name.lower() in CLUTTER


def kind_of_clutter(name: str) -> str:
    """Return what to call clutter in a count: its name, or ``._*`` for the forks, which have one name per file."""
    return f"{FORK}*" if name.startswith(FORK) else name

"""Which file of a folder is the segmentation of which case, told from names alone, as a person would tell it."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from posttx.case_ids import BRATS_ID, IMAGE_NAMES, MODALITIES
from posttx.errors import PostTxError
from posttx.file_names import ENDINGS, MARKED, is_clutter, shortened, stem_of
from posttx.files import is_folder

# <case>/prediction.nii.gz and fold_0/validation/<case>.nii.gz: folders below the one that is given.
DEPTH = 2
CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
TAIL = re.compile(r"(?:.*[-_])?(?P<patient>\d{5})-(?P<timepoint>\d{3,})")
IMAGE = re.compile(rf"(?:.+[-_])?(?:{'|'.join(sorted({*MODALITIES, *IMAGE_NAMES}))})", re.IGNORECASE)
ANY_NAME = "any name in <case>/"
WAYS = {
    "<case>": "the id itself",
    "<case>_pred": "the id and a mark such as _seg or _pred",
    "<case>_0000": "the id and nnU-Net's channel number",
    "<anything>-<case>": "something before the id",
    "<anything>-<patient>-<timepoint>": "the numbers of patient and timepoint",
    ANY_NAME: "the folder's name",
}


@dataclass
class Found:
    """What a folder of predictions holds, by case, and the files of it that are used for nothing.

    ``ways`` says by which of ``WAYS`` a case's file was matched; ``images`` are files named like the scans themselves.
    """

    files: dict[str, Path] = field(default_factory=dict)
    ways: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, list[Path]] = field(default_factory=dict)
    unknown: list[Path] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)


def find_predictions(folder: str | Path, cases: Collection[str]) -> Found:
    """Match the segmentations below ``folder`` (two levels of folders at most) to case ids, by the names of ``WAYS``.

    A name that is a known id is that case, whatever else it looks like. Files that claim the same case are
    ``repeated``; a name that fits two cases is an error, as is a folder that does not exist.
    """
    root = Path(folder)
    if not is_folder(root):
        raise PostTxError(
            "the folder of predictions does not exist",
            remedy="Set the model's `predictions` to it",
            file=root,
            code="EVA001",
        )
    found = Found()
    matcher = _Matcher(cases)
    claims: dict[str, list[tuple[Path, str]]] = defaultdict(list)
    channels: dict[str, list[tuple[Path, int]]] = defaultdict(list)
    for path in _files(root, DEPTH, found.hidden):
        stem = stem_of(path.name)
        # Known ids come first: case_0001 is a case before it is the second channel of "case".
        channel = None if stem in matcher.known else CHANNEL.fullmatch(stem)
        if channel and (numbered := matcher.by_name(channel["case"])):
            channels[numbered[0]].append((path, int(channel["channel"])))
        elif match := matcher.match(path, stem, path.parent != root and not channel):
            claims[match[0]].append((path, match[1]))
        else:
            (found.images if IMAGE.fullmatch(stem) else found.unknown).append(path)
    for case, scans in channels.items():
        # One _0000 and nothing else is a segmentation saved under an image's name; several channels are the images.
        if case not in claims and [number for _, number in scans] == [0]:
            claims[case] = [(scans[0][0], "<case>_0000")]
        else:
            found.images += [path for path, _ in scans]
    for case, files in claims.items():
        if len(files) == 1:
            found.files[case], found.ways[case] = files[0]
        else:
            found.repeated[case] = [path for path, _ in files]
    return found


def case_of_name(name: str, cases: Collection[str]) -> str:
    """Return the case that a file's name belongs to: one of ``cases``, or else the name without ending and marks."""
    stem = stem_of(name)
    if match := _Matcher(cases).by_name(stem):
        return match[0]
    marked = MARKED.fullmatch(stem)
    return marked["case"] if marked else stem


def check_predictions(found: Found, folder: str | Path, cases: Sequence[str]) -> None:
    """Raise an error where no file of a folder belongs to a case, or where several files claim the same case."""
    if found.repeated:
        lines = [f"{case}: {', '.join(map(str, paths))}" for case, paths in sorted(found.repeated.items())]
        raise PostTxError(
            f"{len(lines)} cases have several predictions",
            lines=lines,
            remedy="Leave one of them, or name the subfolder that is meant",
            file=folder,
            code="EVA006",
        )
    if cases and not found.files:
        others = sorted(str(path.relative_to(folder)) for path in (*found.unknown, *found.images))
        there = f"there are {len(others)} volumes: {shortened(others)}" if others else "there is no volume"
        wanted = shortened([f"{case}.nii.gz" for case in sorted(cases)], most=3)
        raise PostTxError(
            f"no file is the prediction of a case: {there}, {DEPTH} levels of folders deep; wanted are {wanted}",
            remedy=f"Name the files by case ({', '.join(WAYS)}; {', '.join(ENDINGS)}), or correct the folder",
            file=folder,
            code="EVA014",
        )


class _Matcher:
    """The ids of a cohort, and how names spell them."""

    def __init__(self, cases: Collection[str]) -> None:
        self.known = frozenset(cases)

    @cached_property
    def tails(self) -> dict[str, list[str]]:
        """Return ``<patient>-<timepoint>`` -> the cases whose BraTS ids end in these numbers."""
        tails: dict[str, list[str]] = defaultdict(list)
        for case in self.known:
            if BRATS_ID.fullmatch(case) and (tail := TAIL.fullmatch(case)):
                tails[f"{tail['patient']}-{tail['timepoint']}"].append(case)
        return dict(tails)

    def match(self, path: Path, stem: str, below: bool) -> tuple[str, str] | None:
        """Return the case of a file and how it was told; ``below`` where its folder's name may tell it."""
        if match := self.by_name(stem):
            return match
        if IMAGE.fullmatch(stem):
            return None
        if tail := TAIL.fullmatch(stem):
            cases = self.tails.get(f"{tail['patient']}-{tail['timepoint']}", [])
            if len(cases) > 1:
                raise PostTxError(
                    f"the name fits two cases, {' and '.join(sorted(cases))}",
                    remedy="Name the file by the case's id",
                    file=path,
                    code="EVA006",
                )
            return (cases[0], "<anything>-<patient>-<timepoint>") if cases else None
        # A name that is another case's id is not the folder's.
        if below and path.parent.name in self.known and not BRATS_ID.fullmatch(stem):
            return path.parent.name, ANY_NAME
        return None

    def by_name(self, stem: str) -> tuple[str, str] | None:
        """Return the case that a name without ending spells out, and how; None where it spells out none."""
        if stem in self.known:
            return stem, "<case>"
        marked = MARKED.fullmatch(stem)
        bare = marked["case"] if marked else stem
        if bare in self.known:
            return bare, "<case>_pred"
        # The longest id that something else stands before: "a_b" before "b".
        for cut in re.finditer(r"[-_.]", bare):
            if bare[cut.end() :] in self.known:
                return bare[cut.end() :], "<anything>-<case>"
        return None


def _files(folder: Path, depth: int, hidden: list[Path]) -> list[Path]:
    """Return the volumes of a folder and of those below it, sorted.

    Clutter and names with a dot or underscore in front are left out; those of volumes are added to ``hidden``.
    """
    files, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                volume = entry.name.lower().endswith(ENDINGS)
                if entry.name.startswith((".", "_")) or is_clutter(entry.name):
                    hidden += [Path(entry.path)] if volume else []
                elif volume:
                    files.append(Path(entry.path))
                elif depth and entry.is_dir():
                    folders.append(Path(entry.path))
    except OSError as error:
        raise PostTxError(
            f"the folder of predictions cannot be listed: {error}", remedy="Check its permissions", file=folder,
            code="EVA001",
        ) from error  # fmt: skip
    return sorted(files) + [path for inner in sorted(folders) for path in _files(inner, depth - 1, hidden)]

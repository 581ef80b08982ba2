"""A cohort's folder: every volume in it, whose it is by which layout, and what is told of those that are nobody's."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from posttx.case_ids import BRATS_ID, Problem, Reading, check_case_id, patients_unknown, split_brats_id
from posttx.errors import PostTxError
from posttx.file_names import MARKED, NIFTI, is_clutter, kind_of_clutter, shortened, stem_of
from posttx.files import is_folder, is_there
from posttx.layouts import IMAGES, LAYOUTS, NNUNET, Layout, nnunet_layout, nnunet_stem

# Levels of folders below the cohort's own that are searched.
DEPTH = 5
SHEET = "write a sheet to check with `make sheet DATA=<folder> OUT=cases.tsv` and set `sheet` to it in place of `path`"


@dataclass(frozen=True)
class Folder:
    """A folder with the entries of it that are named like NIfTI files; ``path`` is text: so many ``Path`` take long."""

    path: str
    volumes: Sequence[os.DirEntry[str]]

    @property
    def name(self) -> str:
        """Return the folder's own name."""
        return self.path.rsplit("/", 1)[-1]


@dataclass
class Tree:
    """What lies in a cohort's folder, by names alone."""

    root: str
    folders: list[Folder] = field(default_factory=list)
    clutter: Counter[str] = field(default_factory=Counter)
    unsearched: list[str] = field(default_factory=list)

    @property
    def volumes(self) -> int:
        """Return how many files are named like NIfTI files."""
        return sum(len(folder.volumes) for folder in self.folders)


@dataclass
class Placed:
    """The volumes of a tree that one layout places: (group, case) -> (modality, path, entry); the others' paths."""

    layout: Layout
    cases: dict[tuple[str, str], list[tuple[str, str, os.DirEntry[str]]]]
    others: list[str]

    def certain(self) -> set[str]:
        """Return the paths of files whose ids tell patient and timepoint."""
        return {path for (_, case), files in self.cases.items() if self.layout.who(case) for _, path, _ in files}


def read_folder(root: Path, name: str = "auto") -> Reading:
    """Read a cohort's folder by the layout of this name; ``auto`` takes the one that places most, where it is certain.

    Certain means: every file that another layout places is placed by it too, and ids tell patient and timepoint.
    """
    if not is_folder(root):
        raise PostTxError("the cohort's folder does not exist", remedy="Set `path` to it", file=root, code="COH003")
    try:
        tree = walk(str(root))
        if IMAGES.fullmatch(root.name) and is_folder(labels := root.with_name(root.name.replace("images", "labels"))):
            tree.folders += walk(str(labels)).folders
    except OSError as error:
        raise PostTxError(
            f"a folder cannot be listed: {error}", remedy="Check its permissions", file=root, code="COH003"
        ) from error
    reading = Reading()
    placed = _chosen(tree, name)
    if placed:
        _add_rows(placed, reading, asked=name != "auto")
    _tell_others(tree, placed, reading)
    _tell_skipped(tree, reading)
    return reading


def walk(root: str, depth: int = DEPTH) -> Tree:
    """List a folder and those below it, ``depth`` levels; clutter and hidden names are counted and not looked into."""
    tree = Tree(root.removeprefix("./"))
    _walk(tree.root or ".", depth, tree)
    return tree


def _walk(path: str, depth: int, tree: Tree) -> None:
    volumes, folders = [], []
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            if name[0] != "." and name.lower().endswith(NIFTI):
                volumes.append(entry)
            elif name[0] == "." or is_clutter(name):
                tree.clutter[kind_of_clutter(name) if is_clutter(name) else ".*"] += 1
            elif entry.is_dir():
                folders.append(entry)
    if volumes or not folders:
        tree.folders.append(Folder(path.removeprefix("./"), sorted(volumes, key=lambda entry: entry.name)))
    for folder in sorted(folders, key=lambda entry: entry.name):
        if not depth or (folder.is_symlink() and _leads_back(folder.path, path)):
            tree.unsearched.append(folder.path)
        else:
            _walk(folder.path, depth - 1, tree)


def _leads_back(link: str, folder: str) -> bool:
    """Say whether a link to a folder leads to one that it lies in."""
    target, here = os.path.realpath(link), os.path.realpath(folder)
    return here == target or here.startswith(target + os.sep)


def _chosen(tree: Tree, name: str) -> Placed | None:
    """Return the volumes placed by the layout that was asked for, or by the one that fits; None where none does."""
    if name != "auto":
        return place(tree, _layout(tree, name))
    first = place(tree, LAYOUTS["brats2023"])
    if not first.others and all(first.layout.who(case) for _, case in first.cases):
        return first
    candidates = [first, *(place(tree, layout) for key, layout in LAYOUTS.items() if key != "brats2023")]
    if _image_folders(tree):
        candidates.append(place(tree, _layout(tree, NNUNET)))
    certain = [placed.certain() for placed in candidates]
    best = max(range(len(candidates)), key=lambda n: len(certain[n]))
    if not certain[best]:
        # No id is certain: the layout whose names fit most says which ids it wants.
        return max(candidates, key=lambda placed: tree.volumes - len(placed.others))
    for other, paths in zip(candidates, certain, strict=True):
        if paths - certain[best]:
            example = sorted(paths - certain[best])[0]
            raise PostTxError(
                f"the folder holds two layouts, {candidates[best].layout.name} ({len(certain[best])} files) and "
                f"{other.layout.name} ({len(paths)} files, such as {example})",
                remedy="Make two cohorts of it, set `layout` to the one that is meant, or " + SHEET,
                file=tree.root,
                code="COH018",
            )
    return candidates[best]


def _image_folders(tree: Tree) -> list[str]:
    return sorted({folder.path for folder in tree.folders if IMAGES.fullmatch(folder.name)})


def _layout(tree: Tree, name: str) -> Layout:
    if name != NNUNET:
        return LAYOUTS[name]
    images = _image_folders(tree)
    if len(images) != 1:
        raise PostTxError(
            f"one imagesTr or imagesTs is wanted, there are {len(images)}: {shortened(images)}",
            remedy="Set `path` to the one that is meant; its labels are looked for beside it",
            file=tree.root,
            code="COH018",
        )
    return nnunet_layout(Path(images[0]))


def place(tree: Tree, layout: Layout) -> Placed:
    """Return the volumes of a tree that a layout places. Files of a case lie in one folder, in nnU-Net's in two."""
    cases: dict[tuple[str, str], list[tuple[str, str, os.DirEntry[str]]]] = defaultdict(list)
    others = []
    for folder in tree.folders:
        own = folder.name
        for entry in folder.volumes:
            path = f"{folder.path}/{entry.name}".removeprefix("./")
            stem = nnunet_stem(folder.path, entry.name) if layout.name == NNUNET else stem_of(entry.name)
            # Most folders are named like their case.
            column = layout.ends.get(stem[len(own) :].lower()) if stem.startswith(own) and not layout.folders else None
            found = (own, column) if column else layout.place(folder.path, stem)
            if found:
                group = "" if layout.name == NNUNET else folder.path
                cases[group, found[0]].append((found[1], path, entry))
            else:
                others.append(path)
    return Placed(layout, dict(cases), others)


def _add_rows(placed: Placed, reading: Reading, asked: bool) -> None:
    """Add a row per case to the reading, and what is wrong with its id and its files."""
    layout, alone = placed.layout, []
    for (_, case), found in placed.cases.items():
        who = layout.who(case)
        if who is None and layout.any_id and asked:
            who = (case, 0)
            alone.append(case)
        try:
            if who is None:
                raise _strange_id(layout, case, Path(found[0][1]).parent)
            check_case_id(case, found[0][1])
        except PostTxError as error:
            reading.problems.append(Problem(error.code, str(error), case))
            continue
        files = dict(_files(case, found, reading.problems))
        reading.rows.append((case, *who, files))
    count = sum(map(len, placed.cases.values()))
    told = "as the configuration says" if asked else "found by the names of its files"
    reading.notes.append(
        ("COH012", f"layout {layout.name} ({layout.title}), {told}: {len(reading.rows)} cases, {count} files")
    )
    if alone:
        reading.notes.append(patients_unknown(alone))


def _strange_id(layout: Layout, case: str, folder: Path) -> PostTxError:
    try:
        if layout.name == "brats2023":
            split_brats_id(case, folder)
    except PostTxError as error:
        error.remedy = f"Rename folder and files, or {SHEET}"
        return PostTxError(error.problem, remedy=error.remedy, file=folder, code=error.code)
    return PostTxError(
        f"{case[:210]!r} tells no patient and timepoint as ids of {layout.title} do",
        remedy=f"Set `layout: {layout.name}` if each case is a patient, or {SHEET}" if layout.any_id else SHEET,
        file=folder,
        code="COH001",
    )


def _files(
    case: str, found: Sequence[tuple[str, str, os.DirEntry[str]]], problems: list[Problem]
) -> Iterator[tuple[str, str]]:
    """Yield modality and path of the files of a case; links are followed, broken ones are a problem."""
    seen: dict[str, str] = {}
    for column, path, entry in found:
        # Only a link costs a look at its target: planning 1,621 cases must not touch 8,105 files.
        if entry.is_symlink() and not is_there(entry.path):
            problems.append(Problem("FIL001", f"{path} is a link to nothing", case))
        elif column in seen:
            folder, name = os.path.split(path)
            text = f"case {case} has {column} twice: {Path(seen[column]).name} and {name} in {folder}"
            problems.append(Problem("COH002", text, case))
        seen[column] = path
        yield column, path


def _tell_others(tree: Tree, placed: Placed | None, reading: Reading) -> None:
    """Tell the volumes that no name places; where not one image was placed, they are a problem."""
    for folder in tree.folders:
        # A folder named like a case promises one.
        if not folder.volumes and BRATS_ID.fullmatch(folder.name):
            reading.rows.append((folder.name, *split_brats_id(folder.name), {}))
    others = placed.others if placed else []
    if not others:
        return
    reading.others = others
    expected = (
        placed.layout.wanted()
        if placed and placed.cases
        else "; ".join(f"{layout.name}: {layout.wanted()}" for layout in LAYOUTS.values())
    )
    prefix = len(tree.root) + 1 if tree.root else 0
    names = shortened([path[prefix:] for path in others])
    text = f"{len(others)} of {tree.volumes} NIfTI files match no expected name: {names}. Expected: {expected}"
    images = [path for path in others if not MARKED.fullmatch(stem_of(Path(path).name))]
    if images and not any(set(files) - {"seg"} for _, _, _, files in reading.rows):
        reading.problems.append(Problem("COH013", text, remedy=f"Rename the files, set `layout`, or {SHEET}"))
    reading.notes.append(("COH013", text))


def _tell_skipped(tree: Tree, reading: Reading) -> None:
    if tree.clutter:
        counts = ", ".join(f"{name} ({count})" for name, count in sorted(tree.clutter.items()))
        reading.notes.append(("COH014", f"clutter and hidden names were skipped: {counts}"))
    if tree.unsearched:
        text = (
            f"{len(tree.unsearched)} folders were not searched, more than {DEPTH} levels deep or links that lead back"
        )
        reading.notes.append(("COH015", f"{text}: {shortened(tree.unsearched)}"))

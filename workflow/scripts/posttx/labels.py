"""Label schemes: which integer is which class, and which integers make a region."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr  # a few nested aliases of YAML can be gigabytes when written out
from typing import Any

import yaml

from posttx.errors import PostTxError
from posttx.files import is_file

# Labels are stored in one byte, 0 is the background.
MOST = 255
# nnU-Net gives these names of labels meanings of their own.
RESERVED = ("background", "ignore")
# Names stand in columns, figures (where $ begins a formula) and pages; colours in style sheets.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ()+._-]{0,39}")
COLOR = re.compile(r"#[0-9A-Fa-f]{6}")


@dataclass(frozen=True)
class Label:
    """One integer of a segmentation and what it is called."""

    value: int
    name: str
    long_name: str
    color: str


@dataclass(frozen=True)
class Region:
    """A set of integers that is scored as one binary mask; ``label`` is None for a composite region."""

    name: str
    long_name: str
    labels: tuple[int, ...]
    color: str

    @property
    def label(self) -> int | None:
        """Return the integer of a single-label region, None for a composite one."""
        return self.labels[0] if len(self.labels) == 1 else None


@dataclass(frozen=True)
class LabelScheme:
    """The labels in the order of their integers, and the composite regions in the order of the file."""

    name: str
    description: str
    labels: tuple[Label, ...]
    composites: tuple[Region, ...]

    @property
    def regions(self) -> tuple[Region, ...]:
        """Return the scored regions: one per label, in label order, then the composites."""
        singles = tuple(Region(label.name, label.long_name, (label.value,), label.color) for label in self.labels)
        return singles + self.composites

    @property
    def values(self) -> tuple[int, ...]:
        """Return the integers of the labels, background not among them."""
        return tuple(label.value for label in self.labels)

    @property
    def names(self) -> dict[int, str]:
        """Return integer -> label name."""
        return {label.value: label.name for label in self.labels}

    def learnt(self) -> dict[str, int]:
        """Return label name -> the integer that nnU-Net learns: 1..n in label order, for it trains no gaps."""
        return {label.name: number for number, label in enumerate(self.labels, start=1)}

    def scoring(self) -> dict[str, list[int]]:
        """Return region name -> integers: all that scoring depends on, so that a new colour re-scores nothing."""
        return {region.name: list(region.labels) for region in self.regions}


def load_scheme(path: str | Path) -> LabelScheme:
    """Read a label scheme file (``config/labels/<name>.yaml``) and check that its parts fit together.

    One that is not there is an error that names those of its folder and of the working directory.
    """
    path = Path(path)
    if not is_file(path):
        folders = {path.parent, Path(*path.parent.parts[-2:])}
        known = ", ".join(sorted({other.stem for folder in folders for other in folder.glob("*.yaml")})) or "none"
        raise PostTxError(
            f"there is no label scheme {repr(path.stem)}", remedy=f"Set `labels` to one of: {known}", file=path
        )
    try:
        return scheme_from(yaml.safe_load(path.read_text(encoding="utf-8")), path)
    except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _refused(f"{type(error).__name__}: {error}", path) from error


def scheme_from(content: dict[str, Any], path: str | Path = "") -> LabelScheme:
    """Build a scheme from the parsed file; integers are 1..255, with gaps or without, names unique."""
    entries, composed = content["labels"], content.get("regions") or {}
    values = sorted(entries)
    if not values or not all(map(is_whole, values)) or not 1 <= values[0] <= values[-1] <= MOST:
        raise _refused(f"labels must be integers from 1 to {MOST}, not {repr(values)}", path)
    names = [entry["name"] for _, entry in sorted(entries.items())] + list(composed)
    if len(set(names)) != len(names):
        raise _refused(f"label and region names must be unique, not {repr(names)}", path)
    for name, entry in zip(names, [*(entries[value] for value in values), *composed.values()], strict=True):
        _check_looks(name, entry, path)
    for name, entry in composed.items():
        parts = entry["labels"]
        if not isinstance(parts, list) or not parts or not all(map(is_whole, parts)) or not set(parts) <= set(values):
            raise _refused(f"region {name} names integers that no label has: {repr(parts)}", path)
    return LabelScheme(
        _line(content["name"]),
        _line(content.get("description", "")),
        tuple(Label(value, entries[value]["name"], *_looks(entries[value])) for value in values),
        tuple(
            Region(name, _looks(entry)[0], tuple(dict.fromkeys(entry["labels"])), _looks(entry)[1])
            for name, entry in composed.items()
        ),
    )


def _looks(entry: dict[str, Any]) -> tuple[str, str]:
    return entry["long_name"], entry["color"]


def _line(text: Any) -> str:
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError(f"{repr(text)} is no line of text")
    return text


def is_whole(value: Any) -> bool:
    """Say whether what YAML or JSON gives is a whole number: true and 1.0 are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _check_looks(name: Any, entry: dict[str, Any], path: str | Path) -> None:
    """Raise where a name or colour could not stand in a figure, a table's column or a page as it is."""
    long_name, color = _looks(entry)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise _refused(f"{repr(name)} is no name: use up to 40 letters, digits, spaces and ()+._-", path)
    if name in RESERVED:
        raise _refused(f"{name!r} is no name for a label: nnU-Net gives it a meaning of its own", path)
    _line(long_name)
    if not isinstance(color, str) or not COLOR.fullmatch(color):
        raise _refused(f'the color of {name} is {repr(color)}: write it like "#1f77b4"', path)


def _refused(why: str, path: str | Path) -> PostTxError:
    return PostTxError(f"not a label scheme ({why})", remedy="Write it like config/labels/brats2024.yaml", file=path)

"""Label schemes: which integer is which class, and which integers make a region."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from posttx.errors import PostTxError


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

    def scoring(self) -> dict[str, list[int]]:
        """Return region name -> integers: all that scoring depends on, so that a new colour re-scores nothing."""
        return {region.name: list(region.labels) for region in self.regions}


def load_scheme(path: str | Path) -> LabelScheme:
    """Read a label scheme file (``config/labels/<name>.yaml``) and check that its parts fit together."""
    path = Path(path)
    if not path.is_file():
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.yaml"))) or "none"
        raise PostTxError(
            f"there is no label scheme {path.stem!r}", remedy=f"Set `labels` to one of: {known}", file=path
        )
    try:
        return scheme_from(yaml.safe_load(path.read_text(encoding="utf-8")), path)
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PostTxError(
            f"not a label scheme ({type(error).__name__}: {error})",
            remedy="Write it like config/labels/brats2024.yaml",
            file=path,
        ) from error


def scheme_from(content: dict[str, Any], path: str | Path = "") -> LabelScheme:
    """Build a scheme from the parsed file; integers must be 1..n without gaps, as nnU-Net trains them, names unique."""
    labels = tuple(
        Label(int(value), entry["name"], entry["long_name"], entry["color"])
        for value, entry in sorted(content["labels"].items())
    )
    values = [label.value for label in labels]
    composites = tuple(
        Region(name, entry["long_name"], tuple(entry["labels"]), entry["color"])
        for name, entry in (content.get("regions") or {}).items()
    )
    names = [label.name for label in labels] + [region.name for region in composites]
    if values != list(range(1, len(values) + 1)):
        raise PostTxError(f"labels must be the integers 1..n without gaps, not {values}", file=path)
    if len(set(names)) != len(names):
        raise PostTxError(f"label and region names must be unique, not {names}", file=path)
    for region in composites:
        if not set(region.labels) <= set(values):
            raise PostTxError(f"region {region.name} names integers that no label has: {region.labels}", file=path)
    return LabelScheme(content["name"], content.get("description", ""), labels, composites)

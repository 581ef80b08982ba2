"""The one reading of label maps: which integers the voxels of references and predictions stand for, at every stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from posttx.errors import PostTxError

if TYPE_CHECKING:
    from posttx.nifti import Volume

# A value this close to an integer is that integer: five labels scaled to the 255 steps of a byte, the coarsest storage
# in use, are at most 0.0098 off. An edge that was interpolated holds values much farther from any.
ROUNDING = 0.01
SHOWN = 5


@dataclass(frozen=True)
class Kind:
    """What a label map is, and the finding codes of what can be wrong with its values."""

    name: str
    strange: str
    between: str
    infinite: str
    rounded: str
    remedy: str


REFERENCE = Kind("reference", "LAB001", "LAB002", "LAB003", "LAB008", "Round the reference, or resample it again with "
                 "nearest neighbour")  # fmt: skip
PREDICTION = Kind("prediction", "EVA003", "EVA004", "EVA004", "EVA010", "Give the label map, not probabilities or an "
                  "interpolated map")  # fmt: skip


@dataclass(frozen=True)
class Values:
    """Voxels read as integers, and what was odd about them.

    ``whole`` holds the voxels rounded, in the order and type given (NaN and infinity stay). ``rounded`` voxels were off
    their integer by at most ``ROUNDING``, ``example`` by most. ``between`` holds the different values that are
    farther off, ascending, of ``broken`` voxels; ``infinite`` voxels are NaN or infinite.
    """

    whole: np.ndarray
    rounded: int = 0
    example: str = ""
    between: tuple[str, ...] = ()
    broken: int = 0
    infinite: int = 0

    def rounding(self) -> str:
        """Say what was rounded; empty where nothing was."""
        if not self.rounded:
            return ""
        return f"{self.rounded} voxels are off an integer by at most {ROUNDING:g}, {self.example} the farthest; rounded"

    def odd(self) -> str:
        """Say what lies between integers, with all digits that are stored; empty where nothing does."""
        if not self.between:
            return ""
        more = ", ..." if len(self.between) > SHOWN else ""
        shown = ", ".join(self.between[:SHOWN]) + more
        return f"{self.broken} voxels hold {len(self.between)} values between integers: {shown}"


def whole_values(data: np.ndarray) -> Values:
    """Read voxels of any number type as integers; those stored as integers, and an empty array, come back untouched."""
    if data.dtype.kind != "f":
        return Values(data)
    whole = np.rint(data)
    infinite = int(np.count_nonzero(np.isinf(data)))
    odd = data[whole != data]  # NaN among them, infinity not
    if not odd.size:
        return Values(whole, infinite=infinite)
    finite = odd[~np.isnan(odd)]
    infinite += odd.size - finite.size
    far = np.abs(finite - np.rint(finite)) > ROUNDING
    close, between = finite[~far], np.unique(finite[far])
    example = str(close[np.abs(close - np.rint(close)).argmax()]) if close.size else ""
    return Values(whole, close.size, example, tuple(map(str, between)), int(far.sum()), infinite)


def label_array(volume: Volume, labels: Sequence[int], kind: Kind, case: str = "") -> tuple[np.ndarray, str]:
    """Return the voxels of a label map as uint8, Fortran-ordered, and what was rounded in words (empty for nothing).

    Anything but 0, one of ``labels`` and values that ``ROUNDING`` leads there raises an error.
    """
    values = values_of(volume.data)
    if values.infinite or values.between:
        problem = values.odd() or f"{values.infinite} voxels are NaN or infinite"
        code = kind.between if values.between else kind.infinite
        raise PostTxError(f"the {kind.name} is no label map: {problem}", remedy=kind.remedy, case=case,
                          file=volume.path, code=code)  # fmt: skip
    strangers = _strangers(values.whole, labels)
    if strangers:
        shown = ", ".join(strangers[:SHOWN]) + (", ..." if len(strangers) > SHOWN else "")
        raise PostTxError(
            f"labels {shown} of the {kind.name} are not in the label scheme (0, {', '.join(map(str, labels))})",
            remedy="Re-map the labels, or choose the scheme they belong to (`labels` in the config)",
            case=case,
            file=volume.path,
            code=kind.strange,
        )
    return np.asfortranarray(values.whole.astype(np.uint8, copy=False)), values.rounding()


def consecutive(labels: np.ndarray, scheme: Sequence[int]) -> np.ndarray:
    """Return a uint8 map of a scheme's integers (ascending) with 1..n in their place, which is all nnU-Net trains."""
    return _replaced(labels, list(scheme), range(1, len(scheme) + 1))


def of_scheme(learnt: np.ndarray, scheme: Sequence[int]) -> np.ndarray:
    """Return a map of the integers 1..n that a network predicts with the scheme's in their place."""
    return _replaced(learnt, range(1, len(scheme) + 1), list(scheme))


def scheme_of_row(row: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the integers of the label scheme that a case's row of ``transforms.parquet`` names."""
    return tuple(map(int, str(row["labels"]).split(",")))


def _replaced(data: np.ndarray, old: Sequence[int], new: Sequence[int]) -> np.ndarray:
    if list(old) == list(new):
        return data
    table = np.zeros(256, np.uint8)
    table[list(old)] = list(new)
    return table[data]


def values_of(data: np.ndarray) -> Values:
    """Read a whole volume; one that a byte holds as it is, as most are, is compared once and never searched."""
    if data.dtype == np.uint8:
        return Values(data)
    with np.errstate(invalid="ignore"):
        narrow = data.astype(np.uint8)
    return Values(narrow) if np.array_equal(narrow, data) else whole_values(data)


def _strangers(whole: np.ndarray, labels: Sequence[int]) -> list[str]:
    """Return the values that are no label, ascending, as text."""
    known = {0, *labels}
    low = whole.min(initial=0) if whole.dtype != np.uint8 else 0
    if low >= 0 and whole.max(initial=0) <= max(known):
        gaps = np.array([value not in known for value in range(max(known) + 1)])
        # A scheme without gaps needs no second look.
        if not gaps.any() or not gaps[whole.astype(np.uint8, copy=False)].any():
            return []
    present = np.unique(whole)
    return [f"{value:.0f}" if abs(value) < 1e15 else f"{value:g}" for value in present.tolist() if value not in known]

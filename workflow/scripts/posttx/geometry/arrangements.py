"""Orders of the axes of an array, and their directions: what a file without a true header may have been stored in."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Arrangement:
    """One order of axes and directions of an array, by which it has the shape of another."""

    axes: tuple[int, ...]
    flips: tuple[bool, ...]

    @property
    def plain(self) -> bool:
        """Return whether the array stays as it is."""
        return self.axes == (0, 1, 2) and not any(self.flips)

    def points(self, points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return where voxel indices (n, 3) of an array are in the rearranged one, which has ``shape``."""
        moved = points[:, list(self.axes)]
        return np.where(self.flips, np.array(shape) - 1 - moved, moved)

    def text(self) -> str:
        """Return what to do with the array."""
        told = [] if self.axes == (0, 1, 2) else [f"order its axes {', '.join('ijk'[axis] for axis in self.axes)}"]
        mirrored = ", ".join("ijk"[axis] for axis, flip in enumerate(self.flips) if flip)
        return " and ".join(told + ([f"mirror it along {mirrored}"] if mirrored else []))


def arrangements(shape: Sequence[int], target: Sequence[int]) -> list[Arrangement]:
    """Return every order of axes and directions that gives an array of ``shape`` the shape ``target``, plain first."""
    return [
        Arrangement(axes, flips)
        for axes in itertools.permutations(range(3))
        if tuple(shape[axis] for axis in axes) == tuple(target)
        for flips in itertools.product((False, True), repeat=3)
    ]

"""What an interval and an adjusted p together allow to say: the one place where a claim is decided."""

from __future__ import annotations

from enum import StrEnum
from math import isnan

from posttx.analysis.statistics import FEWEST_FOR_P

ALPHA = 0.05


class Evidence(StrEnum):
    """Whether a quantity is shown to lie above or below a value (0 where nothing else is said)."""

    ABOVE = "above"
    BELOW = "below"
    NOT_AFTER_HOLM = "not shown after Holm"
    NOT_SHOWN = "not shown"
    TOO_FEW = "too few patients"
    NOT_EXAMINED = "not examined"

    @property
    def sign(self) -> int:
        """Return 1 or -1 where something is shown, else 0."""
        return {Evidence.ABOVE: 1, Evidence.BELOW: -1}.get(self, 0)


def evidence(low: float, high: float, p_adjusted: float, n_patients: int, null: float = 0.0) -> Evidence:
    """Return what is shown of a quantity with this interval, this p adjusted by Holm, and so many patients behind it.

    A claim needs both: the whole interval on one side of ``null``, and an adjusted p below ``ALPHA``. Fewer patients
    than any p can be given for are too few; an undefined interval or p with enough of them was not examined.
    """
    if n_patients < FEWEST_FOR_P:
        return Evidence.TOO_FEW
    if isnan(low) or isnan(high) or isnan(p_adjusted):
        return Evidence.NOT_EXAMINED
    if low <= null <= high:
        return Evidence.NOT_SHOWN
    if p_adjusted >= ALPHA:
        return Evidence.NOT_AFTER_HOLM
    return Evidence.ABOVE if low > null else Evidence.BELOW

"""Numbers with their intervals, and lists, in words."""

from __future__ import annotations

from collections.abc import Sequence

from posttx.analysis.interpretation_rules import LEVEL_TEXT
from posttx.analysis.judgements import Number


def listed(words: Sequence[str]) -> str:
    """Return words as an English list."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def number(value: Number, digits: int) -> str:
    """Return a number with its interval in words."""
    if not value.known:
        return "undefined"
    if not value.has_interval:
        return f"{value.value:.{digits}f} (no interval)"
    return f"{value.value:.{digits}f} ({LEVEL_TEXT} {value.low:.{digits}f} to {value.high:.{digits}f})"

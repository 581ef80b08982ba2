"""What a finding code is."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True)
class Code:
    """What a finding code stands for; ``severity`` is error, warning or info."""

    severity: str
    title: str
    meaning: str
    remedy: str

"""Ratios of a stage to its peer: each benchmark notes its own, `bench.py` puts them in one table.

A ratio is taken round by round, ours and the peer's in turn, so that a busy machine slows both.
"""

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "POSTTX_RATIOS"
# The exit code of a benchmark that ran to its end and missed a goal; Python ends with 1 for an error.
MISSED = 3


@dataclass(frozen=True)
class Ratio:
    """How one stage compares with its peer: ``values`` per round, and what their median is to be (``<= 1.4``)."""

    stage: str
    peer: str
    values: Sequence[float]
    goal: str

    @property
    def median(self) -> float:
        """Return the median over the rounds."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        """Return whether the median reaches the goal."""
        sign, bound = self.goal.split()
        return self.median <= float(bound) if sign == "<=" else self.median >= float(bound)


def note(ratio: Ratio) -> None:
    """Append a ratio to the file that the environment names; without one nothing is noted."""
    if path := os.environ.get(FILE):
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(ratio)) + "\n")


def noted(path: Path) -> list[Ratio]:
    """Return the ratios of a file in their order; a file that nobody wrote has none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Ratio(**json.loads(line)) for line in lines]


def table(ratios: Sequence[Ratio]) -> str:
    """Return a Markdown table: stage, peer, median with its range over the rounds, goal."""
    rows = ["| stage | compared with | ratio (lowest to highest of n) | goal |", "|---|---|---|---|"]
    for ratio in ratios:
        spread = f"{ratio.median:.2f} ({min(ratio.values):.2f} to {max(ratio.values):.2f} of {len(ratio.values)})"
        rows.append(f"| {ratio.stage} | {ratio.peer} | {spread} | {ratio.goal}: {'met' if ratio.met else 'missed'} |")
    return "\n".join(rows)

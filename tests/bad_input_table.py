"""The tables of docs/bad-input.md, which the tests of bad input hold against what the product says."""

import re
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "bad-input.md"
HEADING = re.compile(r"^## .*\(`(tests/[a-z_/]+\.py)`\)$")


@dataclass(frozen=True)
class Row:
    """One kind of bad input: where it is met, its code if it has one, what is said (`...`: anything), what survives."""

    stage: str
    code: str
    message: str
    survives: str

    def says(self, text: str) -> bool:
        """Say whether a text of the product holds the message."""
        parts = [re.escape(part) for part in self.message.split("...")]
        return re.search("(?:.|\n)*?".join(parts), text) is not None


def rows_of(test: str) -> dict[str, Row]:
    """Return kind -> row of the table under the heading that names a test file."""
    tables: dict[str, dict[str, Row]] = {}
    current = ""
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if heading := HEADING.match(line):
            current = heading[1]
        elif line.startswith("| ") and not line.startswith("| input |"):
            kind, stage, code, *message, survives = (cell.strip() for cell in line.strip("| ").split(" | "))
            assert kind not in tables.setdefault(current, {}), f"{kind} stands twice"
            tables[current][kind] = Row(stage, code.strip("`-"), " | ".join(message), survives)
    return tables[test]

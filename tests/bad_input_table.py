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
        elif current and line.startswith("| ") and not line.startswith("| input |"):
            kind, stage, code, *message, survives = (cell.strip() for cell in line.strip("| ").split(" | "))
            assert kind not in tables.setdefault(current, {}), f"{kind} stands twice"
            tables[current][kind] = Row(stage, code.strip("`-"), " | ".join(message), survives)
    return tables[test]


def tests() -> list[str]:
    """Return the tests that the document names, in its order."""
    return [found[1] for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if (found := HEADING.match(line))]


def counts() -> str:
    """Return the Markdown table of how many kinds there are of each stage, and how many of them stop something."""
    rows = [row for test in tests() for row in rows_of(test).values()]
    lines = ["| met in | kinds | of them read, and told |", "|---|---|---|"]
    for stage in dict.fromkeys(row.stage for row in rows):
        own = [row for row in rows if row.stage == stage]
        lines.append(f"| {stage} | {len(own)} | {sum(row.survives.startswith('everything') for row in own)} |")
    read = sum(row.survives.startswith("everything") for row in rows)
    return "\n".join([*lines, f"| all | {len(rows)} | {read} |"])


if __name__ == "__main__":
    # Bring the counts of the document up to date.
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(re.sub(r"\| met in \|(?:.*\n)*?\| all \|.*", counts(), text), encoding="utf-8")
